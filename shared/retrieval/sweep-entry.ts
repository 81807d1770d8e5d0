import { SWEEPS_KEY } from '../keys.ts'
import type { Command } from '../ports/redis.ts'
import type { Index } from './indexes.ts'

interface OfIndex {
  tenant: string
  index: string
  /** When the index was made: Unix ms. */
  made: number
}

/** Something to look after and to clean up. */
export type SweepEntry =
  /** A document: versions that were replaced, and `version` if it does not count by then. */
  | (OfIndex & {
      of: 'document'
      id: string
      /** 0: none was begun. */
      version: number
      chunks: number
      /** Makes it another entry than an equal one before. */
      nonce?: string
    })
  /** All of a deleted index; and a day later what is remembered of it. */
  | (OfIndex & { of: 'index' | 'memory' })

/** How long after its begin a version that does not count is given up. Its writer stops at `WRITE_MS`. */
export const ABANDONED_MS = 10 * 60_000

/** No writer takes longer from the begin of a version to its commit. */
export const WRITE_MS = 5 * 60_000

export const indexEntry = (index: Index): SweepEntry => ({ of: 'index', ...ofIndex(index) })

export const memoryEntry = (index: Index): SweepEntry => ({ of: 'memory', ...ofIndex(index) })

export const documentEntry = (
  index: Index,
  { id, version = 0, chunks = 0, nonce }: { id: string; version?: number; chunks?: number; nonce?: string },
): SweepEntry => ({ of: 'document', ...ofIndex(index), id, version, chunks, nonce })

/** Registers an entry for the time when it is due, in Unix ms. */
export const sweepCall = (entry: SweepEntry, dueAt: number): Command => [
  'ZADD',
  SWEEPS_KEY,
  dueAt,
  JSON.stringify(entry),
]

export const sweptCall = (entry: SweepEntry): Command => ['ZREM', SWEEPS_KEY, JSON.stringify(entry)]

const ofIndex = ({ vectors: { tenant, name }, createdAt }: Index) => ({
  tenant,
  index: name,
  made: createdAt,
})
