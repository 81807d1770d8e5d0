/** Outcomes of the last `windowMs`, in tenths of it. */
export function createOutcomeWindow(windowMs: number, now: () => number) {
  let slices: { at: number; succeeded: number; failed: number }[] = []
  const current = () => Math.floor(now() / (windowMs / 10))

  return {
    add(outcome: 'ok' | 'failed') {
      const at = current()
      slices = slices.filter((slice) => slice.at > at - 10)
      let last = slices.at(-1)
      if (last?.at !== at) {
        last = { at, succeeded: 0, failed: 0 }
        slices.push(last)
      }
      last[outcome === 'ok' ? 'succeeded' : 'failed'] += 1
    },
    sum() {
      const least = current() - 10
      const inside = slices.filter(({ at }) => at > least)
      return {
        succeeded: inside.reduce((sum, { succeeded }) => sum + succeeded, 0),
        failed: inside.reduce((sum, { failed }) => sum + failed, 0),
      }
    },
    clear() {
      slices = []
    },
  }
}

export type OutcomeWindow = ReturnType<typeof createOutcomeWindow>
