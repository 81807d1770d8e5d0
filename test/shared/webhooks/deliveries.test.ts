import { describe, expect, it, type TestContext } from 'vitest'
import { createOutgoingNode } from '../../../shared/drivers/outgoing-node.ts'
import { createRedisResp } from '../../../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../../../shared/drivers/redis-rest.ts'
import { DELIVERIES_STREAM } from '../../../shared/keys.ts'
import type { Redis } from '../../../shared/ports/redis.ts'
import { createSecrets } from '../../../shared/secrets.ts'
import { createConsumerGroup } from '../../../shared/streams/consumer-group.ts'
import { createDeadLetters } from '../../../shared/streams/dead-letters.ts'
import { createDeliveries, type Delivery } from '../../../shared/webhooks/deliveries.ts'
import { createDeliveryWorker, type DeliveryWorkerOptions } from '../../../shared/webhooks/delivery-worker.ts'
import { newWebhookSecret } from '../../../shared/webhooks/signing.ts'
import { unique } from '../../support/app.ts'
import { startTestBridge } from '../../support/bridge.ts'
import { until } from '../../support/hub.ts'
import { startReceiver } from '../../support/receiver.ts'
import { patient, startTestRedis } from '../../support/redis.ts'

const secrets = createSecrets('the secret key of tests')

/** A Redis of its own: the stream of deliveries is the whole hub's. */
async function start(
  { onTestFinished }: TestContext,
  {
    over = 'RESP',
    answer,
    ...options
  }: {
    over?: 'RESP' | 'REST'
    answer?: NonNullable<Parameters<typeof startReceiver>[0]>['answer']
  } & Partial<DeliveryWorkerOptions> = {},
) {
  const server = await startTestRedis()
  onTestFinished(server.stop)
  const bridge = over === 'REST' ? await startTestBridge({ redisUrl: server.url }) : undefined
  onTestFinished(async () => bridge?.close())
  const connect = () => patient(bridge ? createRedisRest(bridge) : createRedisResp({ url: server.url }))
  const redis = connect()
  onTestFinished(redis.close)
  const secret = newWebhookSecret()
  const receiver = await startReceiver({ secret, answer })
  onTestFinished(receiver.close)
  const deliveries = createDeliveries({ redis, secrets, clock: Date, onQueued() {} })
  const worker = createDeliveryWorker({
    ...{ redis, secrets, outgoing: createOutgoingNode({ silenceMs: 5_000 }), clock: Date },
    ...options,
  })
  const group = () =>
    createConsumerGroup({
      ...{ redis, stream: DELIVERIES_STREAM, group: 'deliver', consumer: unique('consumer') },
      ...{ handle: worker.handle, concurrency: 8, clock: Date, log: { error() {} } },
      retry: { attempts: worker.attempts, firstMs: 1, longestMs: 1 },
    })
  return {
    ...{ redis, receiver, deliveries, secret, worker },
    dead: createDeadLetters({ redis, stream: DELIVERIES_STREAM }),
    drain: () => group().drain({ untilMs: Date.now() + 10_000 }),
    queue: (more: Partial<Delivery> = {}) =>
      deliveries.send('acme', {
        ...{ id: unique('msg'), url: receiver.url, secret, type: 'test.sent', payload: { n: 1 } },
        ...{ allowPrivate: true, ...more },
      }),
    async run() {
      const blocking = connect()
      const stopping = new AbortController()
      const consumer = createConsumerGroup({
        ...{ redis, blocking, stream: DELIVERIES_STREAM, group: 'deliver', consumer: unique('consumer') },
        ...{ handle: worker.handle, concurrency: 8, clock: Date, log: { error() {} } },
        retry: { attempts: worker.attempts, firstMs: 1, longestMs: 1 },
      })
      const over = consumer.run(stopping.signal)
      onTestFinished(async () => {
        stopping.abort()
        await over
        await blocking.close()
      })
    },
  }
}

/** The first one that waits, as the nth attempt. */
async function entryOf(redis: Redis) {
  const [found] = await redis.wave([['XRANGE', DELIVERIES_STREAM, '-', '+']])
  const [[id, flat]] = found as [[string, string[]]]
  const fields = Object.fromEntries(flat.flatMap((name, i) => (i % 2 ? [] : [[name, flat[i + 1]!]])))
  return (attempt: number) => ({ id, fields, attempt, isLast: false, redelivered: false })
}

describe.each(['RESP', 'REST'] as const)('deliveries over %s', (over) => {
  it('are signed, and come as they were given', async (context) => {
    const { queue, drain, receiver, redis, secret } = await start(context, { over })
    await queue({ id: 'msg_1', payload: { text: 'grüß dich 👋', n: 1 } })
    const waiting = JSON.stringify(await redis.wave([['XRANGE', DELIVERIES_STREAM, '-', '+']]))
    expect(waiting).toContain('msg_1')
    expect(waiting).not.toContain(secret.slice(6))
    expect(await drain()).toEqual({ settled: 1 })
    expect(receiver.refused).toEqual([])
    expect(receiver.received).toMatchObject([
      {
        id: 'msg_1',
        headers: { 'content-type': 'application/json' },
        body: { type: 'test.sent', timestamp: expect.any(String), data: { text: 'grüß dich 👋', n: 1 } },
      },
    ])
    expect(await redis.wave([['XLEN', DELIVERIES_STREAM]])).toEqual([0])
  })

  it('are tried again, with the same id and body, until they are taken', async (context) => {
    const { queue, drain, receiver, dead } = await start(context, {
      ...{ over, scheduleMs: [10, 20, 30] },
      answer: (n) => ({ status: n < 4 ? [500, 404, 302][n - 1] : 204, headers: { location: '/elsewhere' } }),
    })
    await queue({ id: 'msg_1' })
    await until('it is taken', async () => {
      await drain()
      return receiver.received.length === 4
    })
    await drain()
    expect(new Set(receiver.received.map(({ id, text }) => `${id} ${text}`)).size).toBe(1)
    expect(await dead.list({ limit: 10 })).toEqual([])
    expect(receiver.received).toHaveLength(4) // the redirect was not followed
  })
})

