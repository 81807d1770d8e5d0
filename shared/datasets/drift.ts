import { mean, quantileSorted, sampleStandardDeviation } from 'simple-statistics'

/** How the values of one feature differ between two sets of rows. */
export type Drift = { missing_rate: Sides<number> } & (
  | {
      type: 'numeric'
      reference: Numbers | null
      current: Numbers | null
      psi: number | null
      ks: number | null
    }
  | { type: 'categorical'; reference: Categories; current: Categories; psi: number | null }
  | { type: 'other' }
)

interface Sides<T> {
  reference: T
  current: T
}

interface Numbers {
  count: number
  mean: number
  /** Of the sample; 0 for one value. */
  std: number
  min: number
  max: number
  quantiles: Record<'p05' | 'p25' | 'p50' | 'p75' | 'p95', number>
}

interface Categories {
  count: number
  /** Part of all, the most frequent first; `…` stands for the others. */
  shares: Record<string, number>
}

const QUANTILES = { p05: 0.05, p25: 0.25, p50: 0.5, p75: 0.75, p95: 0.95 }
const MOST_CATEGORIES = 50
const BINS = 10
/** A number of so few values is binned by value: deciles would fall together. */
const FEW_VALUES = 20

/** Compares two columns; null and undefined are missing. Numbers are compared as numbers, other scalars by how often each occurs. */
export function compareColumns(reference: readonly unknown[], current: readonly unknown[]): Drift {
  const [were, are] = [reference, current].map((column) => column.filter((value) => (value ?? null) !== null))
  const missing_rate = {
    reference: missing(reference.length, were!.length),
    current: missing(current.length, are!.length),
  }
  const all = [...were!, ...are!]
  if (all.length > 0 && all.every((value) => typeof value === 'number'))
    return { type: 'numeric', missing_rate, ...compareNumbers(were as number[], are as number[]) }
  if (all.every((value) => typeof value !== 'object'))
    return { type: 'categorical', missing_rate, ...compareCategories(were!.map(String), are!.map(String)) }
  return { type: 'other', missing_rate }
}

function compareNumbers(reference: number[], current: number[]) {
  const [were, are] = [toSorted(reference), toSorted(current)]
  const sides = { reference: summarise(were), current: summarise(are) }
  if (were.length === 0 || are.length === 0) return { ...sides, psi: null, ks: null }
  const bins = binsOf(were)
  const psi = populationStabilityIndex(bins(were), bins(are))
  return { ...sides, psi, ks: kolmogorovSmirnov(were, are) }
}

function compareCategories(reference: string[], current: string[]) {
  const [were, are] = [countsOf(reference), countsOf(current)]
  const total = (name: string) => (were.get(name) ?? 0) + (are.get(name) ?? 0)
  const names = [...new Set([...were.keys(), ...are.keys()])].sort((a, b) => total(b) - total(a))
  const frequent = names.slice(0, MOST_CATEGORIES)
  const fold = (counts: Map<string, number>, count: number) => {
    const known = frequent.map((name) => counts.get(name) ?? 0)
    const others = count - known.reduce((sum, one) => sum + one, 0)
    return names.length > frequent.length ? [...known, others] : known
  }
  const toShares = (counts: number[], count: number): Categories => ({
    count,
    shares: Object.fromEntries(counts.map((one, i) => [frequent[i] ?? '…', count ? one / count : 0])),
  })
  const [before, now] = [fold(were, reference.length), fold(are, current.length)]
  const isEmpty = reference.length === 0 || current.length === 0
  return {
    reference: toShares(before, reference.length),
    current: toShares(now, current.length),
    psi: isEmpty ? null : populationStabilityIndex(before, now),
  }
}

/**
 * Population stability index of counts in the same bins: Σ (cᵢ − rᵢ) ln(cᵢ / rᵢ) over the parts of each bin (N. Siddiqi, Credit Risk
 * Scorecards, 2006), which is Jeffreys' divergence. By that book's rule of thumb below 0.1 is no change, above 0.25 a great one. Half a
 * row is added to each bin, as an empty one has no logarithm.
 */
export function populationStabilityIndex(reference: readonly number[], current: readonly number[]): number {
  const parts = (counts: readonly number[]) => {
    const all = counts.reduce((sum, count) => sum + count + 0.5, 0)
    return counts.map((count) => (count + 0.5) / all)
  }
  const [were, are] = [parts(reference), parts(current)]
  return were.reduce((sum, was, i) => sum + (are[i]! - was) * Math.log(are[i]! / was), 0)
}

/**
 * Two-sample Kolmogorov–Smirnov statistic: the greatest distance of the empirical distribution functions, from 0 to 1 (N. Smirnov, Annals
 * of Mathematical Statistics 19, 1948). Both samples are sorted and not empty.
 */
export function kolmogorovSmirnov(reference: readonly number[], current: readonly number[]): number {
  let [i, j, greatest] = [0, 0, 0]
  while (i < reference.length && j < current.length) {
    const value = Math.min(reference[i]!, current[j]!)
    while (reference[i] === value) i++
    while (current[j] === value) j++
    greatest = Math.max(greatest, Math.abs(i / reference.length - j / current.length))
  }
  return greatest
}

/** Counts sorted values in bins of the reference: its deciles, or its values where there are few. */
function binsOf(reference: number[]): (sorted: readonly number[]) => number[] {
  const distinct = [...new Set(reference)]
  if (distinct.length <= FEW_VALUES) {
    return (sorted) => {
      const counts = countsOf(sorted)
      const known = distinct.map((value) => counts.get(value) ?? 0)
      return [...known, sorted.length - known.reduce((sum, count) => sum + count, 0)]
    }
  }
  const edges = Array.from({ length: BINS - 1 }, (_, i) => quantileSorted(reference, (i + 1) / BINS))
  return (sorted) => {
    const counts = new Array<number>(BINS).fill(0)
    let bin = 0
    for (const value of sorted) {
      while (bin < edges.length && value > edges[bin]!) bin++
      counts[bin]!++
    }
    return counts
  }
}

function summarise(sorted: number[]): Numbers | null {
  if (sorted.length === 0) return null
  const quantiles = Object.entries(QUANTILES).map(([name, p]) => [name, quantileSorted(sorted, p)])
  return {
    count: sorted.length,
    mean: mean(sorted),
    std: sorted.length > 1 ? sampleStandardDeviation(sorted) : 0,
    min: sorted[0]!,
    max: sorted.at(-1)!,
    quantiles: Object.fromEntries(quantiles),
  }
}

function countsOf<T>(values: Iterable<T>): Map<T, number> {
  const counts = new Map<T, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return counts
}

const toSorted = (values: readonly number[]) => values.toSorted((a, b) => a - b)

const missing = (all: number, present: number) => (all === 0 ? 0 : (all - present) / all)
