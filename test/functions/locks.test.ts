import { expect, onTestFinished, test } from 'vitest'
import { startApp, unique } from '../support/app.ts'
import { until } from '../support/hub.ts'

const ADMIN = { authorization: 'Bearer the-admin-key-of-this-test' }

/** A tenant with two keys, and a lock of its own. */
async function start() {
  const app = await startApp({ env: { HUB_ADMIN_KEY: 'the-admin-key-of-this-test' } })
  onTestFinished(() => app[Symbol.asyncDispose]())
  const tenant = unique('tenant')
  async function caller(scopes?: string[]) {
    const made = await app.send('POST', '/v1/keys', { tenant, ...(scopes && { scopes }) }, ADMIN)
    const { id, key } = (await made.json()) as { id: string; key: string }
    const call = async (
      method: string,
      path: string,
      body?: unknown,
      headers: Record<string, string> = {},
    ) => {
      const sent = { authorization: `Bearer ${key}`, ...headers }
      const reply =
        body === undefined
          ? await app.request(path, { method, headers: { host: 'localhost', ...sent } })
          : await app.send(method, path, body, sent)
      const text = await reply.text()
      return { status: reply.status, headers: reply.headers, body: text ? JSON.parse(text) : undefined }
    }
    return { id, call }
  }
  return { app, caller, tenant }
}

test('a lock is acquired, read, renewed and released; another caller is told who holds it', async () => {
  const { caller } = await start()
  const [one, other] = [await caller(['platform']), await caller()]
  expect((await one.call('GET', '/v1/locks/orders')).body).toEqual({
    ...{ name: 'orders', held: false, token: null, expires_at: null, by: null, owner: null },
    ...{ highest_token: null, waiting: 0 },
  })
  const before = Date.now()
  const got = await one.call('POST', '/v1/locks/orders', { ttl_seconds: 60, owner: 'nightly job' })
  expect(got).toMatchObject({ status: 201, body: { name: 'orders', token: expect.any(Number) } })
  const { token, expires_at } = got.body
  expect(Number.isSafeInteger(token)).toBe(true)
  expect(Date.parse(expires_at) - before).toBeGreaterThan(55_000)
  const refused = await other.call('POST', '/v1/locks/orders', { ttl_seconds: 60 })
  expect(refused).toMatchObject({ status: 409, body: { error: { code: 'lock_held', param: 'name' } } })
  expect(refused.body.error.message).toContain(`nightly job (key:${one.id}) with token ${token}`)
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(50)
  expect((await other.call('GET', '/v1/locks/orders')).body).toEqual({
    ...{ name: 'orders', held: true, token, expires_at, by: `key:${one.id}`, owner: 'nightly job' },
    ...{ highest_token: token, waiting: 0 },
  })
  const renewed = await one.call('PUT', '/v1/locks/orders', { token, ttl_seconds: 3_600 })
  expect(renewed).toMatchObject({ status: 200, body: { name: 'orders', token } })
  expect(Date.parse(renewed.body.expires_at) - Date.parse(expires_at)).toBeGreaterThan(3_500_000)
  expect((await one.call('DELETE', `/v1/locks/orders?token=${token}`)).status).toBe(204)
  const next = await other.call('POST', '/v1/locks/orders', { ttl_seconds: 60 })
  expect(next.body.token).toBeGreaterThan(token)
  const lost = { status: 412, body: { error: { code: 'lock_lost', param: 'token' } } }
  expect(await one.call('PUT', '/v1/locks/orders', { token, ttl_seconds: 60 })).toMatchObject(lost)
  expect(await one.call('DELETE', '/v1/locks/orders', { token })).toMatchObject(lost)
  expect((await other.call('DELETE', '/v1/locks/orders', { token: next.body.token })).status).toBe(204)
})

test('a caller waits until the lock is free, or in vain', async () => {
  const { caller } = await start()
  const one = await caller()
  const { token } = (await one.call('POST', '/v1/locks/orders', { ttl_seconds: 60 })).body
  const vain = await one.call('POST', '/v1/locks/orders', { ttl_seconds: 60, wait_seconds: 0.2 })
  expect(vain.status).toBe(409)
  const waits = one.call('POST', '/v1/locks/orders', { ttl_seconds: 60, wait_seconds: 20 })
  await until('it waits', async () => (await one.call('GET', '/v1/locks/orders')).body.waiting === 1)
  await one.call('DELETE', `/v1/locks/orders?token=${token}`)
  const waited = await waits
  expect(waited.status).toBe(201)
  expect(waited.body.token).toBeGreaterThan(token)
})

test('a caller who hangs up while it waits does not get the lock', async () => {
  const { app } = await start()
  const path = `/v1/locks/${unique('lock')}`
  const { token } = await (await app.send('POST', path, { ttl_seconds: 60 }, ADMIN)).json()
  const hangUp = new AbortController()
  const waits = app.request(path, {
    ...{ method: 'POST', body: JSON.stringify({ ttl_seconds: 60, wait_seconds: 20 }), signal: hangUp.signal },
    headers: { host: 'localhost', 'content-type': 'application/json', ...ADMIN },
  })
  const read = async () => (await app.get(path, ADMIN)).json()
  await until('it waits', async () => (await read()).waiting === 1)
  hangUp.abort()
  await waits.catch(() => {})
  await until('it left', async () => (await read()).waiting === 0)
  await app.delete(`${path}?token=${token}`, ADMIN)
  expect(await read()).toMatchObject({ held: false, highest_token: token })
})

