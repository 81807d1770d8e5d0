import { describe, expect, it, type TestContext } from 'vitest'
import type { Alert } from '../../../shared/alerts/alert-rule.ts'
import { createAlertRules, type NewAlertRule } from '../../../shared/alerts/alert-rules.ts'
import { createAlertStreams } from '../../../shared/alerts/alert-streams.ts'
import { createAlerts, type Observed } from '../../../shared/alerts/alerts.ts'
import { createRedisResp } from '../../../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../../../shared/drivers/redis-rest.ts'
import { alertKeys, channelKeys, eventKeys } from '../../../shared/keys.ts'
import type { Redis } from '../../../shared/ports/redis.ts'
import { createRealtime, type Realtime } from '../../../shared/realtime/realtime.ts'
import { createSecrets } from '../../../shared/secrets.ts'
import type { Delivery } from '../../../shared/webhooks/deliveries.ts'
import { unique } from '../../support/app.ts'
import { startTestBridge } from '../../support/bridge.ts'
import { until } from '../../support/hub.ts'
import { patient, testRedisUrl } from '../../support/redis.ts'

type Condition = NewAlertRule['when']
const hot: Condition = { type: 'threshold', path: 'data.celsius', op: 'gt', value: 30 }

let count = 0
const observed = (data: unknown, at = Date.now(), more: Partial<Observed> = {}): Observed => {
  const id = `e-${++count}`
  const event = {
    specversion: '1.0',
    id,
    source: '/test',
    type: 'reading',
    time: new Date(at).toISOString(),
    data,
  }
  return { id, at, event: event as Observed['event'], ...more }
}

/** A tenant, two instances with a connection each, and a clock that they share. */
async function start({ onTestFinished }: TestContext, over: 'RESP' | 'REST' = 'RESP') {
  const tenant = unique('tenant')
  const bridge = over === 'REST' ? await startTestBridge({ redisUrl: testRedisUrl() }) : undefined
  onTestFinished(async () => bridge?.close())
  let aheadMs = 0
  const clock = { now: () => Date.now() + aheadMs }
  const sent: Delivery[] = []
  const errors: Record<string, unknown>[] = []
  const log = { error: (line: Record<string, unknown>) => void errors.push(line) }
  let isDying = false

  function instance() {
    const redis = patient(bridge ? createRedisRest(bridge) : createRedisResp({ url: testRedisUrl() }))
    onTestFinished(redis.close)
    const rules = createAlertRules({
      ...{ redis, secrets: createSecrets('the secret key of tests'), clock },
      deliveries: { enable: async () => {} },
    })
    const channels = createRealtime({ redis })
    const realtime: Realtime = {
      async publish(...call) {
        if (isDying) throw new Error('The process died here')
        return channels.publish(...call)
      },
    }
    const deliveries = { send: async (_: string, delivery: Delivery) => void sent.push(delivery) }
    const alerts = createAlerts({ redis, rules, realtime, deliveries, clock, log })
    const streams = createAlertStreams({
      ...{ redis, rules, alerts, consumer: unique('consumer'), claimIdleMs: 60_000, clock, log },
    })
    return { redis, rules, alerts, streams }
  }
  const one = instance()
  const two = instance()
  const { redis } = one
  onTestFinished(async () => {
    for (const { name } of await one.rules.list(tenant)) await one.rules.delete(tenant, name)
  })
  return {
    ...{ tenant, redis, one, two, sent, errors, clock },
    put: (when: Condition, more: Partial<NewAlertRule> = {}, name = 'rule') =>
      one.rules.put(tenant, name, { on: { stream: 's' }, when, ...more }),
    /** Seen by one of the instances. */
    observe: (items: Observed[], by = one) => by.alerts.observe(tenant, { stream: 's' }, items),
    /** What the channel holds. */
    fired: async () => toAlerts(redis, tenant),
    pass: (seconds: number) => {
      aheadMs += seconds * 1000
    },
    die: (dying: boolean) => {
      isDying = dying
    },
  }
}

async function toAlerts(redis: Redis, tenant: string): Promise<Alert[]> {
  const [entries] = await redis.wave([['XRANGE', channelKeys(tenant, 'alerts').stream, '-', '+']])
  return (entries as [string, string[]][]).map(([, flat]) => JSON.parse(flat[flat.indexOf('data') + 1]!))
}

