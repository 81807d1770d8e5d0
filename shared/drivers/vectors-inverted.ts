// The words and the attributes of chunks, on any Redis: what a store of vectors alone lacks. Its parts: this file writes,
// vectors-postings.ts searches text, vectors-selection.ts finds what a filter leaves.
import type { FieldValue } from '../filters.ts'
import type { Command, Redis } from '../ports/redis.ts'
import type { Chunk, ChunkRef, VectorIndex, VectorKeys } from '../ports/vectors.ts'
import { termsOf } from '../text/terms.ts'
import type { Calls } from './vectors-calls.ts'
import { memberOf, partitionOf, tagsOf, textFieldsOf, textsOf, toChunkHash } from './vectors-chunk.ts'

/** A chunk by what was stored of it. */
interface Entry {
  ref: ChunkRef
  member: string
  partition: number
  /** Tags and numbers. */
  attributes: Record<string, FieldValue>
  /** Term → part of BM25. */
  terms: Map<string, number>
}

export interface Inverted {
  /** Stores chunks, with their hashes. Nothing is found by a hash alone, so that goes first: `read` needs it to remove the rest. */
  put(index: VectorIndex, chunks: readonly Chunk[], calls: Calls): Promise<void>
  /** What was stored of them; also of one that `put` or `remove` has left halfway. What is not there is left out. */
  read(index: VectorIndex, refs: readonly ChunkRef[], calls: Calls): Promise<Entry[]>
  /** Its hashes last, so that it can be repeated. */
  remove(index: VectorIndex, entries: readonly Entry[], calls: Calls): Promise<void>
  /** Removes every set that these belong to, whole, then their hashes. Repeatable page by page. */
  dropPage(index: VectorIndex, entries: readonly Entry[], calls: Calls): Promise<void>
  /** What is left once every page is dropped. */
  drop(index: VectorIndex, calls: Calls): Promise<void>
}

/** Keeps postings, tags and numbers of chunks in sorted sets, and the chunks' hashes. */
export function createInverted({ redis, keys }: { redis: Redis; keys: VectorKeys }): Inverted {
  return {
    async put(index, chunks, calls) {
      const entries = chunks.map((chunk) => toEntry(keys, index, chunk))
      const hashes = chunks.map(
        (chunk): Command => ['HSET', keys.chunk(index, chunk), ...toChunkHash(index, chunk)],
      )
      const attributes = entries.map(
        ({ partition, member, attributes }): Command => [
          'HSET',
          keys.attributes(index, partition),
          ...[member, JSON.stringify(attributes)],
        ],
      )
      await calls.ask(redis, [...hashes, ...attributes])
      const sets = setsOf(keys, index, entries)
      const adding = [...sets].flatMap(([key, members]) =>
        inParts(
          [...members],
          (part): Command => ['ZADD', key, ...part.flatMap(([member, score]) => [score, member])],
        ),
      )
      await calls.ask(redis, adding)
    },

    async read(index, refs, calls) {
      const names = textFieldsOf(index)
      const replies = await calls.ask(
        redis,
        refs.flatMap((ref): Command[] => [
          ['HMGET', keys.chunk(index, ref), 'content', ...names],
          ['HGET', keys.attributes(index, partitionOf(index, ref.documentId)), memberOf(keys, index, ref)],
        ]),
      )
      return refs.flatMap((ref, i): Entry[] => {
        const [text = null, ...declared] = replies[2 * i] as (string | null)[]
        const json = replies[2 * i + 1] as string | null
        if (text === null && json === null) return []
        const fields: Record<string, FieldValue> = json === null ? {} : JSON.parse(json)
        for (const [n, value] of declared.entries()) if (value !== null) fields[names[n]!] = value
        return [toEntry(keys, index, { ...ref, text: text ?? '', fields })]
      })
    },

    async remove(index, entries, calls) {
      const leaving = [...setsOf(keys, index, entries)].flatMap(([key, members]) =>
        inParts([...members.keys()], (part): Command => ['ZREM', key, ...part]),
      )
      await calls.ask(redis, leaving)
      await removeHashes(index, entries, calls)
    },

    async dropPage(index, entries, calls) {
      await calls.ask(
        redis,
        [...setsOf(keys, index, entries).keys()].map((key): Command => ['UNLINK', key]),
      )
      await removeHashes(index, entries, calls)
    },

    async drop(index, calls) {
      const partitions = Array.from({ length: index.partitions }, (_, partition) => partition)
      await calls.ask(
        redis,
        partitions.map((partition): Command => ['UNLINK', keys.attributes(index, partition)]),
      )
    },
  }

  async function removeHashes(index: VectorIndex, entries: readonly Entry[], calls: Calls) {
    await calls.ask(
      redis,
      entries.map(({ partition, member }): Command => ['HDEL', keys.attributes(index, partition), member]),
    )
    await calls.ask(
      redis,
      entries.map(({ ref }): Command => ['UNLINK', keys.chunk(index, ref)]),
    )
  }
}

type Stored = ChunkRef & Pick<Chunk, 'text' | 'fields'>

function toEntry(
  keys: VectorKeys,
  index: VectorIndex,
  { documentId, version, n, text, fields }: Stored,
): Entry {
  const ref = { documentId, version, n }
  const attributes: Entry['attributes'] = {}
  for (const [name, value] of Object.entries(fields)) {
    const type = Object.hasOwn(index.fields, name) ? index.fields[name] : undefined
    if (type === 'tag') attributes[name] = tagsOf(value)
    if (type === 'number') attributes[name] = Number(value)
  }
  const partition = partitionOf(index, documentId)
  const terms = weigh(textsOf(index, { text, fields }))
  return { ref, member: memberOf(keys, index, ref), partition, attributes, terms }
}

/** BM25's usual parameters (Robertson and Zaragoza, 2009), as Lucene has them. */
const K1 = 1.2
const B = 0.75

/** Terms of a chunk of common size. Frozen: a true average would change every posting with every chunk. */
const AVERAGE_TERMS = 100

/** Term → what BM25 gives for how often it is there and how long the text is; the rest is the term's rarity. */
function weigh(texts: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  let length = 0
  for (const text of texts) {
    for (const { term } of termsOf(text)) {
      counts.set(term, (counts.get(term) ?? 0) + 1)
      length++
    }
  }
  const norm = K1 * (1 - B + (B * length) / AVERAGE_TERMS)
  for (const [term, count] of counts) counts.set(term, (count * (K1 + 1)) / (count + norm))
  return counts
}

/** Sorted set → its members among these, with their scores. */
function setsOf(keys: VectorKeys, index: VectorIndex, entries: readonly Entry[]) {
  const sets = new Map<string, Map<string, number>>()
  const add = (key: string, member: string, score: number) => {
    const members = sets.get(key)
    if (members) members.set(member, score)
    else sets.set(key, new Map([[member, score]]))
  }
  for (const { partition, member, attributes, terms } of entries) {
    for (const [term, weight] of terms) add(keys.postings(index, partition, term), member, weight)
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === 'number') add(keys.numbered(index, partition, name), member, value)
      else for (const tag of tagsOf(value)) add(keys.tagged(index, partition, name, tag), member, 0)
    }
  }
  return sets
}

/** Of one command: Redis does nothing else meanwhile. */
const MOST_MEMBERS = 500

function inParts<T>(members: T[], toCommand: (part: T[]) => Command): Command[] {
  const commands: Command[] = []
  for (let i = 0; i < members.length; i += MOST_MEMBERS)
    commands.push(toCommand(members.slice(i, i + MOST_MEMBERS)))
  return commands
}
