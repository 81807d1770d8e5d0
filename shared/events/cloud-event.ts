import { HubError } from '../errors.ts'
import type { NewEvent } from './intake.ts'

/** What the hub fills in. */
export interface Defaults {
  id: string
  source: string
  type: string
  time: string
}

/** An event that is fit to be stored. */
export interface CheckedEvent {
  id: string
  source: string
  /** `HubEvent` */
  json: string
  /** Whether its sender named it, so that it can come twice. */
  named: boolean
}

const MOST_EVENT_BYTES = 262_144
const MOST_CHARACTERS = 2_048

/** By CloudEvents 1.0 (JSON format). Throws 400 `invalid_event` with the path in `param`, 413 `event_too_large`. */
export function checkEvent(event: NewEvent, defaults: Defaults, param: string, text?: string): CheckedEvent {
  if (typeof event !== 'object' || event === null || Array.isArray(event))
    throw invalidEvent(param, 'must be a CloudEvent: an object')
  let isWhole = true
  for (const name in event) {
    const value = event[name]
    if (name === 'data') {
      if (value === undefined) isWhole = false
    } else if (value === null || value === undefined) isWhole = false
    else if (typeof value === 'string') checkText(name, value, param)
    else checkOther(name, value, param)
  }
  if (event.data !== undefined && (event.data_base64 ?? undefined) !== undefined)
    throw invalidEvent(`${param}.data_base64`, 'must not come together with `data`')
  const { specversion = '1.0', id, source, type, time } = event
  if (specversion !== '1.0' && specversion !== null)
    throw invalidEvent(`${param}.specversion`, 'must be "1.0": there is no other version here')
  if (isWhole && id && source && type && time && event.specversion) {
    return within({ id, source, json: text ?? JSON.stringify(event), named: true }, param)
  }
  const set = Object.entries(event).filter(([name, value]) => name === 'data' || value !== null)
  const filled = {
    specversion: '1.0',
    ...defaults,
    ...Object.fromEntries(set.filter(([, value]) => value !== undefined)),
  }
  return within(
    { id: filled.id, source: filled.source, json: JSON.stringify(filled), named: typeof id === 'string' },
    param,
  )
}

/** An event that is nothing but data: `text` is its JSON as it was sent, so that no digit of a long number is lost. */
export function wrapData(
  text: string,
  { id, source, type, time }: Defaults,
  named: boolean,
  param: string,
): CheckedEvent {
  const attributes = `"specversion":"1.0","id":${JSON.stringify(id)},"source":${JSON.stringify(source)},"type":${JSON.stringify(type)}`
  const json = `{${attributes},"time":"${time}","datacontenttype":"application/json","data":${text}}`
  return within({ id, source, json, named }, param)
}

const NAME = /^[a-z0-9]{1,64}$/
/** RFC 3986, and RFC 3987's letters; whether its parts fit together nobody asks. */
const URI_REFERENCE = /^[^\s<>"{}|\\^`]+$/
const URI = /^[A-Za-z][A-Za-z0-9+.-]*:[^\s<>"{}|\\^`]*$/
const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+\s*(?:;.*)?$/
/** RFC 3339 */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/i
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

const FORMS: Record<string, [RegExp, string]> = {
  source: [URI_REFERENCE, 'must be a URI reference'],
  dataschema: [URI, 'must be a URI'],
  datacontenttype: [MEDIA_TYPE, 'must be a media type'],
  time: [TIME, 'must be an RFC 3339 time, as 2026-01-31T12:00:00Z'],
}

function checkText(name: string, value: string, param: string) {
  if (name === 'data_base64') {
    if (!BASE64.test(value)) throw invalidEvent(`${param}.data_base64`, 'must be base64')
    return
  }
  checkName(name, param)
  if (value === '' || value.length > MOST_CHARACTERS)
    throw invalidEvent(`${param}.${name}`, `must be 1 to ${MOST_CHARACTERS} characters`)
  if (/[\u0000-\u001f\u007f-\u009f]/.test(value) || !value.isWellFormed())
    throw invalidEvent(`${param}.${name}`, 'must not hold control characters or halves of characters')
  const form = FORMS[name]
  if (form && !(form[0].test(value) && (name !== 'time' || !Number.isNaN(Date.parse(value)))))
    throw invalidEvent(`${param}.${name}`, form[1])
}

const TEXTS = [
  'id',
  'source',
  'specversion',
  'type',
  'time',
  'subject',
  'datacontenttype',
  'dataschema',
  'data_base64',
]

function checkOther(name: string, value: unknown, param: string) {
  if (TEXTS.includes(name)) throw invalidEvent(`${param}.${name}`, 'must be a string')
  checkName(name, param)
  const isInteger = Number.isInteger(value) && Math.abs(value as number) < 2 ** 31
  if (typeof value !== 'boolean' && !isInteger)
    throw invalidEvent(
      `${param}.${name}`,
      'must be a string, an integer of 32 bits or a boolean; objects belong into `data`',
    )
}

function checkName(name: string, param: string) {
  if (!NAME.test(name))
    throw invalidEvent(`${param}.${name.slice(0, 64)}`, 'is no name of an attribute: a to z and 0 to 9')
}

function within(event: CheckedEvent, param: string): CheckedEvent {
  const { json } = event
  if (json.length * 3 <= MOST_EVENT_BYTES || Buffer.byteLength(json) <= MOST_EVENT_BYTES) return event
  const message = `${param}: is larger than ${MOST_EVENT_BYTES} bytes as JSON. Store the rest elsewhere, and send where.`
  throw new HubError({ code: 'event_too_large', status: 413, message, param })
}

export const invalidEvent = (param: string, what: string) =>
  new HubError({ code: 'invalid_event', status: 400, message: `${param}: ${what}.`, param })
