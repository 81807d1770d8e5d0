import { HubError } from '../errors.ts'
import type { HttpRoute } from './http-route-table.ts'

/** The hub's name to its neighbours, in `Via` and `Cache-Status`. */
export const PSEUDONYM = 'redis-ai-hub'

/** Of one connection, never of the message (RFC 9110 7.6.1). */
const HOP_BY_HOP = /^(connection|keep-alive|te|trailer|transfer-encoding|upgrade|http2-settings|proxy-.*)$/

/** What a client may not say to an upstream: its key for the hub, and what the hub says of the client. */
const OURS = /^(authorization|host|expect|forwarded|x-forwarded-.*|x-real-ip|x-hub-.*|x-request-id)$/

export interface Forwarding {
  request: Request
  route: HttpRoute
  /** Tells a loop from another hub in the chain. */
  hubId: string
  requestId: string
  /** As the rim sees it; undefined where it does not. */
  clientAddress?: string
}

/** What the upstream is sent: the client's headers, the hub's own about the client, the route's last. */
export function toUpstreamHeaders(forwarding: Forwarding): Headers {
  const { request, route, hubId, requestId } = forwarding
  const clientAddress = forwarding.clientAddress?.replace(/^::ffff:(?=\d+\.)/, '') // IPv4 on a socket for both
  const headers = withoutHops(request.headers)
  for (const name of [...headers.keys()]) if (OURS.test(name)) headers.delete(name)
  const { host, protocol } = new URL(request.url)
  const scheme = protocol.slice(0, -1)
  const node = clientAddress?.includes(':') ? `"[${clientAddress}]"` : (clientAddress ?? 'unknown')
  if (clientAddress) headers.set('x-forwarded-for', clientAddress)
  headers.set('x-forwarded-host', host)
  headers.set('x-forwarded-proto', scheme)
  headers.set('forwarded', `for=${node};host="${host}";proto=${scheme}`)
  headers.set('x-request-id', requestId)
  headers.append('via', `1.1 ${PSEUDONYM} (${hubId})`)
  for (const [name, value] of Object.entries(route.headers ?? {})) headers.set(name, value)
  return headers
}

/** Null where there is none, so that the upstream is not told of one: some runtimes give every request a body to read. */
export async function toUpstreamBody({ body, method }: Request, headers: Headers, maxBytes: number) {
  if (!body || method === 'GET' || method === 'HEAD' || headers.get('content-length') === '0') return null
  if (headers.has('content-length')) return body
  const reader = body.getReader()
  let next = await reader.read()
  let size = 0
  if (next.done) return null
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (next.done) return controller.close()
        size += next.value.length
        if (size > maxBytes) throw tooLarge(maxBytes)
        controller.enqueue(next.value)
        next = await reader.read()
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  )
}

/** What the client is sent of a response's headers; `cacheStatus` as in RFC 9211. */
export function shown(given: Headers, requestId: string, cacheStatus?: string): Headers {
  const headers = new Headers(given)
  headers.append('via', `1.1 ${PSEUDONYM}`)
  headers.set('x-request-id', requestId)
  if (cacheStatus) headers.append('cache-status', `${PSEUDONYM}; ${cacheStatus}`)
  return headers
}

/** The headers of the message, without those of the connection that it came on. */
export function withoutHops(given: Headers): Headers {
  const named = new Set((given.get('connection') ?? '').toLowerCase().split(/\s*,\s*/))
  const headers = new Headers()
  for (const [name, value] of given)
    if (!HOP_BY_HOP.test(name) && !named.has(name)) headers.append(name, value)
  return headers
}

/** Throws 508 for a request that this hub has sent, or that would be sent to it. */
export function refuseLoop(request: Request, hubId: string, target?: URL): void {
  const been = request.headers.get('via')?.includes(`${PSEUDONYM} (${hubId})`)
  if (!been && target?.host !== new URL(request.url).host) return
  const message = 'This route leads back to the hub. Give it an upstream that does not.'
  throw new HubError({ code: 'loop_detected', status: 508, message })
}

const PREFIX = '/gateway'

/** The part of the path after `/gateway`, `..` resolved. Throws 400 for one that hides such steps from that. */
export function gatewayPath(url: URL): string {
  const path = url.pathname.slice(PREFIX.length) || '/'
  const plain = path.replace(/%2e/gi, '.').replace(/%2f|%5c|\\/gi, '/')
  const climbs = plain.split('/').some((segment) => segment === '.' || segment === '..')
  if (url.pathname.startsWith(PREFIX) && path.startsWith('/') && !climbs) return path
  const message = 'The path leaves /gateway/, or hides `..` behind encoded slashes.'
  throw new HubError({ code: 'invalid_path', status: 400, message, param: 'path' })
}

/** Where a request goes: only path and query are the client's, and a URL's setters cannot change its origin. */
export function upstreamUrl(route: HttpRoute, path: string, search: string): URL {
  const url = new URL(route.upstream)
  url.pathname = url.pathname.replace(/\/$/, '') + stripped(path, route)
  url.search = search
  return url
}

function stripped(path: string, { strip_prefix, path: pattern }: HttpRoute): string {
  if (!strip_prefix) return path
  // Of a pattern: what comes before its first variable segment.
  const prefix = (strip_prefix === true ? pattern.replace(/\/[:*].*$/, '') : strip_prefix).replace(/\/$/, '')
  if (path !== prefix && !path.startsWith(`${prefix}/`)) return path
  return path.slice(prefix.length) || '/'
}

const tooLarge = (bytes: number) =>
  new HubError({
    code: 'body_too_large',
    status: 413,
    message: `The body is larger than ${bytes} bytes. HUB_MAX_BODY_BYTES sets the bound.`,
  })
