import type { Log } from '../functions/deps.ts'

/** Work that the caller does not wait for, but that the runtime must not cut off. */
export interface Deferred {
  /** Takes work in; resolves when it is over. Its failure is logged and stops nothing. */
  defer(work: Promise<unknown>): Promise<void>
  /** Resolves when all of it is over, what was deferred meanwhile included. */
  settled(): Promise<void>
}

export function createDeferred(log: Log): Deferred {
  const running = new Set<Promise<void>>()
  return {
    defer(work) {
      const over = work
        .then(
          () => {},
          (cause) => log.error({ msg: 'Deferred work failed', cause }),
        )
        .finally(() => running.delete(over))
      running.add(over)
      return over
    },
    async settled() {
      while (running.size > 0) await Promise.all(running)
    },
  }
}
