import type { Context, MiddlewareHandler } from 'hono'
import { getCookie } from 'hono/cookie'
import { ACT_FOR, type Admission, type Claim } from '../shared/admission.ts'
import type { DashboardSessions } from '../shared/dashboard-session.ts'
import type { App } from './deps.ts'

export const SESSION_COOKIE = 'hub_dashboard'

/** What a caller says for itself: its `Authorization`, or the dashboard's session, which stands for the admin key. */
export const credentialOf = (c: Context): string | undefined =>
  bearer(c) ?? (c as Context<App>).get('session')

/** What a caller says for itself where no cookie counts: what is behind a gateway or an agent is not the dashboard. */
export const bearer = (c: Context): string | undefined => c.req.header('authorization')

/** Who calls, and for whom. Throws 401, 403. */
export const claimOf = (c: Context, admission: Admission, credential = credentialOf): Claim =>
  admission.claim(credential(c), actsFor(c))

/** The tenant that the admin key acts for in this request, where it is not its own. */
export const actsFor = (c: Context): string | undefined => c.req.header(ACT_FOR)

/**
 * Lets the cookie of the dashboard stand for the admin key, for what the hub's own pages ask. It does not on `/gateway/`: there it
 * is kept from upstreams, and their pages from it.
 */
export function dashboardSession(sessions: DashboardSessions): MiddlewareHandler<App> {
  // Most callers have no cookie, and pay for no more than this look.
  return (c, next) => (c.req.header('cookie')?.includes(SESSION_COOKIE) ? withCookie(c, next) : next())

  async function withCookie(c: Context<App>, next: () => Promise<void>) {
    if (c.req.path.startsWith('/gateway/')) {
      const headers = new Headers(c.req.raw.headers)
      const others = headers
        .get('cookie')!
        .split(/; */)
        .filter((pair) => !pair.startsWith(`${SESSION_COOKIE}=`))
      if (others.length > 0) headers.set('cookie', others.join('; '))
      else headers.delete('cookie')
      c.req.raw = new Request(c.req.raw, { headers })
      await next()
      // A page of an upstream would be of the hub's origin, and could do there what the admin can.
      c.res = new Response(c.res.body, c.res)
      c.res.headers.append('Content-Security-Policy', 'sandbox allow-forms allow-popups allow-scripts')
      return
    }
    const value = getCookie(c, SESSION_COOKIE)
    if (value !== undefined && isOwn(c) && sessions.read(value) !== undefined)
      c.set('session', sessions.credential)
    return next()
  }
}

/** Whether a page of this origin asks, or for reading nobody's page. Browsers tell it, and pages cannot choose what they tell. */
function isOwn(c: Context<App>): boolean {
  const reads = c.req.method === 'GET' || c.req.method === 'HEAD'
  const site = c.req.header('sec-fetch-site')
  if (site !== undefined) return site === 'same-origin' || (reads && site === 'none')
  const origin = c.req.header('origin')
  if (origin === undefined) return reads
  return URL.parse(origin)?.host === c.req.header('host')
}
