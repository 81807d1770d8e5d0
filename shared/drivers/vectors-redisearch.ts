import { Buffer } from 'node:buffer'
import { HubError, RedisTimeoutError } from '../errors.ts'
import type { Command, Redis, Reply } from '../ports/redis.ts'
import type {
  Chunk,
  ChunkRef,
  Found,
  Metric,
  PlanStep,
  VectorIndex,
  VectorKeys,
  VectorSearch,
  Vectors,
  WriteOptions,
} from '../ports/vectors.ts'
import { MOST_TERMS, toQuery, wordsOf } from './redisearch-query.ts'
import {
  isNoSuchIndex,
  otherSettings,
  readInfo,
  readNearest,
  readScored,
  toStoreError,
} from './redisearch-reply.ts'
import { similarityOf } from './vector-math.ts'
import { encodeTag, tagsOf, textsOf, toChunkHash } from './vectors-chunk.ts'

export interface VectorsRedisearchOptions {
  /** Searches. */
  reads: Redis
  /** A connection of its own: a chunk's place in the graph takes about a millisecond to find. */
  writes: Redis
  keys: VectorKeys
}

/** Fields of a chunk's hash that are ours: its text; the stems of all its texts, which are what is searched; its
 * vector, little-endian float32. */
const OURS = ['content', '_terms', 'embedding']

const TYPES = { tag: 'TAG', number: 'NUMERIC' } as const
const METRICS: Record<Metric, string> = { cosine: 'COSINE', euclidean: 'L2', dot_product: 'IP' }

/** Of the graph: links a node, and how many candidates a new node's are chosen from. */
const LINKS = 16
const BUILD_EFFORT = 200
/** Candidates that a search keeps, at least. */
const EFFORT = 100

/** Chunks a wave: others on the same server wait for at most a few of them, and a wave's deadline covers no more. */
const BATCH = 32

const LONGEST_TAG = 4_096

