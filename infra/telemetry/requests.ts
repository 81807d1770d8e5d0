import {
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import type { Context, MiddlewareHandler } from 'hono'
import { matchedRoutes } from 'hono/route'
import type { App, Log } from '../../functions/deps.ts'
import { TRACER } from '../../shared/telemetry/trace-context.ts'
import { REQUEST_ID } from '../log.ts'
import type { Metrics } from './metrics.ts'
import type { Tracing } from './tracing.ts'

export interface RequestsOptions {
  tracing?: Tracing
  metrics?: Metrics
  /** Takes a line for each request. */
  accessLog?: Log
}

/** Balancers and scrapers ask all the time; nobody wants their traces. */
const PROBES = /^\/(?:healthz|readyz|metrics)$/
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY'])

/**
 * What is told of every request: a server span, a duration by route and status, a line of the access log. A request is over when the head
 * of its answer is there: how long a stream went on, the span of the model's call says.
 */
export function observeRequests({ tracing, metrics, accessLog }: RequestsOptions): MiddlewareHandler<App> {
  const tracer = tracing && trace.getTracer(TRACER)

  return async (c, next) => {
    const since = performance.now()
    const span = tracer && !PROBES.test(c.req.path) ? begin(c) : undefined
    if (span) {
      const within = trace.setSpan(context.active(), span).setValue(REQUEST_ID, c.var.requestId)
      await context.with(within, next)
    } else await next()
    const ms = performance.now() - since
    const method = METHODS.has(c.req.method) ? c.req.method : '_OTHER'
    const route = routeOf(c)
    const { status } = c.res
    const { tenant, id } = whoOf(c)
    if (span) end(span, c, { method, route, status, tenant, id })
    metrics?.request(ms / 1_000, { method, route, status, tenant })
    accessLog?.info({
      ...{ msg: 'Request', method, route: route ?? null, status, ms: Math.round(ms * 10) / 10 },
      ...{ tenant, key: id, request_id: c.var.requestId },
      ...(span && { trace_id: span.spanContext().traceId }),
    })
  }

  function begin(c: Context<App>): Span {
    const parent = propagation.extract(ROOT_CONTEXT, c.req.raw.headers, {
      get: (headers, name) => headers.get(name) ?? undefined,
      keys: (headers) => [...headers.keys()],
    })
    const { method } = c.req
    const attributes = { 'http.request.method': METHODS.has(method) ? method : '_OTHER' }
    return tracer!.startSpan(attributes['http.request.method'], { kind: SpanKind.SERVER, attributes }, parent)
  }

  function end(span: Span, c: Context<App>, { method, route, status, tenant, id }: Told) {
    if (route) span.updateName(`${method} ${route}`).setAttribute('http.route', route)
    span.setAttributes({ 'http.response.status_code': status, 'hub.request.id': c.var.requestId })
    if (tenant) span.setAttribute('hub.tenant', tenant)
    if (id) span.setAttribute('hub.key.id', id)
    const verdict = verdictOf(c.res.headers.get('cache-status'))
    if (verdict) span.setAttribute('hub.cache.verdict', verdict)
    if (status >= 500)
      span.setAttribute('error.type', String(status)).setStatus({ code: SpanStatusCode.ERROR })
    span.end()
  }
}

interface Told {
  method: string
  route: string | undefined
  status: number
  tenant?: string
  id?: string | null
}

/** The template that its handler was written with, `/v1/agents/{id}`; undefined where nothing took the request. */
function routeOf(c: Context): string | undefined {
  const matched = matchedRoutes(c)
  const { method } = c.req
  const found =
    matched.findLast((route) => route.method === method || (method === 'HEAD' && route.method === 'GET')) ??
    matched.findLast(({ path }) => path !== '/*' && path !== '*')
  return found && template(found.path)
}

const templates = new Map<string, string>()
function template(path: string): string {
  const known = templates.get(path) ?? path.replace(/:(\w+)(?:\{[^/]*\})?\??/g, '{$1}')
  templates.set(path, known)
  return known
}

function whoOf(c: Context<App>): { tenant?: string; id?: string | null } {
  // `c.var` makes an object of all there is.
  const caller = c.get('caller')
  if (caller) return { tenant: caller.tenant, id: caller.keyId }
  const claim = c.get('claim')
  if (!claim) return {}
  return 'caller' in claim ? { tenant: claim.caller.tenant, id: claim.caller.keyId } : claim.key
}

/** Of `Cache-Status` (RFC 9211): exact, semantic, stale, collapsed, miss, request, bypass. */
function verdictOf(status: string | null): string | undefined {
  if (!status) return undefined
  if (/;\s*hit\b/.test(status)) {
    const detail = /detail=([a-z-]+)/.exec(status)?.[1] ?? 'exact'
    return detail === 'stale-if-error' ? 'stale' : detail
  }
  return /;\s*collapsed\b/.test(status) ? 'collapsed' : /fwd=([a-z-]+)/.exec(status)?.[1]
}
