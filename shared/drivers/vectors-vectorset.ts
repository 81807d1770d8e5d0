import { HubError } from '../errors.ts'
import type { Command, Redis } from '../ports/redis.ts'
import type { Chunk, VectorIndex, VectorKeys, Vectors } from '../ports/vectors.ts'
import { createCalls } from './vectors-calls.ts'
import { memberOf, partitionOf, tagsOf } from './vectors-chunk.ts'
import { createInverted } from './vectors-inverted.ts'
import { createTextSearch } from './vectors-postings.ts'
import { toAttributes } from './vectorset-filter.ts'
import { createVectorSearch, type VectorSearchOptions } from './vectorset-search.ts'
import { createSimilarities, toVectorArguments } from './vectorset-similarities.ts'

export interface VectorsVectorsetOptions extends Pick<VectorSearchOptions, 'scoredOneByOne'> {
  /** For searches: a VSIM holds up what its connection sends after it. */
  reads: Redis
  /** For writes: they go one by one, and what its connection is asked meanwhile waits. */
  writes: Redis
  keys: VectorKeys
}

/**
 * The vectors port on a bare Redis 8: vectors in vector sets, words and attributes in sorted sets.
 *
 * @example const vectors = createVectorsVectorset({ reads: redis, writes: redisOfItsOwn, keys: vectorKeys })
 */
export function createVectorsVectorset({
  reads,
  writes,
  keys,
  scoredOneByOne,
}: VectorsVectorsetOptions): Vectors {
  const inverted = createInverted({ redis: writes, keys })
  const searchText = createTextSearch({ redis: reads, keys })
  const searchVectors = createVectorSearch({ redis: reads, keys, scoredOneByOne })
  const similarities = createSimilarities({ redis: reads, keys })

  return {
    store: 'vectorset',

    async create(index, options = {}) {
      if (index.metric !== 'cosine') {
        const message = `Vector sets compare by cosine only, not by ${index.metric}: create the index with \`"metric":"cosine"\`, or use RediSearch.`
        throw new HubError({ code: 'not_supported', status: 501, message, param: 'metric' })
      }
      // A set is made by its first vector; whether Redis has vector sets at all is told now.
      await createCalls(options).ask(writes, [['VCARD', keys.vectors(index, 0)]])
    },

    async put(index, chunks, options = {}) {
      const calls = createCalls(options)
      await inverted.put(index, chunks, calls)
      await calls.ask(
        writes,
        chunks.flatMap((chunk) => vectorsOf(index, chunk)),
        { batch: atOnce(writes) },
      )
    },

    async remove(index, chunks, options = {}) {
      const calls = createCalls(options)
      const entries = await inverted.read(index, chunks, calls)
      await calls.ask(
        writes,
        entries.flatMap(({ partition, member, attributes }) =>
          setsOf(index, partition, attributes).map((key): Command => ['VREM', key, member]),
        ),
        { batch: atOnce(writes) },
      )
      await inverted.remove(index, entries, calls)
    },

    // All of it lies in keys of the tenant.
    forget: async () => 0,

    async drop(index, pages, options = {}) {
      const calls = createCalls(options)
      const unlink = (sets: Iterable<string>) =>
        calls.ask(
          writes,
          [...sets].map((key): Command => ['UNLINK', key]),
        )
      await unlink(Array.from({ length: index.partitions }, (_, partition) => keys.vectors(index, partition)))
      for await (const page of pages) {
        const entries = await inverted.read(index, page, calls)
        const sets = entries.flatMap(({ partition, attributes }) => setsOf(index, partition, attributes))
        await unlink(new Set(sets))
        await inverted.dropPage(index, entries, calls)
      }
      await inverted.drop(index, calls)
    },

    async search(index, { vector, text, ...search }) {
      const [near, worded] = await Promise.all([
        vector && searchVectors(index, { vector, ...search }),
        text === undefined ? undefined : searchText(index, { text, ...search }),
      ])
      const plan = [near, worded].flatMap((found) => (found ? [found.step] : []))
      return { vector: near?.hits, text: worded?.hits, plan }
    },

    async similarity(index, vector, chunks, options = {}) {
      const places = chunks.map((chunk) => ({
        partition: partitionOf(index, chunk.documentId),
        member: memberOf(keys, index, chunk),
      }))
      return similarities(index, vector, places, createCalls(options))
    },
  }

  function vectorsOf(index: VectorIndex, chunk: Chunk): Command[] {
    const member = memberOf(keys, index, chunk)
    const vector = toVectorArguments(writes, chunk.vector)
    const form = index.quantization === 'int8' ? 'Q8' : 'NOQUANT'
    const attributes = toAttributes(index, chunk.fields)
    return setsOf(index, partitionOf(index, chunk.documentId), chunk.fields).map(
      // Without CAS: Redis 8.0 writes it into the append-only file as it came, and cannot start from that file again.
      (key): Command => ['VADD', key, ...vector, member, form, 'SETATTR', attributes],
    )
  }

  /** The vector sets that a chunk is in: its partition's, and one for each value of the hot tag. */
  function setsOf(index: VectorIndex, partition: number, fields: Chunk['fields']): string[] {
    const { hotTag } = index
    const hot = hotTag !== undefined && Object.hasOwn(fields, hotTag) ? tagsOf(fields[hotTag]!) : []
    return [keys.vectors(index, partition), ...hot.map((tag) => keys.vectors(index, partition, tag))]
  }
}

/**
 * VADD or VREM that go out together. Each stops Redis for 1 to 2 ms, and those of one wave are done in one go: PING's p99 was
 * 2.4 ms beside one at a time, 5.5 ms beside four (20,000 × 512). Over HTTP the way there takes longer than that.
 */
const atOnce = (redis: Redis) => (redis.binary ? 1 : 4)
