/** How long one request may wait on Redis in all, however many waves it needs. */
export interface Patience {
  /** Runs a call with the time that is left as its deadline, and counts what it took. */
  wait<T>(call: (timeoutMs: number) => Promise<T>): Promise<T>
}

const HOT_PATH_MS = 250

export function createPatience(totalMs = HOT_PATH_MS): Patience {
  let left = totalMs
  return {
    async wait(call) {
      const start = performance.now()
      try {
        return await call(Math.max(1, left))
      } finally {
        left -= performance.now() - start
      }
    },
  }
}
