import { HubError } from '../errors.ts'
import type { Redis } from '../ports/redis.ts'
import type { Chunk, Metric, VectorIndex, VectorKeys, Vectors, WriteOptions } from '../ports/vectors.ts'
import { createUpstashCalls, emptyWhereAbsent, inBatches, toNumbers } from './upstash-calls.ts'
import { toUpstashMetadata } from './upstash-filter.ts'
import { createUpstashIndex, type UpstashIndex, type UpstashOptions } from './upstash-index.ts'
import { compareIn, createUpstashSearch } from './upstash-search.ts'
import { memberOf } from './vectors-chunk.ts'
import { createInverted } from './vectors-inverted.ts'
import { createTextSearch } from './vectors-postings.ts'

export interface VectorsUpstashOptions extends UpstashOptions {
  /** Holds the chunks' hashes, words and attributes: Upstash has the vectors, and what they are filtered by. */
  redis: Redis
  keys: VectorKeys
}

const FORGET_MS = 30_000

/** https://upstash.com/docs/vector/help/faq */
const MOST_METADATA_BYTES = 48 * 1024

const SIMILARITY_FUNCTIONS: Record<Metric, string> = {
  cosine: 'COSINE',
  euclidean: 'EUCLIDEAN',
  dot_product: 'DOT_PRODUCT',
}

/**
 * The vectors port over one Upstash Vector index, which has a namespace for each index of the hub; dimensions and metric are those
 * that it was made with. Text is searched in Redis.
 *
 * @example const vectors = createVectorsUpstash({ url: 'https://x.upstash.io', token, redis, keys: vectorKeys })
 */
export function createVectorsUpstash({ redis, keys, ...upstash }: VectorsUpstashOptions): Vectors {
  const withIndex = createUpstashIndex(upstash)
  const begin = (index: VectorIndex, options?: WriteOptions) =>
    createUpstashCalls({ withIndex, keys }, index, options)
  const inverted = createInverted({ redis, keys })
  const searchText = createTextSearch({ redis, keys })
  const searchVector = createUpstashSearch({ redis, keys })

  return {
    store: 'upstash',

    async create(index, options) {
      const info = await begin(index, options).upstash((index) => index.info())
      mustFit(index, info)
    },

    async drop(index, chunks, options) {
      const calls = begin(index, options)
      await emptyWhereAbsent(calls.upstash(async (index) => [await index.deleteNamespace(calls.namespace)]))
      for await (const page of chunks) {
        await inverted.dropPage(index, await inverted.read(index, page, calls.redis), calls.redis)
      }
      await inverted.drop(index, calls.redis)
    },

    async forget(tenant, { timeoutMs = FORGET_MS, signal } = {}) {
      const end = performance.now() + timeoutMs
      const rest = () => ({ timeoutMs: Math.max(0, end - performance.now()), signal })
      const names = await withIndex((index) => index.listNamespaces(), rest())
      const ours = names.filter((name) => name.startsWith(keys.namePrefix(tenant)))
      for (const name of ours) {
        const deleted = withIndex(async (index) => [await index.deleteNamespace(name)], rest())
        await emptyWhereAbsent(deleted)
      }
      return ours.length
    },

    async put(index, chunks, options) {
      if (chunks.length === 0) return
      const { upstash, redis, namespace } = begin(index, options)
      const vectors = chunks.map((chunk) => ({
        id: memberOf(keys, index, chunk),
        vector: toNumbers(ofUnitLength(index, chunk)),
        metadata: toMetadata(index, chunk),
      }))
      await inverted.put(index, chunks, redis)
      for (const batch of inBatches(vectors, index))
        await upstash((index) => index.upsert(batch, { namespace }))
    },

    async remove(index, chunks, options) {
      if (chunks.length === 0) return
      const { upstash, redis, namespace } = begin(index, options)
      const ids = chunks.map((chunk) => memberOf(keys, index, chunk))
      for (const batch of inBatches(ids, { ...index, dimensions: 1 }))
        await emptyWhereAbsent(upstash(async (index) => [await index.delete(batch, { namespace })]))
      await inverted.remove(index, await inverted.read(index, chunks, redis), redis)
    },

    async search(index, search) {
      const { vector, text } = search
      const [near, texts] = await Promise.all([
        vector && searchVector(index, { ...search, vector }, begin(index, search)),
        text === undefined ? undefined : searchText(index, { ...search, text }),
      ])
      return {
        ...(near && { vector: near.hits }),
        ...(texts && { text: texts.hits }),
        plan: [near, texts].flatMap((side) => (side ? [side.step] : [])),
      }
    },

    similarity(index, vector, chunks, options) {
      const members = chunks.map((chunk) => memberOf(keys, index, chunk))
      return compareIn(index, vector, members, begin(index, options))
    },
  }
}

function mustFit(index: VectorIndex, info: Awaited<ReturnType<UpstashIndex['info']>>) {
  const theirs = 'The Upstash Vector index of this hub'
  const another = 'or let UPSTASH_VECTOR_REST_URL name another one'
  if (index.quantization !== 'none')
    throw notSupported('quantization', 'Upstash Vector stores no int8: leave `quantization` out.')
  const { indexType = 'DENSE' } = info as { indexType?: string } // the client's type leaves it out
  if (indexType !== 'DENSE')
    throw notSupported('metric', `${theirs} is ${indexType.toLowerCase()}: it must be dense, ${another}.`)
  if (info.similarityFunction !== SIMILARITY_FUNCTIONS[index.metric]) {
    const has = `${theirs} compares by ${info.similarityFunction}`
    throw notSupported('metric', `${has}: set \`metric\` to that, ${another}.`)
  }
  if (info.dimension !== index.dimensions) {
    throw new HubError({
      code: 'dimensions_mismatch',
      status: 400,
      param: 'dimensions',
      message: `${theirs} holds vectors of ${info.dimension} dimensions, not ${index.dimensions}: set \`dimensions\` or \`embedding_model\` to match, ${another}.`,
    })
  }
}

const notSupported = (param: string, message: string) =>
  new HubError({ code: 'not_supported', status: 501, message, param })

function ofUnitLength({ metric }: VectorIndex, { vector, documentId }: Chunk): Float32Array {
  if (metric !== 'dot_product' || Math.abs(Math.hypot(...vector) - 1) < 1e-3) return vector
  throw new HubError({
    code: 'vector_not_normalized',
    status: 400,
    message: `Upstash Vector's dot product takes vectors of length 1, which that of document \`${documentId}\` is not: divide it by its length.`,
  })
}

function toMetadata(index: VectorIndex, { documentId, fields }: Chunk) {
  const metadata = toUpstashMetadata(index, fields)
  if (new TextEncoder().encode(JSON.stringify(metadata)).length <= MOST_METADATA_BYTES) return metadata
  throw new HubError({
    code: 'metadata_too_large',
    status: 400,
    message: `Upstash Vector takes 48 KiB of tags and numbers a document: \`${documentId}\` has more.`,
  })
}
