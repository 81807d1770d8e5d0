import type { Reply } from '../../ports/redis.ts'
import type { MemoryEntry, MemoryOrigin } from './memory.ts'

/** A memory as Redis holds it; times in Unix ms. */
export interface StoredMemory {
  id: string
  text: string
  /** Of the text, and of the operation that stored it. */
  hash: string
  once: string
  origin: MemoryOrigin
  metadata: Record<string, unknown>
  created: number
  /** Absent: from when it was made, and for good. */
  from?: number
  until?: number
  /** Since when; beside the memory, which never changes. */
  forgotten?: number
}

export type Interval = Pick<StoredMemory, 'from' | 'until'>

/** Of the two fields of a memory. Undefined where there is none. */
export function readMemory(stored: Reply | undefined, forgotten?: Reply): StoredMemory | undefined {
  if (typeof stored !== 'string') return undefined
  const memory: StoredMemory = JSON.parse(stored)
  return typeof forgotten === 'string' ? { ...memory, forgotten: Number(forgotten) } : memory
}

/**
 * Whether it counts at `at`, now by default. One that is valid from when it was made is so for a function whose clock is behind that of
 * the one that made it.
 */
export function isValid(
  { created, from, until, forgotten }: StoredMemory,
  now: number,
  at?: number,
): boolean {
  if (forgotten !== undefined || (until !== undefined && until <= (at ?? now))) return false
  return at === undefined ? from === undefined || from <= now : (from ?? created) <= at
}

/** Whether it says all the while what another one of that time would say. */
export function covers({ created, from, until }: StoredMemory, other: Interval, now: number): boolean {
  // Of two that are valid from now on, whichever was first covers the other: their clocks may differ.
  const begins =
    other.from === undefined ? from === undefined || from <= now : (from ?? created) <= other.from
  return begins && (until === undefined || (other.until !== undefined && other.until <= until))
}

export function toMemoryEntry(memory: StoredMemory, score?: number): MemoryEntry {
  const { id, text, origin, metadata, created, from, until, forgotten } = memory
  return {
    ...{ id, text, origin, metadata },
    valid_from: toTime(from ?? created),
    valid_until: until === undefined ? null : toTime(until),
    created_at: toTime(created),
    forgotten_at: forgotten === undefined ? null : toTime(forgotten),
    ...(score !== undefined && { score }),
  }
}

const toTime = (ms: number) => new Date(ms).toISOString()

const TIME = /^\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[Zz]|[+-]\d\d:\d\d))?$/

/** RFC 3339, or a date alone, which begins in UTC. Undefined for what is neither. */
export function readTime(text: string): number | undefined {
  const ms = TIME.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(ms) ? undefined : ms
}
