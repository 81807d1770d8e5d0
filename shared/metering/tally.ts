import { setTimeout as sleep } from 'node:timers/promises'
import type { Command, Redis } from '../ports/redis.ts'

interface TallyTarget {
  /** `hash`: whole numbers (HINCRBY), the default. `sorted-set`: any (ZINCRBY). */
  type?: 'hash' | 'sorted-set'
  /** Unix seconds. */
  expireAt?: number
}

type Count = readonly [field: string, by: number]

export interface Tally {
  /**
   * Adds to the counters of a key. Returns the work that writes them, to be deferred; nothing where an earlier call's work
   * will take them along.
   */
  add(key: string, counts: readonly Count[], target?: TallyTarget): Promise<void> | undefined
}

const OVERDUE_MS = 1_000

interface Pending {
  counts: Map<string, number>
  target: TallyTarget
}

/**
 * Counters that may be a moment late: what is added within `delayMs` goes to Redis in one wave. What Redis did not take
 * is kept for the next time while the process lives.
 */
export function createTally({ redis, delayMs }: { redis: Redis; delayMs: number }): Tally {
  let pending = new Map<string, Pending>()
  /** When the next flush is due. A runtime may drop the work: then a later call starts it again. */
  let due = Number.NEGATIVE_INFINITY

  return {
    add(key, counts, target = {}) {
      keep(key, counts, target)
      const now = performance.now()
      if (now < due + OVERDUE_MS) return undefined
      due = now + delayMs
      return flush()
    },
  }

  function keep(key: string, counts: Iterable<Count>, target: TallyTarget) {
    const kept = pending.get(key) ?? { counts: new Map<string, number>(), target }
    if (kept.counts.size === 0) pending.set(key, kept)
    for (const [field, by] of counts) kept.counts.set(field, (kept.counts.get(field) ?? 0) + by)
  }

  async function flush() {
    if (delayMs > 0) await sleep(delayMs)
    due = Number.NEGATIVE_INFINITY
    const taken = pending
    pending = new Map()
    try {
      await redis.wave([...taken].flatMap(toCommands), { timeoutMs: 1_000 })
    } catch {
      // Not known to be written: counted again rather than lost. Statistics may be high by one wave after an outage.
      for (const [key, { counts, target }] of taken) keep(key, counts, target)
    }
  }
}

function toCommands([key, { counts, target }]: [string, Pending]): Command[] {
  const adds = [...counts].map(
    ([field, by]): Command =>
      target.type === 'sorted-set' ? ['ZINCRBY', key, by, field] : ['HINCRBY', key, field, by],
  )
  return target.expireAt === undefined ? adds : [...adds, ['EXPIREAT', key, target.expireAt]]
}
