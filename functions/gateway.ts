import type { Context } from 'hono'
import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { HubError } from '../shared/errors.ts'
import type { HttpRoute, NamedHttpRoute } from '../shared/http-gateway/http-route-table.ts'
import { isService } from '../shared/http-gateway/service-upstreams.ts'
import { NAME } from '../shared/keys.ts'
import { isSecretHeader, MASK } from '../shared/secret-headers.ts'
import { bearer } from './credential.ts'
import type { App, Deps } from './deps.ts'
import { admitted, claimed, json, replies } from './http.ts'

/** What the hub itself says on a connection, or of a client. */
const RESERVED_HEADER =
  /^(connection|content-length|forwarded|host|http2-settings|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|via|x-forwarded-.*)$/i

/** A map of headers to send. */
export const Headers = z
  .record(
    z
      .string()
      .regex(/^[\w!#$%&'*+.^`|~-]{1,100}$/, 'must be the name of a header')
      .refine((name) => !RESERVED_HEADER.test(name), 'is a header that the hub sets itself'),
    z
      .string()
      .max(8_192)
      .regex(
        /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/,
        'must be one line of Latin-1',
      )
      .refine((value) => value !== MASK, 'is the mask that stands for a value; send the value'),
  )
  .describe('sent to the upstream, over what the client sent; secret ones are not shown again')

const Route = z.strictObject({
  method: z
    .string()
    .toUpperCase()
    .pipe(z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY']))
    .optional()
    .describe('every method by default; `GET` covers `HEAD`'),
  host: z
    .string()
    .toLowerCase()
    .regex(/^[a-z0-9]([a-z0-9.-]{0,252}[a-z0-9])?$/, 'must be a host name without a port')
    .optional(),
  path: z
    .string()
    .max(500)
    .regex(
      /^(\/(:[A-Za-z_]\w*|[\w.~!$&'()+,;=@%-][\w.~!$&'()+,;=@%:-]*))*(\/\*?)?$/,
      'must begin with `/` and be a prefix (`/api/`) or a pattern (`/users/:id`, `/files/*`)',
    )
    .refine(
      (path) => path.startsWith('/') && !/\/\.{1,2}(\/|$)/.test(path),
      'must begin with `/`, without `.` and `..`',
    ),
  upstream: z
    .string()
    .max(2_000)
    .refine(isUpstream, 'must be an http(s) or service URL without credentials, query and fragment')
    .describe(
      'origin and base path, https unless `allow_private`; or `service://{name}/{base path}`: an instance of a service of the default tenant, by weight for each request',
    ),
  strip_prefix: z
    .union([z.boolean(), z.string().max(500).startsWith('/')])
    .optional()
    .describe('what to cut from the path; `true`: what `path` says literally'),
  headers: Headers.optional(),
  limit: z
    .strictObject({
      limit: z.int().min(1).max(1_000_000_000),
      window_seconds: z.int().min(1).max(31_536_000),
      algorithm: z.enum(['sliding_window', 'fixed_window', 'token_bucket']).optional(),
    })
    .optional()
    .describe('requests of one key'),
  cache: z
    .union([z.boolean(), z.strictObject({ max_bytes: z.int().min(1).max(4_194_304).optional() })])
    .optional()
    .describe('by the rules of a shared cache (RFC 9111); bodies up to 1 MiB'),
  allow_private: z.boolean().optional().describe('allows plain HTTP and addresses that are not public'),
})

const ShownRoute = z.looseObject({ id: z.string(), path: z.string(), upstream: z.string() })

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']

type GatewayDeps = Pick<Deps, 'admission' | 'httpRoutes' | 'httpGateway' | 'outgoing'>

/** `/v1/routes`, `/gateway/*` and `/v1/authz`: an HTTP gateway, and the answers to other gateways' questions. */
export function gateway({ admission, httpRoutes, httpGateway, outgoing }: GatewayDeps) {
  const admin = admitted(admission, 'admin')
  const member = admitted(admission, 'gateway')
  const caller = claimed(admission, bearer)
  const forward = (c: Context<App>) => {
    if (c.req.raw.method === 'TRACE') throw noTrace()
    return httpGateway({
      claim: c.get('claim'),
      request: c.req.raw,
      requestId: c.var.requestId,
      clientAddress: c.env.clientAddress,
      defer: c.env.defer,
    })
  }
  /** Whatever method and body the other gateway's client sent: neither is read. */
  const authorize = (c: Context<App>) => {
    const { tenant, keyId } = c.var.caller
    c.header('X-Hub-Tenant', tenant)
    c.header('X-Hub-Key-Id', keyId ?? 'admin') // always one: what a client says must not pass for it
    c.header('Cache-Control', 'no-store')
    return c.body(null, 200)
  }
  return new Hono<App>()
    .get(
      '/v1/routes',
      describeRoute({
        summary: 'List the gateway’s routes',
        responses: replies(200, 'The routes', z.object({ data: z.array(ShownRoute) })),
      }),
      admin,
      async (c) => c.json({ data: (await httpRoutes.list()).map(shown) }),
    )
    .get(
      '/v1/routes/:id',
      describeRoute({ summary: 'Read a route', responses: replies(200, 'The route', ShownRoute) }),
      admin,
      async (c) => {
        const route = await httpRoutes.find(c.req.param('id'))
        if (!route) throw unknownRoute(c.req.param('id'))
        return c.json(shown(route))
      },
    )
    .put(
      '/v1/routes/:id',
      describeRoute({
        summary: 'Set a route; every instance follows within a second',
        responses: replies(200, 'The route', ShownRoute),
      }),
      admin,
      json(Route),
      async (c) => {
        const id = c.req.param('id')
        if (!NAME.test(id)) throw invalid('id', 'must be 1 to 64 of A-Z a-z 0-9 _ . -')
        const route: HttpRoute = c.req.valid('json')
        checkUpstream(route)
        await httpRoutes.put(id, route)
        return c.json(shown({ id, ...route }))
      },
    )
    .delete(
      '/v1/routes/:id',
      describeRoute({ summary: 'Remove a route', responses: { 204: { description: 'Removed' } } }),
      admin,
      async (c) => {
        const id = c.req.param('id')
        if (!(await httpRoutes.delete(id))) throw unknownRoute(id)
        return c.body(null, 204)
      },
    )
    .on(
      METHODS,
      '/gateway/:path',
      describeRoute({
        summary:
          'Pass a request on to the upstream of the most specific route that matches the rest of the path',
        responses: { default: { description: 'What the upstream answers', content: { '*/*': {} } } },
      }),
      caller,
      forward,
    )
    .all('/gateway/*', caller, forward)
    .get(
      '/v1/authz',
      describeRoute({
        summary: 'Answer another gateway: nginx auth_request, Envoy ext_authz, Traefik ForwardAuth',
        responses: { 200: { description: 'Admitted: `X-Hub-Tenant` and `X-Hub-Key-Id` say whom' } },
      }),
      member,
      authorize,
    )
    .all('/v1/authz/*', member, authorize) // Envoy appends the path that it was asked for

  /** What can be told of an upstream before it is called is told to the admin. */
  function checkUpstream({ upstream, allow_private = false }: HttpRoute) {
    try {
      const url = new URL(upstream)
      if (!isService(url)) outgoing.check(url, allow_private)
    } catch (error) {
      throw invalid('upstream', (error as Error).message)
    }
  }
}

function isUpstream(text: string): boolean {
  const url = URL.parse(text)
  if (!url || !(isService(url) ? NAME.test(url.host) : /^https?:$/.test(url.protocol))) return false
  return !url.username && !url.password && !url.search && !url.hash && !/[?#]/.test(text)
}

function shown({ headers, ...route }: NamedHttpRoute) {
  if (!headers) return route
  const masked = Object.entries(headers).map(([name, value]) => [name, isSecretHeader(name) ? MASK : value])
  return { ...route, headers: Object.fromEntries(masked) }
}

const invalid = (param: string, message: string) =>
  new HubError({ code: 'invalid_value', status: 400, message: `${param}: ${message}`, param })

const unknownRoute = (id: string) =>
  new HubError({ code: 'route_not_found', status: 404, message: `There is no route ${id}.`, param: 'id' })

const noTrace = () =>
  new HubError({
    code: 'method_not_allowed',
    status: 405,
    message: 'The gateway does not pass TRACE on: an upstream would repeat what the route adds.',
  })
