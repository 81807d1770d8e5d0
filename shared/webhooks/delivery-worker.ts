import { HubError } from '../errors.ts'
import { goneWebhooksKey } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Outgoing } from '../ports/outgoing.ts'
import type { Redis } from '../ports/redis.ts'
import type { Secrets } from '../secrets.ts'
import { send } from '../send.ts'
import type { Handle, Outcome, StreamEntry } from '../streams/group-worker.ts'
import { secretContext, urlHash } from './deliveries.ts'
import { signWebhook } from './signing.ts'

export interface DeliveryWorkerOptions {
  redis: Redis
  secrets?: Secrets
  outgoing: Outgoing
  clock: Clock
  /** How long a receiver may take for all of its answer. Default 15,000. */
  timeoutMs?: number
  /** Waits between attempts. Default: those of Standard Webhooks. */
  scheduleMs?: readonly number[]
}

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

/** Standard Webhooks, "Deliverability and reliability": after the first attempt, 75 hours in all. */
const SCHEDULE_MS = [
  ...[5 * SECOND, 5 * MINUTE, 30 * MINUTE],
  ...[2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR],
]
const LONGEST_MS = 24 * HOUR

/** Delivers queued webhooks: one attempt each time. A receiver may get one twice, with the same `webhook-id`. */
export function createDeliveryWorker(options: DeliveryWorkerOptions) {
  const { redis, secrets, outgoing, clock, timeoutMs = 15_000, scheduleMs = SCHEDULE_MS } = options

  const handle: Handle = (entries, signal) => Promise.all(entries.map((entry) => deliver(entry, signal)))

  async function deliver({ fields, attempt }: StreamEntry, stopped: AbortSignal): Promise<Outcome> {
    const { tenant, id, url: text = '', body, secret: sealed } = fields
    const url = URL.parse(text)
    if (!tenant || !id || !url || body === undefined) {
      return { failed: 'This is no webhook to send', permanent: true }
    }
    if (await isGone(tenant, text)) return { failed: 'The receiver answered 410 before', permanent: true }
    const again = (failed: unknown, askedMs = 0): Outcome => {
      const planned = scheduleMs[attempt - 1] ?? LONGEST_MS
      // Up to a tenth later at random: receivers that were away together are not met by all of it at once.
      const waitMs = Math.min(planned * (1 + Math.random() / 10), LONGEST_MS)
      return { failed, retryAfterMs: Math.max(waitMs, Math.min(askedMs, LONGEST_MS)) }
    }
    let secret: string | undefined
    try {
      secret = sealed === undefined ? undefined : secrets!.open(sealed, secretContext(tenant, text))
    } catch {
      return again('Its secret cannot be opened: HUB_SECRET_KEY is not the one that sealed it')
    }
    const timeUp = AbortSignal.timeout(timeoutMs)
    try {
      const bytes = Buffer.from(body)
      const signed = signWebhook({ id, at: clock.now(), body, secrets: secret === undefined ? [] : [secret] })
      const { status, headers, answer } = await post(url, bytes, signed, fields.private === '1', [
        stopped,
        timeUp,
      ])
      if (status >= 200 && status < 300) return undefined
      const said = `The receiver answered ${status}${answer && `: ${answer}`}`
      if (status !== 410) return again(said, toWaitMs(headers.get('retry-after'), clock.now()))
      await send(redis, ['HSET', goneWebhooksKey(tenant), urlHash(text), clock.now()], PATIENT)
      return { failed: said, permanent: true }
    } catch (error) {
      if (timeUp.aborted && !stopped.aborted) return again(`The receiver took more than ${timeoutMs} ms`)
      // Its URL is not to be called, today or tomorrow.
      const permanent =
        error instanceof HubError && ['upstream_refused', 'invalid_value'].includes(error.code)
      return permanent ? { failed: error, permanent } : again(error)
    }
  }

  /** A redirect is an answer like any other, and not one of success. */
  async function post(
    url: URL,
    bytes: Uint8Array<ArrayBuffer>,
    signed: Record<string, string>,
    allowPrivate: boolean,
    signals: AbortSignal[],
  ) {
    const response = await outgoing.send({
      ...{ url, method: 'POST', allowPrivate, signal: AbortSignal.any(signals) },
      headers: new Headers({
        'content-type': 'application/json',
        'content-length': String(bytes.length),
        'user-agent': 'redis-ai-hub (+https://www.standardwebhooks.com)',
        ...signed,
      }),
      body: new Blob([bytes]).stream(),
    })
    return { ...response, answer: response.body ? await readSome(response.body) : '' }
  }

  async function isGone(tenant: string, url: string): Promise<boolean> {
    return (await send(redis, ['HEXISTS', goneWebhooksKey(tenant), urlHash(url)], PATIENT)) === 1
  }

  return { handle, attempts: scheduleMs.length + 1 }
}

const PATIENT = { timeoutMs: 2_000 }

/** Read of an answer, so that its connection can be used again; shown of it. */
const MOST_BYTES = 16_384
const SHOWN_CHARACTERS = 200

async function readSome(body: ReadableStream<Uint8Array>): Promise<string> {
  const reader = body.getReader()
  const parts: Uint8Array[] = []
  for (let size = 0; size < MOST_BYTES; ) {
    const { done, value } = await reader.read()
    if (done) break
    parts.push(value)
    size += value.length
  }
  reader.cancel().catch(() => {})
  return Buffer.concat(parts).toString().slice(0, SHOWN_CHARACTERS).trim()
}

/** Seconds or a date (RFC 9110 10.2.3); 0 for neither. */
function toWaitMs(retryAfter: string | null, now: number): number {
  if (retryAfter === null) return 0
  if (/^\d{1,9}$/.test(retryAfter)) return Number(retryAfter) * SECOND
  return Math.max(0, (Date.parse(retryAfter) || 0) - now)
}
