import { z } from 'zod'
import { HubError } from '../shared/errors.ts'

export const Time = z.iso.datetime({ offset: true })

export const toMs = (time: string | undefined) => (time === undefined ? undefined : Date.parse(time))

/** Throws 400 where it ends before it begins; `prefix` is that of its parameters. */
export function toRange({ from, to }: { from?: string; to?: string }, prefix = '') {
  const range = { from: toMs(from), to: toMs(to) }
  if (range.from === undefined || range.to === undefined || range.from < range.to) return range
  const param = `${prefix}to`
  const message = `${param}: must be later than \`${prefix}from\`.`
  throw new HubError({ code: 'invalid_value', status: 400, message, param })
}
