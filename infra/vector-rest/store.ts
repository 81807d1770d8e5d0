import { RedisReplyError } from '../../shared/errors.ts'
import type { Redis, Reply } from '../../shared/ports/redis.ts'
import { createElements, type Item, type Run, toPairs } from './elements.ts'
import type { Metadata, Passes } from './filter.ts'
import { createNamespaces } from './namespaces.ts'
import type { Entry, Include, Query, Update } from './requests.ts'
import { createResumables } from './resumable.ts'

export interface StoreOptions {
  reads: Redis
  /** A connection of its own: it waits for each vector's place in the graph. */
  writes: Redis
  name: string
  dimension: number
  timeoutMs: number
  /** How many candidates a query may compare with its filter; without a bound by default. */
  filteringBudget?: number
}

/** Commands in one wave, so that no wave takes long: a VADD is a millisecond or two. */
const WAVE = 200
const PAGE = 1_000

const NOTHING: Include = { includeVectors: false, includeMetadata: false, includeData: false }

/**
 * An index of Upstash Vector in a Redis 8: a vector set for each namespace, and a sorted set of its ids. A listed id whose vector is
 * missing, as a process died between the two, counts as absent.
 */
export function createVectorStore(options: StoreOptions) {
  const { name, dimension, timeoutMs, filteringBudget = Number.POSITIVE_INFINITY } = options
  const start = `vector-rest:${name}`
  const reads = runOn(options.reads, timeoutMs)
  const writes = runOn(options.writes, timeoutMs)
  const namespaces = createNamespaces({ run: reads, name, start })
  const { vectorsKey, idsKey, sizeOf } = namespaces
  const elements = createElements({ reads, writes })

  /** Ids in the order in which they came, each with its place. */
  async function* pages(namespace: string, cursor = 0) {
    await sizeOf(namespace)
    for (;;) {
      const [reply] = await reads([
        ['ZRANGE', idsKey(namespace), cursor, '+inf', 'BYSCORE', 'LIMIT', 0, PAGE, 'WITHSCORES'],
      ])
      const page = toPairs(reply as string[]).map(([id, at]) => ({ id, at }))
      if (page.length === 0) return
      yield page
      cursor = page.at(-1)!.at + 1
    }
  }

  return {
    namespaces,
    resumable: createResumables((id) => `${start}:resumable:${id}`, reads),

    /** Throws where the index was made with another dimension. */
    async open() {
      const [, kept] = await reads([
        ['HSETNX', start, 'dimension', dimension],
        ['HGET', start, 'dimension'],
      ])
      if (Number(kept) === dimension) return
      const has = `The index ${name} has vectors of dimension ${kept}`
      throw new Error(`${has}: it cannot be opened with ${dimension}.`)
    },

    async upsert(namespace: string, entries: readonly Entry[]) {
      if (entries.length === 0) return
      await namespaces.add(namespace)
      const [end] = await writes([['INCRBY', `${start}:sequence`, entries.length]])
      const first = (end as number) - entries.length
      await writes([['ZADD', idsKey(namespace), 'NX', ...entries.flatMap(({ id }, i) => [first + i, id])]])
      await elements.add(vectorsKey(namespace), entries)
    },

    /** Whether there is such a vector. Not atomic: of two updates at once one may be lost. */
    async update(namespace: string, { id, vector, mode, metadata, data }: Update) {
      await sizeOf(namespace)
      const key = vectorsKey(namespace)
      const [kept] = await elements.attributesOf(key, [id])
      if (!kept) return false
      const next = { ...kept, ...(data !== undefined && { data }) }
      if (metadata) next.metadata = mode === 'PATCH' ? toMerged(kept.metadata, metadata) : metadata
      if (!vector) return elements.setAttributes(key, id, next)
      await elements.add(key, [{ ...next, id, vector }])
      return true
    },

    /** Best first, without those `passed` already. With a filter it looks at ever more of the nearest, at last at all. */
    async query(namespace: string, query: Query, passed: ReadonlySet<string> = new Set()) {
      const { vector, passes, topK, ...include } = query
      const key = vectorsKey(namespace)
      const size = await sizeOf(namespace)
      const most = passes ? Math.min(size, filteringBudget) : size
      let count = Math.min(most, passes ? Math.max(200, 4 * topK) : topK + passed.size)
      for (;;) {
        const near = await elements.nearest(key, vector, count, size)
        const left = near.filter(({ id }) => !passed.has(id))
        const found = passes ? await elements.filtered(key, left, passes) : left
        if (found.length >= topK || count === most) return answer(key, found.slice(0, topK), include)
        count = Math.min(most, count * 8)
      }
    },

    async fetch(namespace: string, ids: readonly string[], include: Include) {
      await sizeOf(namespace)
      return elements.read(vectorsKey(namespace), ids, include)
    },

    async idsWith(namespace: string, prefix: string, most = Number.POSITIVE_INFINITY) {
      const found: string[] = []
      for await (const page of pages(namespace)) {
        found.push(...page.map(({ id }) => id).filter((id) => id.startsWith(prefix)))
        if (found.length >= most) break
      }
      return found.slice(0, most)
    },

    async idsPassing(namespace: string, passes: Passes) {
      const found: string[] = []
      for await (const page of pages(namespace)) {
        const passing = await elements.filtered(vectorsKey(namespace), page, passes)
        found.push(...passing.map(({ id }) => id))
      }
      return found
    },

    /** How many there were. */
    async delete(namespace: string, ids: readonly string[]) {
      await sizeOf(namespace)
      if (ids.length === 0) return 0
      const removed = await elements.remove(vectorsKey(namespace), ids)
      await writes([['ZREM', idsKey(namespace), ...ids]])
      return removed
    },

    async range(namespace: string, cursor: number, limit: number, prefix: string, include: Include) {
      const vectors: Item[] = []
      for await (const page of pages(namespace, cursor)) {
        const chosen = page.filter(({ id }) => id.startsWith(prefix))
        const ids = chosen.map(({ id }) => id)
        const items = await elements.read(vectorsKey(namespace), ids.slice(0, limit + 1), include)
        for (const [i, item] of items.entries()) {
          if (vectors.length === limit) return { nextCursor: String(chosen[i]!.at), vectors }
          if (item) vectors.push(item)
        }
        const next = chosen[items.length]
        if (next) return { nextCursor: String(next.at), vectors }
      }
      return { nextCursor: '', vectors }
    },

    async random(namespace: string) {
      await sizeOf(namespace)
      const [id] = await reads([['VRANDMEMBER', vectorsKey(namespace)]])
      if (id === null) return null
      const [item] = await elements.read(vectorsKey(namespace), [id as string], {
        ...NOTHING,
        includeVectors: true,
      })
      return item
    },
  }

  async function answer(
    key: string,
    hits: { id: string; score: number }[],
    include: Include,
  ): Promise<(Item & { score: number })[]> {
    if (!include.includeVectors && !include.includeMetadata && !include.includeData) return hits
    const ids = hits.map(({ id }) => id)
    const items = await elements.read(key, ids, include)
    return hits.flatMap((hit, i) => (items[i] ? [{ ...hit, ...items[i] }] : []))
  }
}

/** An error reply is thrown. */
function runOn(redis: Redis, timeoutMs: number): Run {
  return async (commands) => {
    const replies: Reply[] = []
    for (let i = 0; i < commands.length; i += WAVE) {
      replies.push(...(await redis.wave(commands.slice(i, i + WAVE), { timeoutMs })))
    }
    for (const reply of replies) if (reply instanceof RedisReplyError) throw reply
    return replies
  }
}

/** RFC 7396. */
function toMerged(target: unknown, patch: Metadata): Metadata {
  const merged = new Map(isObject(target) ? Object.entries(target) : [])
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) merged.delete(name)
    else merged.set(name, isObject(value) ? toMerged(merged.get(name), value) : value)
  }
  return Object.fromEntries(merged)
}

const isObject = (value: unknown): value is Metadata =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