test('an Idempotency-Key finds what it acquired, and belongs to its caller', async () => {
  const { caller } = await start()
  const [one, other] = [await caller(), await caller()]
  const once = { 'idempotency-key': 'k' }
  const first = await one.call('POST', '/v1/locks/orders', { ttl_seconds: 60 }, once)
  expect(
    await one.call('POST', '/v1/locks/orders', { ttl_seconds: 60, wait_seconds: 1 }, once),
  ).toMatchObject({
    ...{ status: 201, body: { token: first.body.token } },
  })
  expect(await one.call('POST', '/v1/locks/orders', { ttl_seconds: 30 }, once)).toMatchObject({
    ...{ status: 422, body: { error: { code: 'idempotency_mismatch' } } },
  })
  expect((await other.call('POST', '/v1/locks/orders', { ttl_seconds: 60 }, once)).status).toBe(409)
})

test('a key without the scope `platform` has no locks', async () => {
  const { caller } = await start()
  const { call } = await caller(['embed'])
  expect((await call('POST', '/v1/locks/orders', { ttl_seconds: 60 })).status).toBe(403)
  expect((await call('GET', '/v1/locks/orders')).status).toBe(403)
})

test.each([
  ['POST', 'orders', {}, 'ttl_seconds'],
  ['POST', 'orders', { ttl_seconds: 0.01 }, 'ttl_seconds'],
  ['POST', 'orders', { ttl_seconds: 3_601 }, 'ttl_seconds'],
  ['POST', 'orders', { ttl_seconds: '60' }, 'ttl_seconds'],
  ['POST', 'orders', { ttl_seconds: 60, wait_seconds: 26 }, 'wait_seconds'],
  ['POST', 'orders', { ttl_seconds: 60, wait: 1 }, 'wait'],
  ['POST', 'orders', { ttl_seconds: 60, owner: '\ud800' }, 'owner'],
  ['POST', 'a%20b', { ttl_seconds: 60 }, 'name'],
  ['PUT', 'orders', { ttl_seconds: 60 }, 'token'],
  ['PUT', 'orders', { ttl_seconds: 60, token: 1.5 }, 'token'],
  ['PUT', 'orders', { ttl_seconds: 60, token: 0 }, 'token'],
  ['PUT', 'orders', { token: 1 }, 'ttl_seconds'],
  ['DELETE', 'orders', undefined, 'token'],
  ['DELETE', 'orders', {}, 'token'],
  ['DELETE', 'orders', 'x', 'body'],
  ['DELETE', 'orders?token=x', undefined, 'token'],
  ['DELETE', 'orders?token=', undefined, 'token'],
  ['GET', 'a%20b', undefined, 'name'],
])('%s /v1/locks/%s %j is 400 at %s', async (method, name, body, param) => {
  const { caller } = await start()
  const { status, body: reply } = await (await caller()).call(method, `/v1/locks/${name}`, body)
  expect({ status, param: reply.error.param }).toEqual({ status: 400, param })
})

test.each([
  ['knowledge', () => ({ price: Math.random() }), 200],
  ['prompts', () => ({ messages: [{ role: 'user', content: `${Math.random()}` }] }), 201],
] as const)('PUT /v1/%s refuses a holder that a later one came after', async (what, body, done) => {
  const { caller } = await start()
  const { call } = await caller()
  const path = `/v1/${what}/menu`
  const put = async (fence?: string, more: Record<string, string> = {}) => {
    const headers = { ...more, ...(fence !== undefined && { 'x-hub-lock': fence }) }
    return call('PUT', path, body(), headers)
  }
  const state = async () => (await call('GET', path)).body
  expect((await put('menu=5')).status).toBe(done)
  expect((await put('menu=5')).status).toBe(done)
  expect((await put('menu=1790000000000001')).status).toBe(done)
  const before = await state()
  const refused = await put('menu=1790000000000000')
  expect(refused).toMatchObject({ status: 412, body: { error: { code: 'lock_lost', param: 'x-hub-lock' } } })
  expect(refused.body.error.message).toContain('token 1790000000000001')
  expect(await state()).toEqual(before)
  expect((await put('other=1')).status).toBe(done) // another lock has its own order
  expect((await put()).status).toBe(done) // and who holds none is not fenced
  for (const bad of [
    'menu',
    'menu=',
    'menu=0',
    'menu=1.5',
    'menu=-1',
    'menu=9999999999999999',
    'a b=1',
    '=1',
  ]) {
    expect(await put(bad)).toMatchObject({ status: 400, body: { error: { param: 'x-hub-lock' } } })
  }
  // What was deleted does not come back by a stale hand.
  expect((await call('DELETE', path)).status).toBe(204)
  expect((await put('menu=5')).status).toBe(412)
  expect((await put('menu=1790000000000002')).status).toBe(done)
})

test.each([
  ['knowledge', { price: 1 }],
  ['prompts', { messages: [{ role: 'user', content: 'hello' }] }],
])(
  'PUT /v1/%s repeated with its Idempotency-Key is what it was, though a later holder wrote since',
  async (what, body) => {
    const { caller } = await start()
    const { call } = await caller()
    const write = (token: number, key: string) =>
      call('PUT', `/v1/${what}/menu`, body, { 'x-hub-lock': `menu=${token}`, 'idempotency-key': key })
    const first = await write(5, 'a')
    await write(6, 'b')
    expect(await write(5, 'a')).toMatchObject({ status: first.status, body: first.body })
    expect((await write(5, 'c')).status).toBe(412)
  },
)
