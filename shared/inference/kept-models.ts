import { LRUCache } from 'lru-cache'
import type { LoadedModel, ModelRuntime } from '../ports/model-runtime.ts'
import type { ModelRef } from './model-store.ts'

/** A model in a runtime. */
export interface KeptModel {
  ref: ModelRef
  runtime: ModelRuntime
  model: LoadedModel
  /** Rows of different requests that may be run together; 1: none. */
  maxBatch: number
}

export interface KeptModelsOptions {
  /** Of all of them together. Evicted ones finish their calls, so that for moments there may be more. */
  memoryBytes: number
  log: Record<'error', (line: Record<string, unknown>) => void>
}

interface Entry extends KeptModel {
  uses: number
  isEvicted: boolean
}

/** Models in memory: least recently used ones make room, and none is closed under a running call. */
export function createKeptModels({ memoryBytes, log }: KeptModelsOptions) {
  const closing = new Set<Promise<void>>()
  const entries = new LRUCache<string, Entry>({
    maxSize: memoryBytes,
    sizeCalculation: ({ model }) => Math.max(1, model.memoryBytes),
    dispose(entry) {
      entry.isEvicted = true
      if (entry.uses === 0) close(entry)
    },
  })

  function close({ model, ref }: Entry) {
    const over = model
      .close()
      .catch((cause) => log.error({ msg: 'A model cannot be closed', model: ref.name, cause }))
      .finally(() => closing.delete(over))
    closing.add(over)
  }

  return {
    /** In use until `release` is called; undefined where it is not kept. */
    lease(key: string): (KeptModel & { release(): void }) | undefined {
      const entry = entries.get(key)
      if (!entry) return undefined
      entry.uses++
      let isHeld = true
      return {
        ...{ ref: entry.ref, runtime: entry.runtime, model: entry.model, maxBatch: entry.maxBatch },
        release() {
          if (isHeld) entry.uses--
          if (isHeld && entry.isEvicted && entry.uses === 0) close(entry)
          isHeld = false
        },
      }
    },

    has: (key: string): boolean => entries.has(key),

    add: (key: string, entry: KeptModel): void =>
      void entries.set(key, { ...entry, uses: 0, isEvicted: false }),

    /** Lets go of all of them; of one that is in use when its calls are over. */
    async close(): Promise<void> {
      entries.clear()
      await Promise.all(closing)
    },
  }
}

export type KeptModels = ReturnType<typeof createKeptModels>
