import { HubError } from '../../errors.ts'

/** What a pipeline works with, a row at a time. Booleans are made by thresholds only. */
export type Value = number | string | boolean | readonly number[]

/** What is known of a value before there is one. */
export type Kind = { type: 'number' } | { type: 'text' } | { type: 'vector'; width: number }

export const NUMBER: Kind = { type: 'number' }
export const TEXT: Kind = { type: 'text' }

export const MOST_WIDTH = 65_536

/** A vector of one is a number. */
export const numbers = (width: number): Kind => (width === 1 ? NUMBER : { type: 'vector', width })

/** How many numbers it holds; undefined for a text. */
export const widthOf = (kind: Kind): number | undefined =>
  kind.type === 'vector' ? kind.width : kind.type === 'number' ? 1 : undefined

/** Applies to a number, and to each number of a vector. */
export const each = (value: Value, work: (x: number, place: number) => number): Value =>
  typeof value === 'object' ? value.map(work) : work(value as number, 0)

/** As a list: a number is a vector of one. */
export const listOf = (value: Value): readonly number[] =>
  typeof value === 'object' ? value : [Number(value)]

export const isFiniteValue = (value: Value): boolean =>
  typeof value === 'object'
    ? value.every(Number.isFinite)
    : typeof value !== 'number' || Number.isFinite(value)

export const invalid = (param: string, message: string) =>
  new HubError({ code: 'invalid_value', status: 400, message: `${param}: ${message}`, param })

/** What a row held made no number. */
export const notANumber = (param: string, what: string) =>
  new HubError({
    code: 'not_a_number',
    status: 422,
    message: `${param}: ${what} is NaN or infinite, and goes no further.`,
    param,
  })
