import type { NewEvent } from '../events/intake.ts'
import type { SignedRequest, WebhookScheme } from './schemes.ts'

/** What became of a verified webhook: an event, or an answer that its sender only wants to see. */
export type Received = { event: NewEvent } | { answer: { text: string } }

interface Naming {
  /** The sender's own id of the delivery: its retries have the same. */
  id?: unknown
  type?: unknown
  /** Unix seconds, or RFC 3339. */
  time?: unknown
}

/**
 * A verified webhook as a CloudEvent. Its id is the sender's, so that retries and replays are duplicates; where there is none, the
 * hash of what was signed. Types follow CloudEvents' adapters: `com.github.pull_request.opened`, `com.stripe.charge.failed`.
 */
export function toEvent(
  scheme: WebhookScheme,
  { headers, body }: SignedRequest,
  { source, signedHash }: { source: string; signedHash: string },
): Received {
  const content = readBody(headers, body)
  const data = isObject(content.data) ? content.data : {}
  if (scheme === 'slack' && data.type === 'url_verification')
    return { answer: { text: String(data.challenge) } }
  if (scheme === 'github' && headers.get('x-github-event') === 'ping') return { answer: { text: 'pong' } }
  const { id, type, time } = namings[scheme](headers, data)
  return {
    event: {
      id: typeof id === 'string' && id !== '' && id.length <= LONGEST_ID ? id : signedHash,
      source: `/v1/webhooks/${source}`,
      type: typeof type === 'string' && type !== '' ? type : `webhook.${scheme}`,
      ...toTime(time),
      ...content,
    },
  }
}

const LONGEST_ID = 256

const namings: Record<WebhookScheme, (headers: Headers, data: Record<string, unknown>) => Naming> = {
  standard: (headers, { type, timestamp }) => ({ id: headers.get('webhook-id'), type, time: timestamp }),
  github: (headers, { action }) => ({
    id: headers.get('x-github-delivery'),
    type: ['com.github', headers.get('x-github-event'), action]
      .filter((name) => typeof name === 'string')
      .join('.'),
  }),
  stripe: (_, { id, type, created }) => ({ id, type: prefixed('com.stripe', type), time: created }),
  slack: (_, { event_id, event, type, event_time }) => ({
    id: event_id,
    type: prefixed('com.slack', isObject(event) ? event.type : type),
    time: event_time,
  }),
}

const prefixed = (prefix: string, name: unknown) =>
  typeof name === 'string' ? `${prefix}.${name}` : undefined

type Content = Pick<NewEvent, 'data' | 'data_base64' | 'datacontenttype'>

/** JSON whatever the content type says, as senders are careless; GitHub and Slack may wrap it in a form's `payload`. */
function readBody(headers: Headers, body: Uint8Array): Content {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch {
    return { data_base64: Buffer.from(body).toString('base64'), datacontenttype: 'application/octet-stream' }
  }
  const json = parse(text)
  if (json !== undefined) return { data: json, datacontenttype: 'application/json' }
  if (headers.get('content-type')?.startsWith('application/x-www-form-urlencoded')) {
    const fields = Object.fromEntries(new URLSearchParams(text))
    const payload = fields.payload === undefined ? undefined : parse(fields.payload)
    return { data: payload ?? fields, datacontenttype: 'application/json' }
  }
  return { data: text, datacontenttype: 'text/plain' }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function toTime(time: unknown): { time?: string } {
  const date = new Date(typeof time === 'number' ? time * 1000 : typeof time === 'string' ? time : Number.NaN)
  return Number.isNaN(date.getTime()) ? {} : { time: date.toISOString() }
}
