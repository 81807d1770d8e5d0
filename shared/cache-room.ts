import type { Clock } from './ports/clock.ts'
import type { Redis, Reply } from './ports/redis.ts'
import { send } from './send.ts'

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
      const ask = (near: string) => send(redis, ['INFO', 'memory'], { timeoutMs: 1_000, near })
      const all = await redis
        .nodes({ timeoutMs: 1_000 })
        .then((nodes) => Promise.all(nodes.map(ask)))
        .catch((): Reply[] => [])
      // Not every service tells.
      const infos = all.filter((info): info is string => typeof info === 'string')
      if (infos.length > 0) free = infos.every(hasRoom)
    },
  }
}

function hasRoom(info: string): boolean {
  const bytes = (field: string) => Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(info)?.[1] ?? 0)
  const most = bytes('maxmemory')
  return most === 0 || bytes('used_memory') < SHARE * most
}
