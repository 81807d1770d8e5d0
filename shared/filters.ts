import { HubError } from './errors.ts'

/** OpenAI's filter objects. */
export type Filter = Comparison | Compound

export interface Comparison {
  type: 'eq' | 'ne' | 'gt' | 'gte' | 'lt' | 'lte' | 'in' | 'nin'
  key: string
  value: string | number | boolean | readonly (string | number | boolean)[]
}

interface Compound {
  type: 'and' | 'or'
  filters: readonly Filter[]
}

export type FieldType = 'tag' | 'number' | 'text'

/** Of a tag one string or several, of a number a finite number, of a text a string. */
export type FieldValue = string | number | readonly string[]

type Scalar = string | number | boolean

/**
 * Throws 400 where the filter cannot mean anything on these fields: an undeclared key, a text (which is searched, not
 * filtered), an order of tags, a value of another type, an empty `in` or `and`.
 */
export function checkFilter(filter: Filter, fields: Readonly<Record<string, FieldType>>, path = 'filter') {
  const refuse = (at: string, message: string) => {
    throw new HubError({ code: 'invalid_filter', status: 400, message, param: at })
  }
  if ('filters' in filter) {
    if (filter.filters.length === 0) refuse(`${path}.filters`, `An empty \`${filter.type}\` says nothing.`)
    for (const [i, part] of filter.filters.entries()) checkFilter(part, fields, `${path}.filters[${i}]`)
    return
  }
  const { type, key, value } = filter
  const field = Object.hasOwn(fields, key) ? fields[key] : undefined
  if (!field) {
    const declared = Object.keys(fields).filter((name) => fields[name] !== 'text')
    const have = declared.length ? `It has: ${declared.join(', ')}.` : 'It has none.'
    return refuse(`${path}.key`, `The index declares no field \`${key}\`, so it cannot filter by it. ${have}`)
  }
  if (field === 'text')
    return refuse(
      `${path}.key`,
      `\`${key}\` is a text: it is searched, not filtered. Declare a tag for that.`,
    )
  const isList = type === 'in' || type === 'nin'
  if (Array.isArray(value) !== isList)
    return refuse(`${path}.value`, isList ? `\`${type}\` takes a list.` : `\`${type}\` takes one value.`)
  const values = (isList ? value : [value]) as Scalar[]
  if (values.length === 0) refuse(`${path}.value`, `An empty \`${type}\` says nothing.`)
  if (field === 'tag') {
    if (!isList && type !== 'eq' && type !== 'ne')
      refuse(`${path}.type`, `\`${key}\` is a tag, which has no order: use eq, ne, in or nin.`)
    if (values.some((one) => typeof one === 'number'))
      refuse(`${path}.value`, `\`${key}\` is a tag: compare it with strings or booleans.`)
  } else if (values.some((one) => typeof one !== 'number' || !Number.isFinite(one))) {
    refuse(`${path}.value`, `\`${key}\` is a number: compare it with finite numbers.`)
  }
}

/**
 * Whether a chunk passes. `ne` and `nin` are the opposite of `eq` and `in`: what lacks the field passes them, and of
 * several tags none may equal.
 */
export function matches(filter: Filter, fields: Readonly<Record<string, FieldValue | undefined>>): boolean {
  if ('filters' in filter) {
    const passes = (part: Filter) => matches(part, fields)
    return filter.type === 'and' ? filter.filters.every(passes) : filter.filters.some(passes)
  }
  const { type, key, value } = filter
  const held = Object.hasOwn(fields, key) ? fields[key] : undefined
  const values = held === undefined ? [] : Array.isArray(held) ? (held as readonly string[]) : [held]
  const wanted = (Array.isArray(value) ? value : [value]) as Scalar[]
  const equal = () =>
    values.some((one) =>
      wanted.some((want) => (typeof one === 'number' ? one === want : one === String(want))),
    )
  if (type === 'eq' || type === 'in') return equal()
  if (type === 'ne' || type === 'nin') return !equal()
  const [number] = values
  const [bound] = wanted
  if (typeof number !== 'number' || typeof bound !== 'number') return false
  if (type === 'gt') return number > bound
  if (type === 'gte') return number >= bound
  return type === 'lt' ? number < bound : number <= bound
}
