import { HubError, RedisTimeoutError } from '../errors.ts'
import type { Command, Redis, Reply } from '../ports/redis.ts'
import type {
  ChunkRef,
  Found,
  PlanStep,
  VectorIndex,
  VectorKeys,
  Vectors,
  WriteOptions,
} from '../ports/vectors.ts'
import {
  distanceName,
  mustBeSame,
  mustFit,
  mustHold,
  notSupported,
  toCount,
  toCreate,
  toNearest,
  toScored,
  toText,
  toWrites,
} from './redisearch-commands.ts'
import { MOST_TERMS, wordsOf } from './redisearch-query.ts'
import {
  isMissingCommand,
  isNoSuchIndex,
  readInfo,
  readNearest,
  readScored,
  toStoreError,
} from './redisearch-reply.ts'
import { similarityOf } from './vector-math.ts'

export interface VectorsRedisearchOptions {
  /** Searches. */
  reads: Redis
  /** A connection of its own: a chunk's place in the graph takes about a millisecond to find. */
  writes: Redis
  keys: VectorKeys
}

/** Chunks a wave: others on the same server wait for at most a few of them, and a wave's deadline covers no more. */
const BATCH = 32

const DEFAULT_TIMEOUT_MS = 30_000

/**
 * The vectors port over the query engine of Redis 8 or Redis Stack: one RediSearch index over the chunks' hashes. Vectors lie in an
 * HNSW graph, and filters are the engine's own.
 *
 * @example const vectors = createVectorsRedisearch({ reads, writes, keys: vectorKeys })
 */
