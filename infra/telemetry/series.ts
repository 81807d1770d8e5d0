import { INSTRUMENTS, type InstrumentName } from './instruments.ts'

export type Attributes = Record<string, string | number>

/** Everything that was recorded with the same attributes. */
export interface Series {
  attributes: Attributes
  count: number
  sum: number
  min: number
  max: number
  /** How many values were at most each of the histogram's bounds, and above the one before; the last ones are above all. */
  buckets: number[]
  record(value: number): void
}

/** Of one instrument; the others are one series, as OpenTelemetry has it. */
const MOST = 2_000
const OVERFLOW: Attributes = { 'otel.metric.overflow': 'true' }

/**
 * Adds up what is recorded, in memory and at once. OpenTelemetry's own instruments sort and print the attributes of every single value, which
 * was a tenth of an answer from the cache; here they are read once for a series, and whoever records often keeps the series.
 */
export function createSeries() {
  const all = new Map<InstrumentName, Map<string, Series>>()
  for (const name of Object.keys(INSTRUMENTS)) all.set(name as InstrumentName, new Map())

  /** The one with these attributes. */
  function series(name: InstrumentName, attributes: Attributes): Series {
    const known = all.get(name)!
    const key = JSON.stringify(Object.entries(attributes).sort())
    const found = known.get(key)
    if (found) return found
    if (known.size >= MOST && attributes !== OVERFLOW) return series(name, OVERFLOW)
    const bounds = boundsOf(name)
    const made = newSeries(attributes, bounds)
    known.set(key, made)
    return made
  }

  return { series, of: (name: InstrumentName): Series[] => [...all.get(name)!.values()] }
}

function newSeries(attributes: Attributes, bounds: readonly number[] = []): Series {
  const buckets: number[] = new Array(bounds.length + 1).fill(0)
  const series: Series = {
    ...{ attributes, buckets, count: 0, sum: 0 },
    ...{ min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY },
    record(value) {
      series.count++
      series.sum += value
      if (value < series.min) series.min = value
      if (value > series.max) series.max = value
      let at = 0
      while (at < bounds.length && value > bounds[at]!) at++
      buckets[at]!++
    },
  }
  return series
}

export const boundsOf = (name: InstrumentName): readonly number[] | undefined =>
  (INSTRUMENTS[name] as { buckets?: number[] }).buckets
