import { valueAt } from '../events/value-at.ts'
import type { Comparison, Filter } from '../filters.ts'

/**
 * Where a rule looks: events as they came in (`HubEvent`), or what came of them (`EventResult`, with the `event`), those of a stream or
 * those of a pipeline on whatever stream.
 */
export type AlertSubject = { stream: string } | { results: string } | { pipeline: string }

type AlertCondition = {
  /** Only what passes it is looked at; its keys are dotted paths. */
  filter?: Filter
} & (
  | { type: 'threshold'; path: string; op: ThresholdOp; value: string | number | boolean }
  /** As many, at least, within so long. */
  | { type: 'rate'; count: number; window_seconds: number }
  /** None for so long. Fires once, and again after the next silence. */
  | { type: 'absence'; seconds: number }
)

type ThresholdOp = Exclude<Comparison['type'], 'in' | 'nin'>

export interface AlertRule {
  on: AlertSubject
  when: AlertCondition
  webhook?: { url: string; allow_private?: boolean; sealed: string }
  /** After it fired it is quiet for so long. */
  cooldown_seconds: number
  /** RFC 3339 */
  created_at: string
  updated_at: string
}

/** What is published and sent. At least once: the same alert has the same id. */
export interface Alert {
  id: string
  rule: string
  type: AlertCondition['type']
  on: AlertSubject
  /** RFC 3339 */
  at: string
  /** Of the event or result that made it fire. */
  event?: { id: string; source: string; type: string }
  result_id?: string
  /** Of a threshold: what was found at `path`. */
  path?: string
  op?: ThresholdOp
  threshold?: string | number | boolean
  value?: unknown
  count?: number
  window_seconds?: number
  /** Of an absence. */
  seconds?: number
  last_seen?: string | null
}

/** Whether a rule looks at this at all, and, of a threshold, whether it is passed. */
export function concerns(rule: AlertRule, item: unknown): boolean {
  const { when } = rule
  if (when.filter && !matches(when.filter, item)) return false
  return when.type !== 'threshold' || holds(when.op, valueAt(item, when.path), when.value)
}

function matches(filter: Filter, item: unknown): boolean {
  if ('filters' in filter) {
    const one = (part: Filter) => matches(part, item)
    return filter.type === 'and' ? filter.filters.every(one) : filter.filters.some(one)
  }
  const { type, key, value } = filter
  return holds(type, valueAt(item, key), value)
}

/** What is not there equals nothing and has no order; only things of one type do. */
function holds(op: Comparison['type'], found: unknown, wanted: Comparison['value']): boolean {
  if (op === 'in' || op === 'nin') return (op === 'in') === [wanted].flat().includes(found as string)
  if (op === 'eq') return found === wanted
  if (op === 'ne') return found !== undefined && found !== wanted
  if (typeof found !== typeof wanted || (typeof found !== 'number' && typeof found !== 'string')) return false
  const [a, b] = [found as number, wanted as number]
  if (op === 'gt') return a > b
  if (op === 'gte') return a >= b
  return op === 'lt' ? a < b : a <= b
}