describe.each(['RESP', 'REST'] as const)('alerts over %s', (over) => {
  it('a threshold fires for what passes it, and says what it was', async (context) => {
    const { put, observe, fired } = await start(context, over)
    await put(hot)
    await observe([observed({ celsius: 20 }), observed({}), observed({ celsius: '31' })])
    expect(await fired()).toEqual([])
    const item = observed({ celsius: 31 })
    await observe([item])
    expect(await fired()).toEqual([
      {
        ...{ id: expect.stringMatching(/^[\w-]{22}$/), rule: 'rule', type: 'threshold', on: { stream: 's' } },
        ...{ at: expect.any(String), path: 'data.celsius', op: 'gt', threshold: 30, value: 31 },
        event: { id: item.event.id, source: '/test', type: 'reading' },
      },
    ])
  })

  it('a rate counts what all instances see, within its window', async (context) => {
    const { put, observe, fired, one, two, clock } = await start(context, over)
    await put({ type: 'rate', count: 10, window_seconds: 10 })
    const at = clock.now()
    // Nine within the window, and one before it.
    await observe([observed({}, at - 11_000)])
    for (let i = 0; i < 9; i++) await observe([observed({}, at - 9_000 + i * 1_000)], i % 2 ? one : two)
    expect(await fired()).toEqual([])
    await observe([observed({}, at)], two)
    expect(await fired()).toMatchObject([{ type: 'rate', count: 10, window_seconds: 10 }])
  })

  it('a rate counts at the same time without losing one', async (context) => {
    const { put, observe, fired, one, two } = await start(context, over)
    await put({ type: 'rate', count: 60, window_seconds: 60 })
    const send = (i: number) => observe([observed({}), observed({}), observed({})], i % 2 ? one : two)
    await Promise.all(Array.from({ length: 19 }, (_, i) => send(i)))
    expect(await fired()).toEqual([])
    await send(0)
    expect(await fired()).toHaveLength(1)
  })

  it('an absence fires once a silence, whichever instance looks', async (context) => {
    const { put, observe, fired, one, two, pass } = await start(context, over)
    await put({ type: 'absence', seconds: 60 })
    await one.alerts.tick()
    expect(await fired()).toEqual([])
    pass(61)
    await Promise.all([one.alerts.tick(), two.alerts.tick()])
    await two.alerts.tick()
    expect(await fired()).toMatchObject([{ type: 'absence', seconds: 60, last_seen: null }])
    const item = observed({}, Date.now() + 61_000)
    await observe([item], two)
    pass(59)
    await one.alerts.tick()
    expect(await fired()).toHaveLength(1)
    pass(2)
    await one.alerts.tick()
    expect((await fired())[1]).toMatchObject({ last_seen: new Date(item.at).toISOString() })
  })
})

