import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { AGENTS_DUE_KEY, agentKeys } from '../../shared/keys.ts'
import type { Redis } from '../../shared/ports/redis.ts'
import { unique } from '../support/app.ts'
import { until } from '../support/hub.ts'
import { type Behaviour, startProvider } from '../support/provider.ts'
import { startReceiver } from '../support/receiver.ts'
import { startTestRedis } from '../support/redis.ts'
import { passTime } from './agent-scenario.ts'
import { createMortalHub } from './mortal-hub.ts'

let local: Awaited<ReturnType<typeof startTestRedis>>
let redis: Redis
beforeAll(async () => {
  local = await startTestRedis()
  redis = createRedisResp({ url: local.url })
})
afterAll(async () => {
  await redis.close()
  await local.stop()
})

type Said = { role: string; content: string; tool_calls?: { id: string }[]; tool_call_id?: string }
type Answer = (messages: Said[]) => Behaviour | undefined

/** A model that answers so, and hubs on one Redis that ask it. */
async function start(answer: Answer = () => undefined) {
  const provider = await startProvider({
    text: 'done',
    behave: (_, { messages = [] }) => answer(messages as Said[]),
  })
  onTestFinished(provider.close)
  const env = { OPENAI_BASE_URL: provider.url, REDIS_URL: local.url, HUB_CLAIM_SECONDS: '15' }
  const newHub = (more = {}) => createMortalHub({ redis, env, ...more })
  const hub = newHub()
  const id = unique('agent')
  const path = `/v1/agents/${id}`
  return {
    ...{ provider, hub, newHub, id, path },
    put: (settings: object = {}, name = id) =>
      hub.ask('PUT', `/v1/agents/${name}`, { role: 'custom', model: 'openai/gpt-4o-mini', ...settings }),
    step: (body: object = {}, key?: string, by = hub) =>
      by.ask('POST', `${path}/steps`, body, key === undefined ? {} : { 'idempotency-key': key }),
    get: async (more = '') => (await hub.ask('GET', path + more)).body,
    async asked(n: number) {
      return (provider.requests.filter(({ body }) => body.messages)[n]!.body as unknown as { messages: Said[] })
        .messages
    },
    score: async (name = id) => {
      const [score] = await redis.wave([['ZSCORE', AGENTS_DUE_KEY, `default/${name}`]])
      return score === null ? undefined : Number(score)
    },
    /** Whoever is free works until then. */
    async workUntil(what: string, look: () => Promise<boolean>) {
      const stopping = new AbortController()
      const work = hub.work(stopping.signal)
      await until(what, look).finally(() => stopping.abort())
      await work
      await hub.settled()
    },
  }
}

const calling = (...calls: [name: string, args: object][]): Behaviour => ({
  toolCalls: calls.map(([name, args]) => ({ name, arguments: JSON.stringify(args) })),
})

it('a look at an agent that has nothing to do takes no step, though whoever looked died', async () => {
  const { put, step, id, newHub, get, workUntil, score, provider } = await start()
  await put()
  await step({ input: 'go' })
  await redis.wave([['ZADD', AGENTS_DUE_KEY, 1, `default/${id}`]])
  const mortal = newHub({ drains: { kickMs: 1_000, scheduledMs: 1_000 } })
  const asks = provider.count
  // It dies when it wants to give back what it claimed.
  mortal.dieWhen((calls) => JSON.stringify(calls).includes('leave-step'))
  void mortal.work(new AbortController().signal)
  await mortal.died
  await passTime(redis, [id])
  await workUntil('nobody is due', async () => (await score()) === undefined)
  expect((await get('/steps')).data).toHaveLength(1)
  expect(await get()).toMatchObject({ steps: 1, version: 2 })
  expect(provider.count).toBe(asks)
})

