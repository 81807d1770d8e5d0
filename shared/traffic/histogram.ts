/** Upper bounds of the buckets, ms: from half a millisecond, each √2 of the one before, up to six minutes; then one without bound. */
export const BOUNDS: readonly number[] = Array.from({ length: 40 }, (_, i) => 0.5 * 2 ** (i / 2))

/** How many observations each bucket has; the last one is without bound. */
export type Histogram = number[]

export const newHistogram = (): Histogram => new Array(BOUNDS.length + 1).fill(0)

/** Of its bucket, whose upper bound is the first that is not less. */
export function bucketOf(ms: number): number {
  let low = 0
  for (let high = BOUNDS.length; low < high; ) {
    const middle = (low + high) >> 1
    if (ms <= BOUNDS[middle]!) high = middle
    else low = middle + 1
  }
  return low
}

/**
 * The value below which a part `q` of the observations lies, taken to be spread evenly within their bucket, as Prometheus's
 * `histogram_quantile` does it (https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile): beyond the
 * greatest bound it is that bound. Null without observations.
 */
export function quantile(histogram: Histogram, q: number): number | null {
  const all = histogram.reduce((sum, count) => sum + count, 0)
  if (all === 0) return null
  const rank = q * all
  let before = 0
  for (const [i, count] of histogram.entries()) {
    if (count > 0 && before + count >= rank) {
      if (i === BOUNDS.length) return BOUNDS.at(-1)!
      const from = i === 0 ? 0 : BOUNDS[i - 1]!
      return from + (BOUNDS[i]! - from) * ((rank - before) / count)
    }
    before += count
  }
  return BOUNDS.at(-1)!
}
