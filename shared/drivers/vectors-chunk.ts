import type { FieldValue } from '../filters.ts'
import type { Argument } from '../ports/redis.ts'
import type { Chunk, ChunkRef, VectorIndex, VectorKeys } from '../ports/vectors.ts'

/**
 * Arguments of the HSET that stores a chunk: `content`, the declared fields that it has, and `Chunk.hash`. Every vectors driver
 * stores it like this, whatever it keeps beside it.
 */
export function toChunkHash(index: VectorIndex, { text, fields, hash }: Chunk): Argument[] {
  const pairs: Argument[] = ['content', text]
  for (const [name, value] of Object.entries(fields)) {
    if (Object.hasOwn(index.fields, name)) pairs.push(name, toHashField(index, name, value))
  }
  for (const [name, value] of Object.entries(hash)) pairs.push(name, value)
  return pairs
}

/** Tags are encoded and joined by commas, which is how a RediSearch TAG field wants them; texts and numbers are as they are. */
function toHashField(index: VectorIndex, name: string, value: FieldValue): string {
  if (index.fields[name] !== 'tag') return String(value)
  return tagsOf(value).map(encodeTag).join(',')
}

/** Each value of a tag once. */
export const tagsOf = (value: FieldValue): string[] => [
  ...new Set(typeof value === 'object' ? value : [String(value)]),
]

/**
 * A tag's value in letters, digits, `_ . - %` and what is not ASCII, so that no query language takes a part of it for its own, and
 * none trims it. The empty value is `%`.
 */
export const encodeTag = (value: string): string =>
  value === '' ? '%' : value.toWellFormed().replace(/[^A-Za-z0-9_.\-\u0080-\uffff]/g, toPercent)

const toPercent = (char: string) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`

/** All that is searched as text: the chunk's own and its declared texts. */
export function textsOf(index: VectorIndex, { text, fields }: Pick<Chunk, 'text' | 'fields'>): string[] {
  const declared = textFieldsOf(index).map((name) => fields[name])
  return [text, ...declared.filter((value) => value !== undefined).map(String)]
}

export const textFieldsOf = (index: VectorIndex): string[] =>
  Object.keys(index.fields).filter((name) => index.fields[name] === 'text')

/** A chunk's name in sets and hashes of its index: its key without what all of them begin with. */
export const memberOf = (keys: VectorKeys, index: VectorIndex, chunk: ChunkRef): string =>
  keys.chunk(index, chunk).slice(keys.chunkPrefix(index).length)

export function refOf(keys: VectorKeys, index: VectorIndex, member: string): ChunkRef {
  const ref = keys.readChunk(index, keys.chunkPrefix(index) + member)
  if (!ref) throw new Error(`\`${member}\` is no chunk of the index \`${index.name}\``)
  return ref
}

/** Where all chunks of a document lie (FNV-1a). Never to be changed: what is stored would not be found. */
export function partitionOf({ partitions }: VectorIndex, documentId: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < documentId.length; i++) hash = Math.imul(hash ^ documentId.charCodeAt(i), 0x01000193)
  return (hash >>> 0) % partitions
}
