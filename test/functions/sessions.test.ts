import { expect, onTestFinished, test } from 'vitest'
import { startApp, unique } from '../support/app.ts'
import { startTestRedis } from '../support/redis.ts'

const HUB_ADMIN_KEY = 'the-admin-key-of-this-test'
const ADMIN = { authorization: `Bearer ${HUB_ADMIN_KEY}` }

async function start(scopes?: string[], env: Record<string, string> = {}) {
  const app = await startApp({ env: { HUB_ADMIN_KEY, ...env } })
  onTestFinished(() => app[Symbol.asyncDispose]())
  const made = await app.send('POST', '/v1/keys', { tenant: unique('tenant'), scopes }, ADMIN)
  const header = { authorization: `Bearer ${(await made.json()).key}` }
  const call = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const reply = await (body === undefined
      ? app.request(`/v1/sessions${path}`, { method, headers: { host: 'localhost', ...header, ...headers } })
      : app.send(method, `/v1/sessions${path}`, body, { ...header, ...headers }))
    const text = await reply.text()
    return { status: reply.status, headers: reply.headers, body: text && JSON.parse(text), text }
  }
  return { app, call, begin: async (more = {}) => (await call('POST', '', { user: 'ada', ...more })).body }
}

const gone = { status: 404, body: { error: { code: 'session_not_found', param: 'id' } } }

test('the life of a session', async () => {
  const { call } = await start()
  const made = await call('POST', '', {
    user: 'ada',
    data: { cart: [1] },
    idle_seconds: 60,
    absolute_seconds: 90,
  })
  expect(made).toMatchObject({ status: 201, body: { user: 'ada', data: { cart: [1] }, version: 1 } })
  expect(made.headers.get('cache-control')).toBe('no-store')
  const { id, handle, created_at, idle_expires_at, expires_at } = made.body
  expect(Date.parse(idle_expires_at) - Date.parse(created_at)).toBe(60_000)
  expect(Date.parse(expires_at) - Date.parse(created_at)).toBe(90_000)

  const read = await call('GET', `/${id}`)
  expect(read).toMatchObject({ status: 200, body: { handle, user: 'ada', expires_at } })
  expect(read.headers.get('etag')).toBe('"1"')
  expect(read.text).not.toContain(id)
  expect((await call('GET', '/current', undefined, { 'x-hub-session': id })).body).toMatchObject({ handle })
  expect(await call('GET', '/current')).toMatchObject({
    status: 400,
    body: { error: { param: 'x-hub-session' } },
  })

  const patch = { data: { cart: null, theme: { dark: true } } }
  const patched = await call('PATCH', `/${id}`, patch, { 'if-match': '"1"' })
  expect(patched).toMatchObject({ status: 200, body: { data: { theme: { dark: true } }, version: 2 } })
  expect(await call('PATCH', `/${id}`, patch, { 'if-match': '"1"' })).toMatchObject({
    ...{ status: 412, body: { error: { code: 'version_conflict' } } },
  })

  const rotated = await call('POST', `/${id}/rotate`, { grace_seconds: 0 })
  expect(rotated).toMatchObject({ status: 200, body: { handle, data: { theme: { dark: true } } } })
  const next = rotated.body.id
  expect(await call('GET', `/${id}`)).toMatchObject(gone)
  expect(await call('GET', `?user=ada`)).toMatchObject({ status: 200, body: { data: [{ handle }] } })
  expect((await call('GET', '?user=ada')).text).not.toContain(next.slice(-43))
  expect((await call('DELETE', `/${next}`)).status).toBe(204)
  expect(await call('GET', `/${next}`)).toMatchObject(gone)
  expect(await call('DELETE', `/${next}`)).toMatchObject(gone)
})

test('a rotation needs no body, and may be repeated with an Idempotency-Key', async () => {
  const { call, begin } = await start()
  const { id } = await begin()
  const once = { 'idempotency-key': 'k' }
  const { body } = await call('POST', `/${id}/rotate`, undefined, once)
  expect((await call('POST', `/${id}/rotate`, undefined, once)).body.id).toBe(body.id)
  expect(await call('POST', `/${id}/rotate`)).toMatchObject(gone)
  expect(await call('POST', `/${body.id}/rotate`)).toMatchObject({ status: 200 })
})

test('a creation may be repeated with an Idempotency-Key', async () => {
  const { call } = await start()
  const once = { 'idempotency-key': 'k' }
  const { body } = await call('POST', '', { user: 'ada' }, once)
  expect((await call('POST', '', { user: 'ada' }, once)).body.id).toBe(body.id)
  expect(await call('POST', '', { user: 'bob' }, once)).toMatchObject({ status: 422 })
})