it('a run that somebody watches ends elsewhere: the next step of another caller is not lost with it', async () => {
  let hold: Promise<void> | undefined
  const { put, step, id, newHub, hub, get, path } = await start((messages) =>
    messages.some(({ content }) => content === 'second') || messages.some(({ role }) => role === 'tool')
      ? undefined
      : calling(['log', { message: 'x' }]),
  )
  await put({ tools: ['log'] })
  // Its first step is done, and the second one is another's, who ends the run.
  const watcher = newHub()
  const began = Promise.withResolvers<void>()
  const may = Promise.withResolvers<void>()
  let begins = 0
  watcher.beforeCall(async (_, calls) => {
    if (!JSON.stringify(calls).includes('begin-step')) return
    if (++begins < 2) return
    began.resolve()
    await may.promise
  })
  const watched = watcher.ask('POST', `${path}/steps`, { input: 'first', until: 'done', stream: false })
  await began.promise
  expect((await step()).body.status).toBe('done')
  const mortal = newHub()
  mortal.dieWhen((calls) => JSON.stringify(calls).includes('commit-step'))
  void step({ input: 'second' }, 'k', mortal)
  await mortal.died
  await passTime(redis, [id])
  may.resolve()
  await watched
  await passTime(redis, [id])
  expect(await step({ input: 'second' }, 'k')).toMatchObject({ status: 200 })
  const { data } = await get('/steps')
  expect(data.flatMap(({ messages }: { messages: string[] }) => messages)).toHaveLength(2)
  expect(data.map(({ step }: { step: number }) => step)).toEqual([1, 2, 3])
  void hold
})

it('a provider that counts its call ids anew in each answer: each call keeps its own result', async () => {
  const receiver = await startReceiver({ answer: (n) => ({ text: `result ${n}` }) })
  onTestFinished(receiver.close)
  const { put, step, asked } = await start((messages) =>
    messages.filter(({ role }) => role === 'tool').length < 2 ? calling(['act', {}]) : undefined,
  )
  await put({ tools: [{ type: 'webhook', name: 'act', url: receiver.url, allow_private: true }] })
  await step({ input: 'go', until: 'done', stream: false })
  const results = (await asked(2)).filter(({ role }) => role === 'tool')
  expect(results.map(({ content }) => content)).toEqual(['result 1', 'result 2'])
  expect(new Set(results.map(({ tool_call_id }) => tool_call_id)).size).toBe(2)
})

it('who asks while a message waits does not put it off', async () => {
  const { put, step, hub, path, score } = await start()
  await put()
  await step({ input: 'go' }, 'k')
  await hub.ask('POST', `${path}/messages`, { content: 'news' })
  await step({ input: 'go' }, 'k')
  expect(await score()).toBeLessThanOrEqual(Date.now())
})

it('who asks while a step runs does not put off what it waits for then', async () => {
  const { put, step, score } = await start(() => ({ ...calling(['wait', { seconds: 2 }]), delayMs: 300 }))
  await put({ tools: ['wait'] })
  const running = step({ input: 'go' })
  await sleep(100)
  expect((await step({ input: 'and?' })).status).toBe(409)
  expect((await running).body).toMatchObject({ status: 'waiting' })
  await until('its end is known', async () => ((await score()) ?? Infinity) < Date.now() + 2_500, 3_000)
})

it('an event that comes behind a hundred others is not waited for in vain', async () => {
  const { put, step, hub, path, get, workUntil } = await start((messages) =>
    messages.some(({ content }) => content?.includes('paid')) ? undefined : calling(['wait', { event: 'paid' }]),
  )
  await put({ tools: ['wait'] })
  await step({ input: 'go' })
  for (let i = 0; i < 120; i++)
    await hub.ask('POST', `${path}/messages`, { content: `drop ${i}`, event_type: 'rain' })
  await hub.ask('POST', `${path}/messages`, { content: 'here', event_type: 'paid' })
  await workUntil('it goes on', async () => (await get()).status === 'done')
})

it('the next event comes behind a thousand tasks that wait for their turn', async () => {
  const { put, step, hub, path, get, workUntil, id } = await start((messages) =>
    messages.some(({ content }) => content?.includes('paid')) ? undefined : calling(['wait', { event: 'paid' }]),
  )
  await put({ tools: ['wait'] })
  await step({ input: 'go' })
  for (let i = 0; i < 120; i++) await hub.ask('POST', '/v1/tasks', { to: id, input: `task ${i}` })
  await hub.ask('POST', `${path}/messages`, { content: 'here', event_type: 'paid' })
  await workUntil('it goes on', async () => (await get()).steps >= 2)
})

