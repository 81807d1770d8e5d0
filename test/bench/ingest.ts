import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from '@redis/client'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createEventHandlers } from '../../shared/events/event-handlers.ts'
import { createIntake, type NewEvent } from '../../shared/events/intake.ts'
import { createProcessor, HUB_GROUP } from '../../shared/events/processor.ts'
import { createResults } from '../../shared/events/results.ts'
import { createStreams } from '../../shared/events/streams.ts'
import { eventKeys } from '../../shared/keys.ts'
import type { Bench, Target } from './bench.ts'
import { startBull } from './bull.ts'
import { startHub } from './hub.ts'
import { median, round } from './statistics.ts'

const ROUNDS = 3
const BATCH = 100
const BATCH_GOAL = 0.5
const CONSUME_GOAL = 3
const CONSUMED = 30_000

/** An order of common size, named by its sender. `[<id>]` is where the load client makes each request unlike all others. */
const eventOf = (n: number, run = '[<id>]') => ({
  specversion: '1.0' as const,
  id: `${run}-${n}`,
  source: '/shop/berlin',
  type: 'com.example.order.created',
  time: '2026-11-23T10:00:00.000Z',
  subject: `order-${n}`,
  data: {
    order: {
      id: 100_000 + n,
      total: 59.9,
      currency: 'EUR',
      items: [
        { sku: 'A-17', count: 2 },
        { sku: 'B-4', count: 1 },
      ],
    },
  },
})

/**
 * Events in over HTTP, deduplicated, beside raw pipelined XADD and BullMQ's add and addBulk; and events worked on, their results written,
 * beside BullMQ's worker at its best concurrency. All on one Redis.
 */
export async function ingest(bench: Bench): Promise<void> {
  const raw: Record<number, number[]> = { 1: [], 32: [] }
  const http: Record<string, number[]> = {}
  const { hub, key } = await startHub(bench)
  const headers = { authorization: `Bearer ${key}` }
  await put(`${hub.url}/v1/events/bench`, headers)
  const target = (name: string, body: object, type: string, events: number): Target => ({
    name,
    process: hub,
    labels: { events_a_request: events },
    load: {
      url: `${hub.url}/v1/events/bench`,
      headers: { ...headers, 'content-type': type },
      ...{ body, unique: true, expect: `"accepted":${events}` },
    },
  })
  const batch = Array.from({ length: BATCH }, (_, n) => eventOf(n))
  const targets = [
    target('hub-batch', batch, 'application/cloudevents-batch+json', BATCH),
    target('hub-single', eventOf(0), 'application/cloudevents+json', 1),
    target(
      'hub-batch-plain',
      batch.map(({ data }) => data),
      'application/json',
      BATCH,
    ),
  ]
  for (const one of targets) await bench.measure(one, { connections: 32, warmUp: true })
  for (const connections of [1, 32]) {
    for (let number = 0; number < ROUNDS; number++) {
      raw[connections]!.push(await measureXadd(bench, connections))
      for (const one of targets) {
        const events = one.load.body === batch || one.name === 'hub-batch-plain' ? BATCH : 1
        const { requests_per_second } = await bench.measure(one, { connections })
        const name = `${one.name} ${connections}`
        http[name] = [...(http[name] ?? []), requests_per_second * events]
      }
      await flush(bench)
      await put(`${hub.url}/v1/events/bench`, headers)
    }
    for (const { name } of targets) {
      const events = median(http[`${name} ${connections}`]!)
      const ratio = round(events / median(raw[connections]!), 2)
      const goal = name === 'hub-batch' && connections === 32
      bench.print({
        ...{ summary: 'ingest', target: name, connections, events_per_second: Math.round(events) },
        ...{ xadd_per_second: Math.round(median(raw[connections]!)), xadd_ratio: ratio },
        ...(goal && { goal: `xadd_ratio >= ${BATCH_GOAL}`, goal_met: ratio >= BATCH_GOAL }),
      })
    }
  }
  await compareWithBull(bench)
}

