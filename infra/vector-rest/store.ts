import { RedisReplyError } from '../../shared/errors.ts'
import type { CallOptions, Command, Redis, Reply } from '../../shared/ports/redis.ts'
import { Refusal } from './errors.ts'
import type { Metadata, Passes } from './filter.ts'
import type { Entry, Include, Query, Update } from './requests.ts'
import { createResumables } from './resumable.ts'

/** Commands in one wave, so that no wave takes long: a VADD is a millisecond or two. */
const WAVE = 200

export interface StoreOptions {
  redis: Redis
  /** Of the index: first part of every key. */
  name: string
  dimension: number
  timeoutMs: number
  /** How many candidates a query may compare with its filter; without a bound by default. */
  filteringBudget?: number
}

/** What a vector answers, without fields that were not asked for or are not there. */
export interface Item {
  id: string
  vector?: number[]
  metadata?: Metadata
  data?: string
}

export type Scored = Item & { score: number }

/** Kept as the attributes of the vector set's element, so that one VADD writes a vector whole. */
interface Attributes {
  metadata?: Metadata
  data?: string
}

/**
 * An index of Upstash Vector in a Redis 8: a vector set for each namespace, and a sorted set of its ids in the order in which
 * they came. A listed id whose vector is missing (a process died between the two) counts as absent.
 */
