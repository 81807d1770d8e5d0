import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { SESSION_SECONDS } from '../shared/dashboard-session.ts'
import { HubError } from '../shared/errors.ts'
import { DEFAULT_TENANT } from '../shared/keys.ts'
import { beginAct, endAct } from './acts.ts'
import { SESSION_COOKIE } from './credential.ts'
import type { App, Deps } from './deps.ts'
import { json, replies } from './http.ts'
import { file, page } from './pages.ts'

const Session = z.object({
  needed: z.boolean().describe('whether this hub has an admin key'),
  expires_at: z.string().nullable().describe('of your session; null: you have none'),
})

/** `/`: what the hub does, live; `/face/…`: the files of all pages. They hold no data, so nobody is asked for a key. */
export function dashboard({ assets, dashboardSessions }: Pick<Deps, 'assets' | 'dashboardSessions'>) {
  const cookieOf = (c: Context<App>) => ({
    ...{ httpOnly: true, sameSite: 'Strict' as const, path: '/' },
    secure: new URL(c.req.url).protocol === 'https:' || c.req.header('x-forwarded-proto') === 'https',
  })
  const shown = (expires: number | undefined) => ({
    needed: dashboardSessions.isNeeded,
    expires_at: expires === undefined ? null : new Date(expires).toISOString(),
  })

  /** Wrong keys are recorded too, and few a minute. */
  const attempt: MiddlewareHandler<App> = async (c, next) => {
    if (!dashboardSessions.isNeeded) throw notNeeded()
    await dashboardSessions.allow(c.env.clientAddress)
    await beginAct(c, { tenant: DEFAULT_TENANT, keyId: null })
    await next()
    endAct(c)
  }

  return new Hono<App>()
    .get('/', (c) => page(c, assets, 'index.html'))
    .get('/face/:file', (c) => file(c, assets, c.req.param('file')))
    .get(
      '/v1/dashboard-session',
      describeRoute({
        summary: 'See whether you are signed in to the dashboard',
        security: [],
        responses: replies(200, 'Your session', Session),
      }),
      (c) => {
        c.header('Cache-Control', 'no-store')
        return c.json(shown(dashboardSessions.read(getCookie(c, SESSION_COOKIE) ?? '')))
      },
    )
    .post(
      '/v1/dashboard-session',
      describeRoute({
        summary: 'Sign in to the dashboard with the admin key',
        description: `Sets the cookie \`${SESSION_COOKIE}\`, which for ${SESSION_SECONDS / 3600} hours stands for the admin key where a page of the hub itself asks.`,
        security: [],
        responses: replies(201, 'Your session', Session),
      }),
      json(z.strictObject({ key: z.string().min(1).max(1_000).describe('HUB_ADMIN_KEY') })),
      attempt,
      (c) => {
        const value = dashboardSessions.open(c.req.valid('json').key)
        setCookie(c, SESSION_COOKIE, value, { ...cookieOf(c), maxAge: SESSION_SECONDS })
        c.header('Cache-Control', 'no-store')
        return c.json(shown(dashboardSessions.read(value)), 201)
      },
    )
    .delete(
      '/v1/dashboard-session',
      describeRoute({
        summary: 'Sign out of the dashboard',
        security: [],
        responses: { 204: { description: 'The cookie is gone' } },
      }),
      (c) => {
        deleteCookie(c, SESSION_COOKIE, cookieOf(c))
        return c.body(null, 204)
      },
    )
}

const notNeeded = () =>
  new HubError({
    code: 'no_admin_key',
    status: 409,
    message: 'This hub has no admin key: its dashboard is open on this machine, and nobody signs in.',
  })
