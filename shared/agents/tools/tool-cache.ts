import { hash } from 'node:crypto'
import type { CacheRoom } from '../../cache-room.ts'
import { canonicalJson } from '../../completions/completion-hash.ts'
import { toolCacheKey } from '../../keys.ts'
import type { Redis } from '../../ports/redis.ts'
import { send } from '../../send.ts'

export interface ToolCacheOptions {
  cacheRedis: Redis
  room: CacheRoom
}

/** Raise it when the meaning of an entry changes: old ones are then never read again. */
const VERSION = 'v1'

/** Of a JSON value with sorted keys: SHA-256, hex. */
export const fingerprint = (...parts: unknown[]) => hash('sha256', `${VERSION}\n${canonicalJson(parts)}`)

/** What tools said, for as long as that may be reused. Without Redis nothing is found, and nothing kept. */
export function createToolCache({ cacheRedis, room }: ToolCacheOptions) {
  return {
    async read<T>(tenant: string, name: string, signal: AbortSignal): Promise<T | undefined> {
      const text = await send(cacheRedis, ['GET', toolCacheKey(tenant, name)], { signal }).catch(() => null)
      signal.throwIfAborted()
      return typeof text === 'string' ? JSON.parse(text) : undefined
    },

    /** To be deferred. */
    async write(tenant: string, name: string, value: unknown, ttlSeconds: number): Promise<void> {
      await room.look()
      if (!room.free()) return
      const key = toolCacheKey(tenant, name)
      await send(cacheRedis, ['SET', key, JSON.stringify(value), 'EX', ttlSeconds], SLOW).catch(() => {})
    },
  }
}

export type ToolCache = ReturnType<typeof createToolCache>

const SLOW = { timeoutMs: 2_000 }
