import type { Delivery } from './group-ledger.ts'

interface Lane {
  /** The entry that holds the lane: ready, worked on, or waiting for another attempt. */
  id: string
  behind: Delivery[]
}

/**
 * Which entries may be worked on now: of each key one at a time, in the stream's order; those without a key always.
 */
export function createKeyLanes(keyOf: ((entry: Delivery) => string | undefined) | undefined) {
  const ready: Delivery[] = []
  const lanes = new Map<string, Lane>()

  /** Lets the key's next entry go. */
  function leave(key: string, lane: Lane) {
    const next = lane.behind.shift()
    if (!next) return void lanes.delete(key)
    lane.id = next.id
    ready.push(next)
  }

  return {
    add(entry: Delivery): void {
      const key = keyOf?.(entry)
      const lane = key === undefined ? undefined : lanes.get(key)
      if (key !== undefined && !lane) lanes.set(key, { id: entry.id, behind: [] })
      // One that comes back for another attempt still holds its lane.
      if (!lane || lane.id === entry.id) ready.push(entry)
      else lane.behind.push(entry)
    },
    /** Its key waits for it, though it is not here. */
    hold(entry: Delivery): void {
      const key = keyOf?.(entry)
      if (key !== undefined && !lanes.has(key)) lanes.set(key, { id: entry.id, behind: [] })
    },
    /** Up to `most` of those that may be worked on, no two of a key. One that has failed before goes alone, so that it fails no others. */
    take(most: number): Delivery[] {
      const suspect = (entry: Delivery) => entry.failures > 0 || entry.takeovers > 1
      const first = ready[0]
      if (!first) return []
      const end = suspect(first) ? 1 : ready.slice(0, most).findIndex(suspect)
      return ready.splice(0, end === -1 ? most : end)
    },
    /** It is over and done with. */
    settled(entry: Delivery): void {
      const key = keyOf?.(entry)
      const lane = key === undefined ? undefined : lanes.get(key)
      if (key !== undefined && lane?.id === entry.id) leave(key, lane)
    },
    /** Frees the keys of entries that `isAlive` does not know: somebody else settled them. */
    free(isAlive: (id: string) => boolean): void {
      for (const [key, lane] of lanes) if (!isAlive(lane.id)) leave(key, lane)
    },
    get ready() {
      return ready.length
    },
  }
}
