import { HubError } from '../errors.ts'
import type { FieldValue, Filter } from '../filters.ts'
import type { VectorIndex } from '../ports/vectors.ts'
import { encodeTag, tagsOf } from './vectors-chunk.ts'
import { valuesOf } from './vectors-selection.ts'

/**
 * The attributes of a vector as VSIM's FILTER reads them. An expression that touches a missing attribute is false as a whole, so
 * every vector has all: `a0` and so on, in the order of the fields' names; `h0` tells whether a number is there. Tags are
 * lists of encoded values, which need no escaping.
 */
export function toAttributes(index: VectorIndex, fields: Readonly<Record<string, FieldValue>>): string {
  const attributes: Record<string, number | string[]> = {}
  for (const [i, name] of filterable(index).entries()) {
    const value = Object.hasOwn(fields, name) ? fields[name] : undefined
    if (index.fields[name] === 'tag') {
      attributes[`a${i}`] = value === undefined ? [] : tagsOf(value).map(encodeTag)
    } else {
      attributes[`h${i}`] = value === undefined ? 0 : 1
      attributes[`a${i}`] = value === undefined ? 0 : Number(value)
    }
  }
  return JSON.stringify(attributes)
}

/** The filter in VSIM's own language, with the meaning of `matches`. Errors: 501 for a number that it cannot write. */
export function toExpression(index: VectorIndex, filter: Filter): string {
  if ('filters' in filter) {
    return `(${filter.filters.map((part) => toExpression(index, part)).join(` ${filter.type} `)})`
  }
  const { type, key } = filter
  const i = filterable(index).indexOf(key)
  const isNot = type === 'ne' || type === 'nin'
  if (index.fields[key] === 'tag') {
    const values = new Set(valuesOf(filter).map((value) => `"${encodeTag(String(value))}" in .a${i}`))
    const any = `(${[...values].join(' or ')})`
    return isNot ? `!${any}` : any
  }
  const values = valuesOf(filter).map((value) => toNumber(value as number))
  const operator = { gt: '>', gte: '>=', lt: '<', lte: '<=' }[type as string]
  const compared = operator ? `.a${i} ${operator} ${values[0]}` : `.a${i} in [${values.join(', ')}]`
  return `${isNot ? '!' : ''}(.h${i} and (${compared}))`
}

/** In an order that does not depend on how the index was declared. */
const filterable = ({ fields }: VectorIndex) =>
  Object.keys(fields)
    .filter((name) => fields[name] !== 'text')
    .sort()

/** The language has no signs in exponents, and numbers of less than 256 characters. */
function toNumber(value: number): string {
  const [, sign, digits, decimals = '', exponent] =
    /^(-?)(\d)(?:\.(\d+))?e([-+]\d+)$/.exec(String(value)) ?? []
  if (exponent === undefined) return String(value)
  if (exponent.startsWith('+')) return String(value).replace('e+', 'e')
  const written = `${sign}0.${'0'.repeat(-exponent - 1)}${digits}${decimals}`
  if (written.length < 256) return written
  throw new HubError({
    code: 'not_supported',
    status: 501,
    message: `Vector sets cannot compare with ${value}: compare with 0 instead.`,
  })
}
