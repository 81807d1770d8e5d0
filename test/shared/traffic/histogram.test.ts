import { describe, expect, it } from 'vitest'
import { BOUNDS, bucketOf, newHistogram, quantile } from '../../../shared/traffic/histogram.ts'

const of = (...values: number[]) => {
  const histogram = newHistogram()
  for (const value of values) histogram[bucketOf(value)]! += 1
  return histogram
}

describe('a histogram of latencies', () => {
  it('puts a value into the bucket whose upper bound is the first that is not less', () => {
    expect(bucketOf(0)).toBe(0)
    expect(bucketOf(0.5)).toBe(0)
    expect(bucketOf(0.51)).toBe(1)
    for (const [i, bound] of BOUNDS.entries()) {
      expect(bucketOf(bound)).toBe(i)
      expect(bucketOf(bound * 1.0001)).toBe(i + 1)
    }
    expect(bucketOf(Number.POSITIVE_INFINITY)).toBe(BOUNDS.length)
  })

  it('interpolates within the bucket, as histogram_quantile does', () => {
    // Of 10 observations in (2, 2.83] and 10 in (4, 5.66], the 10th is the end of the first bucket, the 15th the middle of the second.
    const histogram = newHistogram()
    histogram[bucketOf(2.5)] = 10
    histogram[bucketOf(5)] = 10
    expect(quantile(histogram, 0.5)).toBeCloseTo(2 * Math.SQRT2, 10)
    expect(quantile(histogram, 0.75)).toBeCloseTo((4 + 4 * Math.SQRT2) / 2, 10)
    expect(quantile(histogram, 1)).toBeCloseTo(4 * Math.SQRT2, 10)
    expect(quantile(histogram, 0.25)).toBeCloseTo((2 + 2 * Math.SQRT2) / 2, 10)
  })

  it('begins at zero, and ends at the greatest bound', () => {
    expect(quantile(of(0.1, 0.2), 0.5)).toBe(0.25)
    expect(quantile(of(1e9), 0.5)).toBe(BOUNDS.at(-1))
  })

  it('is within a bucket of the true percentile of known data', () => {
    const values = Array.from({ length: 1_000 }, (_, i) => 1 + i) // 1 … 1000 ms
    const histogram = of(...values)
    for (const q of [0.5, 0.95, 0.99]) {
      const found = quantile(histogram, q)!
      const bucket = bucketOf(q * 1_000)
      expect(found).toBeGreaterThanOrEqual(BOUNDS[bucket - 1]!)
      expect(found).toBeLessThanOrEqual(BOUNDS[bucket]!)
    }
    expect(quantile(histogram, 0.5)).toBeCloseTo(500, -1)
  })

  it('says nothing of nothing', () => {
    expect(quantile(newHistogram(), 0.5)).toBeNull()
    expect(quantile([], 0.99)).toBeNull()
  })
})
