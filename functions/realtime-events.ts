import type { Context } from 'hono'
import { HubError, toHubError } from '../shared/errors.ts'
import type { Reader } from '../shared/realtime/reader.ts'
import type { RealtimeMessage } from '../shared/realtime/realtime.ts'
import { justBefore, parseStreamId } from '../shared/realtime/stream-ids.ts'
import type { App } from './deps.ts'

/** Comments tell a channel on which nothing happens from a connection that is dead. */
const HEARTBEAT_MS = 15_000
/** Clients come back after so long, not all at the same moment. */
const RETRY_MS = 1_000

const encoder = new TextEncoder()
/** All readers of an instance are handed the same bytes. */
const encoded = new WeakMap<RealtimeMessage, Uint8Array<ArrayBuffer>>()

/** Server-sent events of a reader; the rim is kept awake until it has left. */
export function sendEvents(
  c: Context<App>,
  reader: Reader,
  checks: Pick<EventStreamOptions, 'check' | 'checkAfterMs'>,
): Response {
  const over = Promise.withResolvers<void>()
  c.env.defer(over.promise)
  const events = toEventStream({
    ...{ ...checks, reader, signal: c.req.raw.signal },
    onEnd: () => reader.leave().then(over.resolve, () => over.resolve()), // what it left behind expires
  })
  return c.body(events, 200, {
    'Content-Type': 'text/event-stream; charset=utf-8',
    'Cache-Control': 'no-cache, no-transform',
    'X-Accel-Buffering': 'no', // nginx would wait for more
  })
}

export interface EventStreamOptions {
  reader: Reader
  signal: AbortSignal
  /** Throws when the reader may not listen any longer; else how soon it must be asked again, in ms. */
  check(): Promise<number>
  /** When it is asked first, in ms. */
  checkAfterMs: number
  heartbeatMs?: number
  /** Told once, when the stream is over. */
  onEnd(): void
}

/**
 * Server-sent events of a reader. Nothing is read before the client took what came before it. An `end` event is the last one where the
 * hub has a reason to end it; otherwise clients come back with the last id.
 */
export function toEventStream(options: EventStreamOptions): ReadableStream<Uint8Array> {
  const { reader, signal, check, checkAfterMs, heartbeatMs = HEARTBEAT_MS, onEnd } = options
  let checkAt = performance.now() + checkAfterMs
  let over = false

  function end() {
    if (over) return
    over = true
    signal.removeEventListener('abort', end)
    onEnd()
  }
  if (signal.aborted) end()
  else signal.addEventListener('abort', end, { once: true })

  async function next(): Promise<Uint8Array | undefined> {
    if (performance.now() >= checkAt) checkAt = performance.now() + (await check())
    const reading = await reader.next(Math.min(heartbeatMs, checkAt - performance.now()))
    if (reading.kind === 'messages') return encodeAll(reading.messages)
    if (reading.kind === 'quiet') return encoder.encode(':\n\n')
    if (reading.kind === 'gap') {
      return encoder.encode(toEvent({ type: 'gap', data: JSON.stringify({ after: reading.after }) }))
    }
    return undefined
  }

  return new ReadableStream<Uint8Array>({
    start(controller) {
      const retry = Math.round(RETRY_MS * (1 + Math.random()))
      const id = reader.start === undefined ? '' : `id: ${reader.start}\n`
      controller.enqueue(encoder.encode(`retry: ${retry}\n${id}\n`))
    },
    async pull(controller) {
      let chunk: Uint8Array | undefined
      try {
        chunk = await next()
      } catch (error) {
        chunk = encoder.encode(toEvent({ type: 'end', data: JSON.stringify(toHubError(error)) }))
        end()
      }
      if (chunk) controller.enqueue(chunk)
      if (chunk && !over) return
      end()
      controller.close()
    },
    cancel: end,
  })
}

function encodeAll(messages: readonly RealtimeMessage[]): Uint8Array {
  if (messages.length === 1) return encode(messages[0]!)
  return encoder.encode(messages.map(toEvent).join(''))
}

function encode(message: RealtimeMessage): Uint8Array {
  const bytes = encoded.get(message) ?? encoder.encode(toEvent(message))
  encoded.set(message, bytes)
  return bytes
}

/** What others wrote into the stream may hold line ends. */
function toEvent({
  id,
  publicId = id,
  type,
  data,
  kept,
}: Partial<RealtimeMessage> & { data: string }): string {
  const name = type ? `event: ${type.replace(/[\r\n]/g, ' ')}\n` : ''
  const head = publicId && kept !== false ? `${name}id: ${publicId}\n` : name
  return `${head}data: ${data.replace(/\r\n|\r|\n/g, '\ndata: ')}\n\n`
}

/** Where a reader goes on: after that id, or from that time; undefined: with what comes. Throws 400. */
export function startOf(lastId: string | undefined, since?: string): string | undefined {
  if (lastId === undefined) return since === undefined ? undefined : justBefore(Date.parse(since))
  const id = parseStreamId(lastId)
  if (id) return id
  const message = 'Last-Event-ID: must be an id of this channel, such as 1763890000000-0.'
  throw new HubError({ code: 'invalid_value', status: 400, message, param: 'last_event_id' })
}
