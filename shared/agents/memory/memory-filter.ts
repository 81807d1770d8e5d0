import { HubError } from '../../errors.ts'
import type { FieldValue, Filter } from '../../filters.ts'
import { readTime, type StoredMemory } from './memory-entry.ts'

/** Times, compared as such: of RFC 3339 in the filter. */
const TIMES = ['created_at', 'valid_from', 'valid_until'] as const

/**
 * The filter with its times in Unix ms. It may ask for times, `origin` (what kind), and whatever the metadata holds under a key: texts and
 * truth values (eq, ne, in, nin), and numbers.
 *
 * Errors: 400 for what could not be compared: an order of texts, a time that is none, nothing at all.
 */
export function toMemoryFilter(filter: Filter, path = 'filter'): Filter {
  if ('filters' in filter) {
    if (filter.filters.length === 0)
      throw invalid(`${path}.filters`, `An empty \`${filter.type}\` says nothing.`)
    return {
      ...filter,
      filters: filter.filters.map((part, i) => toMemoryFilter(part, `${path}.filters[${i}]`)),
    }
  }
  const { type, key, value } = filter
  const isList = type === 'in' || type === 'nin'
  if (Array.isArray(value) !== isList)
    throw invalid(`${path}.value`, isList ? `\`${type}\` takes a list.` : `\`${type}\` takes one value.`)
  const values = (isList ? value : [value]) as readonly (string | number | boolean)[]
  if (values.length === 0) throw invalid(`${path}.value`, `An empty \`${type}\` says nothing.`)
  if (isTime(key)) {
    const times = values.map((one) => (typeof one === 'string' ? readTime(one) : undefined))
    if (times.some((time) => time === undefined))
      throw invalid(`${path}.value`, `\`${key}\` is a time: compare it with such as 2027-03-01T09:00:00Z.`)
    return { type, key, value: isList ? (times as number[]) : times[0]! }
  }
  const isOrder = !isList && type !== 'eq' && type !== 'ne'
  if (isOrder && typeof value !== 'number')
    throw invalid(
      `${path}.value`,
      `\`${type}\` compares numbers and times: \`${key}\` of metadata takes a number here.`,
    )
  return filter
}

/** What a filter sees of a memory. */
export function fieldsOf({
  metadata,
  origin,
  created,
  from,
  until,
}: StoredMemory): Record<string, FieldValue | undefined> {
  const own = Object.entries(metadata).map(([key, value]) => [key, toField(value)] as const)
  const times = {
    created_at: created,
    valid_from: from ?? created,
    valid_until: until ?? Number.POSITIVE_INFINITY,
  }
  return { ...Object.fromEntries(own), origin: origin.kind, ...times }
}

const isTime = (key: string): key is (typeof TIMES)[number] => (TIMES as readonly string[]).includes(key)

function toField(value: unknown): FieldValue | undefined {
  if (typeof value === 'string' || typeof value === 'number') return value
  if (typeof value === 'boolean') return String(value)
  return Array.isArray(value) ? value.filter((one) => typeof one !== 'object').map(String) : undefined
}

const invalid = (param: string, message: string) =>
  new HubError({ code: 'invalid_filter', status: 400, message, param })
