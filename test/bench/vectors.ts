import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createVectorsVectorset } from '../../shared/drivers/vectors-vectorset.ts'
import type { Filter } from '../../shared/filters.ts'
import { vectorKeys } from '../../shared/keys.ts'
import type { Redis } from '../../shared/ports/redis.ts'
import type { VectorIndex, Vectors } from '../../shared/ports/vectors.ts'
import type { Bench } from './bench.ts'
import { type Clustered, clusteredVectors } from './clustered-vectors.ts'
import { chatRequest, startHub } from './hub.ts'
import { percentile, round } from './statistics.ts'

const SEED = 20_261_123
const DIMENSIONS = 384
const QUERIES = 200
const ROUNDS = 3
const TOP_K = 10
/** What the hub asks for, as some may be of replaced versions; and the breadth of its search. Raw VSIM has the same. */
const COUNT = 15
const EFFORT = 200
/** Values of each tag: one keeps 1 % of the rows. */
const TAGS = 100
const LOADED_AT_ONCE = 100
const SEARCHING_CONNECTIONS = 4
/** How long a completion may wait on Redis. */
const COMPLETION_MS = 250
const PATIENT = { timeoutMs: 60_000 }

const FIELDS = { hot: 'tag', cold: 'tag', price: 'number' } as const
/** As the hub makes it for the tenant of the bench. */
const INDEX: VectorIndex = {
  tenant: 'bench',
  name: 'rows',
  dimensions: DIMENSIONS,
  metric: 'cosine',
  fields: FIELDS,
  hotTag: 'hot',
  partitions: 1,
  quantization: 'none',
}

/** A search and what it should find. */
interface Case {
  name: string
  filter?: Filter
  passes(row: number): boolean
  /** Least recall, and most time as a multiple of an unfiltered search. */
  goal?: { recall: number; times?: number }
}

const hotOf = (row: number) => row % TAGS
const coldOf = (row: number) => Math.floor(row / TAGS) % TAGS
/** 0 to 99.99, in no order that the clusters know. */
const priceOf = (row: number) => ((row * 7_919) % 10_000) / 100

const CASES: Case[] = [
  { name: 'unfiltered', passes: () => true, goal: { recall: 0.99 } },
  {
    name: 'hot tag, 1 %',
    filter: { type: 'eq', key: 'hot', value: 'hot 7' },
    passes: (row) => hotOf(row) === 7,
    goal: { recall: 0.98, times: 3 },
  },
  {
    name: 'other tag, 1 %',
    filter: { type: 'eq', key: 'cold', value: 'cold 7' },
    passes: (row) => coldOf(row) === 7,
  },
  ...[1, 5, 20, 50].map(
    (percent): Case => ({
      name: `number range, ${percent} %`,
      filter: { type: 'lt', key: 'price', value: percent },
      passes: (row) => priceOf(row) < percent,
    }),
  ),
  {
    name: 'hot tag and number range, 0.2 %',
    filter: {
      type: 'and',
      filters: [
        { type: 'eq', key: 'hot', value: 'hot 7' },
        { type: 'gte', key: 'price', value: 80 },
      ],
    },
    passes: (row) => hotOf(row) === 7 && priceOf(row) >= 80,
  },
]

/**
 * Search of vector sets, with and without filters, beside the raw command: through the driver, with recall against all
 * distances, then over HTTP, and completions meanwhile.
 */
