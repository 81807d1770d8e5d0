import { type Schema, Validator } from '@cfworker/json-schema'
import { HubError } from '../errors.ts'
import { checkPattern, MOST_MATCHED } from './schema-pattern.ts'

/** Where data breaks its schema: `.orders[3].price`, empty for the data itself. */
interface Violation {
  path: string
  message: string
}

export type CheckData = (data: unknown) => Violation | undefined

/**
 * A JSON Schema (2019-09 and earlier, `prefixItems` too) as a check whose cost is bounded by the schema's and the data's size: no
 * recursion, no schema elsewhere, regular expressions of bounded work. Throws 400 with the path of what it does not take.
 */
export function compileDataSchema(schema: unknown, param = 'schema'): CheckData {
  if (Buffer.byteLength(JSON.stringify(schema) ?? '') > MOST_BYTES)
    throw invalid(param, `must be at most ${MOST_BYTES} bytes`)
  const used = { namePatterns: false }
  const bounded = toBounded(schema, param, used)
  if (costOf(bounded, bounded, new Set(), param) > MOST_PARTS)
    throw invalid(param, `has more than ${MOST_PARTS} parts, those behind each $ref counted each time`)
  let validator: Validator
  try {
    validator = new Validator(bounded as Schema)
    validator.validate({}) // an unknown $ref is found when it is followed
  } catch (cause) {
    throw invalid(param, `is no JSON Schema: ${(cause as Error).message.split('\n')[0]}`)
  }
  return (data) => {
    if (used.namePatterns && hasLongName(data))
      return { path: '', message: `has a property name of more than ${MOST_MATCHED} characters` }
    const { valid, errors } = validator.validate(data)
    if (valid) return undefined
    // The outer ones only say that an inner one failed.
    const { instanceLocation, error } = errors.at(-1)!
    return { path: toPath(instanceLocation), message: error }
  }
}

const MOST_BYTES = 65_536
const MOST_PARTS = 2_000
const MOST_UNIQUE = 1_000

const TYPES = ['null', 'boolean', 'object', 'array', 'number', 'string', 'integer']
const ONE = ['not', 'if', 'then', 'else', 'additionalProperties', 'unevaluatedProperties', 'propertyNames']
ONE.push('additionalItems', 'unevaluatedItems', 'contains')
const LISTS = ['allOf', 'anyOf', 'oneOf', 'prefixItems']
const MAPS = ['properties', 'patternProperties', 'dependentSchemas', '$defs', 'definitions']
const NUMBERS = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf', 'minLength']
NUMBERS.push(
  'maxLength',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
  'minContains',
  'maxContains',
)

/** What others would point to it by; only its own parts are pointed to. */
const NAMES = ['$id', '$schema', '$anchor']

type Node = Record<string, unknown>
const isObject = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The schema with its dear keywords behind a bound. Throws where it is none. */
function toBounded(schema: unknown, at: string, used: { namePatterns: boolean }, levels = 50): unknown {
  if (typeof schema === 'boolean') return schema
  if (!isObject(schema)) throw invalid(at, 'must be a JSON Schema: an object, true or false')
  if (levels === 0) throw invalid(at, 'is nested too deep')
  const inner = (value: unknown, path: string) => toBounded(value, `${at}.${path}`, used, levels - 1)
  const bounded: Node = {}
  const guards: Node[] = []
  for (const [keyword, value] of Object.entries(schema)) {
    const here = `${at}.${keyword}`
    if (ONE.includes(keyword) || (keyword === 'items' && !Array.isArray(value)))
      bounded[keyword] = inner(value, keyword)
    else if (LISTS.includes(keyword) || keyword === 'items') {
      if (!Array.isArray(value)) throw invalid(here, 'must be an array of schemas')
      bounded[keyword] = value.map((one, i) => inner(one, `${keyword}[${i}]`))
    } else if (MAPS.includes(keyword)) {
      if (!isObject(value)) throw invalid(here, 'must be an object of schemas')
      if (keyword === 'patternProperties') {
        used.namePatterns = true
        for (const pattern of Object.keys(value)) checkPattern(pattern, here)
      }
      bounded[keyword] = Object.fromEntries(
        Object.entries(value).map(([name, one]) => [name, inner(one, `${keyword}.${name}`)]),
      )
    } else if (keyword === 'pattern') {
      checkPattern(value, here)
      guards.push(behind({ maxLength: MOST_MATCHED }, { pattern: value }))
    } else if (keyword === 'uniqueItems') {
      if (value === true) guards.push(behind({ maxItems: MOST_UNIQUE }, { uniqueItems: true }))
    } else if (!NAMES.includes(keyword)) {
      checkKeyword(keyword, value, here)
      bounded[keyword] = value
    }
  }
  if (guards.length > 0) bounded.allOf = [...((bounded.allOf as unknown[]) ?? []), ...guards]
  return bounded
}

