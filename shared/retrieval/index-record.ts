import { indexesKey } from '../keys.ts'
import type { Command, Reply } from '../ports/redis.ts'
import type { Index } from './indexes.ts'

/**
 * What a name stands for in the hash of a tenant's indexes. `creating`: the store may not have it yet; `deleting`: it is being
 * removed. Only `ready` ones are served.
 */
export type IndexRecord = { index: Index; state: 'creating' | 'ready' | 'deleting' } | { alias: string }

export function readRecord(reply: Reply | undefined): IndexRecord | undefined {
  if (reply instanceof Error) throw reply
  return typeof reply === 'string' ? JSON.parse(reply) : undefined
}

/** Asks whether the index is still served. */
export const servingCall = ({ vectors: { tenant, name } }: Index): Command => [
  'HGET',
  indexesKey(tenant),
  name,
]

/** Whether its reply holds the index itself, not another one that has its name by now. */
export const isServed = (record: IndexRecord | undefined, { createdAt }: Index): boolean =>
  record !== undefined &&
  'index' in record &&
  record.state === 'ready' &&
  record.index.createdAt === createdAt

/** Field of a removed index's definition, kept while a slow writer may still leave something behind. No name has a `#`. */
export const removedField = (name: string, createdAt: number) => `${name}#${createdAt}`