export function createVectorStore(options: StoreOptions) {
  const { redis, name, dimension, timeoutMs, filteringBudget = Number.POSITIVE_INFINITY } = options
  const start = `vector-rest:${name}`
  const namespacesKey = `${start}:namespaces`
  const vectorsKey = (namespace: string) => `${start}:vectors:${namespace}`
  const idsKey = (namespace: string) => `${start}:ids:${namespace}`

  async function run(commands: Command[], more: CallOptions = {}): Promise<Reply[]> {
    const replies: Reply[] = []
    for (let i = 0; i < commands.length; i += WAVE) {
      replies.push(...(await redis.wave(commands.slice(i, i + WAVE), { timeoutMs, ...more })))
    }
    for (const reply of replies) if (reply instanceof RedisReplyError) throw reply
    return replies
  }

  async function mustExist(namespace: string) {
    if (namespace === '') return
    const [known] = await run([['SISMEMBER', namespacesKey, namespace]])
    if (known) return
    throw new Refusal(404, `Namespace ${namespace} for the index ${name} does not exist`)
  }

  const toAdd = (namespace: string, { id, vector, ...attributes }: Entry): Command => {
    const bytes = new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength)
    const json = JSON.stringify(attributes satisfies Attributes)
    return ['VADD', vectorsKey(namespace), 'FP32', bytes, id, 'CAS', 'NOQUANT', 'SETATTR', json]
  }

  async function attributesOf(namespace: string, ids: readonly string[]) {
    const replies = await run(ids.map((id) => ['VGETATTR', vectorsKey(namespace), id]))
    return replies.map((reply) => (reply === null ? undefined : (JSON.parse(reply as string) as Attributes)))
  }

  /** Absent ones are null. */
  async function read(namespace: string, ids: readonly string[], include: Include): Promise<(Item | null)[]> {
    const [attributes, vectors] = await Promise.all([
      attributesOf(namespace, ids),
      include.includeVectors ? run(ids.map((id) => ['VEMB', vectorsKey(namespace), id])) : undefined,
    ])
    return ids.map((id, i) => {
      const known = attributes[i]
      return known === undefined
        ? null
        : { id, ...toItem(known, include, vectors?.[i] as string[] | undefined) }
    })
  }

  async function filtered<Hit extends { id: string }>(
    namespace: string,
    hits: readonly Hit[],
    passes: Passes,
  ) {
    const attributes = await attributesOf(
      namespace,
      hits.map(({ id }) => id),
    )
    return hits.filter((_, i) => attributes[i] && passes(attributes[i].metadata))
  }

  async function nearest(namespace: string, { vector }: Query, count: number, scan = false) {
    const bytes = new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength)
    const how: Command = scan ? ['TRUTH'] : ['EF', String(Math.min(Math.max(count, 200), 1_000_000))]
    const [reply] = await run([
      ['VSIM', vectorsKey(namespace), 'FP32', bytes, 'WITHSCORES', 'COUNT', count, ...how],
    ])
    const flat = (reply ?? []) as string[]
    return Array.from({ length: flat.length / 2 }, (_, i) => ({
      id: flat[2 * i]!,
      score: Number(flat[2 * i + 1]),
    }))
  }

  /** Ids in their order from `cursor` on, each with its own. */
  async function listed(namespace: string, cursor: number, count: number) {
    const [reply] = await run([
      ['ZRANGE', idsKey(namespace), cursor, '+inf', 'BYSCORE', 'LIMIT', 0, count, 'WITHSCORES'],
    ])
    const flat = reply as string[]
    return Array.from({ length: flat.length / 2 }, (_, i) => ({
      id: flat[2 * i]!,
      at: Number(flat[2 * i + 1]),
    }))
  }

  async function* pages(namespace: string, cursor = 0) {
    for (;;) {
      const page = await listed(namespace, cursor, 1_000)
      if (page.length === 0) return
      yield page
      cursor = page.at(-1)!.at + 1
    }
  }

  return {
    /** Throws where the index was made with another dimension. */
    async open() {
      const [, kept] = await run([
        ['HSETNX', start, 'dimension', dimension],
        ['HGET', start, 'dimension'],
      ])
      if (Number(kept) === dimension) return
      throw new Error(
        `The index ${name} has vectors of dimension ${kept}: it cannot be opened with ${dimension}.`,
      )
    },

    async upsert(namespace: string, entries: readonly Entry[]) {
      if (entries.length === 0) return
      const [end] = await run([
        ['INCRBY', `${start}:sequence`, entries.length],
        ...(namespace === '' ? [] : [['SADD', namespacesKey, namespace] as const]),
      ])
      const first = (end as number) - entries.length
      await run([['ZADD', idsKey(namespace), 'NX', ...entries.flatMap(({ id }, i) => [first + i, id])]])
      await run(entries.map((entry) => toAdd(namespace, entry)))
    },

    /** Whether there is such a vector. Not atomic: of two updates at once one may be lost. */
    async update(namespace: string, { id, vector, mode, metadata, data }: Update) {
      await mustExist(namespace)
      const [kept] = await attributesOf(namespace, [id])
      if (kept === undefined) return false
      const next: Attributes = { ...kept, ...(data !== undefined && { data }) }
      if (metadata) next.metadata = mode === 'PATCH' ? toMerged(kept.metadata, metadata) : metadata
      const [changed] = await run([
        vector
          ? toAdd(namespace, { id, vector, ...next })
          : ['VSETATTR', vectorsKey(namespace), id, JSON.stringify(next)],
      ])
      return vector !== undefined || changed === 1
    },

    /** Best first. A query with a filter looks at ever more of the nearest, at last at all. */
    async query(namespace: string, query: Query, passed: ReadonlySet<string> = new Set()): Promise<Scored[]> {
      await mustExist(namespace)
      const { passes, topK } = query
      const [size] = (await run([['VCARD', vectorsKey(namespace)]])) as [number]
      const most = passes ? Math.min(size, filteringBudget) : size
      let count = topK + passed.size
      if (passes) count = Math.max(200, 4 * count)
      for (;;) {
        count = Math.min(count, most)
        const near = count === 0 ? [] : await nearest(namespace, query, count, passes && count === size)
        const left = near.filter(({ id }) => !passed.has(id))
        const found = passes ? await filtered(namespace, left, passes) : left
        if (found.length < topK && count < most) {
          count *= 8
          continue
        }
        const items = await read(
          namespace,
          found.slice(0, topK).map(({ id }) => id),
          query,
        )
        return items.flatMap((item, i) => (item ? [{ ...item, score: found[i]!.score }] : []))
      }
    },

    async fetch(namespace: string, ids: readonly string[], include: Include) {
      await mustExist(namespace)
      return read(namespace, ids, include)
    },

    async idsWith(namespace: string, passes: (id: string) => boolean, most = Number.POSITIVE_INFINITY) {
      await mustExist(namespace)
      const ids: string[] = []
      for await (const page of pages(namespace)) {
        ids.push(...page.map(({ id }) => id).filter(passes))
        if (ids.length >= most) break
      }
      return ids.slice(0, most)
    },

    async idsPassing(namespace: string, passes: Passes) {
      await mustExist(namespace)
      const passing: string[] = []
      for await (const page of pages(namespace)) {
        passing.push(...(await filtered(namespace, page, passes)).map(({ id }) => id))
      }
      return passing
    },

    /** How many there were. */
    async delete(namespace: string, ids: readonly string[]) {
      await mustExist(namespace)
      if (ids.length === 0) return 0
      const removed = await run(ids.map((id) => ['VREM', vectorsKey(namespace), id]))
      await run([['ZREM', idsKey(namespace), ...ids]])
      return removed.filter((reply) => reply === 1).length
    },

    async range(namespace: string, cursor: number, limit: number, prefix: string, include: Include) {
      await mustExist(namespace)
      const vectors: Item[] = []
      for await (const page of pages(namespace, cursor)) {
        const chosen = page.filter(({ id }) => id.startsWith(prefix))
        const items = await read(
          namespace,
          chosen.map(({ id }) => id),
          include,
        )
        for (const [i, { at }] of chosen.entries()) {
          if (vectors.length === limit) return { nextCursor: String(at), vectors }
          if (items[i]) vectors.push(items[i])
        }
      }
      return { nextCursor: '', vectors }
    },

    async random(namespace: string) {
      await mustExist(namespace)
      const [id] = await run([['VRANDMEMBER', vectorsKey(namespace)]])
      if (id === null) return null
      const include = { includeVectors: true, includeMetadata: false, includeData: false }
      return (await read(namespace, [id as string], include))[0]!
    },

    async namespaces() {
      const [names] = (await run([['SMEMBERS', namespacesKey]])) as [string[]]
      return ['', ...names.sort()]
    },

    async counts(): Promise<Record<string, number>> {
      const names = await this.namespaces()
      const counts = await run(names.map((namespace) => ['VCARD', vectorsKey(namespace)]))
      return Object.fromEntries(names.map((namespace, i) => [namespace, counts[i] as number]))
    },

    async reset(namespace: string) {
      await mustExist(namespace)
      await run([['UNLINK', vectorsKey(namespace), idsKey(namespace)]])
    },

    async deleteNamespace(namespace: string) {
      await mustExist(namespace)
      await run([
        ['UNLINK', vectorsKey(namespace), idsKey(namespace)],
        ['SREM', namespacesKey, namespace],
      ])
    },

    resumable: createResumables((id) => `${start}:resumable:${id}`, run),
  }
}

function toItem(
  { metadata, data }: Attributes,
  include: Include,
  vector: string[] | undefined,
): Omit<Item, 'id'> {
  return {
    // A vector set keeps a vector's direction and length apart: what it gives back is off by a rounding in the eighth digit.
    ...(vector && { vector: vector.map((number) => Number(Number(number).toPrecision(7))) }),
    ...(include.includeMetadata && metadata && { metadata }),
    ...(include.includeData && data !== undefined && { data }),
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