describe('deliveries', () => {
  it('come as soon as they are queued, where a process lives on', async (context) => {
    const { queue, run, receiver } = await start(context)
    await run()
    await Promise.all(Array.from({ length: 20 }, () => queue()))
    await until('all are there', () => receiver.received.length === 20)
  })

  it('wait as Standard Webhooks says, then are given up with their cause', async (context) => {
    const waits: (number | undefined)[] = []
    const { queue, worker, redis, receiver } = await start(context, {
      answer: () => ({ status: 503, text: 'closed for lunch' }),
    })
    await queue({ id: 'msg_1' })
    const attempt = await entryOf(redis)
    for (let n = 1; n <= 10; n++) {
      const [outcome] = (await worker.handle([attempt(n)], new AbortController().signal))!
      expect(outcome!.failed).toBe('The receiver answered 503: closed for lunch')
      waits.push(outcome!.retryAfterMs)
    }
    expect(worker.attempts).toBe(10)
    const [s, m, h] = [1_000, 60_000, 3_600_000]
    const planned = [5 * s, 5 * m, 30 * m, 2 * h, 5 * h, 10 * h, 14 * h, 20 * h, 24 * h]
    for (const [i, ms] of planned.entries()) {
      expect(waits[i]).toBeGreaterThanOrEqual(ms)
      expect(waits[i]).toBeLessThanOrEqual(Math.min(ms * 1.1, 24 * h))
    }
    expect(receiver.received).toHaveLength(10)
  })

  it('go to the dead letters after the last attempt, and can be replayed', async (context) => {
    let isUp = false
    const { queue, drain, dead, receiver } = await start(context, {
      scheduleMs: [1, 1],
      answer: () => ({ status: isUp ? 200 : 500, text: 'x'.repeat(100_000) }),
    })
    await queue({ id: 'msg_1' })
    const [letter] = await until('it is dead', async () => {
      await drain()
      const letters = await dead.list({ limit: 10 })
      return letters.length > 0 && letters
    })
    expect(letter).toMatchObject({ attempts: 3, fields: { id: 'msg_1', tenant: 'acme' } })
    expect(letter!.cause).toMatch(/^The receiver answered 500: x{50,}$/)
    expect(letter!.cause.length).toBeLessThan(300)
    isUp = true
    await dead.replay([letter!.id])
    await drain()
    expect(receiver.received).toHaveLength(4)
    expect(await dead.list({ limit: 10 })).toEqual([])
  })

  it('to a receiver that answers 410 end, until it is enabled again', async (context) => {
    let status = 410
    const { queue, drain, dead, receiver, deliveries } = await start(context, { answer: () => ({ status }) })
    await queue()
    await drain()
    await queue()
    await drain()
    expect(receiver.received).toHaveLength(1)
    expect((await dead.list({ limit: 10 })).map(({ cause }) => cause)).toEqual([
      'The receiver answered 410',
      'The receiver answered 410 before',
    ])
    status = 200
    await deliveries.enable('acme', receiver.url)
    await queue()
    await drain()
    expect(receiver.received).toHaveLength(2)
  })

  it.for<[string, () => string, number]>([
    ['seconds', () => '2', 2_000],
    ['a date', () => new Date(Date.now() + 3_600_000).toUTCString(), 3_500_000],
    ['more than a day', () => '999999999', 86_400_000],
    ['nonsense', () => 'soon', 1],
  ])('wait as long as the receiver asks: %s', async ([_, retryAfter, ms], context) => {
    const { queue, worker, redis } = await start(context, {
      scheduleMs: [1],
      answer: () => ({ status: 429, headers: { 'retry-after': retryAfter() } }),
    })
    await queue()
    const attempt = await entryOf(redis)
    const [outcome] = (await worker.handle([attempt(1)], new AbortController().signal))!
    expect(outcome!.retryAfterMs).toBeGreaterThanOrEqual(ms)
    expect(outcome!.retryAfterMs).toBeLessThanOrEqual(86_400_000)
  })

  it('to a receiver that takes too long hold up no others, and are tried again', async (context) => {
    const { queue, drain, receiver } = await start(context, {
      ...{ timeoutMs: 300, scheduleMs: [1, 1, 1] },
      answer: (_, { id }) => ({ delayMs: id === 'slow' && receiver.received.length < 3 ? 60_000 : 0 }),
    })
    await queue({ id: 'slow' })
    await queue({ id: 'quick' })
    await until('the slow one is tried again', async () => {
      await drain()
      return receiver.received.filter(({ id }) => id === 'slow').length === 2
    })
    expect(receiver.received.filter(({ id }) => id === 'quick')).toHaveLength(1)
  })

  it.for<[string, string]>([
    ['http://127.0.0.1:1/', 'not https'],
    ['https://127.0.0.1/', 'not a public address'],
    ['https://[::1]/', 'not a public address'],
    ['https://169.254.169.254/latest/meta-data', 'not a public address'],
    ['https://localhost/', 'not a public address'],
  ])('never go to %s, unless an admin allows it', async ([url, cause], context) => {
    const { queue, drain, dead } = await start(context)
    await queue({ url, allowPrivate: false })
    await drain()
    expect((await dead.list({ limit: 1 }))[0]).toMatchObject({
      attempts: 1,
      cause: expect.stringContaining(cause),
    })
  })
})
