import { describe, expect, it } from 'vitest'
import {
  compareColumns,
  kolmogorovSmirnov,
  populationStabilityIndex,
} from '../../../shared/datasets/drift.ts'
import { seeded } from '../../support/random.ts'

describe('the population stability index', () => {
  it('is 0 for the same parts, symmetric, and never infinite', () => {
    expect(populationStabilityIndex([10, 20, 30], [10, 20, 30])).toBe(0)
    const [a, b] = [
      [900, 100],
      [600, 400],
    ] as const
    expect(populationStabilityIndex(a, b)).toBeCloseTo(populationStabilityIndex(b, a), 12)
    expect(populationStabilityIndex([100, 0], [0, 100])).toBeLessThan(Number.POSITIVE_INFINITY)
  })

  it('is what the formula says: half of a row aside, (0.6−0.9) ln(0.6/0.9) + (0.4−0.1) ln(0.4/0.1)', () => {
    const expected = (0.6 - 0.9) * Math.log(0.6 / 0.9) + (0.4 - 0.1) * Math.log(0.4 / 0.1)
    expect(populationStabilityIndex([900_000, 100_000], [600_000, 400_000])).toBeCloseTo(expected, 4)
  })
})

describe('the Kolmogorov–Smirnov statistic', () => {
  it.each([
    [[1, 2, 3], [1, 2, 3], 0],
    [[1, 2, 3], [4, 5, 6], 1],
    [[1, 2, 3, 4], [3, 4, 5, 6], 0.5],
    [[1, 1, 1, 2], [1, 2, 2, 2], 0.5],
    [[0], [0, 0, 0, 1], 0.25],
  ])('of %j and %j is %d', (reference, current, expected) => {
    expect(kolmogorovSmirnov(reference, current)).toBe(expected)
    expect(kolmogorovSmirnov(current, reference)).toBe(expected)
  })
})

describe('columns', () => {
  const random = seeded(3)
  const numbers = (count: number, shift = 0) => Array.from({ length: count }, () => random() + shift)

  it('two samples of one distribution differ little, those of another a lot', () => {
    const same = compareColumns(numbers(5_000), numbers(5_000))
    expect(same).toMatchObject({ type: 'numeric' })
    if (same.type !== 'numeric') throw new Error()
    expect(same.psi).toBeLessThan(0.02)
    expect(same.ks).toBeLessThan(0.05)
    const moved = compareColumns(numbers(5_000), numbers(5_000, 0.4))
    if (moved.type !== 'numeric') throw new Error()
    expect(moved.psi).toBeGreaterThan(0.25)
    expect(moved.ks).toBeCloseTo(0.4, 1)
  })

  it('a number of one value that moves down is seen', () => {
    const moved = compareColumns(Array(100).fill(5), Array(100).fill(4))
    if (moved.type !== 'numeric') throw new Error()
    expect(moved.psi).toBeGreaterThan(1)
  })

  it('summarises numbers', () => {
    const column = [4, 1, 3, 2, null]
    expect(compareColumns(column, [])).toEqual({
      ...{
        type: 'numeric',
        missing_rate: { reference: 0.2, current: 0 },
        current: null,
        psi: null,
        ks: null,
      },
      reference: {
        ...{ count: 4, mean: 2.5, std: expect.closeTo(1.29099, 4), min: 1, max: 4 },
        quantiles: { p05: 1.15, p25: 1.75, p50: 2.5, p75: 3.25, p95: expect.closeTo(3.85, 12) },
      },
    })
  })

  it('folds rare categories together', () => {
    const column = Array.from({ length: 200 }, (_, n) => (n < 100 ? 'often' : `rare ${n}`))
    const drift = compareColumns(column, column)
    if (drift.type !== 'categorical') throw new Error()
    expect(Object.keys(drift.reference.shares)).toHaveLength(51)
    expect(drift.reference.shares).toMatchObject({ often: 0.5, '…': 51 / 200 })
    expect(drift.psi).toBe(0)
  })

  it('tells mixed scalars as categories, and of lists only how many are missing', () => {
    expect(compareColumns([1, 'one', true], ['one'])).toMatchObject({ type: 'categorical' })
    expect(compareColumns([[1, 2], null], [[1, 2]])).toEqual({
      type: 'other',
      missing_rate: { reference: 0.5, current: 0 },
    })
  })
})
