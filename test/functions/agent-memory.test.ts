import { Hono } from 'hono'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { agentMemory } from '../../functions/agent-memory.ts'
import type { App } from '../../functions/deps.ts'
import { toHubError } from '../../shared/errors.ts'
import { createHubKeys, createKeyring } from '../../shared/hub-keys.ts'
import { unique } from '../support/app.ts'
import { HUB_SECRET, startLongMemory } from '../support/long-memory.ts'

let hub: Awaited<ReturnType<typeof startLongMemory>>
let app: Hono<App>
beforeAll(async () => {
  hub = await startLongMemory()
  const agentExists = async (_: string, id: string) => id !== 'nobody'
  app = new Hono<App>()
    .onError((error, c) => c.json(toHubError(error), toHubError(error).status as 400))
    .route('/', agentMemory({ longMemory: hub.memory, admission: hub.admission, agentExists }))
})
afterAll(() => hub[Symbol.asyncDispose]())

async function ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const init = { method, headers: { 'content-type': 'application/json', ...headers } }
  const response = await app.request(
    `/v1/agents/${path}`,
    { ...init, ...(body !== undefined && { body: JSON.stringify(body) }) },
    { defer: hub.call.defer },
  )
  const text = await response.text()
  return { status: response.status, body: text ? JSON.parse(text) : undefined }
}

const told = (agent: string, text: string, more: object = {}) =>
  ask('POST', `${agent}/memory`, { text, ...more })

