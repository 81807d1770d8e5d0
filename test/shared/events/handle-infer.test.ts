import { describe, expect, it, type TestContext } from 'vitest'
import type { Alert } from '../../../shared/alerts/alert-rule.ts'
import { createAlertRules } from '../../../shared/alerts/alert-rules.ts'
import { createAlerts } from '../../../shared/alerts/alerts.ts'
import { createRedisResp } from '../../../shared/drivers/redis-resp.ts'
import { createRuntimeOnnx } from '../../../shared/drivers/runtime-onnx.ts'
import type { EventHandlers } from '../../../shared/events/handlers.ts'
import type { OnResults } from '../../../shared/events/processor.ts'
import { alertKeys, alertRulesKey, channelKeys } from '../../../shared/keys.ts'
import { createRealtime } from '../../../shared/realtime/realtime.ts'
import { createSecrets } from '../../../shared/secrets.ts'
import { identityOf } from '../../ports/model-runtime.models.ts'
import { startEvents } from '../../support/events.ts'
import { until } from '../../support/hub.ts'
import { logarithm } from '../../support/models.ts'
import { startPipelines } from '../../support/pipelines.ts'
import { patient, testRedisUrl } from '../../support/redis.ts'

/** Streams of a tenant, whose events go through pipelines, and alerts over what comes of them. */
async function start(context: TestContext, { driver }: { driver?: 'resp' | 'rest' } = {}) {
  const handlers: EventHandlers = {}
  const redis = patient(createRedisResp({ url: testRedisUrl() }))
  context.onTestFinished(redis.close)
  const runtime = createRuntimeOnnx()
  context.onTestFinished(runtime.close)
  const rules = createAlertRules({
    ...{ redis, secrets: createSecrets('a key of the tests'), clock: Date },
    deliveries: { enable: async () => {} },
  })
  const alerts = createAlerts({
    ...{ redis, rules, realtime: createRealtime({ redis }), deliveries: { send: async () => {} } },
    ...{ clock: Date, log: { error() {} } },
  })
  let dying = 0
  const onResults: OnResults = async (...call) => {
    if (dying-- > 0) throw new Error('The process died here')
    await alerts.observeResults(...call)
  }
  const hub = await startEvents(context, { driver, handlers, onResults, claimIdleMs: 500 })
  const { tenant } = hub
  const parts = startPipelines({ redis: hub.redis, runtime, alertRules: rules })
  handlers.infer = parts.handler as EventHandlers[string]
  const upload = (name: string, bytes: Uint8Array) =>
    parts.models.put(tenant, name, '1', { format: 'onnx', bytes })
  const send = async (data: Record<string, unknown>[], more: (n: number) => object = () => ({})) => {
    const ids = await hub.send('s', data.length, (n) => ({
      data: data[n],
      id: crypto.randomUUID(),
      ...more(n),
    }))
    await until('all are over', async () => (await hub.found(ids)).size === ids.length)
    const found = await hub.found(ids)
    return ids.map((id) => found.get(id)!)
  }
  const published = async (): Promise<Alert[]> => {
    const { stream } = channelKeys(tenant, 'alerts')
    const [entries] = await redis.wave([['XRANGE', stream, '-', '+']])
    return (entries as [string, string[]][]).map(([, flat]) => JSON.parse(flat[flat.indexOf('data') + 1]!))
  }
  return {
    ...{ ...parts, hub, redis, rules, alerts, tenant, upload, send, published },
    die: (times: number) => {
      dying = times
    },
    attach: (pipeline: string, more: object = {}) =>
      hub.streams.put(tenant, 's', { handler: { type: 'infer', pipeline }, ...more }),
  }
}

const windowed = {
  inputs: { device: { type: 'text', path: 'data.device' }, t: 'number' },
  preprocess: [{ op: 'window', from: 't', by: 'device', length: 3, as: 'x' }],
  models: [{ model: 'identity' }],
  postprocess: [{ op: 'pick', from: 'y', as: 'oldest', index: 0 }],
  results: ['y', 'oldest'],
}

describe.each(['resp', 'rest'] as const)('events through a pipeline, over %s', (driver) => {
  it('each get their result, in windows of the order in which they came', async (context) => {
    const { hub, put, upload, tenant, attach, send } = await start(context, { driver })
    await upload('identity', identityOf('FP32'))
    await put(tenant, 'p', windowed)
    await attach('p')
    hub.run()
    const results = await send([1, 2, 3, 4, 5].flatMap((t) => ['a', 'b'].map((device) => ({ device, t }))))
    expect(results.map(({ status, attempts }) => [status, attempts])).toEqual(results.map(() => ['done', 1]))
    const ofA = results.filter((_, n) => n % 2 === 0).map(({ result }) => result)
    expect(ofA).toEqual([
      { y: [1, 1, 1], oldest: 1 },
      { y: [1, 1, 2], oldest: 1 },
      { y: [1, 2, 3], oldest: 1 },
      { y: [2, 3, 4], oldest: 2 },
      { y: [3, 4, 5], oldest: 3 },
    ])
  })
})

