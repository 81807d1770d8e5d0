import type { Comparison, FieldType, FieldValue, Filter } from '../filters.ts'
import type { VectorIndex } from '../ports/vectors.ts'
import { encodeTag, tagsOf } from './vectors-chunk.ts'

/**
 * What an Upstash vector carries to be filtered by: each declared tag that the chunk has as a list of encoded values, each number as it
 * is. Texts are searched in Redis.
 */
export function toUpstashMetadata(
  { fields }: Pick<VectorIndex, 'fields'>,
  values: Readonly<Record<string, FieldValue>>,
): Record<string, string[] | number> {
  const metadata: Record<string, string[] | number> = {}
  for (const [name, value] of Object.entries(values)) {
    const type = Object.hasOwn(fields, name) ? fields[name] : undefined
    if (type === 'number' && typeof value === 'number') metadata[toField(name)] = value
    if (type !== 'tag') continue
    const tags = tagsOf(value).map(encodeTag)
    if (tags.length > 0) metadata[toField(name)] = tags
  }
  return metadata
}

/**
 * The filter in Upstash's language, with the meaning of `matches` in shared/filters.ts. It needs neither escapes inside strings nor what
 * `!=` means for a missing field, which Upstash does not document.
 *
 * @example toUpstashFilter({ type: 'ne', key: 'color', value: 'red' }, { color: 'tag' })
 * // "(HAS NOT FIELD f_color OR f_color NOT CONTAINS 'red')"
 */
export function toUpstashFilter(filter: Filter, fields: Readonly<Record<string, FieldType>>): string {
  if ('filters' in filter) {
    const parts = filter.filters.map((part) => toUpstashFilter(part, fields))
    return joined(parts, filter.type === 'and' ? 'AND' : 'OR')
  }
  return fields[filter.key] === 'tag' ? ofTag(filter) : ofNumber(filter)
}

function ofTag({ type, key, value }: Comparison): string {
  const field = toField(key)
  const values = new Set((Array.isArray(value) ? value : [value]).map((one) => encodeTag(String(one))))
  const compare = (operator: string) => [...values].map((one) => `${field} ${operator} '${one}'`)
  if (type === 'eq' || type === 'in') return joined(compare('CONTAINS'), 'OR')
  return joined([`HAS NOT FIELD ${field}`, joined(compare('NOT CONTAINS'), 'AND')], 'OR')
}

function ofNumber({ type, key, value }: Comparison): string {
  const field = toField(key)
  const numbers = (Array.isArray(value) ? value : [value]).map((one) => toDecimal(Number(one)))
  const list = `(${numbers.join(', ')})`
  if (type === 'in') return `${field} IN ${list}`
  if (type === 'nin') return `(HAS NOT FIELD ${field} OR ${field} NOT IN ${list})`
  if (type === 'ne') return `(HAS NOT FIELD ${field} OR ${field} != ${numbers[0]})`
  return `${field} ${OPERATORS[type]} ${numbers[0]}`
}

const OPERATORS = { eq: '=', gt: '>', gte: '>=', lt: '<', lte: '<=' } as const

const joined = (parts: readonly string[], operator: 'AND' | 'OR') =>
  parts.length === 1 ? parts[0]! : `(${parts.join(` ${operator} `)})`

/** Identifiers begin with a letter, are no keyword, and take `.`, `[`, `#` and `-` for a path: all but letters and digits is escaped. */
const toField = (name: string) =>
  `f_${name.replace(/_/g, '__').replace(/[^A-Za-z0-9_]/gu, (char) => `_${char.codePointAt(0)!.toString(16)}_`)}`

/** Without an exponent: that literals may have one is not documented. */
function toDecimal(number: number): string {
  const [, sign, whole, fraction = '', exponent] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(number)) ?? []
  if (exponent === undefined) return String(number)
  const digits = whole! + fraction
  const point = whole!.length + Number(exponent)
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`
  return point >= digits.length
    ? `${sign}${digits.padEnd(point, '0')}`
    : `${sign}${digits.slice(0, point)}.${digits.slice(point)}`
}
