import type { Verdict } from '../completions/completion-record.ts'
import { BOUNDS, type Histogram, newHistogram } from './histogram.ts'

export const VERDICTS = [
  'exact',
  'semantic',
  'stale',
  'collapsed',
  'miss',
  'request',
  'bypass',
  'none',
] as const satisfies Verdict[]

/** `client`: 4xx, but 429, which is `limited`; `server`: 5xx. */
export type ErrorClass = 'client' | 'limited' | 'server'

/** What inferences of one model came to. */
interface ModelTraffic {
  inferences: number
  errors: number
  total: Histogram
}

/** What was counted of a tenant within some time. */
export interface TrafficCounts {
  verdicts: Record<Verdict, number>
  endpoints: Record<string, number>
  errors: Record<ErrorClass, number>
  inputTokens: number
  outputTokens: number
  savedTokens: number
  /** USD */
  cost: number
  saved: number
  /** Until the end of the answer, and until its first piece. */
  total: Histogram
  first: Histogram
  models: Map<string, ModelTraffic>
}

/**
 * Fields of a minute's hash. Of models: their name comes last, since it may hold anything. Money is whole billionths of a dollar: sums of
 * floats drift.
 */
export const field = {
  verdict: (verdict: Verdict) => `verdict:${verdict}`,
  endpoint: (endpoint: string) => `endpoint:${endpoint}`,
  error: (of: ErrorClass) => `error:${of}`,
  total: (bucket: number) => `total:${bucket}`,
  first: (bucket: number) => `first:${bucket}`,
  inference: (bucket: number, model: string) => `model:${bucket}:${model}`,
  inferenceError: (model: string) => `model:error:${model}`,
}

const SUMS = {
  input_tokens: 'inputTokens',
  output_tokens: 'outputTokens',
  saved_tokens: 'savedTokens',
  cost: 'cost',
  saved: 'saved',
} as const

const NANO = 1e9
export const toNano = (usd: number) => Math.round(usd * NANO)

export const newCounts = (): TrafficCounts => ({
  verdicts: Object.fromEntries(VERDICTS.map((verdict) => [verdict, 0])) as Record<Verdict, number>,
  endpoints: {},
  errors: { client: 0, limited: 0, server: 0 },
  ...{ inputTokens: 0, outputTokens: 0, savedTokens: 0, cost: 0, saved: 0 },
  ...{ total: newHistogram(), first: newHistogram(), models: new Map() },
})

/** Of HGETALL. What another version of the hub counts beside it is left out. */
export function readMinute(flat: readonly string[]): TrafficCounts {
  const counts = newCounts()
  for (let i = 0; i < flat.length; i += 2) {
    const [kind = '', name = '', ...rest] = flat[i]!.split(':')
    const by = Number(flat[i + 1])
    if (kind === 'verdict') addTo(counts.verdicts, name, by)
    else if (kind === 'endpoint') counts.endpoints[name] = by
    else if (kind === 'error') addTo(counts.errors, name, by)
    else if (kind === 'total' || kind === 'first') addToBucket(counts[kind], name, by)
    else if (kind === 'model') addInference(counts, name, rest.join(':'), by)
    else if (kind in SUMS) {
      const sum = SUMS[kind as keyof typeof SUMS]
      counts[sum] += sum === 'cost' || sum === 'saved' ? by / NANO : by
    }
  }
  return counts
}

/** Together. */
export function sumOf(all: readonly TrafficCounts[]): TrafficCounts {
  const sum = newCounts()
  for (const one of all) {
    for (const verdict of VERDICTS) sum.verdicts[verdict] += one.verdicts[verdict]
    for (const [name, by] of Object.entries(one.endpoints)) {
      sum.endpoints[name] = (sum.endpoints[name] ?? 0) + by
    }
    for (const [name, by] of Object.entries(one.errors)) addTo(sum.errors, name, by)
    for (const name of Object.values(SUMS)) sum[name] += one[name]
    addAll(sum.total, one.total)
    addAll(sum.first, one.first)
    for (const [name, { inferences, errors, total }] of one.models) {
      const model = modelOf(sum, name)
      model.inferences += inferences
      model.errors += errors
      addAll(model.total, total)
    }
  }
  return sum
}

function addInference(counts: TrafficCounts, bucket: string, name: string, by: number) {
  const model = modelOf(counts, name)
  if (bucket === 'error') model.errors += by
  else if (addToBucket(model.total, bucket, by)) model.inferences += by
}

function modelOf({ models }: TrafficCounts, name: string): ModelTraffic {
  const model = models.get(name) ?? { inferences: 0, errors: 0, total: newHistogram() }
  models.set(name, model)
  return model
}

function addTo(counts: Record<string, number>, name: string, by: number) {
  if (name in counts) counts[name]! += by
}

function addToBucket(histogram: Histogram, bucket: string, by: number): boolean {
  const i = Number(bucket)
  if (!(i >= 0 && i <= BOUNDS.length)) return false
  histogram[i]! += by
  return true
}

function addAll(histogram: Histogram, other: Histogram) {
  for (const [i, count] of other.entries()) histogram[i]! += count
}
