import type { Command, Reply } from '../../shared/ports/redis.ts'
import type { Metadata, Passes } from './filter.ts'
import type { Entry, Include } from './requests.ts'

export type Run = (commands: Command[]) => Promise<Reply[]>

/** What a vector answers, without fields that were not asked for or are not there. */
export interface Item {
  id: string
  vector?: number[]
  metadata?: Metadata
  data?: string
}

/** Kept as the attributes of the vector set's element, so that one VADD writes a vector whole. */
export type Attributes = Pick<Item, 'metadata' | 'data'>

/** Candidates of a search in the graph, at least. */
const EFFORT = 200
const MOST_EFFORT = 1_000_000

/** The elements of a vector set. */
export function createElements({ reads, writes }: { reads: Run; writes: Run }) {
  async function attributesOf(key: string, ids: readonly string[]): Promise<(Attributes | undefined)[]> {
    const replies = await reads(ids.map((id) => ['VGETATTR', key, id]))
    return replies.map((reply) => (reply === null ? undefined : JSON.parse(reply as string)))
  }

  return {
    attributesOf,

    async add(key: string, entries: readonly Entry[]) {
      // One by one: each stops Redis for 1 to 2 ms.
      for (const { id, vector, metadata, data } of entries) {
        const json = JSON.stringify({ metadata, data } satisfies Attributes)
        await writes([['VADD', key, 'FP32', toBytes(vector), id, 'NOQUANT', 'SETATTR', json]])
      }
    },

    /** Whether it was there. */
    async setAttributes(key: string, id: string, attributes: Attributes) {
      const [changed] = await writes([['VSETATTR', key, id, JSON.stringify(attributes)]])
      return changed === 1
    },

    /** How many were there. */
    async remove(key: string, ids: readonly string[]) {
      const removed = await writes(ids.map((id) => ['VREM', key, id]))
      return removed.filter((reply) => reply === 1).length
    },

    /** Absent ones are null. */
    async read(key: string, ids: readonly string[], include: Include): Promise<(Item | null)[]> {
      const [attributes, vectors] = await Promise.all([
        attributesOf(key, ids),
        include.includeVectors ? reads(ids.map((id) => ['VEMB', key, id])) : [],
      ])
      return ids.map((id, i) => {
        const known = attributes[i]
        return known ? { id, ...toItem(known, include, vectors[i] as string[] | null) } : null
      })
    },

    async filtered<Hit extends { id: string }>(key: string, hits: readonly Hit[], passes: Passes) {
      const ids = hits.map(({ id }) => id)
      const attributes = await attributesOf(key, ids)
      return hits.filter((_, i) => attributes[i] && passes(attributes[i].metadata))
    },

    /** Best first; exact where `size`, all that there are, is asked for. */
    async nearest(key: string, vector: Float32Array, count: number, size: number) {
      if (count === 0) return []
      const effort = Math.min(Math.max(count, EFFORT), MOST_EFFORT)
      const how: Command = count === size ? ['TRUTH'] : ['EF', effort]
      const [reply] = await reads([
        ['VSIM', key, 'FP32', toBytes(vector), 'WITHSCORES', 'COUNT', count, ...how],
      ])
      return toPairs(reply as string[]).map(([id, score]) => ({ id, score }))
    },
  }
}

/** What comes as `[member, score, member, score, …]`. */
export const toPairs = (flat: readonly string[]): [string, number][] =>
  Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i]!, Number(flat[2 * i + 1])])

const toBytes = ({ buffer, byteOffset, byteLength }: Float32Array) =>
  new Uint8Array(buffer, byteOffset, byteLength)

function toItem({ metadata, data }: Attributes, include: Include, vector: string[] | null | undefined) {
  return {
    // A vector set keeps direction and length apart, which changes the last digit of a float32: it is left out.
    ...(vector && { vector: vector.map((number) => Number(Number(number).toPrecision(7))) }),
    ...(include.includeMetadata && metadata && { metadata }),
    ...(include.includeData && data !== undefined && { data }),
  }
}
