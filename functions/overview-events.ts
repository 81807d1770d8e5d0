import { setTimeout as sleep } from 'node:timers/promises'
import { toHubError } from '../shared/errors.ts'
import type { Snapshot } from '../shared/overview/snapshot.ts'

export interface SnapshotEventsOptions {
  read(): Promise<Snapshot>
  /** Throws when the reader may not look any longer. */
  check(): Promise<void>
  signal: AbortSignal
  everyMs: number
  /** Where each one costs calls that the runtime counts. */
  mostReads: number
  /** After it the client comes back. */
  longestMs: number
  /** Told when the stream is over. */
  onEnd(): void
}

/** Comments tell a hub in which nothing happens from a connection that is dead. */
const HEARTBEAT_MS = 15_000

const encoder = new TextEncoder()

/**
 * Server-sent events: a snapshot at once, then one each time that something but the time changed. Nothing is read before the client took
 * what came before it. An `end` event is the last one where the hub has a reason to end it.
 */
export function toSnapshotEvents(options: SnapshotEventsOptions): ReadableStream<Uint8Array> {
  const { read, check, signal, everyMs, mostReads, longestMs, onEnd } = options
  const left = new AbortController()
  const gone = AbortSignal.any([signal, left.signal])
  const endsAt = performance.now() + longestMs
  let reads = 0
  let shown = ''
  let saidAt = 0

  async function next(): Promise<string | undefined> {
    for (;;) {
      if (reads > 0) {
        const ms = Math.max(0, Math.min(everyMs, endsAt - performance.now()))
        await sleep(ms, undefined, { signal: gone }).catch(() => {})
      }
      if (gone.aborted || reads >= mostReads || performance.now() >= endsAt) return undefined
      reads++
      await check()
      const snapshot = await read()
      const content = withoutTimes(snapshot)
      if (content !== shown) {
        shown = content
        saidAt = performance.now()
        return `id: ${Date.parse(snapshot.at)}\nevent: snapshot\ndata: ${JSON.stringify(snapshot)}\n\n`
      }
      if (performance.now() - saidAt >= HEARTBEAT_MS) {
        saidAt = performance.now()
        return ':\n\n'
      }
    }
  }

  function end() {
    signal.removeEventListener('abort', end)
    onEnd()
  }
  if (signal.aborted) end()
  else signal.addEventListener('abort', end, { once: true })

  return new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode(`retry: ${everyMs}\n\n`))
    },
    async pull(controller) {
      let text: string | undefined
      let isLast = false
      try {
        text = await next()
      } catch (error) {
        text = `event: end\ndata: ${JSON.stringify(toHubError(error))}\n\n`
        isLast = true
      }
      if (left.signal.aborted) return
      if (text !== undefined) controller.enqueue(encoder.encode(text))
      if (text !== undefined && !isLast) return
      end()
      controller.close()
    },
    cancel() {
      left.abort()
      end()
    },
  })
}

/** What tells one snapshot from the next is not that time went by. */
function withoutTimes({
  at: _,
  window: __,
  instance: { uptime_seconds: ___, ...instance },
  ...rest
}: Snapshot) {
  return JSON.stringify({ ...rest, instance })
}
