import { documentIdsKey, documentKey } from '../keys.ts'
import type { Command, Reply, ScriptCall } from '../ports/redis.ts'
import type { ChunkRef } from '../ports/vectors.ts'
import {
  beginDocumentScript,
  commitDocumentScript,
  deleteDocumentScript,
  retireDocumentScript,
  sweptDocumentScript,
} from '../scripts.generated.ts'
import type { PreparedDocument } from './document-input.ts'
import type { Index } from './indexes.ts'

/**
 * A document's hash is changed by these scripts alone: `index` (when its index was made), `last` (highest version begun), `floor`
 * (none up to it can be committed any more), `old` (`<version>.<chunks> ` of each that is still to be removed), and of the
 * version that counts `version`, `chunks`, `sha`, `text`, `metadata`.
 */
export const begin = (index: Index, id: string): ScriptCall => ({
  script: beginDocumentScript,
  keys: [keyOf(index, id)],
  args: [index.createdAt],
})

export const commit = (
  index: Index,
  { id, parts, sha, text, metadata }: PreparedDocument,
  version: number,
): ScriptCall => ({
  script: commitDocumentScript,
  keys: [keyOf(index, id)],
  args: [index.createdAt, version, parts.length, sha, text, JSON.stringify(metadata)],
})

export const bury = (index: Index, id: string, version: number | '' = ''): ScriptCall => ({
  script: deleteDocumentScript,
  keys: [keyOf(index, id)],
  args: [index.createdAt, version],
})

export const retire = (index: Index, { id, version, chunks }: Begun): ScriptCall => ({
  script: retireDocumentScript,
  keys: [keyOf(index, id)],
  args: [index.createdAt, version, chunks],
})

export const swept = (index: Index, id: string, removed: string, wholeIndex = false): ScriptCall => ({
  script: sweptDocumentScript,
  keys: [keyOf(index, id)],
  args: [index.createdAt, removed, wholeIndex ? 'index' : ''],
})

/** A version of a document, and how many chunks it has. */
export interface Begun {
  id: string
  version: number
  chunks: number
}

/** What `retire` replied, and `old` holds, as refs. */
export function refsOf(id: string, list: string): ChunkRef[] {
  return list.split(' ').flatMap((one) => {
    const [version, chunks] = one.split('.').map(Number)
    return Array.from({ length: chunks ?? 0 }, (_, n) => ({ documentId: id, version: version!, n }))
  })
}

/** The fields of a document where it is there and of this index, not of another one of that name. */
export const look = (index: Index, id: string, ...fields: string[]): Command => [
  'HMGET',
  keyOf(index, id),
  'index',
  'version',
  ...fields,
]

export function seen(
  index: Index,
  reply: Reply | undefined,
): { version: number; fields: string[] } | undefined {
  if (reply instanceof Error) throw reply
  const [made, version, ...fields] = reply as (string | null)[]
  const isThere = version !== null && made === String(index.createdAt)
  return isThere ? { version: Number(version), fields: fields as string[] } : undefined
}

/** The list of an index's documents; one that is being written may be in it already. */
export const enlist = (index: Index, ids: readonly string[]): Command => [
  'ZADD',
  idsKey(index),
  ...ids.flatMap((id) => [0, id]),
]

export const strike = (index: Index, ids: readonly string[]): Command => ['ZREM', idsKey(index), ...ids]

export const pageOf = (index: Index, after: string | undefined, limit: number): Command => [
  ...(['ZRANGE', idsKey(index), after === undefined ? '-' : `(${after}`, '+', 'BYLEX'] as const),
  ...['LIMIT', 0, limit],
]

const keyOf = ({ vectors: { tenant, name } }: Index, id: string) => documentKey(tenant, name, id)

export const idsKey = ({ vectors: { tenant, name } }: Index) => documentIdsKey(tenant, name)

/** Replies of a wave none of whose calls may fail. */
export function must(replies: Reply[]): Reply[] {
  const failure = replies.find((reply) => reply instanceof Error)
  if (failure) throw failure
  return replies
}
