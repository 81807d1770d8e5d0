import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readEnv } from '../../infra/env.ts'
import { connectRedis } from '../../infra/wire.ts'
import { createKeyring } from '../../shared/hub-keys.ts'
import { hubKeysKey } from '../../shared/keys.ts'
import { ask, startApp, type TestApp, unique } from '../support/app.ts'
import { testRedisUrl } from '../support/redis.ts'

const ADMIN = 'an-admin-key-of-tests'
const admin = { authorization: `Bearer ${ADMIN}` }
let hub: TestApp
beforeAll(async () => {
  hub = await startApp({ env: { HUB_ADMIN_KEY: ADMIN, HUB_KEY_SECRET: 'a-secret-of-tests' } })
})
afterAll(() => hub[Symbol.asyncDispose]())

const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
async function newKey(body: object, headers: Record<string, string> = {}) {
  const reply = await hub.send('POST', '/v1/keys', body, { ...admin, ...headers })
  expect(reply.status).toBe(201)
  return (await reply.json()) as { id: string; key: string; tenant: string }
}

describe('hub keys', () => {
  it('open what they may, and are stored hashed', async () => {
    const tenant = unique('acme')
    const { key, id } = await newKey({ tenant, name: 'web' })
    expect(key).toMatch(/^hub_/)
    expect((await hub.complete(ask(), bearer(key))).status).toBe(200)
    const { redis } = connectRedis(readEnv({ REDIS_URL: testRedisUrl() }), { info() {}, error() {} })
    const [stored] = await redis.wave([['HGET', hubKeysKey(tenant), id]])
    await redis.close()
    expect(stored).toContain('"name":"web"')
    expect(stored).not.toContain(key.slice(20, 60))
  })

  it('are listed and read without the key', async () => {
    const tenant = unique('acme')
    const { key, id } = await newKey({ tenant })
    const { data } = await (await hub.get(`/v1/keys?tenant=${tenant}`, admin)).json()
    expect(data).toHaveLength(1)
    const one = await (await hub.get(`/v1/keys/${id}`, admin)).json()
    expect(one).toMatchObject({ id, tenant, revoked_at: null })
    expect(JSON.stringify([data, one])).not.toMatch(new RegExp(`${key}|hash`))
  })

  it('keep tenants apart: one never reads the other’s answers', async () => {
    const [a, b] = [await newKey({ tenant: unique('a') }), await newKey({ tenant: unique('b') })]
    const body = ask()
    await hub.complete(body, bearer(a.key))
    expect((await hub.complete(body, bearer(a.key))).headers.get('cache-status')).toContain('; hit;')
    expect((await hub.complete(body, bearer(b.key))).headers.get('cache-status')).toContain('fwd=miss')
    expect((await hub.complete(body, admin)).headers.get('cache-status')).toContain('fwd=miss')
  })

  it('are refused once revoked, at once, also by another instance', async () => {
    await using other = await startApp({ env: { HUB_ADMIN_KEY: ADMIN, HUB_KEY_SECRET: 'a-secret-of-tests' } })
    const { id, key } = await newKey({ tenant: unique('acme') })
    const body = ask()
    expect((await hub.complete(body, bearer(key))).status).toBe(200)
    expect((await other.complete(body, bearer(key))).status).toBe(200)
    expect((await hub.delete(`/v1/keys/${id}`, admin)).status).toBe(204)
    for (const instance of [hub, other]) {
      const reply = await instance.complete(body, bearer(key))
      expect(reply.status).toBe(401)
      expect((await reply.json()).error.code).toBe('invalid_api_key')
    }
    expect((await hub.delete(`/v1/keys/${id}`, admin)).status).toBe(204)
    expect((await hub.delete('/v1/keys/0000000000000000', admin)).status).toBe(404)
  })

  it('a creation that is retried with its Idempotency-Key makes one key; another body is 422', async () => {
    const tenant = unique('acme')
    const once = { 'idempotency-key': unique('once') }
    const [first, again] = [await newKey({ tenant }, once), await newKey({ tenant }, once)]
    expect(again.key).toBe(first.key)
    expect((await (await hub.get(`/v1/keys?tenant=${tenant}`, admin)).json()).data).toHaveLength(1)
    expect((await hub.send('POST', '/v1/keys', { tenant, name: 'x' }, { ...admin, ...once })).status).toBe(
      422,
    )
  })

  it('hold no more than their scopes and models', async () => {
    const tenant = unique('acme')
    const narrow = await newKey({ tenant, models: ['openai/gpt-4o'] })
    const reply = await hub.complete(ask(), bearer(narrow.key))
    expect(reply.status).toBe(403)
    expect((await reply.json()).error).toMatchObject({ code: 'model_not_allowed', param: 'model' })
    const elsewhere = await newKey({ tenant, scopes: ['search'] })
    expect((await hub.complete(ask(), bearer(elsewhere.key))).status).toBe(403)
    const plain = await newKey({ tenant })
    expect((await hub.get('/v1/keys', bearer(plain.key))).status).toBe(403)
    const deputy = await newKey({ tenant, scopes: ['admin'] })
    expect((await hub.get('/v1/keys', bearer(deputy.key))).status).toBe(200)
  })

  it.each([
    ['no tenant', {}, 'tenant'],
    ['a tenant with a brace', { tenant: 'a{b}' }, 'tenant'],
    ['a field that is not known', { tenant: 'a', colour: 'red' }, 'colour'],
  ])('%s is 400', async (_, body, param) => {
    const reply = await hub.send('POST', '/v1/keys', body, admin)
    expect(reply.status).toBe(400)
    expect((await reply.json()).error.param).toBe(param)
  })
})

