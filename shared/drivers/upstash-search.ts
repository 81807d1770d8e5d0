import type { Filter } from '../filters.ts'
import type { Redis } from '../ports/redis.ts'
import type { Hit, Metric, PlanStep, VectorIndex, VectorKeys, VectorSearch } from '../ports/vectors.ts'
import { emptyWhereAbsent, inBatches, toNumbers, type UpstashCalls } from './upstash-calls.ts'
import { toUpstashFilter } from './upstash-filter.ts'
import { similarityOf } from './vector-math.ts'
import { memberOf, refOf } from './vectors-chunk.ts'
import { selectBy } from './vectors-selection.ts'

/** https://upstash.com/docs/vector: results of one request. What is more comes by a resumable query. */
const MOST_RESULTS = 1_000

/** Upstash forgets a resumable query that nobody stopped. */
const IDLE_SECONDS = 60

/** Where Upstash's filter came back short: so many names of chunks that pass are read from Redis, … */
const MOST_PASSING = 5_000

/** … and so many numbers of their vectors from Upstash, to be compared here. About 6 MB of JSON. */
const MOST_COMPARED = 500_000

const APPROXIMATE =
  'Upstash searches a graph (DiskANN), which may miss a near vector, and finds a new one only once it has indexed it'

type NearestSearch = Pick<VectorSearch, 'limit' | 'filter'> & { vector: Float32Array }
type Nearest = { hits: Hit[] } & Pick<PlanStep, 'name' | 'why'>

/** Search by vector in Upstash, filters included. */
export function createUpstashSearch(drive: { redis: Redis; keys: VectorKeys }) {
  const { keys } = drive

  return async function searchVector(
    index: VectorIndex,
    search: NearestSearch,
    calls: UpstashCalls,
  ): Promise<{ hits: Hit[]; step: PlanStep }> {
    const start = performance.now()
    const { hits, name, why } = await nearest(index, search, calls)
    const milliseconds = Math.round((performance.now() - start) * 1_000) / 1_000
    const { commands } = calls.redis
    return {
      hits,
      step: { side: 'vector', name, approximate: why !== undefined, why, commands, milliseconds },
    }
  }

  async function nearest(index: VectorIndex, search: NearestSearch, calls: UpstashCalls): Promise<Nearest> {
    const { vector, limit, filter } = search
    // Upstash's score of a product is meant for vectors of length 1.
    const length = index.metric === 'dot_product' ? Math.hypot(...vector) : 1
    const query = {
      vector: toNumbers(vector.map((number) => number / length)),
      ...(filter && { filter: toUpstashFilter(filter, index.fields) }),
    }
    const found = await emptyWhereAbsent(ask(query, limit, calls))
    const hits = found.flatMap(({ id, score }) => {
      // What others put into the namespace is not the hub's.
      const ref = keys.readChunk(index, keys.chunkPrefix(index) + id)
      return ref ? [{ ...ref, score: SIMILARITIES[index.metric](score) * length }] : []
    })
    if (filter && hits.length < limit) return complete(index, { vector, limit, filter }, hits, calls)
    return { hits, name: filter ? 'filter' : 'knn', why: APPROXIMATE }
  }

  /** Upstash compares a bounded number of vectors with a filter. Redis knows which pass: those that are missing are compared here. */
  async function complete(
    index: VectorIndex,
    { vector, limit, filter }: NearestSearch & { filter: Filter },
    hits: Hit[],
    calls: UpstashCalls,
  ): Promise<Nearest> {
    const selections = await selectBy(drive, index, filter, calls.redis)
    const atMost = selections.reduce((sum, selection) => sum + selection.atMost, 0)
    if (atMost <= hits.length) return { hits, name: 'filter', why: undefined }
    const short = (passing: string): Nearest => {
      const why = `of ${passing} chunks that pass, Upstash gave ${hits.length}: it compares a bounded number with the filter`
      return { hits, name: 'filter', why }
    }
    if (atMost > MOST_PASSING) return short(`at most ${atMost}`)
    const known = new Set(hits.map((hit) => memberOf(keys, index, hit)))
    const passing = await Promise.all(selections.map((selection) => selection.read(calls.redis)))
    const missing = passing.flat().filter((member) => !known.has(member))
    if (missing.length === 0) return { hits, name: 'filter', why: undefined }
    if (missing.length * index.dimensions > MOST_COMPARED) return short(String(hits.length + missing.length))
    calls.redis.commands.push(
      `POST /fetch/${calls.namespace} {"ids":[${missing.length} of them],"includeVectors":true}`,
    )
    const scores = await compareIn(index, vector, missing, calls)
    const more = missing.flatMap((member, i) => {
      const score = scores[i]
      return score == null ? [] : [{ ...refOf(keys, index, member), score }]
    })
    const all = [...hits, ...more].sort((a, b) => b.score - a.score)
    return { hits: all.slice(0, limit), name: 'filter-and-compare', why: undefined }
  }
}

/** Similarities of stored vectors to this one, computed here; null for those that are not there. */
export async function compareIn(
  index: VectorIndex,
  vector: Float32Array,
  members: readonly string[],
  { upstash, namespace }: UpstashCalls,
): Promise<(number | null)[]> {
  const scores: (number | null)[] = []
  for (const ids of inBatches(members, index)) {
    const found = await emptyWhereAbsent(
      upstash((index) => index.fetch(ids, { namespace, includeVectors: true })),
    )
    for (const i of ids.keys()) {
      const kept = found[i]?.vector
      scores.push(kept ? similarityOf(index.metric, vector, Float32Array.from(kept)) : null)
    }
  }
  return scores
}

async function ask(
  query: { vector: number[]; filter?: string },
  limit: number,
  { upstash, redis, namespace }: UpstashCalls,
) {
  const many = limit > MOST_RESULTS
  const shown = JSON.stringify({ ...query, vector: '…', topK: limit })
  redis.commands.push(`POST /${many ? 'resumable-query' : 'query'}/${namespace} ${shown}`)
  if (!many) return upstash((index) => index.query({ ...query, topK: limit }, { namespace }))
  return upstash(async (index) => {
    const first = { ...query, topK: MOST_RESULTS, maxIdle: IDLE_SECONDS }
    const { result, fetchNext, stop } = await index.resumableQuery(first, { namespace })
    const hits = [...result]
    try {
      while (hits.length < limit) {
        const more = await fetchNext(Math.min(limit - hits.length, MOST_RESULTS))
        if (more.length === 0) break
        hits.push(...more)
      }
    } finally {
      await stop().catch(() => {})
    }
    // Each part is in order, but the first is approximate: the second may hold what it missed.
    return hits.sort((a, b) => b.score - a.score)
  })
}

/** Of Upstash's scores, which lie between 0 and 1: https://upstash.com/docs/vector/features/similarityfunctions */
const SIMILARITIES: Record<Metric, (score: number) => number> = {
  cosine: (score) => 2 * score - 1,
  euclidean: (score) => score,
  dot_product: (score) => 2 * score - 1,
}
