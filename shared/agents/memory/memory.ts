import type { Caller } from '../../admission.ts'
import type { Filter } from '../../filters.ts'

/** Where a memory comes from. */
export interface MemoryOrigin {
  kind: 'tool' | 'user' | 'extracted'
  step?: number
  /** Of the inbox message that it was said in. */
  message?: string
}

export interface MemoryEntry {
  id: string
  text: string
  origin: MemoryOrigin
  /** RFC 3339; `valid_until` null: for good. */
  valid_from: string
  valid_until: string | null
  created_at: string
  /** When it was forgotten; it can be brought back for 30 days. */
  forgotten_at: string | null
  metadata: Record<string, unknown>
  /** Similarity to the query, where there was one. */
  score?: number
}

export interface NewMemory {
  text: string
  origin: MemoryOrigin
  valid_from?: string
  valid_until?: string
  metadata?: Record<string, unknown>
  /** What the agent had recalled when it made this: a memory that only repeats it is not admitted. */
  recalled?: readonly string[]
  /** Sent again with it, it is one memory. */
  once: string
}

/** What became of it at the admission gate. */
export type Admittance =
  | { status: 'stored'; id: string }
  /** Says the same as that one. */
  | { status: 'duplicate'; id: string; similarity: number }
  | { status: 'refused'; why: string }

export interface MemoryCall {
  caller: Caller
  signal: AbortSignal
  defer(work: Promise<unknown>): void
}

/** Long-term memory of agents: what they were told to keep, found again by meaning. */
export interface LongMemory {
  remember(tenant: string, agent: string, memory: NewMemory, call: MemoryCall): Promise<Admittance>
  /** Valid at `at` (Unix ms, now by default) and not forgotten, the nearest first. */
  recall(
    tenant: string,
    agent: string,
    query: { query: string; top_k?: number; min_score?: number; filter?: Filter; at?: number },
    call: MemoryCall,
  ): Promise<MemoryEntry[]>
  /** The latest first. */
  list(
    tenant: string,
    agent: string,
    page: { limit: number; before?: string; forgotten?: boolean },
  ): Promise<{ data: MemoryEntry[]; next: string | null }>
  /** Throws 404. */
  forget(tenant: string, agent: string, id: string): Promise<void>
  /** Undoes `forget`. Throws 404. */
  restore(tenant: string, agent: string, id: string, call: MemoryCall): Promise<MemoryEntry>
  /** Of an agent that was deleted. May be repeated. */
  drop(tenant: string, agent: string): Promise<void>
}
