/** When something is due again, by `performance.now()`; rounded up to 20 ms, so that they stay few however much fails. */
export function createDueTimes() {
  const times: number[] = []
  return {
    add(at: number): void {
      const time = Math.ceil(at / STEP_MS) * STEP_MS
      let [from, to] = [0, times.length]
      while (from < to) {
        const middle = (from + to) >> 1
        if (times[middle]! < time) from = middle + 1
        else to = middle
      }
      if (times[from] !== time) times.splice(from, 0, time)
    },
    get next(): number {
      return times[0] ?? Number.POSITIVE_INFINITY
    },
    /** Forgets those that are past. */
    pass(now: number): void {
      const left = times.findIndex((time) => time > now)
      times.splice(0, left === -1 ? times.length : left)
    },
  }
}

export type DueTimes = ReturnType<typeof createDueTimes>

const STEP_MS = 20