async function compareWithBull(bench: Bench) {
  await using bull = startBull(bench.redis.url)
  const events = Array.from({ length: CONSUMED }, (_, n) => eventOf(n, 'job'))
  const added: Record<string, number> = {
    add: await bull.add(events.slice(0, 5_000), 32),
    addBulk: await bull.addBulk(events, BATCH),
  }
  for (const [name, rate] of Object.entries(added)) {
    bench.print({ target: `bullmq-${name}`, events_per_second: Math.round(rate) })
  }
  const bulls: Record<number, number> = {}
  for (const concurrency of [10, 50, 200, 1_000]) {
    await bull.reset()
    await bull.addBulk(events, 1_000)
    bulls[concurrency] = Math.round(await bull.consume(CONSUMED, concurrency))
    bench.print({ target: 'bullmq-worker', concurrency, events_per_second: bulls[concurrency] })
  }
  const [best] = Object.keys(bulls)
    .map(Number)
    .sort((a, b) => bulls[b]! - bulls[a]!)
  const theirs: number[] = []
  const ours: number[] = []
  for (let number = 0; number < ROUNDS; number++) {
    await bull.reset()
    await bull.addBulk(events, 1_000)
    theirs.push(await bull.consume(CONSUMED, best!))
    await bull.reset()
    ours.push(await consume(bench, events))
  }
  const ratio = round(median(ours) / median(theirs), 2)
  bench.print({
    ...{ summary: 'ingest', target: 'consumed', events_per_second: Math.round(median(ours)) },
    ...{ bullmq_per_second: Math.round(median(theirs)), bullmq_concurrency: best, bullmq_ratio: ratio },
    ...{ goal: `bullmq_ratio >= ${CONSUME_GOAL}`, goal_met: ratio >= CONSUME_GOAL },
  })
}

/** Events of a stream worked on a second by the hub's own handler `store`, each one's result written. */
async function consume(bench: Bench, events: readonly NewEvent[]): Promise<number> {
  const redis = createRedisResp({ url: bench.redis.url })
  const blocking = createRedisResp({ url: bench.redis.url })
  const [tenant, stream] = ['bench', `consumed-${Date.now()}`]
  const { store } = createEventHandlers({} as Parameters<typeof createEventHandlers>[0])
  const handlers = { store: store! }
  const streams = createStreams({ redis, handlers })
  const settings = { handler: { type: 'store' }, max_lag: 1_000_000, retention_seconds: 0 }
  await streams.put(tenant, stream, settings)
  const intake = createIntake({ redis, streams, onAccepted: () => {}, clock: Date })
  for (let i = 0; i < events.length; i += 5_000)
    await intake.accept(tenant, stream, events.slice(i, i + 5_000), () => {})

  const log = { info: () => {}, error: (line: object) => console.error(line) }
  const processor = createProcessor({
    ...{
      redis,
      handlers,
      results: createResults({ redis }),
      claimIdleMs: 60_000,
      consumer: 'bench',
      clock: Date,
      log,
    },
  })
  const stopping = new AbortController()
  const began = performance.now()
  const over = processor.groupOf(tenant, stream, settings, blocking).run(stopping.signal)
  const { events: name } = eventKeys(tenant, stream)
  for (;;) {
    await sleep(5)
    const [groups] = await redis.wave([['XINFO', 'GROUPS', name]], { timeoutMs: 5_000 })
    const flat = (groups as unknown[][]).find((one) => one[1] === HUB_GROUP)
    const of = (field: string) => flat?.[flat.indexOf(field) + 1]
    if (of('lag') === 0 && of('pending') === 0) break
  }
  const seconds = (performance.now() - began) / 1_000
  stopping.abort()
  await over
  await Promise.all([redis.close(), blocking.close()])
  return events.length / seconds
}

/** XADDs a second of the same entries in pipelines of a batch, over one connection; `flying` pipelines at a time. */
async function measureXadd(bench: Bench, flying: number): Promise<number> {
  const client = createClient({ url: bench.redis.url })
  await client.connect()
  const entries = Array.from({ length: BATCH }, (_, n) => JSON.stringify(eventOf(n, 'x'.repeat(32))))
  const result = 'x'.repeat(22)
  let count = 0
  const began = performance.now()
  const until = began + 2_000
  await Promise.all(
    Array.from({ length: flying }, async () => {
      while (performance.now() < until) {
        await Promise.all(
          entries.map((event) => client.sendCommand(['XADD', 'xadd', '*', 'event', event, 'result', result])),
        )
        count += BATCH
      }
    }),
  )
  const rate = count / ((performance.now() - began) / 1_000)
  bench.print({ target: 'xadd', pipelines: flying, events_per_second: Math.round(rate) })
  client.destroy()
  return rate
}

async function put(url: string, headers: Record<string, string>) {
  const response = await fetch(url, {
    method: 'PUT',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify({ max_lag: 10_000_000, retention_seconds: 5 }),
  })
  if (!response.ok) throw new Error(await response.text())
}

/** Memory is not what is measured: what the last round left goes, the keys of callers stay. */
async function flush(bench: Bench) {
  const client = createClient({ url: bench.redis.url })
  await client.connect()
  const { events, seen } = eventKeys('bench', 'bench')
  await client.unlink(['xadd', events, seen])
  client.destroy()
}
