import { z } from 'zod'
import { HubError } from '../errors.ts'

export const FEATURE_TYPES = ['float', 'int', 'bool', 'string', 'timestamp', 'vector'] as const

/** A feature of a view: its type is for good, the rest may change. */
export interface Feature {
  type: (typeof FEATURE_TYPES)[number]
  /** Of a vector: how many numbers it has. */
  dimensions?: number
  /** Least and greatest float or int. */
  min?: number
  max?: number
  /** Stands in where no value is known. */
  default?: FeatureValue
}

/** A timestamp is RFC 3339, in UTC with milliseconds. */
export type FeatureValue = number | boolean | string | number[]

/** What features are called. */
export const FEATURE_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/

export const MOST_DIMENSIONS = 4_096
const LONGEST_STRING = 1_024

const DateTime = z.iso.datetime({ offset: true })

/** Unix ms of an RFC 3339 time; undefined for anything else. */
export function readTime(value: unknown): number | undefined {
  const time = DateTime.safeParse(value).success ? Date.parse(value as string) : Number.NaN
  return Number.isNaN(time) ? undefined : time
}

/** The value as it is stored. Throws 400 with the path where the feature does not take it. */
export function toFeatureValue(feature: Feature, value: unknown, param: string): FeatureValue {
  const { type, dimensions, min, max } = feature
  if (type === 'float' || type === 'int') {
    const isOne = type === 'float' ? Number.isFinite(value) : Number.isSafeInteger(value)
    if (!isOne) throw wrong(param, type === 'float' ? 'a finite number' : 'a whole number within ±2^53')
    if (min !== undefined && (value as number) < min) throw wrong(param, `at least ${min}`)
    if (max !== undefined && (value as number) > max) throw wrong(param, `at most ${max}`)
    return value as number
  }
  if (type === 'bool') {
    if (typeof value === 'boolean') return value
    throw wrong(param, 'true or false')
  }
  if (type === 'string') {
    if (typeof value !== 'string') throw wrong(param, 'a string')
    if (value.length > LONGEST_STRING || !value.isWellFormed())
      throw wrong(param, `at most ${LONGEST_STRING} characters of valid Unicode`)
    return value
  }
  if (type === 'timestamp') {
    const time = readTime(value)
    if (time !== undefined) return new Date(time).toISOString()
    throw wrong(param, 'an RFC 3339 time with its offset, such as 2026-01-31T12:00:00Z')
  }
  if (Array.isArray(value) && value.length === dimensions && value.every(Number.isFinite)) return value
  throw wrong(param, `an array of ${dimensions} finite numbers`)
}

/** What an undeclared feature is, by its first value: a number is a float, a text a string. Throws 400 with the path. */
export function inferFeature(value: unknown, param: string): Feature {
  if (typeof value === 'number') return { type: 'float' }
  if (typeof value === 'boolean') return { type: 'bool' }
  if (typeof value === 'string') return { type: 'string' }
  const isVector = Array.isArray(value) && value.length > 0 && value.length <= MOST_DIMENSIONS
  if (isVector) return { type: 'vector', dimensions: value.length }
  throw wrong(
    param,
    'a number, a string, true, false, or an array of numbers, as its type is not known yet. Declare it by PUT /v1/feature-views/{view}',
  )
}

/** A feature as it was declared, its default as it is stored. Throws 400 for what no feature can be. */
export function toFeature(name: string, feature: Feature): Feature {
  const param = `features.${name}`
  const { type, dimensions, min, max } = feature
  if (!FEATURE_NAME.test(name))
    throw wrong(param, 'named with 1 to 64 of A-Z a-z 0-9 _ . -, and begin with a letter or digit')
  if ((dimensions !== undefined) !== (type === 'vector'))
    throw wrong(`${param}.dimensions`, 'there for a vector, and for nothing else')
  const isNumber = type === 'float' || type === 'int'
  if (!isNumber && (min !== undefined || max !== undefined))
    throw wrong(`${param}.${min === undefined ? 'max' : 'min'}`, 'of a float or int')
  if (min !== undefined && max !== undefined && min > max) throw wrong(`${param}.min`, 'at most `max`')
  if (feature.default === undefined) return feature
  return { ...feature, default: toFeatureValue(feature, feature.default, `${param}.default`) }
}

/** About how much a value weighs in a reply, in numbers. */
export const widthOf = ({ type, dimensions = 1 }: Feature): number => (type === 'string' ? 16 : dimensions)

const wrong = (param: string, what: string) =>
  new HubError({ code: 'invalid_value', status: 400, message: `${param}: must be ${what}.`, param })
