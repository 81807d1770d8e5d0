import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { createRedisResp } from '../../../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../../../shared/drivers/redis-rest.ts'
import { breakerKey } from '../../../shared/keys.ts'
import { type Breakers, createBreakers, type Permit } from '../../../shared/models/breakers.ts'
import { unique } from '../../support/app.ts'
import { startTestBridge } from '../../support/bridge.ts'
import { startTestRedis, testRedisUrl } from '../../support/redis.ts'
import { POLICY, startRouter } from '../../support/router.ts'

/** Two instances on one Redis: the second one over HTTP. */
async function start(policy: Partial<typeof POLICY> = {}) {
  const redis = createRedisResp({ url: testRedisUrl(), onError() {} })
  const bridge = await startTestBridge({ redisUrl: testRedisUrl() })
  const rest = createRedisRest({ url: bridge.url, token: bridge.token })
  const options = { policy: { ...POLICY, ...policy }, delayMs: 0, clock: Date }
  const name = { tenant: 'default', name: `${unique('provider')}/m` }
  return {
    ...{ redis, name },
    one: createBreakers({ ...options, redis }),
    two: createBreakers({ ...options, redis: rest }),
    async [Symbol.asyncDispose]() {
      await Promise.all([redis.close(), rest.close(), bridge.close()])
    },
  }
}
type Name = Awaited<ReturnType<typeof start>>['name']

async function call(breakers: Breakers, name: Name, outcome: Parameters<Permit['end']>[0]): Promise<boolean> {
  const permit = await breakers.admit(name)
  if (typeof permit === 'number') return false
  await permit.end(outcome)
  return true
}
const many = async (count: number, ...args: Parameters<typeof call>) => {
  for (let i = 0; i < count; i++) await call(...args)
}

describe('a breaker', () => {
  it('opens at its rate over both instances’ calls, not before its least number', async () => {
    await using hub = await start()
    await call(hub.one, hub.name, 'failed')
    await many(2, hub.two, hub.name, 'ok')
    expect(await hub.one.read(hub.name)).toMatchObject({ state: 'closed', succeeded: 2, failed: 1 })
    await call(hub.two, hub.name, 'failed')
    expect(await hub.one.read(hub.name)).toMatchObject({ state: 'open', manual: false })
    expect(await call(hub.one, hub.name, 'ok')).toBe(false)
  })

  it('does not open where enough others succeed', async () => {
    await using hub = await start()
    await many(9, hub.two, hub.name, 'ok')
    await many(8, hub.one, hub.name, 'failed')
    expect(await hub.two.read(hub.name)).toMatchObject({ state: 'closed', succeeded: 9, failed: 8 })
  })

  it('is not opened by what the request itself did, nor by callers who left', async () => {
    await using hub = await start()
    await many(5, hub.one, hub.name, 'rejected')
    await many(5, hub.one, hub.name, 'released')
    expect(await hub.two.read(hub.name)).toMatchObject({ state: 'closed', succeeded: 0, failed: 0 })
  })

  it('forgets what is older than its window', async () => {
    await using hub = await start({ windowMs: 1_000 })
    await many(3, hub.one, hub.name, 'failed')
    await sleep(1_100)
    await call(hub.one, hub.name, 'failed')
    expect(await hub.two.read(hub.name)).toMatchObject({ state: 'closed', failed: 1 })
  })

  it('half open it lets out one probe of all instances; its failure opens it again, its success closes it', async () => {
    await using hub = await start()
    await many(4, hub.one, hub.name, 'failed')
    await hub.two.read(hub.name)
    for (const outcome of ['failed', 'ok'] as const) {
      await sleep(POLICY.openMs + 50)
      const admitted = await Promise.all(
        Array.from({ length: 20 }, (_, i) => (i % 2 ? hub.one : hub.two).admit(hub.name)),
      )
      const probes = admitted.filter((permit) => typeof permit !== 'number')
      expect(probes).toHaveLength(1)
      await probes[0]!.end(outcome)
      const state = outcome === 'ok' ? 'closed' : 'open'
      expect(await hub.one.read(hub.name)).toMatchObject({ state, succeeded: 0, failed: 0 })
      expect(await hub.two.read(hub.name)).toMatchObject({ state })
    }
  })

  it('a prober that dies is replaced after its lease, and what it says later counts no more', async () => {
    await using hub = await start({ openMs: 100, probeMs: 1_500 })
    await many(4, hub.one, hub.name, 'failed')
    await sleep(150)
    const dead = (await hub.one.admit(hub.name)) as Permit
    expect(dead).toBeTypeOf('object')
    await hub.two.read(hub.name)
    expect(await hub.two.admit(hub.name)).toBeTypeOf('number')
    await sleep(1_600)
    const next = (await hub.two.admit(hub.name)) as Permit
    expect(next).toBeTypeOf('object')
    await dead.end('ok')
    expect(await hub.one.read(hub.name)).toMatchObject({ state: 'half-open' })
    await next.end('failed')
    expect(await hub.one.read(hub.name)).toMatchObject({ state: 'open' })
  })

  it('a probe whose caller leaves is given back: the next call is the probe', async () => {
    await using hub = await start({ openMs: 100 })
    await many(4, hub.one, hub.name, 'failed')
    await sleep(150)
    expect(await call(hub.one, hub.name, 'released')).toBe(true)
    expect(await call(hub.one, hub.name, 'rejected')).toBe(true)
    expect(await hub.two.read(hub.name)).toMatchObject({ state: 'closed' })
  })

  it('is opened and closed by hand: for a time, for good, and back to itself', async () => {
    await using hub = await start()
    await hub.one.set(hub.name, 'open', 1)
    expect(await hub.two.read(hub.name)).toMatchObject({ state: 'open', manual: true })
    expect(await call(hub.two, hub.name, 'ok')).toBe(false)
    await sleep(1_050)
    expect(await hub.two.read(hub.name)).toMatchObject({ state: 'half-open', manual: false })
    await hub.one.set(hub.name, 'closed')
    await many(8, hub.one, hub.name, 'failed')
    expect(await hub.two.read(hub.name)).toMatchObject({ state: 'closed', manual: true, leftMs: 0 })
    await hub.one.set(hub.name, 'open')
    expect(await call(hub.one, hub.name, 'ok')).toBe(false)
    await hub.one.set(hub.name, 'auto')
    expect(await call(hub.one, hub.name, 'ok')).toBe(true)
    expect((await hub.two.list()).map(({ name }) => name)).toContain(hub.name.name)
  })

  it('a clock of Redis that was set back makes nothing longer', async () => {
    await using hub = await start()
    await many(4, hub.one, hub.name, 'failed')
    const tomorrow = Date.now() + 24 * 3_600_000
    await hub.redis.wave([['HSET', breakerKey('default', hub.name.name), 'until', tomorrow]])
    expect((await hub.two.read(hub.name)).leftMs).toBeLessThanOrEqual(POLICY.openMs)
    await sleep(POLICY.openMs + 50)
    expect(await hub.two.read(hub.name)).toMatchObject({ state: 'half-open' })
  })
})