describe('an event', () => {
  it('that is bad fails alone, with the reason', async (context) => {
    const { hub, put, upload, tenant, attach, send } = await start(context)
    await upload('log', logarithm())
    await put(tenant, 'p', {
      inputs: { x: { type: 'vector', dimensions: 2 } },
      models: [{ model: 'log' }],
    })
    await attach('p')
    hub.run()
    const results = await send([{ x: [1, 1] }, { x: [1] }, { x: [1, -1] }, {}, { x: [Math.E, 1] }])
    expect(results.map(({ status }) => status)).toEqual(['done', 'failed', 'failed', 'failed', 'done'])
    expect(results[4]!.result).toEqual({ y: [expect.closeTo(1, 5), 0] })
    const errors = results.map(({ error }) => error?.message)
    expect(errors[1]).toContain('data.x')
    expect(errors[2]).toContain('NaN')
    expect(errors[3]).toContain('missing')
    expect(results.map(({ attempts }) => attempts)).toEqual([1, 1, 1, 1, 1])
  })

  it('that comes again counts once: in windows, in the dataset, in its result', async (context) => {
    const { hub, put, upload, tenant, attach, send, datasets, handler } = await start(context)
    await upload('identity', identityOf('FP32'))
    await put(tenant, 'p', { ...windowed, record: 'rows' })
    await attach('p', { retry: { first_seconds: 0.01, longest_seconds: 0.01 } })
    let dying = 1
    const { handle } = handler
    // The first process dies after its work, before it could tell.
    handler.handle = async (...call) => {
      const handled = await handle(...call)
      if (dying-- > 0) throw new Error('The process died here')
      return handled
    }
    hub.run()
    const results = await send([1, 2, 3].map((t) => ({ device: 'a', t })))
    expect(results.map(({ attempts }) => attempts)).toEqual([2, 2, 2])
    expect(results.map(({ result }) => (result as { y: number[] }).y)).toEqual([
      [1, 1, 1],
      [1, 1, 2],
      [1, 2, 3],
    ])
    const [later] = await send([{ device: 'a', t: 4 }])
    expect((later!.result as { y: number[] }).y).toEqual([2, 3, 4])
    expect(await datasets.stats(tenant, 'rows')).toMatchObject({ rows: 4 })
  })

  it('waits for a pipeline that is not there as a dead letter', async (context) => {
    const { hub, attach, send } = await start(context)
    await attach('nowhere')
    hub.run()
    const [result] = await send([{ t: 1 }])
    expect(result).toMatchObject({ status: 'failed' })
    expect(result!.error!.message).toContain('PUT /v2/pipelines/nowhere')
    expect(await hub.dead('s').list({ limit: 10 })).toHaveLength(1)
  })
})

describe('alerts of a pipeline', () => {
  const alerting = (value: number) => ({
    inputs: { x: { type: 'vector', dimensions: 2 } },
    models: [{ model: 'log' }],
    postprocess: [{ op: 'pick', from: 'y', as: 'score', index: 0 }],
    alerts: [
      { name: 'high', when: { field: 'score', op: 'gt', value }, cooldown_seconds: 0 },
      { name: 'low', when: { field: 'score', op: 'lt', value: -1 } },
    ],
  })

  it('are published once a result, on whatever stream, and again with the same id where a process died', async (context) => {
    const { hub, put, upload, tenant, attach, send, published, die } = await start(context)
    await upload('log', logarithm())
    await put(tenant, 'p', alerting(1))
    await attach('p')
    hub.run()
    die(1)
    const results = await send([1, 9, 2, 8].map((x) => ({ x: [x, 1] })))
    await until('alerts are there', async () => (await published()).length === 2)
    const alerts = await published()
    expect(alerts.map(({ rule, result_id, value }) => ({ rule, result_id, value }))).toEqual([
      { rule: 'p.high', result_id: results[1]!.id, value: expect.closeTo(Math.log(9), 5) },
      { rule: 'p.high', result_id: results[3]!.id, value: expect.closeTo(Math.log(8), 5) },
    ])
    expect(new Set(alerts.map(({ id }) => id)).size).toBe(2)
    expect(alerts[0]).toMatchObject({ on: { pipeline: 'p' }, type: 'threshold' })
  })

  it('are rules that follow the definition, and go with it', async (context) => {
    const { redis, put, upload, pipelines, tenant } = await start(context)
    await upload('log', logarithm())
    await put(tenant, 'p', alerting(1))
    const rulesNow = async () => {
      const [flat] = await redis.wave([['HGETALL', alertRulesKey(tenant)]])
      const fields = flat as string[]
      return Object.fromEntries(
        fields.flatMap((name, n) => (n % 2 ? [] : [[name, JSON.parse(fields[n + 1]!)]])),
      )
    }
    expect(await rulesNow()).toMatchObject({
      'p.high': { on: { pipeline: 'p' }, when: { path: 'result.score', value: 1 }, cooldown_seconds: 0 },
      'p.low': { cooldown_seconds: 60 },
    })
    const [high] = alerting(2).alerts
    await put(tenant, 'p', { ...alerting(2), alerts: [high] })
    expect(Object.keys(await rulesNow())).toEqual(['p.high'])
    expect((await rulesNow())['p.high'].when.value).toBe(2)
    await pipelines.delete(tenant, 'p')
    expect(await rulesNow()).toEqual({})
    const [left] = await redis.wave([['EXISTS', alertKeys(tenant, 'p.high').state]])
    expect(left).toBe(0)
  })
})
