import { readFileSync } from 'node:fs'
import { type Context, Hono } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import { csrf } from 'hono/csrf'
import { HTTPException } from 'hono/http-exception'
import { type HubClient, HubRequestError } from '../../client/client.ts'

export interface WebAppOptions {
  /** With a key of the scopes `sessions` and `realtime`, which stays here. */
  hub: HubClient
  /** As browsers reach it. */
  hubUrl: string
  /** The client as one module: `redis-ai-hub/client` of the package. */
  clientBundle: string
}

const COOKIE = 'sid'
const ABSOLUTE_SECONDS = 7 * 24 * 3_600

/** The server of a small page: it keeps the hub's key, and gives the browser a cookie and short-lived tokens. */
export function createWebApp({ hub, hubUrl, clientBundle }: WebAppOptions) {
  const page = readFileSync(new URL('index.html', import.meta.url), 'utf8')
  const script = readFileSync(new URL('page.js', import.meta.url), 'utf8')

  /** The session behind the cookie. The id goes in a header: paths are written to logs. */
  async function sessionOf(c: Context) {
    const id = getCookie(c, COOKIE)
    if (id === undefined) return undefined
    const request = { path: { id: 'current' }, headers: { 'x-hub-session': id } }
    return hub.call('GET /v1/sessions/{id}', request).catch((error) => {
      if (error instanceof HubRequestError && error.status < 500) return undefined
      throw error
    })
  }

  return (
    new Hono<{ Variables: { user: string } }>()
      .onError((error, c) => {
        if (error instanceof HTTPException) return error.getResponse()
        if (error instanceof HubRequestError && error.status === 400)
          return c.json({ error: error.message }, 400)
        console.error(error)
        return c.json({ error: 'This does not work just now.' }, 503)
      })
      .use(async (c, next) => {
        await next()
        c.header(
          'Content-Security-Policy',
          `default-src 'self'; connect-src 'self' ${new URL(hubUrl).origin}`,
        )
        c.header('X-Content-Type-Options', 'nosniff')
      })
      .use(csrf())
      .get('/', (c) => c.html(page))
      .get('/page.js', (c) => c.body(script, 200, { 'Content-Type': 'text/javascript; charset=utf-8' }))
      .get('/client.js', (c) =>
        c.body(clientBundle, 200, { 'Content-Type': 'text/javascript; charset=utf-8' }),
      )
      // Where an application checks a password, or what its identity provider says.
      .post('/login', async (c) => {
        const { user } = await c.req.json<{ user: string }>()
        const body = { user, absolute_seconds: ABSOLUTE_SECONDS }
        const session = await hub.call('POST /v1/sessions', { body })
        const secure = new URL(c.req.url).protocol === 'https:'
        setCookie(c, COOKIE, session.id, {
          ...{ httpOnly: true, sameSite: 'Strict', path: '/', secure, maxAge: ABSOLUTE_SECONDS },
        })
        return c.json({ user })
      })
      .use('/api/*', async (c, next) => {
        const session = await sessionOf(c)
        if (!session) return c.json({ error: 'Log in first.' }, 401)
        c.set('user', session.user)
        return next()
      })
      .get('/api/me', async (c) => {
        const { user } = c.var
        const { values, channel } = await hub.call('GET /v1/preferences/{user}', { path: { user } })
        return c.json({ user, preferences: values, channel, hub: hubUrl })
      })
      .patch('/api/preferences', async (c) => {
        const request = { path: { user: c.var.user }, body: await c.req.json() }
        const { values } = await hub.call('PATCH /v1/preferences/{user}', request)
        return c.json({ preferences: values })
      })
      // Opens this user's own channel, for five minutes.
      .post('/api/token', async (c) => {
        const { channel } = await hub.call('GET /v1/preferences/{user}', { path: { user: c.var.user } })
        const { token } = await hub.call('POST /v1/realtime-tokens', { body: { channels: [channel] } })
        return c.json({ token })
      })
      .post('/api/logout', async (c) => {
        const request = { path: { id: 'current' }, headers: { 'x-hub-session': getCookie(c, COOKIE)! } }
        await hub.call('DELETE /v1/sessions/{id}', request)
        deleteCookie(c, COOKIE, { path: '/' })
        return c.body(null, 204)
      })
  )
}
