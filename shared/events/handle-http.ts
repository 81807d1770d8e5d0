import { z } from 'zod'
import { HubError } from '../errors.ts'
import type { Clock } from '../ports/clock.ts'
import type { Outgoing, OutgoingResponse } from '../ports/outgoing.ts'
import { signWebhook } from '../webhooks/signing.ts'
import { toFailure } from './failure.ts'
import type { EventHandler, Handled, HandledEvent, HandlerContext } from './handlers.ts'

export interface HttpHandlerOptions {
  outgoing: Outgoing
  clock: Clock
}

const HttpSettings = z.strictObject({
  url: z.url({ protocol: /^https$/, error: 'must be an https URL' }),
  secret: z.string().min(16).max(200).optional().describe('signs by Standard Webhooks'),
  timeout_seconds: z.number().min(1).max(300).default(30),
})
type HttpSettings = z.output<typeof HttpSettings>

/**
 * POSTs each event as a CloudEvent (structured mode) to a URL. 2xx: done, and the reply, JSON or text, is the result. 408, 409, 425, 429,
 * 5xx and no answer: again later, not before `Retry-After`. Anything else: for good. The receiver knows a repeated call by its
 * `webhook-id`.
 */
export function createHttpHandler({ outgoing, clock }: HttpHandlerOptions): EventHandler<HttpSettings> {
  async function post(
    { event, resultId }: HandledEvent,
    { url, secret, timeout_seconds }: HttpSettings,
    { signal }: HandlerContext,
  ): Promise<Handled> {
    const body = new TextEncoder().encode(JSON.stringify(event))
    const message = {
      id: resultId,
      at: clock.now(),
      body: JSON.stringify(event),
      secrets: secret ? [secret] : [],
    }
    const deadline = AbortSignal.timeout(timeout_seconds * 1_000)
    try {
      const reply = await outgoing.send({
        url: new URL(url),
        method: 'POST',
        headers: new Headers({
          'content-type': 'application/cloudevents+json; charset=utf-8',
          'content-length': String(body.byteLength),
          accept: 'application/json',
          ...signWebhook(message),
        }),
        body: new Blob([body]).stream(),
        allowPrivate: false,
        signal: AbortSignal.any([signal, deadline]),
      })
      const text = await readText(reply)
      return reply.status < 300 ? { result: toResult(text) } : refusal(reply, text, clock.now())
    } catch (error) {
      signal.throwIfAborted()
      if (deadline.aborted) return { failed: `The receiver took longer than ${timeout_seconds} s` }
      const permanent = error instanceof HubError && PERMANENT.has(error.code)
      return permanent ? { failed: error, permanent } : toFailure(error)
    }
  }

  return {
    settings: HttpSettings as z.ZodType<HttpSettings>,
    secrets: ['secret'],
    batch: 1,
    concurrency: 32,
    calls: 1,
    handle: (events, settings, context) => Promise.all(events.map((event) => post(event, settings, context))),
  }
}

const PERMANENT = new Set(['upstream_refused', 'reply_too_large'])

/** Of a reply: it becomes the result, which Redis holds. */
const MOST_BYTES = 256 * 1024

async function readText({ body }: OutgoingResponse): Promise<string> {
  if (!body) return ''
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.byteLength
    if (bytes > MOST_BYTES) {
      const message = `The receiver took the event, but its reply is larger than ${MOST_BYTES} bytes.`
      throw new HubError({ code: 'reply_too_large', status: 502, message })
    }
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}

function toResult(text: string): unknown {
  if (text === '') return null
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function refusal({ status, headers }: OutgoingResponse, text: string, now: number): Handled {
  const mayPass = status >= 500 || [408, 409, 425, 429].includes(status)
  const failed = `The receiver answered ${status}${text && `: ${text.slice(0, 200)}`}`
  return { failed, permanent: !mayPass, retryAfterMs: retryAfterMs(headers.get('retry-after'), now) }
}

/** Seconds or an HTTP date (RFC 9110 10.2.3). */
function retryAfterMs(value: string | null, now: number): number | undefined {
  if (value === null) return undefined
  const ms = /^\d+$/.test(value.trim()) ? Number(value) * 1_000 : Date.parse(value) - now
  return ms > 0 ? ms : undefined
}