/** The validator looks on where a bound is broken; a condition it does not pass. */
// biome-ignore lint/suspicious/noThenProperty: JSON Schema calls it so, and nobody awaits it
const behind = (bound: Node, dear: Node): Node => ({ if: bound, then: dear, else: bound })

function checkKeyword(keyword: string, value: unknown, at: string) {
  if (keyword === 'type') {
    const all = Array.isArray(value) ? value : [value]
    if (!all.every((type) => TYPES.includes(type))) throw invalid(at, `must be of ${TYPES.join(', ')}`)
  }
  if (NUMBERS.includes(keyword) && typeof value !== 'number') throw invalid(at, 'must be a number')
  if (keyword === 'enum' && !Array.isArray(value)) throw invalid(at, 'must be an array')
  if (keyword === 'required' && !(Array.isArray(value) && value.every((name) => typeof name === 'string')))
    throw invalid(at, 'must be an array of names')
  if (keyword === '$ref' && !(typeof value === 'string' && /^#(\/.*)?$/.test(value)))
    throw invalid(at, 'must point into this schema: `#/$defs/…`')
  if (['$recursiveRef', '$dynamicRef', 'dependencies'].includes(keyword))
    throw invalid(at, 'is not taken here')
}

/** Parts that may be looked at for one value; each `$ref` costs what it leads to. Throws where one leads to itself. */
function costOf(node: unknown, root: unknown, open: Set<unknown>, param: string): number {
  if (Array.isArray(node)) return sum(node, (one) => costOf(one, root, open, param))
  if (!isObject(node)) return 1
  if (open.has(node)) throw invalid(param, 'has a $ref that leads to itself: recursion is not taken')
  open.add(node)
  let cost = 1 + sum(Object.values(node), (one) => costOf(one, root, open, param))
  if (typeof node.$ref === 'string') {
    const target = followed(root, node.$ref)
    if (target === undefined) throw invalid(param, `has a $ref to nothing: ${node.$ref}`)
    cost += costOf(target, root, open, param)
  }
  open.delete(node)
  // Early: equal branches under equal branches would be counted for ever.
  if (cost > MOST_PARTS)
    throw invalid(param, `has more than ${MOST_PARTS} parts, those behind each $ref counted each time`)
  return cost
}

const sum = <T>(values: readonly T[], of: (value: T) => number) =>
  values.reduce((all, value) => all + of(value), 0)

function followed(root: unknown, pointer: string): unknown {
  let node = root
  for (const part of pointer.split('/').slice(1)) {
    let name: string
    try {
      name = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')
    } catch {
      return undefined
    }
    if (typeof node !== 'object' || node === null || !Object.hasOwn(node, name)) return undefined
    node = (node as Node)[name]
  }
  return node
}

function hasLongName(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value)) return value.some(hasLongName)
  return Object.entries(value).some(([name, one]) => name.length > MOST_MATCHED || hasLongName(one))
}

/** `#/orders/3/price` as `.orders[3].price`. */
const toPath = (pointer: string) =>
  pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part) => (/^\d+$/.test(part) ? `[${part}]` : `.${part}`))
    .join('')

const invalid = (param: string, what: string) =>
  new HubError({ code: 'invalid_schema', status: 400, message: `${param}: ${what}.`, param })
