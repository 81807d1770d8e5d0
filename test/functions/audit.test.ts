import { expect, onTestFinished, test } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createMortalHub } from '../faults/mortal-hub.ts'
import { startApp, unique } from '../support/app.ts'
import { startTestRedis, testRedisUrl } from '../support/redis.ts'

const HUB_ADMIN_KEY = 'the-admin-key-of-this-test'
const ADMIN = { authorization: `Bearer ${HUB_ADMIN_KEY}` }

async function start(env: Record<string, string> = { HUB_ADMIN_KEY }) {
  const app = await startApp({ env })
  onTestFinished(() => app[Symbol.asyncDispose]())
  const tenant = unique('tenant')
  const acts = async (query = '') => {
    await app.settled()
    const reply = await app.get(`/v1/audit?tenant=${tenant}${query}`, ADMIN)
    return ((await reply.json()) as { data: Record<string, unknown>[] }).data
  }
  const newKey = async (more: object = {}) =>
    (await app.send('POST', '/v1/keys', { tenant, ...more }, ADMIN)).json()
  return { app, tenant, acts, newKey }
}

test('tells who did what to whom, and how it went', async () => {
  const { app, tenant, acts, newKey } = await start()
  const { id, key } = await newKey({ scopes: ['admin'] })
  const own = { authorization: `Bearer ${key}` }
  const path = `/v1/preference-types?tenant=${tenant}`
  await app.send('PUT', path, { types: {} }, { ...own, 'x-request-id': 'mine-1' })
  await app.send('PUT', path, { types: 1 }, own)
  await app.send('POST', `/v1/breakers/openai/gpt?tenant=${tenant}`, { state: 'auto' }, ADMIN)
  await app.delete(`/v1/keys/${id}`, ADMIN)
  await app.get(`/v1/keys/${id}`, ADMIN) // reading is no act
  const all = await acts()
  expect(
    all.map(({ actor, action, params, outcome, status }) => [actor, action, params, outcome, status]),
  ).toEqual([
    ['admin', 'DELETE /v1/keys/{id}', { id }, 'done', 204],
    ['admin', 'POST /v1/breakers/{name}', { name: 'openai/gpt' }, 'done', 200],
    [`key:${id}`, 'PUT /v1/preference-types', {}, 'refused', 400],
    [`key:${id}`, 'PUT /v1/preference-types', {}, 'done', 200],
    ['admin', 'POST /v1/keys', {}, 'done', 201],
  ])
  expect(all[3]).toMatchObject({ tenant, request_id: 'mine-1', client: null })
  expect(JSON.stringify(all)).not.toContain(key)
  expect(await acts(`&actor=key:${id}`)).toHaveLength(2)
  expect(await acts('&action=DELETE')).toHaveLength(1)
  expect(await acts(`&from=${new Date(Date.now() + 60_000).toISOString()}`)).toEqual([])
})

test('whom it concerns is who the route says, where nobody is named', async () => {
  const { app, newKey, acts } = await start()
  const own = { authorization: `Bearer ${(await newKey({ scopes: ['admin'] })).key}` }
  const route = { targets: [{ model: 'openai/gpt-4o-mini' }] }
  const alias = unique('alias')
  await app.send('PUT', `/v1/model-routes/${alias}`, route, own) // of the default tenant
  await app.send('PUT', '/v1/webhooks/source', { scheme: 'standard' }, own) // of the key's
  expect((await acts()).map(({ action }) => action)).toEqual(['PUT /v1/webhooks/{source}', 'POST /v1/keys'])
  const other = await app.get(`/v1/audit?tenant=default&action=/v1/model-routes&limit=1000`, ADMIN)
  expect((await other.json()).data).toContainEqual(expect.objectContaining({ params: { alias } }))
})

test('what only an admin may do on a route of others is an act too', async () => {
  const { app, newKey, acts } = await start({ HUB_ADMIN_KEY, HUB_SECRET_KEY: 'a secret of this test' })
  const { key } = await newKey({ scopes: ['admin', 'ingest-event', 'agent-step'] })
  const put = async (path: string, body: object) =>
    (await app.send('PUT', path, body, { authorization: `Bearer ${key}` })).status
  for (const allow_private of [true, false]) {
    const url = allow_private ? 'http://127.0.0.1:9/' : 'https://example.com/'
    const webhook = { url, allow_private }
    const when = { type: 'rate', count: 1, window_seconds: 60 }
    expect(await put('/v1/alerts/a', { on: { stream: 's' }, when, webhook })).toBe(200)
    const tool = {
      type: 'builtin',
      name: 'http_fetch',
      allow: ['example.com'],
      ...(allow_private && { allow_private }),
    }
    expect(await put('/v1/agents/a', { role: 'custom', tools: [tool] })).toBe(200)
    const source = { type: 'rss', url, allow_private }
    expect(
      await put('/v1/schedules/s', { every_seconds: 3_600, source, target: { stream: 's' } }),
    ).toBeLessThan(300)
  }
  expect((await acts()).map(({ action, outcome }) => `${action} ${outcome}`)).toEqual([
    ...['PUT /v1/schedules/{name} done', 'PUT /v1/agents/{id} done', 'PUT /v1/alerts/{name} done'],
    'POST /v1/keys done',
  ])
})

