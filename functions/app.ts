import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { HTTPException } from 'hono/http-exception'
import { requestId } from 'hono/request-id'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { HubError, toHubError } from '../shared/errors.ts'
import { toMessagesFailure } from '../shared/messages/messages-failure.ts'
import { withoutSessionIds } from '../shared/sessions/session-id.ts'
import { dashboardSession } from './credential.ts'
import type { App, Deps } from './deps.ts'
import { health } from './health.ts'
import { table } from './index.ts'
import { describeApp } from './openapi.ts'

export interface AppOptions {
  /** Told of every request, around all else. */
  observe?: MiddlewareHandler<App>
  /** Names of the table; all of them by default. */
  functions?: readonly string[]
  /** No admin key: serve loopback only, and no page of another site. */
  localOnly: boolean
  maxBodyBytes: number
  /** Of a model that is uploaded. */
  maxModelBytes: number
}

/** All chosen functions as one Hono app. Throws when a name is not in the table. */
export function createApp(
  deps: Omit<Deps, 'hub'>,
  { observe, functions = Object.keys(table), localOnly, maxBodyBytes, maxModelBytes }: AppOptions,
) {
  const app = new Hono<App>()
    .onError((error, c) => {
      const shown = error instanceof HTTPException ? fromHono(error) : toHubError(error)
      if (shown.status >= 500 && shown.type === 'server_error') {
        deps.log.error({
          msg: shown.message,
          code: shown.code,
          request_id: c.var.requestId,
          path: withoutSessionIds(c.req.path),
          cause: shown.cause,
        })
      }
      return reply(c, shown)
    })
    .notFound((c) => {
      const message = `There is no ${c.req.method} ${withoutSessionIds(c.req.path)} here. GET /openapi.json lists every route.`
      return reply(c, new HubError({ code: 'not_found', status: 404, message }))
    })
    .use(requestId())
  if (observe) app.use(observe)
  app
    .use((c, next) => {
      c.set('audit', deps.audit)
      return next()
    })
    .use(dashboardSession(deps.dashboardSessions))
    .use(bounded(maxBodyBytes, maxModelBytes))
  if (localOnly) {
    app.use(async (c, next) => {
      refuseForeigners(c.req.header('host'), c.req.header('origin'))
      await next()
    })
  }
  app.route('/', health(deps))
  const owners = new Map<string, string>()
  for (const name of functions) {
    const create = table[name as keyof typeof table]
    if (!create)
      throw new Error(
        `FUNCTIONS: there is no function \`${name}\`. There are: ${Object.keys(table).join(', ')}.`,
      )
    const routes = create({ ...deps, hub: app })
    for (const { method, path } of routes.routes) owners.set(toRoute(method, path), name)
    app.route('/', routes)
  }
  let document: Promise<unknown> | undefined
  return app.get('/openapi.json', async (c) => {
    document ??= describeApp(app, deps.version, (route) => owners.get(route) ?? 'health')
    return c.json(await document)
  })
}

/** OpenAI's envelope; on the routes of Anthropic's clients it is theirs too. */
function reply(c: Context<App>, shown: HubError): Response {
  const status = shown.status as ContentfulStatusCode
  if (!/^\/v1\/messages(\/|$)/.test(c.req.path)) return c.json(shown, status, shown.headers)
  const { requestId } = c.var
  return c.json(toMessagesFailure(shown, requestId), status, { ...shown.headers, 'request-id': requestId })
}

/** As the OpenAPI document names it. */
const toRoute = (method: string, path: string) => `${method} ${path.replace(/:(\w+)(\{[^}]*\})?/g, '{$1}')}`

/** Reads no more than that. A body of stated length is judged by it: looking at the body itself costs Node dearly. */
function bounded(most: number, mostOfModels: number): MiddlewareHandler<App> {
  const ofBodies = bound(most, 'HUB_MAX_BODY_BYTES')
  const ofModels = bound(mostOfModels, 'HUB_MODEL_MAX_BYTES')
  return (c, next) => {
    const isModel = c.req.method === 'PUT' && /^\/v2\/models\/[^/]+\/versions\/[^/]+$/.test(c.req.path)
    const { maxSize, refuse, counting } = isModel ? ofModels : ofBodies
    const length = c.req.header('content-length')
    if (length !== undefined && c.req.header('transfer-encoding') === undefined) {
      return Number(length) > maxSize ? refuse() : next()
    }
    // The gateway bounds what it proxies while it streams.
    const isStreamed = c.req.path.startsWith('/gateway/')
    return isStreamed || c.req.method === 'GET' || c.req.method === 'HEAD' ? next() : counting(c, next)
  }
}

function bound(maxSize: number, variable: string) {
  const refuse = () => {
    throw tooLarge(maxSize, variable)
  }
  return { maxSize, refuse, counting: bodyLimit({ maxSize, onError: refuse }) }
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i

/** Without an admin key a browser must not be a way in: neither by DNS rebinding nor from another site. */
function refuseForeigners(host = '', origin?: string) {
  const from = origin === undefined ? 'localhost' : (URL.parse(origin)?.host ?? 'null')
  if (LOOPBACK.test(host) && LOOPBACK.test(from)) return
  const message = 'Without HUB_ADMIN_KEY the hub serves this machine only. Set HUB_ADMIN_KEY to serve others.'
  throw new HubError({ code: 'local_only', status: 403, message })
}

const tooLarge = (bytes: number, variable: string) =>
  new HubError({
    code: 'body_too_large',
    status: 413,
    message: `The body is larger than ${bytes} bytes. ${variable} sets the bound.`,
  })

const fromHono = (error: HTTPException) =>
  new HubError({
    code: 'bad_request',
    status: error.status,
    message: error.message || 'The request cannot be read.',
    cause: error,
  })