export function createVectorsRedisearch({ reads, writes, keys }: VectorsRedisearchOptions): Vectors {
  /** Error replies are thrown. */
  async function send(
    redis: Redis,
    index: VectorIndex,
    commands: readonly Command[],
    options: WriteOptions & { bytes?: boolean },
  ) {
    if (!redis.binary)
      throw notSupported(
        'RediSearch takes vectors as bytes, which Redis over HTTP cannot carry: set REDIS_URL.',
      )
    const replies = await redis.wave(commands, options)
    for (const reply of replies) if (reply instanceof Error) throw toStoreError(reply, index.name)
    return replies
  }

  /**
   * On Cluster the node that is asked leaves out the shards that do not answer it, and does not say so (seen on RediSearch 8.0, for the
   * seconds of a failover). So each primary must answer after it.
   */
  async function mustBeWhole(options: WriteOptions) {
    const nodes = await reads.nodes(options)
    if (nodes.length < 2) return
    const { timeoutMs, signal } = options
    await reads.wave(
      nodes.map((key) => ['EXISTS', key] as const),
      { timeoutMs, signal },
    )
  }

  async function inBatches<T>(items: readonly T[], run: (batch: readonly T[]) => Promise<void>) {
    for (let at = 0; at < items.length; at += BATCH) await run(items.slice(at, at + BATCH))
  }

  const removeAll = (index: VectorIndex, chunks: readonly ChunkRef[], rest: () => WriteOptions) =>
    inBatches(chunks, async (batch) => {
      // A command each: the graph is mended around every vector, and others get their turn in between.
      await send(
        writes,
        index,
        batch.map((chunk) => ['UNLINK', keys.chunk(index, chunk)] as const),
        rest(),
      )
    })

  return {
    store: 'redisearch',

    async create(index, options) {
      const command = toCreate(index, keys, options?.fresh)
      const rest = remaining(options)
      if (!writes.binary) await send(writes, index, [], {})
      const [reply] = await writes.wave([command], rest())
      if (!(reply instanceof Error)) return
      if (!/already exists/i.test(reply.message)) throw toStoreError(reply, index.name)
      const [info] = await send(writes, index, [['FT.INFO', keys.name(index)]], rest())
      mustBeSame(index, readInfo(info as Reply))
    },

    async drop(index, chunks, options) {
      const rest = remaining(options)
      if (!writes.binary) await send(writes, index, [], {})
      // First, so that the graph is thrown away whole. Without DD, which would delete while Redis waits.
      const [reply] = await writes.wave([['FT.DROPINDEX', keys.name(index)]], rest())
      if (reply instanceof Error && !isNoSuchIndex(reply)) throw toStoreError(reply, index.name)
      for await (const page of chunks) await removeAll(index, page, rest)
    },

    async forget(tenant, options) {
      const rest = remaining(options)
      const [names] = await writes.wave([['FT._LIST']], rest())
      if (isMissingCommand(names)) {
        throw notSupported(
          'The Redis user of the hub may not list the indexes of RediSearch: grant it +ft._list.',
        )
      }
      if (names instanceof Error) throw toStoreError(names, tenant)
      const ours = (names as string[]).filter((name) => name.startsWith(keys.namePrefix(tenant)))
      for (const name of ours) {
        const [reply] = await writes.wave([['FT.DROPINDEX', name]], rest())
        if (reply instanceof Error && !isNoSuchIndex(reply)) throw toStoreError(reply, name)
      }
      return ours.length
    },

    async put(index, chunks, options) {
      for (const chunk of chunks) {
        mustFit(index, chunk.vector)
        mustHold(index, chunk)
      }
      const rest = remaining(options)
      await inBatches(chunks, async (batch) => {
        const names = batch.map((chunk) => keys.chunk(index, chunk))
        const writing = batch.flatMap((chunk, i) => toWrites(index, chunk, names[i]!))
        await send(writes, index, writing, rest())
        // After them: on Cluster the node that is asked is not the one that was written to.
        const replies = await send(writes, index, [toCount(index, names, keys)], rest())
        const [found] = replies[0] as [number]
        const distinct = new Set(names).size
        if (found !== distinct) {
          throw new HubError({
            code: 'vectors_failed',
            status: 500,
            message: `RediSearch indexed ${found} of ${distinct} chunks: ask it FT.INFO ${keys.name(index)}.`,
          })
        }
      })
    },

    remove: (index, chunks, options) => removeAll(index, chunks, remaining(options)),

    async search(index, search): Promise<Found> {
      const { vector, text, timeoutMs, signal, stale } = search
      if (vector) mustFit(index, vector)
      const all = text === undefined ? [] : [...new Set(wordsOf(text))]
      const words = all.slice(0, MOST_TERMS)
      const distance = distanceName(index)
      const nearest = vector && toNearest(index, search, vector, distance, keys)
      const scored = words.length > 0 ? toScored(index, search, words, keys) : undefined
      const commands = [nearest, scored].filter((command) => command !== undefined)

      const started = performance.now()
      const rest = remaining({ timeoutMs, signal })
      const replies = await send(reads, index, commands, { ...rest(), stale })
      await mustBeWhole(rest())
      const milliseconds = performance.now() - started

      const readChunk = (key: string) => keys.readChunk(index, key)
      const plan: PlanStep[] = []
      const found: Found = { plan }
      if (nearest) {
        found.vector = readNearest(replies.shift()!, distance, index.metric, readChunk)
        const why = 'HNSW is an approximate graph: it may miss a near vector; more `effort`, fewer misses.'
        const name = search.filter ? 'filtered-knn' : 'knn'
        plan.push({ side: 'vector', name, approximate: true, why, commands: [toText(nearest)], milliseconds })
      }
      if (text !== undefined) {
        found.text = scored ? readScored(replies.shift()!, readChunk) : []
        const cut = all.length > words.length
        const why = cut ? { why: `Only the first ${MOST_TERMS} words are searched for.` } : {}
        const commands = scored ? [toText(scored)] : []
        plan.push({ side: 'text', name: 'full-text', approximate: cut, ...why, commands, milliseconds })
      }
      return found
    },

    async similarity(index, vector, chunks, options) {
      mustFit(index, vector)
      const reading = chunks.map((chunk) => ['HGET', keys.chunk(index, chunk), 'embedding'] as const)
      const replies = await send(reads, index, reading, { ...remaining(options)(), bytes: true })
      return replies.map((bytes) =>
        bytes instanceof Uint8Array && bytes.length === vector.byteLength
          ? similarityOf(index.metric, vector, toFloats(bytes))
          : null,
      )
    },
  }
}

/** One deadline for all waves of a call. */
function remaining({ timeoutMs = DEFAULT_TIMEOUT_MS, signal }: WriteOptions = {}): () => WriteOptions {
  const end = performance.now() + timeoutMs
  return () => {
    const left = end - performance.now()
    if (left <= 0) throw new RedisTimeoutError(`RediSearch was not done within ${timeoutMs} ms`)
    return { timeoutMs: Math.ceil(left), signal }
  }
}

/** A copy: the bytes of a reply lie at any offset. */
const toFloats = (bytes: Uint8Array) => new Float32Array(bytes.slice().buffer)