export async function vectors(bench: Bench, { rows }: { rows: number }): Promise<void> {
  const reads = createRedisResp({ url: bench.redis.url })
  const writes = createRedisResp({ url: bench.redis.url })
  await using ends = new AsyncDisposableStack()
  ends.defer(reads.close)
  ends.defer(writes.close)
  bench.progress(`${rows} vectors of ${DIMENSIONS} dimensions, seed ${SEED} …`)
  const clustered = clusteredVectors({ seed: SEED, rows, queries: QUERIES, dimensions: DIMENSIONS })
  const { hub, key } = await startHub(bench)
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  await load(bench, `${hub.url}/v1/indexes/${INDEX.name}`, headers, clustered.rows)
  await printMemory(bench, reads, rows)

  const driver = createVectorsVectorset({ reads, writes, keys: vectorKeys })
  await measureDriver(bench, driver, clustered, await measureRaw(bench, reads, clustered))

  const raw = await measureRaw(bench, reads, clustered)
  const target = {
    name: 'search',
    process: hub,
    load: {
      url: `${hub.url}/v1/indexes/${INDEX.name}/search`,
      headers,
      body: {},
      bodies: clustered.queries.map((vector) => ({ vector: [...vector], top_k: TOP_K })),
      expect: '"results":[{',
    },
  }
  await bench.measure(target, { connections: 1, warmUp: true })
  const { p50_ms } = await bench.measure(target, { connections: 1 })
  const times_raw = round(p50_ms / raw, 2)
  bench.print({
    summary: 'http search',
    p50_ms,
    times_raw,
    goal: 'times_raw <= 1.5',
    goal_met: times_raw <= 1.5,
  })

  const completions = completeUntil(`${hub.url}/v1/chat/completions`, headers)
  await bench.measure(target, { connections: SEARCHING_CONNECTIONS })
  const { latencies, hits } = await completions.stop()
  const most = Math.max(...latencies)
  bench.print({
    summary: 'completions beside searches',
    searching_connections: SEARCHING_CONNECTIONS,
    completions: latencies.length,
    hits,
    ...times(latencies),
    most_ms: round(most, 1),
    goal: `all are hits, none over ${COMPLETION_MS} ms`,
    goal_met: hits === latencies.length && most <= COMPLETION_MS,
  })
}

async function measureDriver(bench: Bench, driver: Vectors, clustered: Clustered, raw: number) {
  const truths = nearestOf(bench, clustered)
  let unfiltered = 0
  for (const each of CASES) {
    const { filter, goal } = each
    const effort = filter ? undefined : EFFORT
    const plans = new Set<string>()
    let found = 0
    let wanted = 0
    const latencies = await measure(clustered, async (vector, i) => {
      const { vector: hits, plan } = await driver.search(INDEX, {
        ...{ vector, filter, effort },
        ...{ limit: COUNT, timeoutMs: 10_000 },
      })
      for (const { name } of plan) plans.add(name)
      const nearest = new Set(hits!.slice(0, TOP_K).map(({ documentId }) => documentId))
      const truth = truths.get(each)![i]!
      found += truth.filter((row) => nearest.has(idOf(row))).length
      wanted += truth.length
    })
    const { p50_ms, p99_ms } = times(latencies)
    if (!filter) unfiltered = p50_ms
    const recall = round(found / wanted, 4)
    const times_unfiltered = round(p50_ms / unfiltered, 2)
    const { times: most } = goal ?? {}
    bench.print({
      search: each.name,
      plan: [...plans].join(),
      'recall@10': recall,
      ...{ p50_ms, p99_ms, times_unfiltered, times_raw: round(p50_ms / raw, 2) },
      ...(goal && {
        goal: `recall@10 >= ${goal.recall}${most ? ` and times_unfiltered <= ${most}` : ''}`,
        goal_met: recall >= goal.recall && times_unfiltered <= (most ?? 1),
      }),
    })
  }
}

/** The p50 of the bare command on an open connection, in ms. */
async function measureRaw(bench: Bench, redis: Redis, clustered: Clustered): Promise<number> {
  const key = vectorKeys.vectors(INDEX, 0)
  const latencies = await measure(clustered, async ({ buffer }) => {
    const [reply] = await redis.wave(
      [['VSIM', key, 'FP32', new Uint8Array(buffer), 'WITHSCORES', 'COUNT', COUNT, 'EF', EFFORT]],
      PATIENT,
    )
    if (!Array.isArray(reply)) throw reply
  })
  bench.print({ search: 'raw VSIM', count: COUNT, effort: EFFORT, ...times(latencies) })
  return times(latencies).p50_ms
}

