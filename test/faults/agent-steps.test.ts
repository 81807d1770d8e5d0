import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { AGENTS_DUE_KEY, agentKeys } from '../../shared/keys.ts'
import type { Redis } from '../../shared/ports/redis.ts'
import { unique } from '../support/app.ts'
import { until } from '../support/hub.ts'
import { startTestRedis } from '../support/redis.ts'
import { passTime } from './agent-scenario.ts'
import { calling, hasResults, oneAgent, runs, startAct } from './one-agent.ts'

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

const start = (answer?: Parameters<typeof oneAgent>[1], claimSeconds?: string) =>
  oneAgent({ redis, url: local.url, claimSeconds }, answer)
const WHOLE = { until: 'done', stream: false }

describe('whoever looks after an agent', () => {
  it('dies though there is nothing to do: no step comes of it', async () => {
    const { put, step, id, newHub, get, workUntil, dueAt, asks } = await start()
    await put()
    await step({ input: 'go' })
    await redis.wave([['ZADD', AGENTS_DUE_KEY, 1, `default/${id}`]])
    const mortal = newHub()
    mortal.dieWhen(runs('leave-step'))
    void mortal.work(new AbortController().signal)
    await mortal.died
    await passTime(redis, [id])
    await workUntil('nobody is due', async () => (await dueAt()) === undefined)
    expect((await get('/steps')).data).toHaveLength(1)
    expect(await get()).toMatchObject({ steps: 1, version: 2 })
    expect(asks()).toHaveLength(1)
  })

  it('looks for so long that he is taken for dead: what comes meanwhile is taken up', async () => {
    const { put, step, send, id, newHub, get, workUntil } = await start(undefined, '1')
    await put()
    await step({ input: 'go' })
    await redis.wave([['ZADD', AGENTS_DUE_KEY, 1, `default/${id}`]])
    const slow = newHub()
    const [late, may] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    slow.beforeCall(async (_, calls) => {
      if (!runs('settle-due')(calls)) return
      late.resolve()
      await may.promise
    })
    const stopping = new AbortController()
    const working = slow.work(stopping.signal)
    await late.promise
    stopping.abort()
    await sleep(1_200)
    await send({ content: 'news' })
    may.resolve()
    await working
    await workUntil('the message is taken up', async () => (await get('/steps')).data.length === 2)
  })

  it('finds an event that came behind a hundred others', async () => {
    const { put, step, send, get, workUntil } = await start((messages) =>
      messages.some(({ content }) => content?.includes('paid'))
        ? undefined
        : calling(['wait', { event: 'paid' }]),
    )
    await put({ tools: ['wait'] })
    await step({ input: 'go' })
    for (let i = 0; i < 120; i++) await send({ content: `drop ${i}`, event_type: 'rain' })
    await send({ content: 'here', event_type: 'paid' })
    await workUntil('it goes on', async () => (await get()).status === 'done')
  })

  it('finds an event that came behind a hundred tasks which wait for their turn', async () => {
    const { put, step, send, hub, get, workUntil, id } = await start((messages) =>
      messages.some(({ content }) => content?.includes('paid'))
        ? undefined
        : calling(['wait', { event: 'paid' }]),
    )
    await put({ tools: ['wait'] })
    await step({ input: 'go' })
    for (let i = 0; i < 120; i++) await hub.ask('POST', '/v1/tasks', { to: id, input: `task ${i}` })
    await send({ content: 'here', event_type: 'paid' })
    await workUntil('it goes on', async () => (await get()).steps >= 2)
  })

  it('sends what an agent has to send, though the key that it acts by is gone', async () => {
    const adminKey = 'the-admin-key-of-this-test'
    const admin = { authorization: `Bearer ${adminKey}` }
    const friend = unique('friend')
    const hub = await oneAgent({ redis, url: local.url, adminKey }, (messages) =>
      hasResults(messages) ? undefined : calling(['send_message', { to: friend, message: 'psst' }]),
    )
    const made = await hub.hub.ask('POST', '/v1/keys', { tenant: unique('tenant') }, admin)
    const { key, id: keyId, tenant } = made.body
    const own = { authorization: `Bearer ${key}` }
    const settings = { role: 'custom', model: 'openai/gpt-4o-mini' }
    await hub.hub.ask('PUT', `/v1/agents/${friend}`, settings, own)
    await hub.hub.ask('PUT', hub.path, { ...settings, tools: ['send_message'] }, own)
    const mortal = hub.newHub()
    const { outbox } = agentKeys(tenant, hub.id)
    mortal.dieWhen((calls) => JSON.stringify(calls).includes(`"XRANGE","${outbox}"`))
    void mortal.ask('POST', `${hub.path}/steps`, { input: 'go', until: 'done', stream: false }, own)
    await mortal.died
    expect((await hub.hub.ask('DELETE', `/v1/keys/${keyId}`, undefined, admin)).status).toBe(204)
    await redis.wave([['HSET', agentKeys(tenant, hub.id).agent, 'until', 1]])
    await passTime(redis)
    const of = async (id: string, field: string) =>
      (await redis.wave([['HGET', agentKeys(tenant, id).agent, field]], { timeoutMs: 5_000 }))[0]
    await hub.workUntil('it is taken up', async () => (await of(friend, 'steps')) === '1')
    expect([await of(hub.id, 'status'), await of(friend, 'status')]).toEqual(['failed', 'failed'])
    const [told] = await redis.wave([['XRANGE', agentKeys(tenant, friend).memory, '-', '+']])
    expect(JSON.stringify(told)).toContain('psst') // for when it has a key again
  })

  it('sends what an agent has to send past a receiver who takes nothing', async () => {
    const [full, free] = [unique('full'), unique('free')]
    const { put, step, hub } = await start((messages) =>
      hasResults(messages)
        ? undefined
        : calling(['send_message', { to: full, message: 'a' }], ['send_message', { to: free, message: 'b' }]),
    )
    await put({ tools: ['send_message'] })
    await put({}, full)
    await put({}, free)
    const message = JSON.stringify({ id: 'x', type: 'task', task: { id: 'x', attempt: 1 }, data: '' })
    const { inbox } = agentKeys('default', full)
    await redis.wave(
      Array.from({ length: 1_000 }, () => ['XADD', inbox, '*', 'message', message] as const),
      { timeoutMs: 5_000 },
    )
    await step({ input: 'go', ...WHOLE })
    await hub.settled()
    expect(await redis.wave([['XLEN', agentKeys('default', free).inbox]])).toEqual([1])
  })
})

