import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { createRedisResp } from '../../../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../../../shared/drivers/redis-rest.ts'
import { createHandlerSecrets } from '../../../shared/events/handler-secrets.ts'
import type { EventHandlers } from '../../../shared/events/handlers.ts'
import { createResults } from '../../../shared/events/results.ts'
import { queueKeys } from '../../../shared/keys.ts'
import { createQueueRunner } from '../../../shared/queues/queue-runner.ts'
import { createQueueWorker } from '../../../shared/queues/queue-worker.ts'
import { createQueues, jobResultId, type NewQueueJob } from '../../../shared/queues/queues.ts'
import { createSecrets } from '../../../shared/secrets.ts'
import { unique } from '../../support/app.ts'
import { startTestBridge } from '../../support/bridge.ts'
import { handlerOf } from '../../support/events.ts'
import { until } from '../../support/hub.ts'
import { patient, startQuietRedis } from '../../support/redis.ts'

let own: Awaited<ReturnType<typeof startQuietRedis>>
beforeAll(async () => {
  own = await startQuietRedis()
})
afterAll(() => own.stop())

interface Options {
  driver?: 'resp' | 'rest'
  handlers: EventHandlers
  leaseMs?: number
}

async function start(
  { onTestFinished }: Pick<TestContext, 'onTestFinished'>,
  { driver = 'resp', handlers, leaseMs = 10_000 }: Options,
) {
  const { url } = own
  const bridge = driver === 'rest' ? await startTestBridge({ redisUrl: url }) : undefined
  if (bridge) onTestFinished(bridge.close)
  const redis = patient(bridge ? createRedisRest(bridge) : createRedisResp({ url }))
  onTestFinished(redis.close)
  const [tenant, queue] = [unique('tenant'), 'mail']
  const lines: Record<string, unknown>[] = []
  const log = { error: (line: Record<string, unknown>) => void lines.push(line) }
  const results = createResults({ redis })
  const handlerSecrets = createHandlerSecrets({ handlers, secrets: createSecrets('a key of the tests') })
  const queues = createQueues({ redis, handlerSecrets, clock: Date, onPushed: () => {} })
  const worker = createQueueWorker({ redis, handlers, handlerSecrets, results, leaseMs, clock: Date, log })
  const defer = () => {}
  return {
    ...{ redis, tenant, queue, queues, results, worker, lines },
    push: (...jobs: NewQueueJob[]) => queues.push(tenant, queue, jobs, defer),
    work: (ms = 5_000) =>
      worker.work(tenant, queue, { until: performance.now() + ms, signal: new AbortController().signal }),
    stats: () => queues.stats(tenant, queue),
    resultOf: async (id: string) => {
      const resultId = jobResultId(queue, id)
      return (await results.find(tenant, [resultId])).get(resultId)
    },
    /** Until the test ends, of this tenant's queues alone. */
    run() {
      const stopping = new AbortController()
      const all = async () => (await queues.all()).filter((one) => one.tenant === tenant)
      const runner = createQueueRunner({ redis, queues: { all }, worker, lookMs: leaseMs, log })
      const over = runner.run(stopping.signal)
      const stop = async () => {
        stopping.abort()
        await over
      }
      onTestFinished(stop)
      return { stop }
    },
  }
}

const jobs = (count: number, more: Partial<NewQueueJob> = {}): NewQueueJob[] =>
  Array.from({ length: count }, (_, n) => ({
    ...{ id: `j${n}`, handler: { type: 'work' }, data: { n } },
    ...more,
  }))
const quick = { attempts: 3, first_seconds: 0.02, longest_seconds: 0.04 }