it('an agent that was made anew knows nothing of the keys of the one before', async () => {
  const { put, step, hub, path, provider, get, workUntil } = await start()
  await put()
  await step({ input: 'go' }, 'k')
  await hub.ask('POST', `${path}/messages`, { content: 'news' }, { 'idempotency-key': 'm' })
  await hub.ask('DELETE', path)
  await put()
  expect((await step({ input: 'go' }, 'k')).body).toMatchObject({ step: 1, version: 2 })
  expect(provider.count).toBe(2)
  await hub.ask('POST', `${path}/messages`, { content: 'news' }, { 'idempotency-key': 'm' })
  await workUntil('the message is taken up', async () => (await get('/steps')).data.length === 2)
})

it('another body under the key of a step that was begun is refused', async () => {
  const { put, step, id, newHub, get } = await start()
  await put()
  const mortal = newHub()
  mortal.dieWhen((calls) => JSON.stringify(calls).includes('commit-step'))
  void step({ input: 'go' }, 'k', mortal)
  await mortal.died
  await passTime(redis, [id])
  expect(await step({ input: 'stop' }, 'k')).toMatchObject({
    status: 422,
    body: { error: { code: 'idempotency_mismatch' } },
  })
  expect(await step({ input: 'go' }, 'k')).toMatchObject({ status: 200 })
  expect((await get('/steps')).data).toHaveLength(1)
})

it('a receiver whose inbox is full holds up nobody else', async () => {
  const { put, step, hub, get, workUntil } = await start((messages) =>
    messages.some(({ role }) => role === 'tool')
      ? undefined
      : calling(['send_message', { to: full, message: 'a' }], ['send_message', { to: free, message: 'b' }]),
  )
  const [full, free] = [unique('full'), unique('free')]
  await put({ tools: ['send_message'] })
  await put({}, full)
  await put({}, free)
  const keys = agentKeys('default', full)
  await redis.wave(
    Array.from({ length: 1_000 }, (_, i) => [
      'XADD',
      keys.inbox,
      '*',
      'message',
      JSON.stringify({ id: `${i}`, type: 'task', task: { id: `${i}`, attempt: 1 }, data: 'x' }),
    ]),
    { timeoutMs: 5_000 },
  )
  await step({ input: 'go', until: 'done', stream: false })
  await hub.settled()
  const [left] = await redis.wave([['XLEN', agentKeys('default', free).inbox]])
  expect(left).toBe(1)
  void get
  void workUntil
})

it('a call whose end nobody knows is made again only where a person says so', async () => {
  const receiver = await startReceiver()
  onTestFinished(receiver.close)
  const { put, step, id, newHub, get } = await start((messages) =>
    messages.some(({ role }) => role === 'tool') ? undefined : calling(['act', {}]),
  )
  await put({ tools: [{ type: 'webhook', name: 'act', url: receiver.url, allow_private: true }] })
  const mortal = newHub()
  let notes = 0
  mortal.dieWhen((calls) => JSON.stringify(calls).includes('journal-step') && ++notes === 2)
  void step({ input: 'go' }, 'k', mortal)
  await mortal.died
  await passTime(redis, [id])
  expect((await step({ input: 'go' }, 'k')).body.status).toBe('needs_attention')
  const [{ id: call_id }] = (await get()).waiting.calls
  const approved = await step({ decisions: [{ call_id, action: 'approve' }] })
  expect(approved.body).toMatchObject({ status: 'needs_attention' })
  expect(receiver.received).toHaveLength(1)
  expect((await step({ decisions: [{ call_id, action: 'retry' }] })).body.status).toBe('done')
  expect(receiver.received).toHaveLength(2)
  expect(new Set(receiver.received.map(({ headers }) => headers['idempotency-key'])).size).toBe(1)
})
