import type { Outgoing } from '../ports/outgoing.ts'
import { checkUrl } from './outgoing-address.ts'
import { toGuardedBody, toUpstreamError } from './outgoing-error.ts'
import { createSilence } from './silence.ts'

/**
 * The port over `fetch`, for Workers: they resolve no names, and reach the Internet only. Bodies come back decoded.
 * An upload counts as the upstream's silence.
 *
 * @example const outgoing = createOutgoingFetch({ silenceMs: 30_000 })
 */
export function createOutgoingFetch({ silenceMs }: { silenceMs: number }): Outgoing {
  return {
    check: checkUrl,
    async send({ url, method, headers: given, body, allowPrivate, signal }) {
      checkUrl(url, allowPrivate)
      const silence = createSilence(silenceMs, signal)
      silence.expect()
      try {
        const headers = new Headers(given)
        headers.set('accept-encoding', 'identity')
        headers.delete('content-length') // the runtime states it
        const init = { method, headers, body, duplex: 'half', redirect: 'manual', signal: silence.signal }
        const response = await fetch(url, init as RequestInit)
        silence.heard()
        return toResponse(response)
      } catch (cause) {
        silence.close()
        throw toUpstreamError(url, silence, cause)
      }

      function toResponse(response: Response) {
        const { status } = response
        const headers = new Headers(response.headers)
        const framed = headers.has('content-length') || headers.has('transfer-encoding')
        // A runtime does not read the body of an answer that says it has none: nobody would hear its end.
        const isEmpty = !response.body || method === 'HEAD' || headers.get('content-length') === '0'
        if (headers.has('content-encoding')) {
          headers.delete('content-encoding')
          headers.delete('content-length')
        }
        if (isEmpty) {
          silence.close()
          return { status, headers, body: null, framed: true }
        }
        const chunks = response.body![Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
        const leave = () => void chunks.return?.()
        return { status, headers, body: toGuardedBody(chunks, { url, silence, leave }), framed }
      }
    },
  }
}