/** Latencies of one search after the other, in ms; the first round warms up and is not counted. */
async function measure({ queries }: Clustered, search: (query: Float32Array, i: number) => Promise<unknown>) {
  const latencies: number[] = []
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [i, query] of queries.entries()) {
      const start = performance.now()
      await search(query, i)
      if (round > 0) latencies.push(performance.now() - start)
    }
  }
  return latencies
}

const times = (latencies: readonly number[]) => ({
  p50_ms: round(percentile(latencies, 50), 3),
  p99_ms: round(percentile(latencies, 99), 3),
})

const idOf = (row: number) => `document-${row}`

async function load(bench: Bench, url: string, headers: Record<string, string>, rows: Float32Array[]) {
  const send = async (method: string, path: string, body: object) => {
    const response = await fetch(`${url}${path}`, { method, headers, body: JSON.stringify(body) })
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
    await response.arrayBuffer()
  }
  const start = performance.now()
  await send('PUT', '', {
    fields: FIELDS,
    dimensions: DIMENSIONS,
    embedding_model: null,
    hot_tag: INDEX.hotTag,
  })
  for (let at = 0; at < rows.length; at += LOADED_AT_ONCE) {
    const documents = rows.slice(at, at + LOADED_AT_ONCE).map((vector, i) => {
      const row = at + i
      const metadata = { hot: `hot ${hotOf(row)}`, cold: `cold ${coldOf(row)}`, price: priceOf(row) }
      return { id: idOf(row), text: `row ${row}`, vector: [...vector], metadata }
    })
    await send('POST', '/documents', documents)
    if (at % 5_000 === 0) bench.progress(`${at} stored, ${seconds(start)} s`)
  }
  bench.print({
    ...{ stored: rows.length, dimensions: DIMENSIONS, seed: SEED, seconds: seconds(start) },
    rows_per_second: Math.round((rows.length * 1_000) / (performance.now() - start)),
  })
}

const seconds = (start: number) => Math.round((performance.now() - start) / 1_000)

async function printMemory(bench: Bench, redis: Redis, rows: number) {
  const [info] = (await redis.wave([['INFO', 'memory']], PATIENT)) as [string]
  const bytes = Number(/^used_memory:(\d+)/m.exec(info)?.[1])
  bench.print({ redis_memory_mb: Math.round(bytes / 2 ** 20), bytes_per_row: Math.round(bytes / rows) })
}

/** Stored answers, asked for one after the other with a pause, until `stop`. */
function completeUntil(url: string, headers: Record<string, string>) {
  const latencies: number[] = []
  let hits = 0
  let isOver = false
  const running = (async () => {
    const ask = async () => {
      const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(chatRequest()) })
      await response.arrayBuffer()
      return response.headers.get('cache-status')?.includes('; hit') ?? false
    }
    await ask() // stores it
    while (!isOver) {
      const start = performance.now()
      if (await ask()) hits += 1
      latencies.push(performance.now() - start)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  })()
  return {
    async stop() {
      isOver = true
      await running
      return { latencies, hits }
    },
  }
}

/** By all distances: of each case, for each query, the nearest rows that pass. */
function nearestOf(bench: Bench, { rows, queries }: Clustered): Map<Case, number[][]> {
  bench.progress(`${queries.length} × ${rows.length} distances …`)
  const nearest = new Map(CASES.map((each) => [each, [] as number[][]]))
  const scores = new Float64Array(rows.length)
  for (const query of queries) {
    for (const [row, vector] of rows.entries()) {
      let product = 0
      for (let i = 0; i < DIMENSIONS; i++) product += query[i]! * vector[i]!
      scores[row] = product
    }
    for (const each of CASES) {
      const best: number[] = []
      for (let row = 0; row < rows.length; row++) {
        if (best.length === TOP_K && scores[row]! <= scores[best.at(-1)!]!) continue
        if (!each.passes(row)) continue
        best.push(row)
        best.sort((a, b) => scores[b]! - scores[a]!)
        best.length = Math.min(best.length, TOP_K)
      }
      nearest.get(each)!.push(best)
    }
  }
  return nearest
}