describe('who asks for a step', () => {
  it('and watches a run that ends elsewhere loses nothing that another caller began', async () => {
    const { put, step, id, newHub, get, path } = await start((messages) =>
      hasResults(messages) ? undefined : calling(['log', { message: 'x' }]),
    )
    await put({ tools: ['log'] })
    const watcher = newHub()
    const [began, may] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let begins = 0
    watcher.beforeCall(async (_, calls) => {
      if (!runs('begin-step')(calls) || ++begins < 2) return
      began.resolve()
      await may.promise
    })
    const watched = watcher.ask('POST', `${path}/steps`, { input: 'first', ...WHOLE })
    await began.promise
    expect((await step()).body.status).toBe('done')
    const mortal = newHub()
    mortal.dieWhen(runs('commit-step'))
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
  })

  it('while a message waits does not put it off', async () => {
    const { put, step, send, dueAt } = await start()
    await put()
    await step({ input: 'go' }, 'k')
    await send({ content: 'news' })
    await step({ input: 'go' }, 'k')
    expect(await dueAt()).toBeLessThanOrEqual(Date.now())
  })

  it('while another one runs does not put off what that one waits for', async () => {
    const { put, step, dueAt } = await start(() => ({ ...calling(['wait', { seconds: 2 }]), delayMs: 300 }))
    await put({ tools: ['wait'] })
    const running = step({ input: 'go' })
    await sleep(100)
    expect((await step({ input: 'and?' })).status).toBe(409)
    expect((await running).body).toMatchObject({ status: 'waiting' })
    const soon = async () => ((await dueAt()) ?? Number.POSITIVE_INFINITY) < Date.now() + 2_500
    await until('its end is known', soon, 3_000)
  })

  it('of an agent that was made anew is told nothing of the one before', async () => {
    const { put, step, send, hub, path, get, workUntil } = await start()
    await put()
    const before = await step({ input: 'go' }, 'k')
    await send({ content: 'news' }, 'm')
    await hub.ask('DELETE', path)
    await put()
    const { body } = await step({ input: 'go' }, 'k')
    expect(body.finished_at).not.toBe(before.body.finished_at)
    expect((await get('/steps')).data).toEqual([body])
    await send({ content: 'news' }, 'm')
    await workUntil('the message is taken up', async () => (await get('/steps')).data.length === 2)
  })

  it('with another body, under the key of one that was begun, is refused', async () => {
    const { put, step, id, newHub, get } = await start()
    await put()
    const mortal = newHub()
    mortal.dieWhen(runs('commit-step'))
    void step({ input: 'go' }, 'k', mortal)
    await mortal.died
    await passTime(redis, [id])
    const refused = { status: 422, body: { error: { code: 'idempotency_mismatch' } } }
    expect(await step({ input: 'stop' }, 'k')).toMatchObject(refused)
    expect(await step({ input: 'go' }, 'k')).toMatchObject({ status: 200 })
    expect((await get('/steps')).data).toHaveLength(1)
  })

  it('at the same time as another process, 50 times: one of them wins, and no message is lost', async () => {
    const { put, step, newHub, get, asks } = await start(() => ({ delayMs: 20 }))
    await put({ memory: { max_tokens: 100_000 }, limits: { steps: 1_000 } })
    const hubs = [newHub(), newHub()]
    for (let round = 0; round < 50; round++) {
      const both = await Promise.all(
        hubs.map((by, i) => step({ input: `input ${round}.${i};` }, `k${round}.${i}`, by)),
      )
      expect(both.map(({ status }) => status).toSorted()).toEqual([200, 409])
      const late = both.findIndex(({ status }) => status === 409)
      expect(both[late]!.body.error.code).toBe('step_running')
      await until('the other one is over', async () => {
        const reply = await step({ input: `input ${round}.${late};` }, `k${round}.${late}`, hubs[late])
        return reply.status === 200
      })
    }
    const { data } = await get('/steps?limit=200')
    expect(data.map(({ step }: { step: number }) => step)).toEqual(
      Array.from({ length: 100 }, (_, i) => i + 1),
    )
    const inputs = asks()
      .at(-1)!
      .messages.filter(({ role }) => role === 'user')
    expect(new Set(inputs.map(({ content }) => content)).size).toBe(100)
    expect(inputs).toHaveLength(100)
  })
})

describe('a person', () => {
  it('is asked of a call whose end nobody knows, and it is made again only where he says so', async () => {
    const { tool, received } = await startAct()
    const { put, step, id, newHub, get } = await start((messages) =>
      hasResults(messages) ? undefined : calling(['act', {}]),
    )
    await put({ tools: [tool] })
    const mortal = newHub()
    let notes = 0
    mortal.dieWhen((calls) => runs('journal-step')(calls) && ++notes === 2)
    void step({ input: 'go' }, 'k', mortal)
    await mortal.died
    await passTime(redis, [id])
    expect((await step({ input: 'go' }, 'k')).body.status).toBe('needs_attention')
    const [{ id: call_id }] = (await get()).waiting.calls
    const decide = (action: string) => step({ decisions: [{ call_id, action }] })
    expect((await decide('approve')).body).toMatchObject({ status: 'needs_attention' })
    expect(received).toHaveLength(1)
    expect((await decide('retry')).body.status).toBe('done')
    expect(received).toHaveLength(2)
    expect(new Set(received.map(({ headers }) => headers['idempotency-key'])).size).toBe(1)
    expect(await decide('retry')).toMatchObject({
      status: 409,
      body: { error: { code: 'nothing_to_decide' } },
    })
  })
})
