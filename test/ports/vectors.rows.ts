import type { FieldValue, Filter } from '../../shared/filters.ts'

export interface Row {
  documentId: string
  vector: number[]
  fields: Record<string, FieldValue>
}

/** What some query language would take for its own; upper and lower case, spaces and the empty text are tags of their own. */
const COLORS = [
  'red',
  'Red',
  ' red',
  'red ',
  '',
  'a,b',
  'a',
  'b',
  '"q"',
  "it's",
  '{x|y}',
  '-',
  '@c:*',
  '\\',
  '😀 ü',
  'true',
  'a\nb',
  '%20',
  ' ',
]
const SIZES = [-1e300, -2.5, -1, 0, 0.1, 0.30000000000000004, 1, 7, 2 ** 53, 1e21, 1e300]
const WEIGHTS = [-3, -2, -1, 0, 1, 2, 3]

/** Rows with several tags or none, and fields that are missing. */
export function randomRows(random: () => number, count: number): Row[] {
  const pick = <T>(values: readonly T[]) => values[Math.floor(random() * values.length)]!
  return Array.from({ length: count }, (_, i) => {
    const fields: Record<string, FieldValue> = {}
    const colors = Math.floor(random() * 4)
    if (colors === 1) fields.color = pick(COLORS)
    else if (colors > 1) fields.color = Array.from({ length: colors }, () => pick(COLORS))
    if (random() < 0.8) fields.flag = random() < 0.5 ? 'true' : 'false'
    if (random() < 0.8) fields.size = pick(SIZES)
    if (random() < 0.8) fields.weight = pick(WEIGHTS)
    return { documentId: `d${i}`, vector: Array.from({ length: 4 }, () => random() * 2 - 1), fields }
  })
}

/** Comparisons and nestings of them, on the fields of these rows. */
export function randomFilter(random: () => number, depth = 0): Filter {
  const pick = <T>(values: readonly T[]) => values[Math.floor(random() * values.length)]!
  const some = <T>(values: readonly T[]) =>
    Array.from({ length: 1 + Math.floor(random() * 4) }, () => pick(values))
  if (depth < 3 && random() < 0.4) {
    const count = 1 + Math.floor(random() * 3)
    return {
      type: random() < 0.5 ? 'and' : 'or',
      filters: Array.from({ length: count }, () => randomFilter(random, depth + 1)),
    }
  }
  const kind = random()
  if (kind < 0.4) {
    const type = pick(['eq', 'ne', 'in', 'nin'] as const)
    const value = type === 'in' || type === 'nin' ? some(COLORS) : pick(COLORS)
    return { type, key: 'color', value }
  }
  if (kind < 0.55) {
    const type = pick(['eq', 'ne', 'in', 'nin'] as const)
    const flag = pick([true, false, 'true', 'false', 'other'])
    return { type, key: 'flag', value: type === 'in' || type === 'nin' ? [flag] : flag }
  }
  const [key, values] = pick([
    ['size', SIZES],
    ['weight', WEIGHTS],
  ] as const)
  const type = pick(['eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'in', 'nin'] as const)
  const value = type === 'in' || type === 'nin' ? some<number>(values) : pick<number>([...values, 0.5])
  return { type, key, value }
}
