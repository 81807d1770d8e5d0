import { cacheStatsKey, completionEntries, completionKeys } from '../keys.ts'
import type { Redis } from '../ports/redis.ts'
import { scan } from '../scan.ts'
import { send } from '../send.ts'

export interface CacheStats {
  hits: number
  misses: number
  /** Calls that joined another one's. */
  collapsed: number
  /** Calls while Redis was away. */
  bypassed: number
  /** Part of all calls that cost no provider call: (hits + collapsed) / all. */
  hit_rate: number
  saved_tokens: number
}

const PURGE_BATCH = 1_000
const SLOW = { timeoutMs: 2_000 }

/** Keeping house over a tenant's stored answers. */
export function createCompletionCache({ redis, cacheRedis }: { redis: Redis; cacheRedis: Redis }) {
  return {
    async stats(tenant: string): Promise<CacheStats> {
      const flat = (await send(redis, ['HGETALL', cacheStatsKey(tenant)], SLOW)) as string[]
      const count = (field: string) => (flat.includes(field) ? Number(flat[flat.indexOf(field) + 1]) : 0)
      const [hits, misses, collapsed, bypassed] = ['hits', 'misses', 'collapsed', 'bypassed'].map(count) as [
        number,
        number,
        number,
        number,
      ]
      const all = hits + misses + collapsed + bypassed
      const hit_rate = all === 0 ? 0 : (hits + collapsed) / all
      return { hits, misses, collapsed, bypassed, hit_rate, saved_tokens: count('saved_tokens') }
    },

    /** Removes one stored answer. */
    async purgeOne(tenant: string, hash: string): Promise<number> {
      return (await send(cacheRedis, ['UNLINK', completionKeys(tenant, hash).entry], SLOW)) as number
    },

    /** Removes what is stored now; an answer on its way may still be stored after it. */
    async purgeAll(tenant: string): Promise<number> {
      let purged = 0
      for await (const keys of scan(cacheRedis, completionEntries(tenant), { count: PURGE_BATCH, ...SLOW })) {
        // One command a key: on Cluster they lie in different slots.
        const replies = await cacheRedis.wave(
          keys.map((key) => ['UNLINK', key] as const),
          SLOW,
        )
        purged += replies.filter((reply) => reply === 1).length
      }
      return purged
    },
  }
}

export type CompletionCache = ReturnType<typeof createCompletionCache>
