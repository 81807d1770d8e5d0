/** How long something took, in ms from the beginning; what overlaps was waited for together. */
export interface Phase {
  name: 'admission' | 'index' | 'embedding' | 'search' | 'similarity' | 'read'
  start: number
  milliseconds: number
}

/** Takes the time of parts of one search. */
export function createPhases() {
  const begin = performance.now()
  const phases: Phase[] = []
  return {
    phases,
    async timed<T>(name: Phase['name'], work: () => Promise<T>): Promise<T> {
      const start = performance.now()
      const phase: Phase = { name, start: round(start - begin), milliseconds: 0 }
      phases.push(phase)
      try {
        return await work()
      } finally {
        phase.milliseconds = round(performance.now() - start)
      }
    },
  }
}

const round = (ms: number) => Math.round(ms * 1000) / 1000
