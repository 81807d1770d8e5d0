import type { CacheRoom } from '../cache-room.ts'
import { EMBEDDING_TTL_SECONDS } from '../keys.ts'
import type { Command, Redis } from '../ports/redis.ts'
import { fromBase64, toBase64 } from '../text/float32.ts'

export interface EmbeddingCache {
  /** Undefined for what is not there; nothing at all where the cache is away. */
  read(keys: readonly string[], signal: AbortSignal): Promise<(Float32Array | undefined)[] | undefined>
  /** To be deferred. What Redis does not take is made again when it is needed. */
  write(entries: readonly (readonly [key: string, vector: Float32Array])[]): Promise<void>
}

/** What any service over HTTP takes in one request, roughly. */
const WAVE_CHARACTERS = 900_000
const READ_MS = 250
/** Two thousand vectors are some 16 MB. */
const READ_MS_A_KEY = 1
const WRITE_MS = 2_000

/** Vectors in Redis, so that an equal text is not paid for twice. */
export function createEmbeddingCache({
  redis,
  room,
  waves = Number.POSITIVE_INFINITY,
}: {
  redis: Redis
  room: CacheRoom
  waves?: number
}): EmbeddingCache {
  return {
    async read(keys, signal) {
      const timeoutMs = READ_MS + READ_MS_A_KEY * keys.length
      const asked = keys.map((key): Command => ['GET', key])
      const replies = await redis.wave(asked, { timeoutMs, signal }).catch(() => undefined)
      signal.throwIfAborted()
      return replies?.map((reply) => (typeof reply === 'string' ? fromBase64(reply) : undefined))
    },
    async write(entries) {
      await room.look()
      if (!room.free()) return
      const left = entries.map(
        ([key, vector]): Command => ['SET', key, toBase64(vector), 'EX', EMBEDDING_TTL_SECONDS],
      )
      for (let wave = 0; wave < waves && left.length > 0; wave++) {
        let size = 0
        const end = left.findIndex(([, , value]) => {
          size += String(value).length
          return size > WAVE_CHARACTERS
        })
        const taken = left.splice(0, end < 0 ? left.length : Math.max(1, end))
        const written = await redis.wave(taken, { timeoutMs: WRITE_MS }).then(
          () => true,
          () => false,
        )
        if (!written) return
      }
    },
  }
}