describe.each(['resp', 'rest'] as const)('a work queue over %s', (driver) => {
  it('works on each job, and keeps its result; nothing of it is left in the queue', async (context) => {
    const work = handlerOf(({ event }) => ({ result: { id: event.id, data: event.data } }))
    const hub = await start(context, { driver, handlers: { work } })
    const pushed = await hub.push(...jobs(150))
    expect(pushed).toMatchObject({ accepted: 150, duplicates: 0 })
    expect(pushed.jobs[7]).toEqual({ id: 'j7', result_id: 'mail:j7' })
    expect(await hub.stats()).toEqual({ waiting: 150, leased: 0, dead: 0 })
    expect(await hub.work()).toMatchObject({ settled: 150 })
    expect(await hub.resultOf('j7')).toMatchObject({
      ...{ id: 'mail:j7', stream: 'mail', event_id: 'j7', status: 'done', attempts: 1 },
      result: { id: 'j7', data: { n: 7 } },
    })
    expect(await hub.stats()).toEqual({ waiting: 0, leased: 0, dead: 0 })
    const { jobs: bodies } = queueKeys(hub.tenant, hub.queue)
    expect(await hub.redis.wave([['HLEN', bodies]])).toEqual([0])
  })

  it('the same id is the same job, while it waits and once it is done', async (context) => {
    let calls = 0
    const work = handlerOf(() => ({ result: ++calls }))
    const hub = await start(context, { driver, handlers: { work } })
    await hub.push(...jobs(2))
    expect(await hub.push(...jobs(3))).toMatchObject({ accepted: 1, duplicates: 2 })
    await hub.work()
    expect(await hub.push(...jobs(3))).toMatchObject({ accepted: 0, duplicates: 3 })
    await hub.work()
    expect(calls).toBe(3)
  })

  it('a failed job is tried again with back-off, then dead; its neighbours go on; replayed it can succeed', async (context) => {
    let isBad = true
    const seen: string[] = []
    const work = handlerOf(({ event }) => {
      seen.push(event.id)
      return isBad && event.id === 'j1' ? { failed: new Error('one is bad') } : { result: 'fine' }
    })
    const hub = await start(context, { driver, handlers: { work } })
    await hub.push(...jobs(5, { retry: quick }))
    const all = async () => {
      const { waiting, leased } = await hub.stats()
      if (waiting + leased > 0) await hub.work()
      return waiting + leased === 0
    }
    await until('all are over', all)
    expect(seen.filter((id) => id === 'j1')).toHaveLength(3)
    expect(seen).toHaveLength(7)
    expect(await hub.stats()).toEqual({ waiting: 0, leased: 0, dead: 1 })
    expect(await hub.resultOf('j1')).toMatchObject({ status: 'failed', error: { message: 'one is bad' } })
    expect(await hub.queues.dead(hub.tenant, hub.queue, 10)).toMatchObject([
      { id: 'j1', cause: 'one is bad', attempts: 3 },
    ])
    isBad = false
    expect(await hub.queues.replay(hub.tenant, hub.queue, ['j1', 'none'], () => {})).toEqual(['j1'])
    await until('it is over', all)
    expect(await hub.resultOf('j1')).toMatchObject({ status: 'done', result: 'fine', attempts: 1 })
    expect(await hub.stats()).toEqual({ waiting: 0, leased: 0, dead: 0 })
  })

  it('a job of a worker that died comes back when its lease is over; who was only asleep says nothing more', async (context) => {
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    let calls = 0
    const slow = handlerOf(async () => {
      await held
      return { failed: 'too late' }
    })
    const quickly = handlerOf(() => ({ result: ++calls }))
    const first = await start(context, { driver, handlers: { work: slow } })
    await first.push(...jobs(1))
    // As of a process that is stopped: nobody renews.
    const { leased } = queueKeys(first.tenant, first.queue)
    const asleep = first.work(10_000)
    await until('it is leased', async () => (await first.stats()).leased === 1)
    await first.redis.wave([['ZADD', leased, 0, 'j0']])
    const second = await start(context, { driver, handlers: { work: quickly } })
    await second.worker.work(first.tenant, first.queue, {
      until: performance.now() + 5_000,
      signal: new AbortController().signal,
    })
    release()
    await asleep
    expect(calls).toBe(1)
    expect(await first.resultOf('j0')).toMatchObject({ status: 'done', result: 1, attempts: 2 })
    expect(await first.stats()).toEqual({ waiting: 0, leased: 0, dead: 0 })
  })
})

describe('a runner of queues', () => {
  it('is woken by a push of any process, renews leases of long jobs, and shares the work', async (context) => {
    const calls: string[] = []
    const work = handlerOf(
      async ({ event }) => {
        calls.push(event.id)
        await sleep((event.data as { n: number }).n === 0 ? 1_500 : 5)
        return { result: null }
      },
      { batch: 1 },
    )
    const hub = await start(context, { handlers: { work }, leaseMs: 600 })
    hub.run()
    hub.run()
    await sleep(200)
    await hub.push(...jobs(200))
    await until('all are done', async () => {
      const { waiting, leased } = await hub.stats()
      return waiting + leased === 0
    })
    expect(calls.toSorted()).toEqual(
      jobs(200)
        .map(({ id }) => id)
        .toSorted(),
    ) // each one once
  })

  it('a job that kills its workers is given up in the end', async (context) => {
    const hub = await start(context, { handlers: { work: handlerOf(() => ({ result: 'never asked' })) } })
    await hub.push(...jobs(1, { retry: quick }))
    const { leased, jobs: bodies } = queueKeys(hub.tenant, hub.queue)
    await hub.redis.wave([
      ['LPOP', queueKeys(hub.tenant, hub.queue).waiting],
      ['ZADD', leased, 0, 'j0'],
      ['HSET', bodies, 'attempt:j0', 3],
    ])
    await hub.work()
    expect(await hub.stats()).toEqual({ waiting: 0, leased: 0, dead: 1 })
    expect(await hub.resultOf('j0')).toMatchObject({
      status: 'failed',
      error: { message: 'Its workers died while they worked on it' },
    })
  })

  it('a handler that is not there: its jobs wait, uncounted, and are worked on once it is', async (context) => {
    const handlers: EventHandlers = {}
    const hub = await start(context, { handlers })
    await hub.push(...jobs(2))
    await hub.work()
    expect(hub.lines).toMatchObject([{ queue: 'mail', handler: 'work' }])
    expect(await hub.stats()).toEqual({ waiting: 0, leased: 2, dead: 0 })
    handlers.work = handlerOf(({ attempt }) => ({ result: attempt }))
    const { leased } = queueKeys(hub.tenant, hub.queue)
    await hub.redis.wave([['ZADD', leased, 0, 'j0', 0, 'j1']]) // a minute later
    await hub.work()
    expect(await hub.resultOf('j1')).toMatchObject({ status: 'done', result: 1 })
  })
})
