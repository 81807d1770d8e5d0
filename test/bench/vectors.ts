import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createVectorsVectorset } from '../../shared/drivers/vectors-vectorset.ts'
import type { Filter } from '../../shared/filters.ts'
import { vectorKeys } from '../../shared/keys.ts'
import type { Redis } from '../../shared/ports/redis.ts'
import type { Chunk, VectorIndex, Vectors } from '../../shared/ports/vectors.ts'
import type { Bench } from './bench.ts'
import { type Clustered, clusteredVectors } from './clustered-vectors.ts'
import { percentile, round } from './statistics.ts'

const SEED = 20_261_123
const DIMENSIONS = 384
const QUERIES = 200
const ROUNDS = 3
const K = 10
/** The breadth that driver and raw VSIM both search with where nothing is filtered. */
const EFFORT = 200
/** Values of each tag: one keeps 1 % of the rows. */
const TAGS = 100
const PATIENT = { timeoutMs: 600_000 }

const INDEX: VectorIndex = {
  tenant: 'default',
  name: 'bench',
  dimensions: DIMENSIONS,
  metric: 'cosine',
  fields: { hot: 'tag', cold: 'tag', price: 'number' },
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

/** Searches of vector sets through the driver, with and without filters, beside the raw command; recall against all distances. */
export async function vectors(bench: Bench, { rows: count }: { rows: number }): Promise<void> {
  const reads = createRedisResp({ url: bench.redis.url })
  const writes = createRedisResp({ url: bench.redis.url })
  await using ends = new AsyncDisposableStack()
  ends.defer(reads.close)
  ends.defer(writes.close)
  const store = createVectorsVectorset({ reads, writes, keys: vectorKeys })
  bench.progress(`${count} vectors of ${DIMENSIONS} dimensions, seed ${SEED} …`)
  const clustered = clusteredVectors({ seed: SEED, rows: count, queries: QUERIES, dimensions: DIMENSIONS })
  await load(bench, store, clustered.rows)
  await printMemory(bench, reads, count)
  const truths = nearestOf(bench, clustered)

  const raw = await measure((query) => askRedis(reads, query))
  bench.print({ search: 'raw VSIM', count: K, effort: EFFORT, ...times(raw) })
  let unfiltered = 0
  for (const each of CASES) {
    const plans = new Set<string>()
    let found = 0
    let wanted = 0
    const latencies = await measure(async (vector, i, round) => {
      const { filter } = each
      const { vector: hits, plan } = await store.search(INDEX, {
        vector,
        limit: K,
        filter,
        effort: filter ? undefined : EFFORT,
        timeoutMs: 10_000,
      })
      plans.add(plan.map(({ name }) => name).join())
      if (round > 0) return
      const ids = new Set(hits!.map(({ documentId }) => documentId))
      const truth = truths.get(each)![i]!
      found += truth.filter((row) => ids.has(idOf(row))).length
      wanted += truth.length
    })
    const { p50_ms, ...more } = times(latencies)
    if (!each.filter) unfiltered = p50_ms
    const recall = round(found / wanted, 4)
    const times_unfiltered = round(p50_ms / unfiltered, 2)
    const { goal } = each
    bench.print({
      search: each.name,
      plan: [...plans].join(),
      'recall@10': recall,
      p50_ms,
      ...more,
      times_unfiltered,
      times_raw: round(p50_ms / median(raw), 2),
      ...(goal && {
        goal: `recall@10 >= ${goal.recall}${goal.times ? ` and times_unfiltered <= ${goal.times}` : ''}`,
        goal_met: recall >= goal.recall && (!goal.times || times_unfiltered <= goal.times),
      }),
    })
  }

  /** Latencies of one connection, in ms; the first round warms up and is not counted. */
  async function measure(search: (query: Float32Array, i: number, round: number) => Promise<unknown>) {
    const latencies: number[] = []
    for (let round = 0; round <= ROUNDS; round++) {
      for (const [i, query] of clustered.queries.entries()) {
        const start = performance.now()
        await search(query, i, round)
        if (round > 0) latencies.push(performance.now() - start)
      }
    }
    return latencies
  }
}

const median = (latencies: readonly number[]) => percentile(latencies, 50)

const times = (latencies: readonly number[]) => ({
  p50_ms: round(median(latencies), 3),
  p99_ms: round(percentile(latencies, 99), 3),
})

const idOf = (row: number) => `document-${row}`

async function load(bench: Bench, store: Vectors, rows: readonly Float32Array[]) {
  const start = performance.now()
  await store.create(INDEX, PATIENT)
  for (let at = 0; at < rows.length; at += 500) {
    const chunks = rows.slice(at, at + 500).map((vector, i): Chunk => {
      const row = at + i
      const fields = { hot: `hot ${hotOf(row)}`, cold: `cold ${coldOf(row)}`, price: priceOf(row) }
      return { documentId: idOf(row), version: 1, n: 0, vector, text: `row ${row}`, fields, hash: {} }
    })
    await store.put(INDEX, chunks, PATIENT)
    if (at % 5_000 === 0) bench.progress(`${at} stored, ${seconds(start)} s`)
  }
  bench.print({
    stored: rows.length,
    dimensions: DIMENSIONS,
    seed: SEED,
    seconds: seconds(start),
    rows_per_second: Math.round((rows.length * 1_000) / (performance.now() - start)),
  })
}

const seconds = (start: number) => Math.round((performance.now() - start) / 1_000)

async function printMemory(bench: Bench, redis: Redis, count: number) {
  const [info] = (await redis.wave([['INFO', 'memory']], PATIENT)) as [string]
  const bytes = Number(/^used_memory:(\d+)/m.exec(info)?.[1])
  bench.print({ memory_mb: Math.round(bytes / 2 ** 20), bytes_per_row: Math.round(bytes / count) })
}

async function askRedis(redis: Redis, { buffer }: Float32Array) {
  const bytes = new Uint8Array(buffer)
  const key = vectorKeys.vectors(INDEX, 0)
  const [reply] = await redis.wave(
    [['VSIM', key, 'FP32', bytes, 'WITHSCORES', 'COUNT', K, 'EF', EFFORT]],
    PATIENT,
  )
  if (reply instanceof Error) throw reply
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
        if (best.length === K && scores[row]! <= scores[best[K - 1]!]!) continue
        if (!each.passes(row)) continue
        best.push(row)
        best.sort((a, b) => scores[b]! - scores[a]!)
        best.length = Math.min(best.length, K)
      }
      nearest.get(each)!.push(best)
    }
  }
  return nearest
}
