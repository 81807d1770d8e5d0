import type { Admission, Claim } from '../admission.ts'
import { createPatience, type Patience } from '../completions/patience.ts'
import { HubError } from '../errors.ts'
import { rateLimitPrefix } from '../keys.ts'
import { type Limit, type Limits, rateLimitHeaders, refuseOverLimit } from '../metering/limits.ts'
import type { Clock } from '../ports/clock.ts'
import type { Outgoing } from '../ports/outgoing.ts'
import type { Redis } from '../ports/redis.ts'
import { type Replies, together } from '../send.ts'
import type { HttpCache } from './http-cache.ts'
import { isCacheable, reasonNotCacheable, throughCache } from './http-cached-answer.ts'
import {
  gatewayPath,
  refuseLoop,
  shown,
  toUpstreamBody,
  toUpstreamHeaders,
  upstreamUrl,
  withoutHops,
} from './http-forwarding.ts'
import type { NamedHttpRoute } from './http-route-table.ts'
import type { HttpRoutes } from './http-routes.ts'
import { isService, type ServiceUpstreams } from './service-upstreams.ts'

export interface GatewayCall {
  claim: Claim
  request: Request
  requestId: string
  /** As the rim sees it; undefined where it does not. */
  clientAddress?: string
  defer(work: Promise<unknown>): void
}

export interface HttpGatewayOptions {
  redis: Redis
  cacheRedis: Redis
  admission: Admission
  limits: Limits
  routes: HttpRoutes
  services: ServiceUpstreams
  cache: HttpCache
  outgoing: Outgoing
  clock: Clock
  /** The same on every instance of this hub: tells a loop from another hub in the chain. */
  hubId: string
  /** Without an admin key an `Authorization` may be anybody's, not the hub's own. */
  keyless: boolean
  /** Bound of a request body that states no length; the app has judged the others. */
  maxBodyBytes: number
}

/** The scope a key needs; also the function's name. */
const SCOPE = 'gateway'
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])

/** Passes requests on to the upstreams of routes, streaming both ways, and answers from the cache where a route allows it. */
export function createHttpGateway(options: HttpGatewayOptions) {
  const {
    redis,
    cacheRedis,
    admission,
    limits,
    routes,
    services,
    cache,
    outgoing,
    clock,
    hubId,
    keyless,
    maxBodyBytes,
  } = options

  return async function forward(call: GatewayCall): Promise<Response> {
    const { claim, request, requestId } = call
    const patience = createPatience()
    refuseLoop(request, hubId)
    const url = new URL(request.url)
    const path = gatewayPath(url)
    const table = await routes.table(patience)
    const route = table.match(request.method, url.hostname, path)
    if (!route) {
      await admission.admit(claim, SCOPE)
      throw noRoute(request.method, path)
    }
    const target = upstreamUrl(route, path, url.search)
    const tenant = 'caller' in claim ? claim.caller.tenant : claim.key.tenant
    // The upstream is told the Host, and credentials that a route adds: both are part of what the answer depends on.
    const scope = `${url.host}\n${target.href}\n${JSON.stringify(route.headers ?? {})}`
    const lookup =
      route.cache && isCacheable(request) ? cache.lookup(tenant, scope, request.headers) : undefined

    // The one wave of a request.
    const question = await admission.ask(claim)
    const check = route.limit && (await limits.prepare([limitOf(route, route.limit, claim, tenant)]))
    const refresh = routes.refresh()
    const groups = [question.calls, check?.calls ?? [], refresh.calls]
    const [replies, found] = await patience.wait((timeoutMs) =>
      together(
        { redis, calls: groups.flat() },
        { redis: cacheRedis, calls: lookup?.calls ?? [] },
        { timeoutMs },
      ),
    )
    const [ofKey, ofLimit, ofRoutes] = split(replies, groups)
    refresh.settle(ofRoutes!)
    const admitted = await patience.wait((timeoutMs) => question.settle(ofKey!, SCOPE, timeoutMs))
    const limited = check ? await check.settle(ofLimit!) : []
    refuseOverLimit(limited, clock.now())
    const ownHeaders = [admitted.headers, rateLimitHeaders(limited, clock.now())].flatMap(
      Object.entries<string>,
    )
    if (!isService(target)) refuseLoop(request, hubId, target)

    const headers = toUpstreamHeaders({ ...call, route, hubId })
    const send = (given: Headers) => sendTo(target, route, request, given, patience)
    const answer = lookup ? await cached() : await uncached()
    for (const [name, value] of ownHeaders) answer.headers.append(name, value)
    return answer

    async function cached() {
      const stored = await lookup!.read(found, patience)
      // A credential of the hub's own is spent here, and entries are the tenant's: the upstream does not know whose call it is.
      const authorized = headers.has('authorization') || (keyless && isForeign(request.headers))
      const maxBytes = typeof route!.cache === 'object' ? route!.cache.max_bytes : undefined
      return throughCache({ ...call, headers, send, lookup: lookup!, stored, authorized, maxBytes })
    }

    async function uncached() {
      const { status, headers: given, body } = await send(headers)
      const changed = table.caches && !SAFE.has(request.method) && status < 400
      if (changed) await cache.invalidate(tenant, scope, patience)
      const reason = route!.cache ? reasonNotCacheable(request) : undefined
      return new Response(body, { status, headers: shown(withoutHops(given), requestId, reason) })
    }
  }

  async function sendTo(
    target: URL,
    route: NamedHttpRoute,
    request: Request,
    headers: Headers,
    patience: Patience,
  ) {
    const { method, signal } = request
    const allowPrivate = route.allow_private ?? false
    const body = await toUpstreamBody(request, headers, maxBodyBytes)
    if (!body) headers.delete('content-length') // of a body that is not sent on, as of a GET
    const send = (url: URL) => outgoing.send({ url, method, headers, body, allowPrivate, signal })
    if (!isService(target)) return send(target)
    const sendToInstance = (url: URL) => {
      refuseLoop(request, hubId, url)
      return send(url)
    }
    return services.send(target, sendToInstance, patience)
  }
}

export type HttpGateway = ReturnType<typeof createHttpGateway>

const isForeign = (headers: Headers) => {
  const given = headers.get('authorization')
  return given !== null && !/^bearer +hub_/i.test(given)
}

/** Of one key: what one caller uses up is not another's. */
function limitOf(
  route: NamedHttpRoute,
  setting: NonNullable<NamedHttpRoute['limit']>,
  claim: Claim,
  tenant: string,
): Limit {
  const name = `route-${route.id}-${setting.window_seconds}`
  const identifier = `{${'key' in claim ? claim.key.id : '@'}}`
  return { on: 'requests', ...setting, name, prefix: `${rateLimitPrefix(tenant)}:${name}`, identifier }
}

/** The replies of one wave, by what they were asked for. */
function split(replies: Replies, groups: readonly (readonly unknown[])[]): Replies[] {
  if (replies instanceof Error) return groups.map(() => replies)
  let at = 0
  return groups.map(({ length }) => {
    at += length
    return replies.slice(at - length, at)
  })
}

const noRoute = (method: string, path: string) =>
  new HubError({
    code: 'route_not_found',
    status: 404,
    message: `No route takes ${method} ${path}. An admin can add one: PUT /v1/routes/{id}.`,
  })
