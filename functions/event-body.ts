import type { Context } from 'hono'
import { HubError } from '../shared/errors.ts'
import type { NewEvent, SentEvent } from '../shared/events/intake.ts'
import { decodeText } from '../shared/retrieval/extract-text.ts'
import { parseJson } from './http.ts'

/** What was sent: events that go together, or lines that are read as they come. */
export type EventBody =
  | { events: SentEvent[]; nameOf(i: number): string }
  | { lines: ReadableStream<Uint8Array> | null }

const CLOUD_EVENT = /^application\/cloudevents\+json\b/i
const CLOUD_EVENTS = /^application\/cloudevents-batch\+json\b/i
const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\b/i
const LINES = /^application\/(x-ndjson|ndjson|jsonl|x-jsonlines)\b/i

/**
 * A request's body by CloudEvents' HTTP binding (structured, batched, binary), as plain JSON, or one event a line. In JSON an object with
 * `specversion`, `id`, `source` and `type` is a CloudEvent, whatever its content type; any other one is an event's data.
 */
export async function readEventBody(c: Context): Promise<EventBody> {
  const type = c.req.header('content-type') ?? ''
  if (LINES.test(type)) return { lines: c.req.raw.body }
  if (CLOUD_EVENTS.test(type)) return several(elementsOf(await readText(c)).map(toCloudEvent))
  if (CLOUD_EVENT.test(type)) return one(toCloudEvent(objectOf(await readText(c)), 'event'))
  const attributes = attributesOf(c.req.raw.headers)
  if (attributes) return one({ event: await readBinary(c, attributes, type) })
  if (!JSON_TYPE.test(type)) throw wrongType(type)
  const text = await readText(c)
  return /^\s*\[/.test(text) ? several(elementsOf(text).map(toEvent)) : one(toEvent(objectOf(text)))
}

export interface Line {
  event: SentEvent
  /** From 1. */
  number: number
}

/** Lines in chunks of at most 1,000 events or 1 MiB, as they come; blank ones do no harm. Throws 400 and 413 with the line in `param`. */
export async function* readLines(body: ReadableStream<Uint8Array> | null): AsyncGenerator<Line[]> {
  let number = 0
  let chunk: Line[] = []
  let characters = 0

  function add(line: string) {
    number++
    if (line.trim() === '') return
    const name = `line ${number}`
    chunk.push({ event: toEvent(objectOf(line, name)), number })
    characters += line.length
  }
  for await (const block of wholeLines(body, () => number)) {
    for (const line of linesOf(block, () => number)) {
      add(line)
      if (chunk.length < 1_000 && characters < 1_048_576) continue
      yield chunk
      chunk = []
      characters = 0
    }
  }
  if (chunk.length > 0) yield chunk
}

/** The bytes as they come, cut at ends of lines. */
async function* wholeLines(body: ReadableStream<Uint8Array> | null, before: () => number) {
  let rest: Uint8Array[] = []
  let length = 0
  for await (const bytes of body ?? []) {
    const end = bytes.lastIndexOf(NEW_LINE) + 1
    if (end > 0) {
      yield Buffer.concat([...rest, bytes.subarray(0, end - 1)])
      rest = []
      length = 0
    }
    rest.push(bytes.subarray(end))
    length += bytes.length - end
    if (length <= LONGEST_LINE) continue
    const name = `line ${before() + 1}`
    const message = `${name}: is longer than ${LONGEST_LINE} bytes.`
    throw new HubError({ code: 'event_too_large', status: 413, message, param: name })
  }
  if (length > 0) yield Buffer.concat(rest)
}

function* linesOf(block: Uint8Array, before: () => number): Generator<string> {
  try {
    yield* utf8.decode(block).split('\n')
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    for (let start = 0; ; start = block.indexOf(NEW_LINE, start) + 1) {
      const end = block.indexOf(NEW_LINE, start)
      try {
        yield utf8.decode(block.subarray(start, end === -1 ? undefined : end))
      } catch (cause) {
        const name = `line ${before() + 1}`
        throw new HubError({
          code: 'invalid_encoding',
          status: 400,
          message: `${name}: is not UTF-8.`,
          param: name,
          cause,
        })
      }
    }
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })
const NEW_LINE = 10

/** An event may have 256 KiB as the hub stores it; white space around it is its sender's. */
const LONGEST_LINE = 524_288

interface Element {
  value: Record<string, unknown>
  text: string
}

const one = (event: SentEvent): EventBody => ({ events: [event], nameOf: () => 'event' })
const several = (events: SentEvent[]): EventBody => ({ events, nameOf: (i) => `events[${i}]` })

const isCloudEvent = ({ specversion, id, source, type }: Record<string, unknown>) =>
  typeof specversion === 'string' && id !== undefined && source !== undefined && type !== undefined

const toEvent = ({ value, text }: Element): SentEvent =>
  isCloudEvent(value) ? { event: value as NewEvent, text } : { data: value, text }

/** What calls itself a CloudEvent has what each of them has. */
function toCloudEvent({ value, text }: Element, place: number | string): SentEvent {
  const name = typeof place === 'number' ? `events[${place}]` : place
  for (const attribute of ['specversion', 'id', 'source', 'type']) {
    if (typeof value[attribute] === 'string') continue
    const message = `${name}.${attribute}: must be a string. Send plain JSON as application/json to have attributes filled in.`
    throw new HubError({ code: 'invalid_event', status: 400, message, param: `${name}.${attribute}` })
  }
  return { event: value as NewEvent, text }
}

async function readText(c: Context): Promise<string> {
  return decodeText(new Uint8Array(await c.req.arrayBuffer()))
}

function objectOf(text: string, name = 'body'): Element {
  const value = parseJson(text, name)
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return { value: value as Element['value'], text }
  throw wrongValue(name, name === 'body' ? 'must be an object, or an array of objects' : 'must be an object')
}

/** The objects of an array, each beside its own text. */
function elementsOf(text: string): Element[] {
  const values = parseJson(text)
  if (!Array.isArray(values)) throw wrongValue('body', 'must be an array of objects')
  const bad = values.findIndex((value) => typeof value !== 'object' || value === null || Array.isArray(value))
  if (bad !== -1) throw wrongValue(`events[${bad}]`, 'must be an object')
  const elements: Element[] = []
  let depth = 0
  let start = 0
  // It is JSON, so only strings and brackets matter; the outermost ones are the array's.
  for (let at = text.indexOf('[') + 1; elements.length < values.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      do at = text.indexOf('"', at + 1)
      while (isEscaped(text, at))
    } else if (code === OPEN || code === OPEN_ARRAY) {
      if (depth++ === 0) start = at
    } else if ((code === CLOSE || code === CLOSE_ARRAY) && --depth === 0) {
      elements.push({ value: values[elements.length], text: text.slice(start, at + 1) })
    }
  }
  return elements
}

