import { Buffer } from 'node:buffer'
import { HubError } from '../errors.ts'
import type { Command } from '../ports/redis.ts'
import type { Chunk, Metric, VectorIndex, VectorKeys, VectorSearch } from '../ports/vectors.ts'
import { toQuery, wordsOf } from './redisearch-query.ts'
import { otherSettings, type readInfo } from './redisearch-reply.ts'
import { encodeTag, tagsOf, textsOf, toChunkHash } from './vectors-chunk.ts'

/**
 * Fields of a chunk's hash that are ours: its text; the stems of all its texts, which are what is searched; its vector,
 * little-endian float32.
 */
const OURS = ['content', '_terms', 'embedding']

const TYPES = { tag: 'TAG', number: 'NUMERIC' } as const
const METRICS: Record<Metric, string> = { cosine: 'COSINE', euclidean: 'L2', dot_product: 'IP' }

/** Of the graph: links a node, and how many candidates a new node's are chosen from. */
const LINKS = 16
const BUILD_EFFORT = 200
/** Candidates that a search keeps, at least. */
const EFFORT = 100

const LONGEST_TAG = 4_096

/** Of a command in a plan, in characters. */
const LONGEST_SHOWN = 4_000

export function toCreate(index: VectorIndex, keys: VectorKeys, fresh = false): Command {
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
    ...['SCHEMA', '_terms', 'TEXT', 'NOSTEM'],
    ...['embedding', 'VECTOR', 'HNSW', graph.length, ...graph, ...fields],
  ] as unknown as Command
}

/** The index is there already: made by the same settings? */
export function mustBeSame(index: VectorIndex, made: ReturnType<typeof readInfo>) {
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
export function toWrites(index: VectorIndex, chunk: Chunk, key: string): Command[] {
  const terms = textsOf(index, chunk).flatMap(wordsOf).join(' ')
  const set = [...toChunkHash(index, chunk), '_terms', terms, 'embedding', toBytes(chunk.vector)]
  const absent = Object.keys(index.fields).filter((name) => !Object.hasOwn(chunk.fields, name))
  const write = ['HSET', key, ...set] as unknown as Command
  return absent.length > 0 ? [write, ['HDEL', key, ...absent]] : [write]
}

/**
 * Asks how many of the chunks an index holds: a hash that RediSearch cannot read, or has no index for, is stored and silently not
 * found.
 */
export const toCount = (index: VectorIndex, names: readonly string[], keys: VectorKeys) =>
  [
    ...['FT.SEARCH', keys.name(index), '*', 'INKEYS', names.length, ...names, 'NOCONTENT'],
    ...['LIMIT', 0, 0, 'DIALECT', 2],
  ] as unknown as Command

export function toNearest(
  index: VectorIndex,
  { filter, limit, effort = EFFORT, timeoutMs }: VectorSearch,
  vector: Float32Array,
  distance: string,
  keys: VectorKeys,
): Command {
  const candidates = filter ? toQuery(filter, index.fields) : '*'
  const knn = `KNN ${limit} @embedding $vec EF_RUNTIME ${Math.max(effort, Math.ceil(limit * 2))} AS ${distance}`
  return [
    ...['FT.SEARCH', keys.name(index), `(${candidates})=>[${knn}]`, 'PARAMS', 2, 'vec', toBytes(vector)],
    ...['SORTBY', distance, 'RETURN', 1, distance, 'LIMIT', 0, limit, ...ending(timeoutMs)],
  ] as unknown as Command
}

/** Words go as parameters: some, such as `ismissing`, mean something in the query itself. */
export function toScored(
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
export function distanceName({ fields }: VectorIndex): string {
  let name = 'score'
  while (Object.hasOwn(fields, name)) name = `_${name}`
  return name
}

/** Whoever sends another size gets it stored and not indexed, or an error that names no field. */
export function mustFit(index: VectorIndex, vector: Float32Array) {
  const refuse = (message: string) =>
    new HubError({ code: 'invalid_vector', status: 400, message, param: 'vector' })
  if (vector.length !== index.dimensions) {
    throw refuse(`The vector has ${vector.length} dimensions, and \`${index.name}\` has ${index.dimensions}.`)
  }
  if (!vector.every(Number.isFinite)) throw refuse('The vector holds a number that is not finite.')
  if (!vector.some((number) => number !== 0)) throw refuse('The vector is zero: it has no direction.')
}

/** RediSearch cuts a longer tag off, and then finds it by none of its values. */
export function mustHold({ fields }: VectorIndex, chunk: Chunk) {
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

/** As somebody could type it, vectors left out; of a very long filter the beginning. */
export function toText(command: Command): string {
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

export const notSupported = (message: string) => new HubError({ code: 'not_supported', status: 501, message })