test('an export is an act, though it only reads', async () => {
  const { app, tenant, acts } = await start()
  await (await app.get(`/v1/tenants/${tenant}/export`, ADMIN)).text()
  await (await app.get('/v1/tenants', ADMIN)).text()
  expect(await acts()).toMatchObject([
    { action: 'GET /v1/tenants/{tenant}/export', params: { tenant }, outcome: 'done', status: 200 },
  ])
})

test('is read in pages, and as lines', async () => {
  const { app, tenant, newKey } = await start()
  for (let i = 0; i < 5; i++) await newKey()
  await app.settled()
  const page = async (more = '') =>
    (await app.get(`/v1/audit?tenant=${tenant}&limit=2${more}`, ADMIN)).json() as Promise<{
      data: { id: string }[]
      next: string | null
    }>
  const first = await page()
  const second = await page(`&before=${first.next}`)
  const third = await page(`&before=${second.next}`)
  expect([first, second, third].map(({ data }) => data.length)).toEqual([2, 2, 1])
  expect(third.next).toBeNull()
  const ids = [first, second, third].flatMap(({ data }) => data.map(({ id }) => id))
  expect(new Set(ids).size).toBe(5)
  const lines = async (path: string) => {
    const reply = await app.get(path, { ...ADMIN, accept: 'application/x-ndjson' })
    expect(reply.headers.get('content-type')).toContain('application/x-ndjson')
    const text = await reply.text()
    const read = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).id)
    return { read, next: /^<(.+)>; rel="next"$/.exec(reply.headers.get('link') ?? '')?.[1] }
  }
  expect(await lines(`/v1/audit?tenant=${tenant}`)).toEqual({ read: ids, next: undefined })
  const begun = await lines(`/v1/audit?tenant=${tenant}&limit=3`)
  const rest = await lines(begun.next!)
  expect([...begun.read, ...rest.read]).toEqual(ids)
})

test('only admins read it', async () => {
  const { app, newKey } = await start()
  const { key } = await newKey()
  expect((await app.get('/v1/audit', { authorization: `Bearer ${key}` })).status).toBe(403)
  expect((await app.get('/v1/audit?before=x', ADMIN)).status).toBe(400)
})

test('an act costs one wave more, and nothing else does', async () => {
  const { app, tenant, newKey } = await start()
  const { key } = await newKey()
  await app.settled()
  const names = () =>
    app.waves
      .splice(0)
      .map((wave) => wave.map((call) => ('script' in call ? call.script.name : String(call[0]))).join(' '))
  names()
  await app.send('PUT', `/v1/preference-types?tenant=${tenant}`, { types: {} }, ADMIN)
  await app.settled()
  expect(names()).toEqual(['XADD', 'SET', 'HSET PEXPIRE'])
  await app.get(`/v1/preference-types?tenant=${tenant}`, ADMIN)
  await app.send('PUT', '/v1/prompts/p', { messages: [] }, { authorization: `Bearer ${key}` })
  await app.settled()
  expect(names().join(' ')).not.toContain('XADD')
})

test('without a key it is `local` who acts', async () => {
  const { tenant, newKey, acts } = await start({})
  await newKey()
  expect(await acts()).toMatchObject([{ tenant, actor: 'local', outcome: 'done' }])
})

test('a process that dies on an act leaves it, of unknown outcome', async () => {
  const { tenant, acts } = await start()
  const redis = createRedisResp({ url: testRedisUrl() })
  onTestFinished(redis.close)
  for (const died of ['before', 'after'] as const) {
    const hub = createMortalHub({ redis, env: { HUB_ADMIN_KEY, REDIS_URL: testRedisUrl() } })
    hub.dieWhen((commands) =>
      commands.some((call) => !('script' in call) && call[0] === (died === 'before' ? 'SADD' : 'HSET')),
    )
    void hub.ask('POST', '/v1/keys', { tenant, name: died }, ADMIN)
    await hub.died
  }
  expect(await acts()).toMatchObject([
    { action: 'POST /v1/keys', outcome: 'unknown', status: null },
    { action: 'POST /v1/keys', outcome: 'unknown', status: null },
  ])
})

test('what cannot be written is not done', async () => {
  const server = await startTestRedis()
  onTestFinished(server.stop)
  const { app } = await start({ HUB_ADMIN_KEY, REDIS_URL: server.url })
  const path = '/v1/preference-types'
  expect((await app.send('PUT', path, { types: {} }, ADMIN)).status).toBe(200)
  await app.settled()
  const direct = createRedisResp({ url: server.url })
  onTestFinished(direct.close)
  await direct.wave([
    ['DEL', 'audit'],
    ['SET', 'audit', 'what is no stream'],
  ])
  const reply = await app.send('PUT', path, { types: { a: { type: 'string' } } }, ADMIN)
  expect(reply.status).toBe(503)
  expect(await reply.json()).toMatchObject({ error: { code: 'audit_unavailable' } })
  expect(await (await app.get(path, ADMIN)).json()).toMatchObject({ types: {} })
  await server.stop()
  expect((await app.send('PUT', path, { types: {} }, ADMIN)).status).toBe(503)
})
