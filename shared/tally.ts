import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from './ports/redis.ts'

export interface Tally {
  /**
   * Adds to a field of a hash of counters. Returns the work that writes it, to be deferred; nothing where an earlier
   * call's work will take it along.
   */
  add(key: string, counts: Record<string, number>): Promise<void> | undefined
}

/**
 * Counters that may be a moment late: what is added within `delayMs` goes to Redis in one wave. What Redis did not take
 * is kept for the next time while the process lives.
 */
export function createTally({ redis, delayMs }: { redis: Redis; delayMs: number }): Tally {
  let pending = new Map<string, Map<string, number>>()
  let scheduled = false

  return {
    add(key, counts) {
      keep(key, Object.entries(counts))
      if (scheduled) return undefined
      scheduled = true
      return flush()
    },
  }

  function keep(key: string, counts: Iterable<[string, number]>) {
    const fields = pending.get(key) ?? new Map<string, number>()
    for (const [field, by] of counts) fields.set(field, (fields.get(field) ?? 0) + by)
    pending.set(key, fields)
  }

  async function flush() {
    if (delayMs > 0) await sleep(delayMs)
    scheduled = false
    const taken = pending
    pending = new Map()
    const rows = [...taken].flatMap(([key, fields]) => [...fields].map(([field, by]) => ({ key, field, by })))
    try {
      await redis.wave(
        rows.map(({ key, field, by }) => ['HINCRBY', key, field, by] as const),
        { timeoutMs: 1_000 },
      )
    } catch {
      // Not known to be written: counted again rather than lost. Statistics may be high by one wave after an outage.
      for (const { key, field, by } of rows) keep(key, [[field, by]])
    }
  }
}