describe('/v1/agents/{id}/memory', () => {
  it('keeps what it is told, finds it by meaning, forgets it and brings it back', async () => {
    const agent = unique('agent')
    const { status, body } = await told(agent, 'The user is allergic to peanuts.', {
      metadata: { kind: 'health' },
    })
    expect({ status, body }).toEqual({
      status: 201,
      body: { status: 'stored', id: expect.stringMatching(/^mem_/) },
    })
    await told(agent, 'The office is in Oslo.')
    const found = await ask('GET', `${agent}/memory?query=Which+food+is+dangerous%3F&top_k=1`)
    expect(found.body.data).toEqual([
      {
        ...{ id: body.id, text: 'The user is allergic to peanuts.', origin: { kind: 'user' } },
        ...{ metadata: { kind: 'health' }, valid_from: expect.any(String), valid_until: null },
        ...{ created_at: expect.any(String), forgotten_at: null, score: expect.any(Number) },
      },
    ])
    expect(await ask('DELETE', `${agent}/memory/${body.id}`)).toEqual({ status: 204, body: undefined })
    expect((await ask('GET', `${agent}/memory`)).body.data).toHaveLength(1)
    expect((await ask('GET', `${agent}/memory?forgotten=true`)).body.data).toMatchObject([{ id: body.id }])
    expect(await ask('POST', `${agent}/memory/${body.id}/restore`)).toMatchObject({
      status: 200,
      body: { id: body.id, forgotten_at: null },
    })
    expect((await ask('GET', `${agent}/memory?query=Which+food+is+dangerous%3F`)).body.data).toHaveLength(2)
  })

  it('says that it knows something already; a repeated operation is one memory', async () => {
    const agent = unique('agent')
    const key = { 'idempotency-key': 'k1' }
    const first = await ask('POST', `${agent}/memory`, { text: 'The user sails.' }, key)
    expect(await ask('POST', `${agent}/memory`, { text: 'The user sails.' }, key)).toEqual(first)
    expect(await told(agent, 'The user sails')).toEqual({
      status: 200,
      body: { status: 'duplicate', id: first.body.id, similarity: 1 },
    })
    expect((await ask('POST', `${agent}/memory`, { text: 'The user rides.' }, key)).status).toBe(422)
  })

  it('lists in pages', async () => {
    const agent = unique('agent')
    for (const day of ['Monday', 'Tuesday', 'Wednesday']) await told(agent, `The shop is open on ${day}.`)
    const first = (await ask('GET', `${agent}/memory?limit=2`)).body
    const second = (await ask('GET', `${agent}/memory?limit=2&before=${first.next}`)).body
    expect([first.data.length, second.data.length, second.next]).toEqual([2, 1, null])
    expect(new Set([...first.data, ...second.data].map(({ id }) => id)).size).toBe(3)
  })

  it('recalls what was valid then, and what passes a filter', async () => {
    const agent = unique('agent')
    await told(agent, 'The office was in Oslo.', { valid_from: '2020-01-01', valid_until: '2021-01-01' })
    await told(agent, 'The office is in Bergen.', { metadata: { floor: 3 } })
    const recall = async (more: Record<string, string>) => {
      const search = new URLSearchParams({ query: 'Where is the office?', ...more })
      return (await ask('GET', `${agent}/memory?${search}`)).body.data.map(
        ({ text }: { text: string }) => text,
      )
    }
    expect(await recall({})).toEqual(['The office is in Bergen.'])
    expect(await recall({ at: '2020-06-01' })).toEqual(['The office was in Oslo.'])
    const floor = (value: number) => JSON.stringify({ type: 'gte', key: 'floor', value })
    expect(await recall({ filter: floor(3) })).toHaveLength(1)
    expect(await recall({ filter: floor(4) })).toHaveLength(0)
    expect(await recall({ min_score: '0.999' })).toHaveLength(0)
  })

  it.each([
    ['GET', 'ada/memory?query=x&top_k=0', 'top_k'],
    ['GET', 'ada/memory?query=%20', 'query'],
    ['GET', 'ada/memory?query=x&at=soon', 'at'],
    ['GET', 'ada/memory?query=x&filter={', 'filter'],
    ['GET', 'ada/memory?query=x&filter={}', 'filter'],
    [
      'GET',
      `ada/memory?query=x&filter=${JSON.stringify({ type: 'gt', key: 'name', value: 'a' })}`,
      'filter.value',
    ],
    ['GET', 'ada/memory?query=x&limit=3', 'limit'],
    ['GET', 'ada/memory?top_k=3', 'top_k'],
    ['GET', 'ada/memory?limit=1000', 'limit'],
    ['GET', 'ada/memory?colour=red', 'colour'],
    ['POST', 'ada/memory', 'text', { text: ' ' }],
    ['POST', 'ada/memory', 'text', { text: 'x'.repeat(2_001) }],
    ['POST', 'ada/memory', 'valid_until', { text: 'x', valid_until: '3 o’clock' }],
    ['POST', 'ada/memory', 'metadata', { text: 'x', metadata: { note: 'x'.repeat(4_000) } }],
    ['POST', 'ada/memory', 'text', { text: 'x', valid_from: '2027-01-02', valid_until: '2027-01-01' }],
    ['POST', 'ada/memory', 'origin', { text: 'x', origin: { kind: 'tool' } }],
  ])('400: %s %s names %s', async (method, path, param, body?: unknown) => {
    const { status, body: reply } = await ask(method, path, body)
    expect({ status, param: reply.error.param }).toEqual({
      status: 400,
      param: expect.stringContaining(param),
    })
  })

  it('404 for an agent or a memory that is not there', async () => {
    for (const [method, path] of [
      ['GET', 'nobody/memory'],
      ['GET', 'nobody/memory?query=x'],
      ['DELETE', 'nobody/memory/mem_1'],
      ['POST', 'nobody/memory/mem_1/restore'],
    ] as const)
      expect((await ask(method, path)).body.error.code).toBe('agent_not_found')
    expect((await told('nobody', 'x')).status).toBe(404)
    expect((await ask('DELETE', 'ada/memory/mem_1')).body.error.code).toBe('memory_not_found')
    expect((await ask('POST', 'ada/memory/mem_1/restore')).body.error.code).toBe('memory_not_found')
  })

  it('needs a key with the scope `agent-step`, and keeps to its tenant', async () => {
    const agent = unique('agent')
    await told(agent, 'The user sails.')
    const keys = createHubKeys({ redis: hub.redis, keyring: createKeyring(HUB_SECRET), now: Date.now })
    const as = async (scopes: string[]) => {
      const { key } = await keys.create({ tenant: unique('tenant'), scopes })
      return ask('GET', `${agent}/memory`, undefined, { authorization: `Bearer ${key}` })
    }
    expect((await as(['agent-step'])).body.data).toEqual([])
    expect((await as(['embed'])).status).toBe(403)
    expect((await ask('GET', 'ada/memory', undefined, { authorization: 'Bearer hub_made_up' })).status).toBe(
      401,
    )
  })

  it('its routes fit the quick router', async () => {
    await ask('GET', 'ada/memory')
    expect((app as unknown as { router: { name: string } }).router.name).toBe('SmartRouter + RegExpRouter')
  })
})