const LONGEST_SHOWN = 4_000

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

    async put(index, chunks, options) {
      for (const chunk of chunks) {
        mustFit(index, chunk.vector)
        mustHold(index, chunk)
      }
      const rest = remaining(options)
      await inBatches(chunks, async (batch) => {
        const names = batch.map((chunk) => keys.chunk(index, chunk))
        const writing = batch.flatMap((chunk, i) => toWrites(index, chunk, names[i]!))
        // A hash that RediSearch cannot read, or has no index for, is stored and silently not found: count what it knows.
        const count = [
          ...['FT.SEARCH', keys.name(index), '*', 'INKEYS', names.length, ...names, 'NOCONTENT'],
          ...['LIMIT', 0, 0, 'DIALECT', 2],
        ] as unknown as Command
        const replies = await send(writes, index, [...writing, count], rest())
        const [found] = replies.at(-1) as [number]
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
      const { vector, text, timeoutMs, signal } = search
      if (vector) mustFit(index, vector)
      const all = text === undefined ? [] : [...new Set(wordsOf(text))]
      const words = all.slice(0, MOST_TERMS)
      const distance = distanceName(index)
      const nearest = vector && toNearest(index, search, vector, distance, keys)
      const scored = words.length > 0 ? toScored(index, search, words, keys) : undefined
      const commands = [nearest, scored].filter((command) => command !== undefined)

      const started = performance.now()
      const replies = await send(reads, index, commands, { timeoutMs, signal })
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

function toCreate(index: VectorIndex, keys: VectorKeys, fresh = false): Command {
  if (index.quantization !== 'none') {
    throw notSupported('RediSearch of Redis 8.0 keeps vectors whole: make the index without `quantization`.')
  }
  const fields = Object.entries(index.fields).flatMap(([name, type]) => {
    if (OURS.includes(name)) {
      throw new HubError({
        code: 'invalid_field',
        status: 400,
        message: `A field cannot be called \`${name}\`: chunks have one of their own (${OURS.join(', ')}).`,
        param: `fields.${name}`,
      })
    }
    if (type === 'text') return []
    return type === 'tag' ? [name, TYPES.tag, 'SEPARATOR', ',', 'CASESENSITIVE'] : [name, TYPES.number]
  })
  const graph = [
    ...['TYPE', 'FLOAT32', 'DIM', index.dimensions, 'DISTANCE_METRIC', METRICS[index.metric]],
    ...['M', LINKS, 'EF_CONSTRUCTION', BUILD_EFFORT, 'EF_RUNTIME', EFFORT],
  ]
  return [
    ...['FT.CREATE', keys.name(index), 'ON', 'HASH', 'PREFIX', 1, keys.chunkPrefix(index)],
    // The server would read all keys that it has, of everybody: 30,000 a second. What is put meanwhile is found at once.
    ...(fresh ? ['SKIPINITIALSCAN'] : []),
    // Nobody asks for phrases, and one field holds all words: without the place of each word the index is smaller.
    ...['NOOFFSETS', 'NOFIELDS', 'STOPWORDS', 0],
    ...[
      'SCHEMA',
      '_terms',
      'TEXT',
      'NOSTEM',
      'embedding',
      'VECTOR',
      'HNSW',
      graph.length,
      ...graph,
      ...fields,
    ],
  ] as unknown as Command
}

/** The index is there already: made by the same settings? */
function mustBeSame(index: VectorIndex, made: ReturnType<typeof readInfo>) {
  const fields = Object.entries(index.fields).filter(([, type]) => type !== 'text') as [
    string,
    'tag' | 'number',
  ][]
  if (
    made.dimensions === index.dimensions &&
    made.metric === METRICS[index.metric] &&
    fields.every(([name, type]) => made.typeOf(name) === TYPES[type])
  ) {
    return
  }
  throw otherSettings(index.name)
}

/** One HSET, as each change of a hash is indexed anew; then, where the chunk was there with more fields, those go. */
function toWrites(index: VectorIndex, chunk: Chunk, key: string): Command[] {
  const terms = textsOf(index, chunk).flatMap(wordsOf).join(' ')
  const set = [...toChunkHash(index, chunk), '_terms', terms, 'embedding', toBytes(chunk.vector)]
  const absent = Object.keys(index.fields).filter((name) => !Object.hasOwn(chunk.fields, name))
  const write = ['HSET', key, ...set] as unknown as Command
  return absent.length > 0 ? [write, ['HDEL', key, ...absent]] : [write]
}

function toNearest(
  index: VectorIndex,
  { filter, limit, effort = EFFORT, timeoutMs }: VectorSearch,
  vector: Float32Array,
  distance: string,
  keys: VectorKeys,
): Command {
  const candidates = filter ? toQuery(filter, index.fields) : '*'
  const knn = `KNN ${limit} @embedding $vec EF_RUNTIME ${Math.max(effort, Math.ceil(limit * 1.5))} AS ${distance}`
  return [
    ...['FT.SEARCH', keys.name(index), `(${candidates})=>[${knn}]`, 'PARAMS', 2, 'vec', toBytes(vector)],
    ...['SORTBY', distance, 'RETURN', 1, distance, 'LIMIT', 0, limit, ...ending(timeoutMs)],
  ] as unknown as Command
}

/** Words go as parameters: some, such as `ismissing`, mean something in the query itself. */
function toScored(
  index: VectorIndex,
  { filter, limit, timeoutMs }: VectorSearch,
  words: readonly string[],
  keys: VectorKeys,
): Command {
  const any = `(${words.map((_, i) => `$w${i}`).join('|')})`
  // Without the weight a rare tag in the filter would raise the score.
  const query = filter ? `(${toQuery(filter, index.fields)})=>{$weight:0} ${any}` : any
  return [
    ...['FT.SEARCH', keys.name(index), query],
    ...['PARAMS', words.length * 2, ...words.flatMap((word, i) => [`w${i}`, word])],
    ...['VERBATIM', 'SCORER', 'BM25STD', 'WITHSCORES', 'NOCONTENT', 'LIMIT', 0, limit, ...ending(timeoutMs)],
  ] as unknown as Command
}

/**
 * The server answers with the part that it has when its own time (500 ms by default) is over, and does not say so: it gets a
 * second more than anybody waits for it.
 */
const ending = (timeoutMs: number) => ['TIMEOUT', Math.ceil(timeoutMs) + 1_000, 'DIALECT', 2]

/** Must not be the name of a field. */
function distanceName({ fields }: VectorIndex): string {
  let name = 'score'
  while (Object.hasOwn(fields, name)) name = `_${name}`
  return name
}

/** Whoever sends another size gets it stored and not indexed, or an error that names no field. */
function mustFit(index: VectorIndex, vector: Float32Array) {
  const refuse = (message: string) =>
    new HubError({ code: 'invalid_vector', status: 400, message, param: 'vector' })
  if (vector.length !== index.dimensions) {
    throw refuse(`The vector has ${vector.length} dimensions, and \`${index.name}\` has ${index.dimensions}.`)
  }
  if (!vector.every(Number.isFinite)) throw refuse('The vector holds a number that is not finite.')
  if (!vector.some((number) => number !== 0)) throw refuse('The vector is zero: it has no direction.')
}

/** RediSearch cuts a longer tag off, and then finds it by none of its values. */
function mustHold({ fields }: VectorIndex, chunk: Chunk) {
  for (const [name, value] of Object.entries(chunk.fields)) {
    if (fields[name] !== 'tag') continue
    const longest = Math.max(...tagsOf(value).map((tag) => Buffer.byteLength(encodeTag(tag))))
    if (longest <= LONGEST_TAG) continue
    throw new HubError({
      code: 'invalid_field',
      status: 400,
      message: `A value of \`${name}\` is longer than a tag can be: ${LONGEST_TAG} bytes. Declare a text for that.`,
      param: `metadata.${name}`,
    })
  }
}

/** One deadline for all waves of a call. */
function remaining({ timeoutMs = DEFAULT_TIMEOUT_MS, signal }: WriteOptions = {}): () => WriteOptions {
  const end = performance.now() + timeoutMs
  return () => {
    const left = end - performance.now()
    if (left <= 0) throw new RedisTimeoutError(`RediSearch was not done within ${timeoutMs} ms`)
    return { timeoutMs: left, signal }
  }
}

/** As somebody could type it, vectors left out; of a very long filter the beginning. */
function toText(command: Command): string {
  const text = command
    .map((argument) => {
      if (argument instanceof Uint8Array) return `<${argument.length / 4} float32>`
      const text = String(argument)
      return /^[\w.:*-]+$/.test(text) ? text : JSON.stringify(text)
    })
    .join(' ')
  return text.length <= LONGEST_SHOWN ? text : `${text.slice(0, LONGEST_SHOWN).toWellFormed()}…`
}

const toBytes = ({ buffer, byteOffset, byteLength }: Float32Array) =>
  new Uint8Array(buffer, byteOffset, byteLength)

/** A copy: the bytes of a reply lie at any offset. */
const toFloats = (bytes: Uint8Array) => new Float32Array(bytes.slice().buffer)

const notSupported = (message: string) => new HubError({ code: 'not_supported', status: 501, message })
