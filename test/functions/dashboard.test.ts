import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createAssetsFiles } from '../../shared/drivers/assets-files.ts'
import { startApp, type TestApp, unique } from '../support/app.ts'
import { startReceiver } from '../support/receiver.ts'

const ADMIN = 'the-admin-key-of-this-test'
const FACE = new URL('../../dist/face', import.meta.url).pathname

let hub: TestApp
beforeAll(async () => {
  hub = await startApp({ env: { HUB_ADMIN_KEY: ADMIN }, assets: createAssetsFiles(FACE) })
})
afterAll(() => hub[Symbol.asyncDispose]())

const own = { 'sec-fetch-site': 'same-origin', origin: 'http://localhost' }

/** From an address of its own: attempts are few a minute. */
async function signIn(
  app = hub,
  key = ADMIN,
  headers: Record<string, string> = {},
  clientAddress = unique('address'),
) {
  const reply: Response = await app.app.request(
    'http://localhost/v1/dashboard-session',
    {
      method: 'POST',
      body: JSON.stringify({ key }),
      headers: { host: 'localhost', 'content-type': 'application/json', ...headers },
    },
    { defer: () => {}, clientAddress },
  )
  const cookie = reply.headers.get('set-cookie')
  return { reply, cookie, pair: cookie?.split(';')[0] ?? '' }
}

describe('pages', () => {
  it('may load and ask nothing but this hub, run nothing inline and be framed by nobody', async () => {
    const page = await hub.get('/')
    const policy = page.headers.get('content-security-policy')
    expect(page.status).toBe(200)
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toMatch(/unsafe|\*|https?:/)
    expect(Object.fromEntries(page.headers)).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-cache',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'same-origin',
    })
    const html = await page.text()
    expect(html).not.toMatch(/<script(?![^>]*src=)|<style|\son\w+=|https?:/)

    const again = await hub.get('/', { 'if-none-match': page.headers.get('etag')! })
    expect([again.status, await again.text()]).toEqual([304, ''])
    for (const [, path] of html.matchAll(/(?:src|href)="(face\/[^"]+)"/g)) {
      const file = await hub.get(`/${path}`)
      expect([path, file.status]).toEqual([path, 200])
      expect(file.headers.get('cache-control')).toContain('immutable')
    }
  })

  it('are compressed for who takes it, and are the same then', async () => {
    const html = await (await hub.get('/docs')).text()
    const [, path] = /src="(face\/[^"]+)"/.exec(html)!
    const plain = await hub.get(`/${path}`)
    const whole = new Uint8Array(await plain.arrayBuffer())
    expect([plain.headers.get('content-encoding'), plain.headers.get('vary')]).toEqual([
      null,
      'Accept-Encoding',
    ])
    for (const refused of ['br', 'gzip;q=0', 'gzip; q=0.0, br']) {
      const reply = await hub.get(`/${path}`, { 'accept-encoding': refused })
      expect([refused, reply.headers.get('content-encoding')]).toEqual([refused, null])
    }
    for (const accepted of ['gzip', 'gzip, deflate, br, zstd', 'br;q=1.0, gzip;q=0.5', '*']) {
      const reply = await hub.get(`/${path}`, { 'accept-encoding': accepted })
      expect([accepted, reply.headers.get('content-encoding')]).toEqual([accepted, 'gzip'])
      expect(reply.headers.get('etag')).not.toBe(plain.headers.get('etag'))
      const packed = new Uint8Array(await reply.arrayBuffer())
      expect(packed.length).toBeLessThan(whole.length / 2)
      expect(gunzipSync(packed).equals(whole)).toBe(true)
      const known = { 'accept-encoding': accepted, 'if-none-match': reply.headers.get('etag')! }
      expect((await hub.get(`/${path}`, known)).status).toBe(304)
    }
  })

  it.each([
    '/face/none.js',
    '/face/index.html',
    '/face/..%2f..%2fpackage.json',
    '/face/%2e%2e%2fclient%2fclient.js',
  ])('there is no %s', async (path) => {
    expect((await hub.get(path)).status).toBe(404)
  })

  it('say how they are built where they are not', async () => {
    await using bare = await startApp({ assets: createAssetsFiles('/nowhere') })
    const reply = await bare.get('/')
    expect(reply.status).toBe(404)
    expect((await reply.json()).error.message).toContain('npm run build:face')
  })
})

describe('signing in', () => {
  it('gives a cookie that no script reads and no other site sends, and is recorded', async () => {
    const { reply, cookie } = await signIn()
    expect(reply.status).toBe(201)
    expect(cookie).toMatch(/^hub_dashboard=[^;]+; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/)
    expect(cookie).not.toContain(ADMIN)
    const secure = await signIn(hub, ADMIN, { 'x-forwarded-proto': 'https' })
    expect(secure.cookie).toContain('; Secure')
    const acts = await hub.get('/v1/audit?action=/v1/dashboard-session', { authorization: `Bearer ${ADMIN}` })
    expect((await acts.json()).data[0]).toMatchObject({
      action: 'POST /v1/dashboard-session',
      client: expect.any(String),
    })
  })

  it('is refused with another key, and after ten attempts for a while with any', async () => {
    await using app = await startApp({ env: { HUB_ADMIN_KEY: unique('admin-key-of-a-test') } })
    const from = unique('address')
    const statuses: number[] = []
    for (let i = 0; i < 11; i++) statuses.push((await signIn(app, 'wrong', {}, from)).reply.status)
    expect(statuses).toEqual([...Array(10).fill(401), 429])
  })

  it('is not asked of anybody where there is no admin key', async () => {
    await using local = await startApp()
    expect(await (await local.get('/v1/dashboard-session')).json()).toEqual({
      needed: false,
      expires_at: null,
    })
    expect((await signIn(local)).reply.status).toBe(409)
  })

  it('ends by signing out', async () => {
    const { pair } = await signIn()
    expect((await (await hub.get('/v1/dashboard-session', { cookie: pair })).json()).expires_at).toMatch(/^2/)
    const out = await hub.delete('/v1/dashboard-session', { cookie: pair })
    expect([out.status, out.headers.get('set-cookie')]).toEqual([204, expect.stringMatching(/Max-Age=0/)])
  })
})