describe('with an admin key', () => {
  it('every route but the health routes refuses a stranger', async () => {
    const { paths } = await (await hub.get('/openapi.json', admin)).json()
    const routes = Object.entries(paths as Record<string, object>).flatMap(([path, methods]) =>
      Object.entries(methods as Record<string, { security?: unknown[] }>)
        // Of a webhook the signature is the credential.
        .filter(([, { security }]) => security?.length !== 0)
        .map(([method]) => [method, path] as const),
    )
    expect(routes.length).toBeGreaterThan(8)
    for (const [method, path] of routes) {
      if (path === '/healthz' || path === '/readyz') continue
      const url = path.replace(/\{\w+\}/g, 'x')
      for (const headers of [
        {},
        bearer('sk-wrong'),
        bearer('hub_wrong'),
        bearer(createKeyring('another secret').issue('acme').key),
      ]) {
        const reply =
          method === 'get'
            ? await hub.get(url, headers)
            : method === 'delete'
              ? await hub.delete(url, headers)
              : await hub.send(method.toUpperCase(), url, {}, headers)
        expect(reply.status, `${method} ${path}`).toBe(401)
        expect((await reply.json()).error.type).toBe('authentication_error')
      }
    }
    expect((await hub.get('/healthz')).status).toBe(200)
    expect((await hub.get('/readyz')).status).toBe(200)
  })

  it('a stranger learns nothing about models', async () => {
    const revoked = createKeyring('a-secret-of-tests').issue('acme').key
    expect((await hub.complete(ask('x', { model: 'nobody/m' }), bearer(revoked))).status).toBe(401)
  })

  it('another Host is welcome', async () => {
    expect((await hub.get('/v1/models', { ...admin, host: 'hub.example.com' })).status).toBe(200)
  })
})

describe('without an admin key', () => {
  it('no key, or one that is not the hub’s, is the default tenant; an unknown hub key is 401', async () => {
    await using local = await startApp()
    expect((await local.complete(ask())).status).toBe(200)
    expect((await local.complete(ask(), bearer('sk-anything'))).status).toBe(200)
    expect((await local.get('/v1/keys', bearer('sk-anything'))).status).toBe(200)
    expect((await local.complete(ask(), bearer('hub_unknown'))).status).toBe(401)
  })

  it.each([
    ['a foreign Host', { host: 'evil.example:8787' }],
    ['a foreign Origin', { host: 'localhost:8787', origin: 'https://evil.example' }],
    ['an opaque Origin', { host: 'localhost:8787', origin: 'null' }],
    ['a Host that begins like loopback', { host: '127.0.0.1.evil.example' }],
  ])('%s is refused', async (_, headers) => {
    await using local = await startApp()
    const reply = await local.get('/v1/models', headers)
    expect(reply.status).toBe(403)
    expect((await reply.json()).error.message).toContain('HUB_ADMIN_KEY')
  })

  it.each([['localhost:8787'], ['127.0.0.1:8787'], ['[::1]:8787']])(
    'Host %s is this machine',
    async (host) => {
      await using local = await startApp()
      expect((await local.get('/v1/models', { host, origin: 'http://localhost:3000' })).status).toBe(200)
    },
  )
})
