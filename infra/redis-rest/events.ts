import type { Subscription } from '../../shared/ports/redis.ts'

const ENCODER = new TextEncoder()
/** A reader that lets this many bytes wait is cut off: messages are wake-ups, not a log. */
const MOST_WAITING = 4 * 1024 * 1024
const KEEP_ALIVE_MS = 15_000

/**
 * Server-sent events of one subscription, from the moment that it is confirmed. `open` holds what ends the streams.
 *
 * @example return toEvents('subscribe,news,1', (send) => redis.subscribe('news', send), open)
 */
export async function toEvents(
  confirmation: string,
  subscribe: (send: (data: string) => void) => Promise<Subscription>,
  open: Set<() => void>,
) {
  let controller!: ReadableStreamDefaultController<Uint8Array>
  let subscription: Subscription | undefined
  let closed = false
  const stream = new ReadableStream<Uint8Array>(
    {
      start: (given) => {
        controller = given
      },
      cancel: close,
    },
    { highWaterMark: MOST_WAITING, size: (chunk) => chunk!.length },
  )
  // Comments tell a reader that is gone from one that nothing happens to.
  const timer = setInterval(() => write(': keep-alive\n\n'), KEEP_ALIVE_MS)
  open.add(end)

  function write(text: string) {
    if (closed) return
    controller.enqueue(ENCODER.encode(text))
    if (controller.desiredSize! <= 0) end()
  }

  function end() {
    if (!closed) controller.close()
    close()
  }

  function close() {
    closed = true
    open.delete(end)
    clearInterval(timer)
    void subscription?.close()
  }

  write(toEvent(confirmation))
  try {
    subscription = await subscribe((data) => write(toEvent(data)))
  } catch (error) {
    close()
    throw error
  }
  // The reader, or the bridge, may have gone in the meantime.
  if (closed) close()
  const headers = { 'content-type': 'text/event-stream', 'cache-control': 'no-cache, no-transform' }
  return new Response(stream, { headers })
}

/** A message of several lines is several `data` lines of one event. */
function toEvent(data: string) {
  const lines = data.split(/\r\n|\r|\n/).map((line) => `data: ${line}\n`)
  return `${lines.join('')}\n`
}
