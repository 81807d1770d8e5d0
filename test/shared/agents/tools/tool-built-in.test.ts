import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { createKnowledge } from '../../../../shared/agents/knowledge.ts'
import type { LongMemory } from '../../../../shared/agents/memory/memory.ts'
import { HubError } from '../../../../shared/errors.ts'
import { createRealtime } from '../../../../shared/realtime/realtime.ts'
import { startTools } from '../../../support/tools.ts'

const start = (options?: Parameters<typeof startTools>[1]) => startTools({ onTestFinished }, options)
const json = ({ output }: { output: string }) => JSON.parse(output)

describe('tools over documents', () => {
  let hub: Awaited<ReturnType<typeof start>>
  beforeEach(async () => {
    hub = await start({ answer: () => 'The return period is 30 days [1].' })
    const { indexes, tenant, context } = hub
    await indexes.put(tenant, 'docs', { fields: { kind: 'tag' } }, context)
    const add = await hub.tool({ type: 'builtin', name: 'add_document', index: 'docs' })
    for (const [id, text, kind] of [
      ['returns', 'The return period is 30 days after delivery.', 'faq'],
      ['pens', 'A pen costs two euros, and a return costs nothing.', 'price'],
    ])
      expect(json(await add({ id, text, metadata: { kind } }))).toMatchObject({ id, chunks: 1 })
  })

  it('search gives passages with their documents and scores, by the owner’s filter', async () => {
    const all = await hub.tool({ type: 'builtin', name: 'search', index: 'docs', mode: 'text' })
    const { results } = json(await all({ query: 'return period' }))
    expect(results[0]).toEqual({
      document_id: 'returns',
      text: 'The return period is 30 days after delivery.',
      score: expect.any(Number),
    })
    expect(results).toHaveLength(2)
    expect(json(await all({ query: 'return period', top_k: 1 })).results).toHaveLength(1)
    const filter = { type: 'eq', key: 'kind', value: 'price' }
    const some = await hub.tool({ type: 'builtin', name: 'search', index: 'docs', mode: 'text', filter })
    const found = json(await some({ query: 'return' })).results
    expect(found.map(({ document_id }: { document_id: string }) => document_id)).toEqual(['pens'])
  })

  it('the model names an index where the owner did not, of its own tenant only', async () => {
    const search = await hub.tool('search')
    expect((await search({ query: 'return' })).output).toMatch(/^Not called: .*index/)
    expect(await search({ index: 'docs', query: 'return' })).toMatchObject({ status: 'ok' })
    const other = await start()
    const elsewhere = await (await other.tool('search'))({ index: 'docs', query: 'return' })
    expect(elsewhere).toMatchObject({ status: 'error', output: expect.stringMatching(/docs/) })
    expect(
      (await (await hub.tool({ type: 'builtin', name: 'search', index: 'docs' }))({ query: 'a', index: 'b' }))
        .output,
    ).toMatch(/^Not called/)
  })

  it('ask answers with what it rests on', async () => {
    const ask = await hub.tool({ type: 'builtin', name: 'ask', index: 'docs' })
    const answered = json(await ask({ question: 'How long is the return period?' }))
    expect(answered).toMatchObject({ found: true, answer: expect.stringContaining('30 days') })
    expect(answered.citations[0]).toMatchObject({
      document_id: 'returns',
      quote: expect.stringContaining('30 days'),
    })
    const { quote, start, end } = answered.citations[0]
    expect(end - start).toBe(quote.length)
  })

  it('a document without an id is the same one when the call is made again', async () => {
    const add = await hub.tool({ type: 'builtin', name: 'add_document', index: 'docs' })
    const first = json(await add({ text: 'A note.' }))
    expect(json(await add({ text: 'A note.' }))).toEqual({ ...first, unchanged: true })
  })

  it('does for an agent what its key may, and no more', async () => {
    const caller = { ...hub.caller, scopes: new Set(['agent-step']) }
    for (const [name, args] of [
      ['search', { index: 'docs', query: 'a' }],
      ['ask', { index: 'docs', question: 'a' }],
      ['add_document', { index: 'docs', text: 'a' }],
    ] as const) {
      const { status, output } = await (await hub.tool(name))(args, { caller })
      expect([status, output]).toEqual(['error', expect.stringMatching(/lacks the scope/)])
    }
  })
})