describe('alerts', () => {
  it('are quiet while they cool down, and fire for each without a cooldown', async (context) => {
    const { put, observe, fired, pass } = await start(context)
    await put(hot, { cooldown_seconds: 60 })
    await observe([observed({ celsius: 31 }), observed({ celsius: 32 })])
    await observe([observed({ celsius: 33 })])
    expect(await fired()).toHaveLength(1)
    pass(61)
    await observe([observed({ celsius: 34 })])
    expect(await fired()).toMatchObject([{ value: 31 }, { value: 34 }])
    await put(hot, { cooldown_seconds: 0 })
    await observe([observed({ celsius: 35 }), observed({ celsius: 36 })])
    expect((await fired()).map(({ value }) => value)).toEqual([31, 34, 35, 36])
  })

  it('come once for what is seen again', async (context) => {
    const { put, observe, fired, two } = await start(context)
    await put(hot, { cooldown_seconds: 0 }, 'hot')
    await put({ type: 'rate', count: 3, window_seconds: 60 }, {}, 'many')
    const items = [observed({ celsius: 31 }), observed({ celsius: 1 })]
    await observe(items)
    await observe(items, two)
    await observe(items)
    expect((await fired()).map(({ rule }) => rule)).toEqual(['hot'])
    await observe([observed({})])
    expect((await fired()).map(({ rule }) => rule)).toEqual(['hot', 'many'])
  })

  it('that a dying process left behind are sent by another one', async (context) => {
    const { put, observe, fired, two, die, pass, errors, redis, tenant } = await start(context)
    await put(hot)
    die(true)
    await observe([observed({ celsius: 31 })])
    expect(await fired()).toEqual([])
    expect(errors).toHaveLength(1)
    die(false)
    await two.alerts.tick() // it may still be at work
    expect(await fired()).toEqual([])
    pass(16)
    await two.alerts.tick()
    await two.alerts.tick()
    expect(await fired()).toMatchObject([{ value: 31 }])
    const [state] = await redis.wave([['HKEYS', alertKeys(tenant, 'rule').state]])
    expect((state as string[]).sort()).toEqual(['fired_at', 'fired_id'])
  })

  it('go to their webhook, signed by the secret that was shown once', async (context) => {
    const { put, observe, fired, sent, one, tenant, redis } = await start(context)
    const webhook = { url: 'https://example.com/hook' }
    const made = (await put(hot, { webhook })).webhook!.secret!
    expect(made).toMatch(/^whsec_/)
    expect((await put(hot, { webhook })).webhook).toEqual(webhook) // it stays
    const stored = JSON.stringify([await redis.wave([['HGETALL', alertKeys(tenant, 'rule').rules]])])
    expect(stored).not.toContain(made.slice(6))
    await observe([observed({ celsius: 31 })])
    const [alert] = await fired()
    expect(sent).toEqual([
      {
        id: alert!.id,
        ...webhook,
        secret: made,
        payload: alert,
        type: 'alert.fired',
        allowPrivate: undefined,
      },
    ])
    expect(await one.rules.list(tenant)).toHaveLength(1)
  })

  it('look at results by what became of them', async (context) => {
    const { one, fired, tenant } = await start(context)
    const on = { results: 's' }
    await one.rules.put(tenant, 'failed', {
      on,
      when: { type: 'threshold', path: 'status', op: 'eq', value: 'failed' },
    })
    await one.rules.put(tenant, 'sure', {
      ...{ on, cooldown_seconds: 0 },
      when: {
        ...{ type: 'threshold', path: 'result.score', op: 'gte', value: 0.9 },
        filter: {
          type: 'and',
          filters: [
            { type: 'in', key: 'event.type', value: ['reading'] },
            { type: 'ne', key: 'event.data.room', value: 'lab' },
          ],
        },
      },
    })
    const result = (id: string, more: object) => ({
      ...{
        id,
        stream: 's',
        event_id: id,
        at: new Date().toISOString(),
        attempts: 1,
        status: 'done' as const,
      },
      ...more,
    })
    const event = (room: string) => observed({ room }).event
    await one.alerts.observeResults(tenant, 's', [
      { event: event('hall'), result: result('r1', { result: { score: 0.95 } }) },
      { event: event('lab'), result: result('r2', { result: { score: 0.95 } }) },
      { event: event('hall'), result: result('r3', { result: { score: 0.1 } }) },
      { event: event('hall'), result: result('r4', { status: 'failed', error: { message: 'no' } }) },
    ])
    const found = (await fired()).map(({ rule, result_id }) => `${rule} ${result_id}`)
    expect(found.sort()).toEqual(['failed r4', 'sure r1'])
  })

  it('cost nothing where no rule looks', async (context) => {
    const { one, tenant, put } = await start(context)
    await put(hot, { on: { stream: 'another' } })
    const calls: unknown[] = []
    const counted = {
      ...one.redis,
      wave(...call: Parameters<Redis['wave']>) {
        calls.push(call)
        return one.redis.wave(...call)
      },
    }
    const alerts = createAlerts({
      ...{ redis: counted, rules: one.rules, clock: Date, log: { error() {} } },
      ...{ realtime: createRealtime({ redis: counted }), deliveries: { send: async () => {} } },
    })
    await alerts.observe(tenant, { stream: 's' }, [observed({ celsius: 31 })])
    expect(calls).toEqual([])
  })
})

describe('alerts over a stream', () => {
  /** As intake writes them. */
  const add = (redis: Redis, tenant: string, ...data: unknown[]) =>
    redis.wave(
      data.map((one) => {
        const event = JSON.stringify(observed(one).event)
        return ['XADD', eventKeys(tenant, 's').events, '*', 'event', event, 'result', 'r'] as const
      }),
    )
  const groups = async (redis: Redis, tenant: string) => {
    const [reply] = await redis.wave([['XINFO', 'GROUPS', eventKeys(tenant, 's').events]])
    return reply instanceof Error ? [] : (reply as unknown[][]).map((flat) => flat[1])
  }

  it('see each event that comes after the first rule, whoever took it in', async (context) => {
    const { put, tenant, redis, one, two, fired } = await start(context)
    await add(redis, tenant, { celsius: 50 })
    await put(hot, { cooldown_seconds: 0 })
    await redis.wave([['XADD', eventKeys(tenant, 's').events, '*', 'event', 'no JSON', 'result', 'r']])
    await add(redis, tenant, { celsius: 31 }, { celsius: 3 })
    await Promise.all([one.streams.kick(tenant, 's', 5_000), two.streams.kick(tenant, 's', 5_000)])
    await add(redis, tenant, { celsius: 32 })
    await two.streams.drainAll(5_000)
    await until('both are there', async () => (await fired()).length === 2)
    expect((await fired()).map(({ value }) => value)).toEqual([31, 32])
  })

  it('leave no group behind with the last rule', async (context) => {
    const { put, tenant, redis, one, two } = await start(context)
    await put(hot, {}, 'one')
    await put(hot, {}, 'two')
    await two.streams.kick(tenant, 's', 1_000) // knows of both
    await one.rules.delete(tenant, 'one')
    expect(await groups(redis, tenant)).toEqual(['alerts'])
    await one.rules.put(tenant, 'two', { on: { results: 's' }, when: hot })
    expect(await groups(redis, tenant)).toEqual([])
    await two.streams.kick(tenant, 's', 1_000)
    expect(await groups(redis, tenant)).toEqual([])
  })
})