const [QUOTE, BACKSLASH, OPEN, CLOSE, OPEN_ARRAY, CLOSE_ARRAY] = [34, 92, 123, 125, 91, 93]

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0
  while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes++
  return backslashes % 2 === 1
}

/** The attributes in `ce-` headers; undefined where there are none of those that every event has. */
function attributesOf(headers: Headers): Record<string, string> | undefined {
  const sent = [...headers].filter(([name]) => name.startsWith('ce-'))
  const attributes = Object.fromEntries(sent.map(([name, value]) => [name.slice(3), fromHeader(name, value)]))
  const required = ['specversion', 'id', 'source', 'type']
  if (!required.some((name) => name in attributes)) return undefined
  for (const name of required) {
    if (name in attributes) continue
    const message = `The header ce-${name} is missing: a CloudEvent in binary mode has ce-specversion, ce-id, ce-source and ce-type.`
    throw new HubError({ code: 'invalid_event', status: 400, message, param: `ce-${name}` })
  }
  return attributes
}

/** CloudEvents' HTTP binding 3.1.3.2: percent-encoded UTF-8, in quotes or not. */
function fromHeader(name: string, value: string): string {
  const bare = /^"(.*)"$/s.exec(value)?.[1]?.replace(/\\(.)/g, '$1') ?? value
  try {
    return decodeURIComponent(bare.replace(/%(?![0-9A-Fa-f]{2})/g, '%25'))
  } catch (cause) {
    const message = `The header ${name} is not percent-encoded UTF-8.`
    throw new HubError({ code: 'invalid_event', status: 400, message, param: name, cause })
  }
}

/** JSON is `data`, and so is other text; the rest is bytes. */
async function readBinary(c: Context, attributes: Record<string, string>, type: string): Promise<NewEvent> {
  const bytes = new Uint8Array(await c.req.arrayBuffer())
  const event = { ...attributes, ...(type !== '' && { datacontenttype: type }) } as NewEvent
  if (bytes.length === 0) return event
  if (JSON_TYPE.test(type)) return { ...event, data: parseJson(decodeText(bytes)) }
  if (/^text\//i.test(type))
    return { ...event, data: decodeText(bytes, /;\s*charset="?([^";\s]+)/i.exec(type)?.[1]) }
  return { ...event, data_base64: Buffer.from(bytes).toString('base64') }
}

const wrongValue = (param: string, what: string) =>
  new HubError({ code: 'invalid_value', status: 400, message: `${param}: ${what}.`, param })

const wrongType = (type: string) =>
  new HubError({
    code: 'unsupported_media_type',
    status: 415,
    message: `Content-Type is ${type ? `\`${type}\`` : 'missing'}. Send application/json, application/x-ndjson, application/cloudevents+json, application/cloudevents-batch+json, or ce- headers and any type.`,
  })