describe('tools that only say what is to happen', () => {
  it.each([
    ['send_message', { to: 'bob', message: { a: 1 } }, { kind: 'message', to: 'bob', data: { a: 1 } }],
    ['send_message', { channel: 'news', message: 'hi' }, { kind: 'publish', channel: 'news', data: 'hi' }],
    ['assign_task', { input: 'count', topic: 'maths' }, { kind: 'task', input: 'count', topic: 'maths' }],
    ['assign_task', { input: 'count', to: 'bob' }, { kind: 'task', input: 'count', to: 'bob' }],
    [
      'log',
      { message: 'hm', level: 'warn', data: { n: 1 } },
      {
        ...{ kind: 'publish', channel: 'agent:logs', type: 'log' },
        data: { agent: 'agent', step: 3, level: 'warn', message: 'hm', data: { n: 1 } },
      },
    ],
  ])('%s %o', async (name, args, effect) => {
    const { tool } = await start()
    expect(await (await tool(name))(args)).toMatchObject({ status: 'ok', effects: [effect] })
  })

  it.each([
    ['send_message', { message: 'hi' }],
    ['send_message', { to: 'bob', channel: 'news', message: 'hi' }],
    ['send_message', { channel: 'events:orders', message: 'hi' }],
    ['send_message', { channel: 't:other:news', message: 'hi' }],
    ['send_message', { to: 'bob', message: 'x'.repeat(70_000) }],
    ['assign_task', { input: 'x', to: 'not a name' }],
    ['log', { message: 'hi', level: 'loud' }],
  ])('%s refuses %o', async (name, args) => {
    const { tool } = await start()
    expect(await (await tool(name))(args)).not.toHaveProperty('effects')
    expect(await (await tool(name))(args)).toMatchObject({ status: 'error' })
  })

  it('reach only whom their owner named, and channels that the key may write', async () => {
    const { tool, caller } = await start()
    const named = await tool({ type: 'builtin', name: 'send_message', agents: ['bob'], channels: ['news'] })
    expect(await named({ to: 'bob', message: 'hi' })).toMatchObject({ status: 'ok' })
    expect(await named({ to: 'eve', message: 'hi' })).toMatchObject({ status: 'error' })
    expect(await named({ channel: 'other', message: 'hi' })).toMatchObject({ status: 'error' })
    const limited = { ...caller, channels: { write: ['mine:*'] } }
    const send = await tool('send_message')
    expect(await send({ channel: 'mine:a', message: 'hi' }, { caller: limited })).toMatchObject({
      status: 'ok',
    })
    expect(await send({ channel: 'news', message: 'hi' }, { caller: limited })).toMatchObject({
      status: 'error',
    })
    const assign = await tool({ type: 'builtin', name: 'assign_task', agents: ['bob'] })
    expect(await assign({ input: 'x' })).toMatchObject({ status: 'error' })
  })
})

describe('wait', () => {
  const now = Date.parse('2030-01-01T00:00:00Z')
  const at = (seconds: number) => now + seconds * 1_000

  it.each([
    [{ seconds: 90 }, { for: 'time', until: at(90) }],
    [{ until: '2030-01-01T01:00:00+01:00' }, { for: 'time', until: now }],
    [
      { event: 'order.paid', timeout_seconds: 60 },
      { for: 'event', type: 'order.paid', until: at(60) },
    ],
    [{ event: 'order.paid' }, { for: 'event', type: 'order.paid' }],
    [{ for: 'message' }, { for: 'event' }],
    [
      { for: 'tasks', timeout_seconds: 5 },
      { for: 'tasks', until: at(5) },
    ],
  ])('%o', async (args, expected) => {
    const { tool } = await start({ clock: { now: () => now } })
    const { status, wait } = await (await tool('wait'))(args)
    expect([status, wait]).toEqual(['ok', expected])
  })

  it.each([
    {},
    { seconds: 1, for: 'tasks' },
    { until: 'tomorrow' },
    { until: '2040-01-01T00:00:00Z' },
    { seconds: -1 },
  ])('refuses %o', async (args) => {
    const { tool } = await start({ clock: { now: () => now } })
    expect(await (await tool('wait'))(args)).toMatchObject({ status: 'error' })
  })
})

