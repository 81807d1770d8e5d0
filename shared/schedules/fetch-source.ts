import { HubError } from '../errors.ts'
import type { Clock } from '../ports/clock.ts'
import type { Outgoing, OutgoingResponse } from '../ports/outgoing.ts'

export interface SourceRequest {
  url: URL
  /** Of the source's own origin: a redirect to another one goes without them. */
  headers: Headers
  allowPrivate: boolean
  maxBytes: number
  timeoutMs: number
  signal: AbortSignal
  /** A signed request leads nowhere else. */
  followsRedirects?: boolean
}

export interface SourceAnswer {
  /** Of other statuses an error is made. */
  status: 200 | 304
  /** Where it was found in the end. */
  url: URL
  headers: Headers
  bytes: Uint8Array
}

const MOST_REDIRECTS = 5

/**
 * Reads one answer of a source, whole.
 *
 * Errors: `HubError` `source_failed` with the status and what `Retry-After` asks for, `source_not_found`, `source_too_large`, `source_timeout`; those of
 * `Outgoing`.
 */
export function createFetchSource({ outgoing, clock }: { outgoing: Outgoing; clock: Clock }) {
  return async function fetchSource(request: SourceRequest): Promise<SourceAnswer> {
    const { timeoutMs, signal } = request
    const timeout = AbortSignal.timeout(timeoutMs)
    try {
      return await follow({ ...request, signal: AbortSignal.any([signal, timeout]) })
    } catch (error) {
      signal.throwIfAborted()
      if (!timeout.aborted) throw error
      const message = `${request.url.host} did not send all of its answer within ${timeoutMs / 1_000} s. \`timeout_seconds\` sets the bound.`
      throw new HubError({ code: 'source_timeout', status: 504, message, cause: error })
    }
  }

  async function follow(request: SourceRequest, redirects = 0): Promise<SourceAnswer> {
    const { url, allowPrivate, signal, maxBytes, followsRedirects = true } = request
    const headers = new Headers(request.headers)
    headers.set('accept-encoding', 'identity')
    if (!headers.has('user-agent')) headers.set('user-agent', 'redis-ai-hub')
    const answer = await outgoing.send({ url, method: 'GET', headers, body: null, allowPrivate, signal })
    const { status } = answer
    if (status === 200)
      return { status, url, headers: answer.headers, bytes: await read(url, answer, maxBytes) }
    await answer.body?.cancel()
    if (status === 304) return { status, url, headers: answer.headers, bytes: new Uint8Array() }
    const location = answer.headers.get('location')
    if (![301, 302, 303, 307, 308].includes(status) || !location || !followsRedirects) {
      throw new HubError({
        ...(status === 404 ? { code: 'source_not_found', status } : { code: 'source_failed', status: 502 }),
        message: `${url.host} answered ${status}.`,
        retryAfterSeconds: retryAfter(answer.headers.get('retry-after'), clock.now()),
      })
    }
    const to = URL.parse(location, url)
    if (!to || redirects === MOST_REDIRECTS) {
      const message = `${url.host} redirects ${to ? `more than ${MOST_REDIRECTS} times` : 'to what is no URL'}.`
      throw new HubError({ code: 'source_failed', status: 502, message })
    }
    const isForeign = to.origin !== url.origin
    return follow(
      { ...request, url: to, headers: isForeign ? new Headers() : request.headers },
      redirects + 1,
    )
  }
}

export type FetchSource = ReturnType<typeof createFetchSource>

async function read(url: URL, { body, headers }: OutgoingResponse, maxBytes: number) {
  const tooLarge = () => {
    const message = `${url.host} sends more than ${maxBytes} bytes. \`max_bytes\` sets the bound.`
    return new HubError({ code: 'source_too_large', status: 413, message })
  }
  if (!body) return new Uint8Array()
  if (Number(headers.get('content-length') ?? 0) > maxBytes) {
    await body.cancel()
    throw tooLarge()
  }
  const parts: Uint8Array[] = []
  let size = 0
  // Leaving the loop ends the call.
  for await (const part of decoded(body, headers)) {
    size += part.byteLength
    if (size > maxBytes) throw tooLarge()
    parts.push(part)
  }
  return new Uint8Array(Buffer.concat(parts))
}

/** Some send it compressed whatever they are asked for. */
export function decoded(body: ReadableStream<Uint8Array>, headers: Headers): ReadableStream<Uint8Array> {
  const coding = headers.get('content-encoding')?.trim().toLowerCase()
  if (!coding || coding === 'identity') return body
  if (coding !== 'gzip' && coding !== 'deflate') {
    const message = `The source sends \`Content-Encoding: ${coding}\`, which was not asked for.`
    throw new HubError({ code: 'source_failed', status: 502, message })
  }
  return body.pipeThrough(
    new DecompressionStream(coding) as unknown as ReadableWritablePair<Uint8Array, Uint8Array>,
  )
}

/** Seconds or a date (RFC 9110, 10.2.3). */
export function retryAfter(value: string | null, now: number): number | undefined {
  if (value === null) return undefined
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - now) / 1_000
  return seconds > 0 ? seconds : undefined
}
