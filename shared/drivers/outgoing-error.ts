import { HubError } from '../errors.ts'
import type { Silence } from './silence.ts'

/** What became of a call that failed, for the caller. */
export function toUpstreamError(url: URL, silence: Silence, cause: unknown): HubError {
  if (cause instanceof HubError) return cause
  if (silence.ended === 'silent') {
    const message = `${url.host} did not answer in time. HUB_UPSTREAM_SILENCE_SECONDS sets how long it may be silent.`
    return new HubError({ code: 'upstream_timeout', status: 504, message, cause })
  }
  if (silence.ended) {
    return new HubError({ code: 'client_closed', status: 499, message: 'The client left.', cause })
  }
  const message = `${url.host} cannot be reached, or broke the connection.`
  return new HubError({ code: 'upstream_unreachable', status: 502, message, cause })
}

/** A body whose reader sets the pace, and that breaks when the other side does. */
export function toGuardedBody(
  chunks: AsyncIterator<Uint8Array>,
  { url, silence, leave }: { url: URL; silence: Silence; leave(): void },
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        silence.expect()
        try {
          const { done, value } = await chunks.next()
          silence.heard()
          if (!done) return controller.enqueue(value)
          silence.close()
          controller.close()
        } catch (cause) {
          silence.close()
          controller.error(toUpstreamError(url, silence, cause))
        }
      },
      cancel() {
        silence.leave()
        silence.close()
        leave()
      },
    },
    { highWaterMark: 0 },
  )
}