describe('tools over memory and knowledge', () => {
  it('remember and recall act for the agent, and a call made again is one memory', async () => {
    const kept: unknown[][] = []
    const memory: Pick<LongMemory, 'remember' | 'recall'> = {
      async remember(...args) {
        kept.push(args)
        return { status: 'stored', id: 'm1' }
      },
      async recall() {
        const entry = { id: 'm1', text: 'Ann likes tea', score: 0.9, valid_from: 'then', valid_until: null }
        return [{ ...entry, origin: { kind: 'tool' }, created_at: '', forgotten_at: null, metadata: {} }]
      },
    }
    const { tool, tenant, agent, context } = await start({ memory })
    expect(json(await (await tool('remember'))({ text: 'Ann likes tea' }))).toEqual({
      status: 'stored',
      id: 'm1',
    })
    expect(kept[0]!.slice(0, 3)).toEqual([
      tenant,
      agent,
      { text: 'Ann likes tea', origin: { kind: 'tool', step: 3 }, once: context.idempotencyKey },
    ])
    expect(json(await (await tool('recall'))({ query: 'drinks' }))).toEqual({
      memories: [{ id: 'm1', text: 'Ann likes tea', score: 0.9, valid_from: 'then', valid_until: null }],
    })
  })

  it('knowledge is shared, versioned, and stays within the topics that the owner named', async () => {
    const { redis } = await start()
    const knowledge = createKnowledge({
      redis,
      realtime: createRealtime({ redis }),
      clock: Date,
      onError() {},
    })
    const { tool } = await start({ knowledge })
    const write = await tool({ type: 'builtin', name: 'write_knowledge', topics: ['prices'] })
    const read = await tool('read_knowledge')
    expect((await read({ topic: 'prices' })).status).toBe('error')
    expect(await write({ topic: 'prices', facts: { pen: 2 } })).toMatchObject({ status: 'ok' })
    expect(await write({ topic: 'prices', facts: { pen: 2 } })).toMatchObject({ status: 'ok' }) // made again
    expect(json(await read({ topic: 'prices' }))).toEqual({
      pen: { value: 2, version: 1, by: 'agent:agent', at: expect.any(String) },
    })
    const late = { topic: 'prices', facts: { pen: 3 }, if_versions: { pen: 0 } }
    expect(await write(late, { idempotencyKey: 'another' })).toMatchObject({ status: 'error' })
    expect((await write({ topic: 'staff', facts: { a: 1 } })).output).toMatch(/^Not called: `topic`/)
  })
})

describe('infer', () => {
  const infer = { type: 'builtin', name: 'infer', model: 'iris' }

  it('runs the model that the owner named', async () => {
    const asked: unknown[] = []
    const answerJson = async (call: object, inputs: unknown) => {
      asked.push([call, inputs])
      if (asked.length > 1) throw new HubError({ code: 'invalid_tensor', status: 400, message: 'Too short' })
      return { model_name: 'iris', model_version: '1', outputs: [] }
    }
    const { tool } = await start({ oip: { answerJson } })
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [1], data: [1] }]
    const call = await tool({ ...infer, version: '2' })
    expect(json(await call({ inputs }))).toMatchObject({ model_name: 'iris' })
    expect(asked[0]).toMatchObject([{ model: 'iris', version: '2' }, inputs])
    expect(await call({ inputs })).toEqual({ status: 'error', output: 'Too short' })
    expect((await call({ inputs, model: 'other' })).output).toMatch(/^Not called/)
  })

  it('cannot be declared where the hub runs no models', async () => {
    const { tool } = await start()
    await expect(tool(infer)).rejects.toMatchObject({ status: 400, param: 'tools[0].name' })
  })
})