describe('the cookie', () => {
  const write = (headers: Record<string, string>) =>
    hub.send('PUT', `/v1/tenants/${unique('t')}`, {}, headers)

  it('is the admin key for what the hub’s own pages ask', async () => {
    const { pair: cookie } = await signIn()
    expect((await write({ cookie, ...own })).status).toBe(200)
    expect((await write({ cookie, origin: 'http://localhost' })).status).toBe(200) // an older browser
    expect((await hub.get('/v1/keys', { cookie, 'sec-fetch-site': 'none' })).status).toBe(200)
    expect((await hub.get(`/v1/overview?tenant=${unique('t')}`, { cookie, ...own })).status).toBe(200)
  })

  it.each([
    ['another site', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }],
    ['a sister of the same site', { 'sec-fetch-site': 'same-site', origin: 'https://blog.localhost' }],
    ['another origin, in an older browser', { origin: 'https://evil.example' }],
    ['a page without an origin', { origin: 'null' }],
    ['an address that was typed, for a write', { 'sec-fetch-site': 'none' }],
    ['nobody says who', {}],
  ])('is worth nothing to %s', async (_, headers: Record<string, string>) => {
    const { pair: cookie } = await signIn()
    expect(cookie).toMatch(/^hub_dashboard=\d/)
    expect((await write({ cookie, ...headers })).status).toBe(401)
    if (headers['sec-fetch-site'] !== 'none' && 'origin' in headers)
      expect((await hub.get('/v1/keys', { cookie, ...headers })).status).toBe(401)
  })

  it('is worth nothing forged, cut, of another hub, or over', async () => {
    const { pair } = await signIn()
    const [claims, ...rest] = pair.split('.')
    const later = `${claims!.replace(/\d+$/, (n) => String(Number(n) + 1))}.${rest.join('.')}`
    await using other = await startApp({
      env: { HUB_ADMIN_KEY: `${ADMIN}-2`, HUB_KEY_SECRET: 'one secret of two hubs' },
    })
    await using twin = await startApp({
      env: { HUB_ADMIN_KEY: ADMIN, HUB_KEY_SECRET: 'one secret of two hubs' },
    })
    const foreign = (await signIn(other, `${ADMIN}-2`)).pair
    for (const cookie of [later, pair.slice(0, -1), 'hub_dashboard=', 'hub_dashboard=a.b.c', foreign])
      expect((await hub.get('/v1/keys', { cookie, ...own })).status).toBe(401)
    expect((await twin.get('/v1/keys', { cookie: foreign, ...own })).status).toBe(401)

    const now = Date.now
    const { pair: cookie } = await signIn()
    try {
      Date.now = () => now() + 12 * 3_600_000 + 1_000
      expect((await hub.get('/v1/keys', { cookie, ...own })).status).toBe(401)
    } finally {
      Date.now = now
    }
  })

  it('does not stand in for a key that was sent', async () => {
    const { pair: cookie } = await signIn()
    const made = await hub.send(
      'POST',
      '/v1/keys',
      { tenant: unique('t') },
      { authorization: `Bearer ${ADMIN}` },
    )
    const { key } = await made.json()
    const reply = await hub.get('/v1/keys', { cookie, authorization: `Bearer ${key}`, ...own })
    expect(reply.status).toBe(403)
  })

  it('goes to no upstream of the gateway, and an upstream’s page gets no part in it', async () => {
    const receiver = await startReceiver()
    onTestFinished(() => receiver.close())
    const { pair } = await signIn()
    const id = unique('route')
    const route = { path: `/${id}/*`, upstream: receiver.url, allow_private: true }
    const put = await hub.send('PUT', `/v1/routes/${id}`, route, { authorization: `Bearer ${ADMIN}` })
    expect(put.status).toBe(200)
    const cookie = `a=1; ${pair}; b=2`
    expect((await hub.send('POST', `/gateway/${id}/page`, {}, { cookie, ...own })).status).toBe(401)
    const reply = await hub.send(
      'POST',
      `/gateway/${id}/page`,
      {},
      { cookie, authorization: `Bearer ${ADMIN}`, ...own },
    )
    expect(reply.status).toBe(200)
    expect(reply.headers.get('content-security-policy')).toMatch(/^sandbox(?!.*allow-same-origin)/)
    expect(receiver.received.at(-1)!.headers.cookie).toBe('a=1; b=2')
  })
})
