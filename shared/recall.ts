import { LRUCache } from 'lru-cache'
import { RedisUnavailableError } from './errors.ts'

export interface RecallOptions<T> {
  freshMs: number
  staleMs: number
  /** Sum of all sizes. */
  maxSize: number
  /** 1 by default. */
  sizeOf?(value: T): number
}

/**
 * What was read from Redis lately: taken as it is up to `freshMs`, and while Redis is away up to `staleMs`. Running reads are
 * not shared, as a promise of one Worker request is unusable in another.
 */
export function createRecall<T>({ freshMs, staleMs, maxSize, sizeOf = () => 1 }: RecallOptions<T>) {
  const seen = new LRUCache<string, { value: T; at: number }>({
    maxSize,
    sizeCalculation: ({ value }) => sizeOf(value),
  })
  return {
    async get(key: string, read: () => Promise<T>): Promise<T> {
      const at = performance.now()
      const known = seen.get(key)
      const age = known ? at - known.at : Number.POSITIVE_INFINITY
      if (known && age < freshMs) return known.value
      try {
        const value = await read()
        seen.set(key, { value, at })
        return value
      } catch (error) {
        if (known && age < staleMs && error instanceof RedisUnavailableError) return known.value
        throw error
      }
    },
    /** All whose keys begin so. */
    forget(prefix: string): void {
      for (const key of seen.keys()) if (key.startsWith(prefix)) seen.delete(key)
    },
  }
}