test('log out everywhere, everywhere else, or one device', async () => {
  const { call, begin } = await start()
  const [a, b, c, d] = [await begin(), await begin(), await begin(), await begin()]
  expect((await call('DELETE', `?user=ada&handle=${a.handle}`)).body).toEqual({ revoked: 1 })
  expect((await call('DELETE', `?user=ada&except=${b.handle}`)).body).toEqual({ revoked: 2 })
  for (const { id } of [a, c, d]) expect(await call('GET', `/${id}`)).toMatchObject(gone)
  expect((await call('DELETE', `?user=ada&except=${b.id}`)).body).toEqual({ revoked: 0 })
  expect(await call('DELETE', `?user=ada&except=${c.id}`)).toMatchObject(gone)
  expect((await call('GET', `/${b.id}`)).status).toBe(200)
  expect((await call('DELETE', '?user=ada')).body).toEqual({ revoked: 1 })
  expect((await call('GET', '?user=ada')).body).toEqual({ data: [] })
})

test('a look is one wave, and one of another tenant is told what any stranger is', async () => {
  const { app, call, begin } = await start()
  const { id } = await begin()
  app.waves.length = 0
  expect((await call('GET', `/${id}`)).status).toBe(200)
  const names = app.waves.map((wave) => wave.map((call) => ('script' in call ? call.script.name : call[0])))
  expect(names).toEqual([['HMGET', 'use-session']])
  const other = await start()
  const told = await Promise.all(
    [id, `${id}x`, 'nothing', `hubs_${'a'.repeat(75)}`].map((one) => other.call('GET', `/${one}`)),
  )
  expect(new Set(told.map(({ status, text }) => `${status} ${text}`)).size).toBe(1)
  expect(told[0]).toMatchObject(gone)
})

test('a key without the scope is told nothing', async () => {
  const { call } = await start(['prompts'])
  expect(await call('POST', '', { user: 'ada' })).toMatchObject({ status: 403 })
  expect(await call('GET', `/hubs_${'a'.repeat(75)}`)).toMatchObject({ status: 403 })
})

test.each([
  ['no user', {}, 'user'],
  ['an empty user', { user: '' }, 'user'],
  ['a long user', { user: 'x'.repeat(257) }, 'user'],
  ['control characters', { user: 'a\nb' }, 'user'],
  ['data that is no object', { user: 'a', data: [] }, 'data'],
  ['half a character in a name', '{"user":"a","data":{"x":{"\\ud800":1}}}', 'data'],
  ['a name that is lost', '{"user":"a","data":{"__proto__":1}}', 'data'],
  ['no time', { user: 'a', idle_seconds: 0 }, 'idle_seconds'],
  ['another field', { user: 'a', ttl: 1 }, 'ttl'],
])('%s is 400 with its path', async (_, body, param) => {
  const { call } = await start()
  expect(await call('POST', '', body)).toMatchObject({ status: 400, body: { error: { param } } })
})

test.each([
  ['GET', ''],
  ['DELETE', '?user=ada&handle=no'],
  ['DELETE', `?user=ada&handle=${'a'.repeat(16)}&except=${'a'.repeat(16)}`],
  ['GET', '?user=ada&limit=1'],
])('%s /v1/sessions%s is 400', async (method, path) => {
  const { call } = await start()
  expect((await call(method, path)).status).toBe(400)
})

test('neither an error nor a line of the log holds an id', async () => {
  const { app, call, begin } = await start()
  const { id } = await begin()
  const secret = id.slice(-43)
  const replies = [
    await call('GET', `/${id}/nothing`),
    await call('GET', `/${id.slice(0, -1)}`),
    await call('POST', `/${id}/rotate`, { grace_seconds: 31 }),
    await call('PATCH', `/${id}`, { data: 1 }),
    await call('PATCH', `/${id}`, { data: {} }, { 'if-match': 'x' }),
    await call('DELETE', `?user=bob&except=${id}`),
  ]
  for (const { status, text } of replies) {
    expect(status).toBeGreaterThanOrEqual(400)
    expect(text).not.toContain(secret.slice(0, -1))
  }
  await app.settled()
  expect(JSON.stringify(app.lines)).not.toContain(secret.slice(0, -1))
})

test('while Redis is away nobody is let in, and nobody is told that a session has ended', async () => {
  const server = await startTestRedis()
  onTestFinished(server.stop)
  const { app, call, begin } = await start(undefined, { REDIS_URL: server.url })
  const { id } = await begin()
  await server.stop()
  for (const reply of [
    await call('GET', `/${id}`),
    await call('DELETE', `/${id}`),
    await call('GET', '?user=ada'),
  ])
    expect(reply).toMatchObject({ status: 503, body: { error: { code: 'redis_unavailable' } } })
  expect(JSON.stringify(app.lines)).not.toContain(id.slice(-43))
})
