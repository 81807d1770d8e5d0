import { HubError } from '../errors.ts'
import type { OutgoingResponse } from '../ports/outgoing.ts'
import { copying, type HttpCacheLookup, toStorable } from './http-cache.ts'
import {
  isNotModified,
  judge,
  mayStandIn,
  revalidated,
  type StoredResponse,
  served,
  toPolicyRequest,
} from './http-entry.ts'
import { PSEUDONYM, shown, withoutHops } from './http-forwarding.ts'

const DEFAULT_MAX_BYTES = 1024 * 1024

export interface CachedCall {
  /** The client's. */
  request: Request
  requestId: string
  defer(work: Promise<unknown>): void
  /** For the upstream. */
  headers: Headers
  send(headers: Headers): Promise<OutgoingResponse>
  lookup: HttpCacheLookup
  stored: StoredResponse | 'away' | undefined
  /** Somebody's credential is in it. */
  authorized: boolean
  /** Longer bodies are not stored. */
  maxBytes?: number
}

/** Answers from the cache, or through it: validates what is stored, stores what is new. */
export async function throughCache(cached: CachedCall): Promise<Response> {
  const { request, requestId, defer, headers, send, lookup, stored, authorized } = cached
  if (stored === 'away') return toFresh(cached, await send(headers), 'fwd=bypass')

  const asked = toPolicyRequest(request.headers, authorized)
  const serve = (entry: StoredResponse, status: string) =>
    toStored(request, entry, shown(served(entry.policy).headers, requestId, status))
  const verdict = stored && judge(stored, asked)
  if (verdict?.use) return serve(stored!, `hit; ttl=${verdict.ttlSeconds}`)

  const control = request.headers.get('cache-control')?.toLowerCase() ?? ''
  if (control.includes('only-if-cached')) throw notCached()
  const anew = control.includes('no-cache')
  if (!stored || !verdict) return toFresh(cached, await send(headers), anew ? 'fwd=request' : 'fwd=miss')

  // The client's own conditions are about what it has; ours about what we have. They are judged on what comes of ours.
  const conditional = new Headers(headers)
  for (const name of ['if-none-match', 'if-modified-since']) conditional.delete(name)
  for (const [name, value] of Object.entries(verdict.validators)) conditional.set(name, value)
  const why = anew ? 'fwd=request' : `fwd=${verdict.why}`
  const mayFail = why === 'fwd=stale'
  const answer = await send(conditional).catch((error) => {
    const outage = error instanceof HubError && (error.status === 502 || error.status === 504)
    if (mayFail && outage && mayStandIn(stored, asked)) return undefined
    throw error
  })
  if (!answer) return serve(stored, `${why}; detail=stale-if-error`)
  if (mayFail && answer.status >= 500 && mayStandIn(stored, asked, answer.status)) {
    await answer.body?.cancel()
    return serve(stored, `${why}; fwd-status=${answer.status}; detail=stale-if-error`)
  }
  if (answer.status !== 304) return toFresh(cached, answer, why)
  const renewed = revalidated(stored, asked, withoutHops(answer.headers))
  if (!renewed) return toFresh(cached, await send(headers), why)
  defer(lookup.write(renewed, served(renewed.policy).headers))
  return serve(renewed, `${why}; fwd-status=304; stored`)
}

/** Passes an upstream's answer on, and stores it on the way where it may be. */
function toFresh(cached: CachedCall, answer: OutgoingResponse, why: string): Response {
  const { request, requestId, defer, lookup, stored, authorized, maxBytes = DEFAULT_MAX_BYTES } = cached
  const { status, framed } = answer
  const headers = withoutHops(answer.headers)
  const length = headers.has('content-length') ? Number(headers.get('content-length')) : undefined
  // Without a frame a cut looks like an end: such a body is never stored.
  const fits = framed && (length ?? 0) <= maxBytes && request.method === 'GET' && stored !== 'away'
  const policy = fits ? toStorable(request.headers, authorized, status, headers) : undefined
  if (!policy) return new Response(answer.body, { status, headers: shown(headers, requestId, why) })

  // A body of unknown length may yet turn out too long.
  const promised = length === undefined ? why : `${why}; stored`
  const { stream, copy } = answer.body ? copying(answer.body, maxBytes) : { stream: null, copy: noBytes() }
  defer(copy.then((body) => body && lookup.write({ policy, body }, headers)))
  return new Response(stream, { status, headers: shown(headers, requestId, promised) })
}

function toStored(request: Request, { policy, body }: StoredResponse, headers: Headers): Response {
  const { st: status } = policy.toObject()
  if (status === 200 && isNotModified(request.headers, headers)) {
    for (const name of ['content-length', 'content-type', 'content-encoding']) headers.delete(name)
    return new Response(null, { status: 304, headers })
  }
  const empty = status === 204
  if (!empty) headers.set('content-length', String(body.length))
  return new Response(empty || request.method === 'HEAD' ? null : body, { status, headers })
}

/** Parts, and requests with conditions on what is changed, are between client and upstream. */
const PRIVATE_BUSINESS = ['range', 'if-range', 'if-match', 'if-unmodified-since']

/** Whether a request may be answered from the cache, or its answer stored. */
export const isCacheable = ({ method, headers }: Request) =>
  (method === 'GET' || method === 'HEAD') &&
  !PRIVATE_BUSINESS.some((name) => headers.has(name)) &&
  !/no-store/i.test(headers.get('cache-control') ?? '')

/** Why not, for `Cache-Status`. */
export function reasonNotCacheable({ method, headers }: Request): string {
  if (method !== 'GET' && method !== 'HEAD') return 'fwd=method'
  return /no-store/i.test(headers.get('cache-control') ?? '') ? 'fwd=request' : 'fwd=bypass'
}

const noBytes = async () => new Uint8Array(0)

const notCached = () =>
  new HubError({
    code: 'not_cached',
    status: 504,
    message: 'No stored answer, and `Cache-Control: only-if-cached` asks for none but that.',
    headers: { 'Cache-Status': `${PSEUDONYM}; fwd=miss` },
  })