describe('without Redis', () => {
  it('the process counts itself, opens, probes one at a time and closes; then Redis has the say again', async () => {
    const redis = await startTestRedis()
    let time = 0
    await using hub = await startRouter(
      { one: { behave: (call) => (call > 4 ? {} : { status: 500 }) } },
      { redisUrl: redis.url, now: () => time },
    )
    const model = hub.modelOf('one')
    await hub.ask('no/one').catch(() => {})
    await redis.stop()
    for (let i = 0; i < 4; i++) expect((await hub.ask(model)).error).toMatchObject({ code: 'provider_error' })
    const { error } = await hub.ask(model)
    expect(error).toMatchObject({ code: 'breaker_open', status: 503, headers: { 'Retry-After': '1' } })
    expect(hub.providers.one!.count).toBe(4)
    time += POLICY.openMs + 1
    const answers = await Promise.all([hub.ask(model), hub.ask(model), hub.ask(model)])
    expect(answers.filter((answer) => !answer.error)).toHaveLength(1)
    expect(hub.providers.one!.count).toBe(5)
    expect((await hub.ask(model)).error).toBeUndefined()
  })
})

describe('a routed call', () => {
  it('a stream that fails in its middle counts; open, the next target answers without a call to the first', async () => {
    await using hub = await startRouter({ one: { cut: 'destroy', deltas: ['a', 'b', 'c'] }, two: {} })
    await hub.alias('fast', { targets: [{ model: 'one' }, { model: 'two' }] })
    for (let i = 0; i < POLICY.minCalls; i++) expect((await hub.ask('fast', { stream: true })).by).toBe('one')
    expect((await hub.ask('fast', { stream: true })).by).toBe('two')
    expect(hub.providers.one!.count).toBe(POLICY.minCalls)
  })

  it('all are open: 503 with Retry-After, and no provider is called', async () => {
    await using hub = await startRouter({ one: { status: 500 } })
    const model = hub.modelOf('one')
    for (let i = 0; i < POLICY.minCalls; i++) await hub.ask(model)
    expect((await hub.ask(model)).error).toMatchObject({
      code: 'breaker_open',
      status: 503,
      headers: { 'Retry-After': '1' },
    })
    expect(hub.providers.one!.count).toBe(POLICY.minCalls)
  })

  it('a tenant’s own credential has a breaker of its own', async () => {
    await using hub = await startRouter({ one: { status: 401 } })
    const model = hub.modelOf('one')
    await hub.routes.putCredential(hub.tenant, model.split('/')[0]!, 'bad', 'sk-bad')
    for (let i = 0; i < POLICY.minCalls; i++) await hub.ask(model)
    expect((await hub.ask(model)).error).toMatchObject({ code: 'breaker_open' })
    expect(await hub.breakers.read({ tenant: hub.tenant, name: `${model}#bad` })).toMatchObject({
      state: 'open',
    })
    expect(await hub.breakers.read({ tenant: 'default', name: model })).toMatchObject({ state: 'closed' })
  })
})
