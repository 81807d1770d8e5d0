import type { Clock } from './ports/clock.ts'
import type { Redis } from './ports/redis.ts'

/** Whether the cache may grow. */
export interface CacheRoom {
  free(): boolean
  /** Reads the server's memory now and then; to be deferred. */
  look(): Promise<void>
}

/** Cached keys leave this part of a shared server's `maxmemory` to state. */
const SHARE = 0.8
const EVERY_MS = 10_000

/**
 * State wants `noeviction`; on one server with it, cache writes stop before state would be refused. A cache server of
 * its own evicts for itself.
 */
export function createCacheRoom({
  redis,
  shared,
  clock,
}: {
  redis: Redis
  shared: boolean
  clock: Clock
}): CacheRoom {
  let free = true
  let lookedAt = Number.NEGATIVE_INFINITY
  return {
    free: () => free,
    async look() {
      if (!shared || clock.now() - lookedAt < EVERY_MS) return
      lookedAt = clock.now()
      const [info] = await redis.wave([['INFO', 'memory']], { timeoutMs: 1_000 }).catch(() => [null])
      if (typeof info !== 'string') return // not every service tells
      const bytes = (field: string) => Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(info)?.[1] ?? 0)
      const most = bytes('maxmemory')
      free = most === 0 || bytes('used_memory') < SHARE * most
    },
  }
}
