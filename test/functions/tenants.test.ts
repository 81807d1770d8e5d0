import { createClient, type RedisClientType } from '@redis/client'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createRuntimeOnnx } from '../../shared/drivers/runtime-onnx.ts'
import { AUDIT_STREAM, ERASURES_KEY } from '../../shared/keys.ts'
import { startApp, type TestApp } from '../support/app.ts'
import { startTestBridge } from '../support/bridge.ts'
import { until } from '../support/hub.ts'
import { startTestRedis } from '../support/redis.ts'
import { dump, fillTenant, MARK, makeMember } from '../support/tenants.ts'

const HUB_ADMIN_KEY = 'an-admin-key-of-tests'
const admin = { authorization: `Bearer ${HUB_ADMIN_KEY}` }
const env = {
  ...{ HUB_ADMIN_KEY, HUB_KEY_SECRET: 'a key secret of tests', HUB_SECRET_KEY: 'the secret key of tests' },
  HUB_ERASURE_QUIET_SECONDS: '1',
}
/** Begin like the tenant, or as a glob or a pattern would read it. */
const NEIGHBOURS = ['acme2', 'acm', 'a.me']
/** They tell that there was a tenant of that name, and what admins did. */
const KEPT = [ERASURES_KEY, AUDIT_STREAM]

let servers: Awaited<ReturnType<typeof startTestRedis>>[]
let client: RedisClientType
let cache: RedisClientType
let hub: TestApp
/** Erases, and does nothing else in the background. */
let eraser: TestApp
beforeAll(async () => {
  servers = await Promise.all([startTestRedis(), startTestRedis()])
  const [REDIS_URL, HUB_CACHE_REDIS_URL] = servers.map(({ url }) => url)
  const all = { ...env, REDIS_URL, HUB_CACHE_REDIS_URL }
  hub = await startApp({ env: all, modelRuntime: createRuntimeOnnx() })
  eraser = await startApp({ env: { ...all, FUNCTIONS: 'platform,keys' } })
  client = await createClient({ url: REDIS_URL! }).connect()
  cache = await createClient({ url: HUB_CACHE_REDIS_URL! }).connect()
})
afterAll(async () => {
  await Promise.all([hub, eraser].map((app) => app[Symbol.asyncDispose]()))
  for (const one of [client, cache]) one.destroy()
  await Promise.all(servers.map((server) => server.stop()))
})
beforeEach(() => Promise.all([client.flushAll(), cache.flushAll()]))

// biome-ignore lint/suspicious/noExplicitAny: JSON of many shapes
type Line = Record<string, any>

async function exportOf(tenant: string): Promise<Line[]> {
  const reply = await hub.get(`/v1/tenants/${tenant}/export`, admin)
  expect(reply.status).toBe(200)
  expect(reply.headers.get('content-type')).toContain('application/x-ndjson')
  const text = await reply.text()
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}

/** What a line says that time does not change. */
const lasting = (lines: Line[]) =>
  lines
    .slice(1)
    .map(({ ttl_ms, ...line }) => JSON.stringify({ ...line, expires: typeof ttl_ms === 'number' }))
    .sort()

const readErasure = async (tenant: string) =>
  (await (await hub.get(`/v1/tenants/${tenant}/erasure`, admin)).json()) as Line

async function erase(tenant: string, by = eraser) {
  const reply = await by.delete(`/v1/tenants/${tenant}`, admin)
  expect(reply.status).toBe(202)
  const stopping = new AbortController()
  const work = by.work(stopping.signal)
  await until('it is erased', async () => (await readErasure(tenant)).status === 'erased', 60_000)
  stopping.abort()
  await work
  return readErasure(tenant)
}

/** Keys whose name or content names the tenant; of content that a filled tenant holds too. */
async function leftOf(tenant: string, mark?: string) {
  const name = new RegExp(`(?<![A-Za-z0-9_.-])${tenant.replaceAll('.', '\\.')}(?![A-Za-z0-9_.-])`)
  const all = [...(await dump(client)), ...(await dump(cache))]
  return all
    .filter(([key]) => !KEPT.some((kept) => key === kept || key.startsWith(`{${kept}}:`)))
    .filter(([key, text]) => name.test(key) || name.test(text) || (mark !== undefined && text.includes(mark)))
    .map(([key, text]) => `${key} ${text.slice(0, 200)}`)
}

const failure = async (reply: Response) => ({ status: reply.status, code: (await reply.json()).error.code })

describe('a tenant that has used everything', () => {
  it('is exported whole, without secrets, and each line can be read', async () => {
    const { id, key } = await fillTenant(hub, 'acme', admin)
    await fillTenant(hub, 'acme2', admin)
    const lines = await exportOf('acme')
    expect(lines[0]).toMatchObject({ tenant: 'acme', format: 1, left_out: expect.any(Array) })
    const exported = new Set(lines.flatMap((line) => (line.part === 1 ? [`${line.store} ${line.key}`] : [])))
    const there = async (from: RedisClientType, store: string) =>
      [...(await dump(from)).keys()]
        .filter((name) => /^\{?t:acme:/.test(name))
        .map((name) => `${store} ${name.replace('t:acme:', '')}`)
    const all = [...(await there(client, 'state')), ...(await there(cache, 'cache'))]
    expect([...exported].sort()).toEqual(all.sort())
    expect(lines.at(-1)).toEqual({ end: true, keys: all.length })
    expect(all.length).toBeGreaterThan(60)

    const find = (name: string) => lines.find((line) => line.key === name)!
    expect(find('docmeta:docs:a%3A%7Bb%7D')).toMatchObject({ type: 'hash', ttl_ms: null })
    expect(find('docmeta:docs:a%3A%7Bb%7D').value.text).toContain(MARK)
    const [vector] = lines.find(({ type }) => type === 'vectorset')!.value
    expect(vector).toMatchObject({ element: expect.any(String), vector: expect.any(Array) })
    expect(vector.vector.every(Number.isFinite)).toBe(true)
    const events = find('events:orders')
    expect(events).toMatchObject({ type: 'stream', value: [{ id: expect.stringMatching(/^\d+-0$/) }] })
    expect(JSON.parse(events.value[0].fields.event)).toMatchObject({ data: { n: 5, name: MARK } })
    const types = new Set(lines.map(({ type }) => type))
    for (const type of ['string', 'hash', 'set', 'zset', 'list', 'stream', 'vectorset'])
      expect(types).toContain(type)
    expect(lines.filter((line) => line.left_out && line.key)).toEqual([])
    const queued = lines.filter(({ hub_key }) => hub_key).map(({ hub_key }) => hub_key)
    expect(queued).toEqual(expect.arrayContaining(['embed:jobs', 'webhooks:out', 'sweeps', 'llm:questions']))

    const text = JSON.stringify(lines)
    const record = JSON.parse((await client.hGet('t:acme:keys', id))!)
    expect(text).toContain(`\\"id\\":\\"${id}\\"`)
    expect(text).toContain('[sealed]')
    for (const secret of [key, record.hash, `sk-${MARK}`, `a-secret-of-${MARK}`])
      expect(text).not.toContain(secret)
    expect(text).not.toMatch(/v1\.[\w-]{16}\./)
    expect(text).not.toContain('acme2')
  })

  it('is erased without a trace, and its neighbours keep every byte', async () => {
    const { header } = await fillTenant(hub, 'acme', admin)
    for (const name of NEIGHBOURS) await fillTenant(hub, name, admin)
    const before = await Promise.all(NEIGHBOURS.map(exportOf))
    // Of RedisAI, which keeps models where it runs them.
    const models = ['acme', 'acme2'].map((tenant) => `{redisai}:${tenant}/iris/1/a-sha`)
    for (const model of models) await client.set(model, 'x')
    expect((await leftOf('acme')).length).toBeGreaterThan(60)

    const erased = await erase('acme')
    expect(erased).toMatchObject({ tenant: 'acme', status: 'erased', problem: null, earlier: [] })
    expect(erased.keys).toBeGreaterThan(60)
    expect(erased.members).toBeGreaterThan(10)
    expect(await leftOf('acme')).toEqual([])
    expect(await client.exists(models)).toBe(1)
    const after = await Promise.all(NEIGHBOURS.map(exportOf))
    for (const [i, lines] of after.entries())
      expect(lasting(lines), NEIGHBOURS[i]).toEqual(lasting(before[i]!))

    expect(await failure(await hub.get('/v1/prompts', header))).toEqual({
      status: 401,
      code: 'invalid_api_key',
    })
    const { call } = await fillTenant(hub, 'acme', admin)
    expect(JSON.parse(await call('GET', '/v1/indexes/docs/documents/a%3A%7Bb%7D'))).toMatchObject({
      id: 'a:{b}',
    })
  })

  it('is erased under the hands of those who work for it', async () => {
    const { call, header } = await fillTenant(hub, 'acme', admin)
    await call('PUT', '/v1/schedules/often', {
      every_seconds: 1,
      source: { type: 'event', stream: 'orders' },
    })
    const stopping = new AbortController()
    const working = hub.work(stopping.signal)
    let isBusy = true
    const busy = Array.from({ length: 4 }, async () => {
      while (isBusy) {
        const say = {
          model: 'openai/gpt-4o-mini',
          messages: [{ role: 'user', content: crypto.randomUUID() }],
        }
        await hub.complete(say, header).then((reply) => reply.text())
        await hub.send('POST', '/v1/events/orders', { n: Math.random() }, header)
        await hub.send('POST', '/v1/agents/ada/messages', { content: 'go on' }, header)
      }
    })
    await erase('acme')
    isBusy = false
    await Promise.all(busy)
    await hub.settled()
    const left = await leftOf('acme', MARK)
    stopping.abort()
    await working
    expect(left).toEqual([])
    expect(await leftOf('acme', MARK)).toEqual([])
  })
})

describe('DELETE /v1/tenants/{tenant}', () => {
  it('takes its keys at once and makes none until it is over; again it is the same erasure, and later another one', async () => {
    const { header } = await makeMember(hub, 'acme', admin)
    const begun = await (await hub.delete('/v1/tenants/acme', admin)).json()
    expect(begun).toMatchObject({ tenant: 'acme', status: 'erasing', erased_at: null, keys: 0 })
    expect((await hub.get('/v1/prompts', header)).status).toBe(401)
    const refused = { status: 409, code: 'tenant_being_erased' }
    expect(await failure(await hub.send('POST', '/v1/keys', { tenant: 'acme' }, admin))).toEqual(refused)
    expect(await failure(await hub.send('PUT', '/v1/tenants/acme', {}, admin))).toEqual(refused)
    expect(await (await hub.delete('/v1/tenants/acme', admin)).json()).toEqual(begun)
    expect(await (await hub.get('/v1/tenants', admin)).json()).toEqual({
      data: [{ tenant: 'acme', keys: 0, revoked_keys: 0, erasing: true }],
    })

    const first = await erase('acme')
    expect(first).toMatchObject({ status: 'erased', requested_at: begun.requested_at })
    await makeMember(hub, 'acme', admin)
    expect(await (await hub.get('/v1/tenants', admin)).json()).toEqual({
      data: [{ tenant: 'acme', keys: 1, revoked_keys: 0, erasing: false }],
    })
    const { requested_at, erased_at } = first
    expect(await erase('acme')).toMatchObject({ status: 'erased', earlier: [{ requested_at, erased_at }] })
    expect(await leftOf('acme')).toEqual([])
  })

  it('works over HTTP where nothing lives on between requests, a few calls at a time', async ({
    onTestFinished,
  }) => {
    const bridge = await startTestBridge({ redisUrl: servers[0]!.url })
    const worker = await startApp({
      env: {
        ...{ ...env, REDIS_URL: undefined, FUNCTIONS: 'platform,keys', HUB_REDIS_CALLS: '10' },
        ...{ UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token },
      },
      ...{ countsCalls: true, drains: { kickMs: 5_000, scheduledMs: 5_000 } },
    })
    onTestFinished(async () => {
      await worker[Symbol.asyncDispose]()
      await bridge.close()
    })
    await makeMember(hub, 'acme', admin)
    await client.mSet(
      Array.from({ length: 3_000 }, (_, i): [string, string] => [`t:acme:embed:cache:${i}`, 'x']),
    )
    await client.mSet(
      Array.from({ length: 3_000 }, (_, i): [string, string] => [`t:acme2:embed:cache:${i}`, 'x']),
    )
    const exported = await (await worker.get('/v1/tenants/acme/export', admin)).text()
    expect(JSON.parse(exported.trim().split('\n').at(-1)!)).toEqual({ end: true, keys: 3_001 })
    expect((await worker.delete('/v1/tenants/acme', admin)).status).toBe(202)
    await worker.settled()
    expect((await readErasure('acme')).status).toBe('erasing')
    let most = 0
    await until(
      'it is erased',
      async () => {
        const before = worker.waves.length
        await worker.scheduled()
        most = Math.max(most, worker.waves.length - before)
        return (await readErasure('acme')).status === 'erased'
      },
      60_000,
    )
    expect(most).toBeLessThan(20)
    expect(await leftOf('acme')).toEqual([])
    expect(await client.keys('t:acme2:*')).toHaveLength(3_000)
  })

  it.each([
    ['the default tenant', 'DELETE', 'default', 400, 'default_tenant'],
    ['no name', 'DELETE', 'a%2A', 400, 'invalid_value'],
    ['no name to export', 'GET', 'a%2A/export', 400, 'invalid_value'],
    ['one that never was', 'GET', 'nobody/erasure', 404, 'erasure_not_found'],
  ])('refuses %s', async (_, method, path, status, code) => {
    const reply = await hub.request(`/v1/tenants/${path}`, {
      method,
      headers: { host: 'localhost', ...admin },
    })
    expect(await failure(reply)).toEqual({ status, code })
  })

  it('is for admins', async () => {
    const made = await hub.send('POST', '/v1/keys', { tenant: 'acme' }, admin)
    const header = { authorization: `Bearer ${(await made.json()).key}` }
    const paths = ['', '/acme/export', '/acme/erasure'].map((path) => hub.get(`/v1/tenants${path}`, header))
    for (const reply of [...(await Promise.all(paths)), await hub.delete('/v1/tenants/acme', header)])
      expect(await failure(reply)).toEqual({ status: 403, code: 'scope_missing' })
  })
})

describe('GET /v1/tenants/{tenant}/export', () => {
  it('of the default tenant has what bears no tenant’s name, and nothing of the hub’s', async () => {
    await hub.send('PUT', '/v1/prompts/greet', { messages: [{ role: 'system', content: 'hi' }] }, admin)
    await makeMember(hub, 'acme', admin)
    const lines = await exportOf('default')
    expect(lines.slice(1).flatMap(({ key }) => key ?? [])).toEqual(
      expect.arrayContaining(['prompt:greet', 'prompts']),
    )
    expect(JSON.stringify(lines)).not.toContain('acme')
  })

  it('takes large keys in parts and bytes as base64; whoever leaves ends it', async () => {
    await client.hSet(
      't:acme:knowledge:big',
      Object.fromEntries(many.map((n) => [`f${n}`, 'x'.repeat(2_000)])),
    )
    await client.set('t:acme:http:cache:bytes', Buffer.from([0xff, 0x00, 0xfe]))
    await client.set('t:acme:http:cache:long', 'é'.repeat(400_000))
    await client.rPush('t:acme:queue:mail', many.map(long))
    await client.zAdd(
      't:acme:prompts',
      many.map((n) => ({ value: long(n), score: n })),
    )
    for (const n of many) await client.xAdd('t:acme:events:orders', `${n + 1}-0`, { n: long(n) })
    const lines = await exportOf('acme')
    expect(lines.at(-1)).toEqual({ end: true, keys: 6 })
    const parts = (key: string) => lines.filter((line) => line.key === key)
    for (const key of ['knowledge:big', 'queue:mail', 'prompts', 'events:orders']) {
      expect(parts(key).length, key).toBeGreaterThan(1)
      expect(parts(key).map(({ part }) => part)).toEqual(parts(key).map((_, i) => i + 1))
      expect(parts(key).map(({ more = false }) => more)).toEqual(
        parts(key).map((_, i, all) => i < all.length - 1),
      )
    }
    expect(Object.keys(Object.assign({}, ...parts('knowledge:big').map(({ value }) => value)))).toHaveLength(
      1_500,
    )
    expect(parts('queue:mail').flatMap(({ value }) => value)).toEqual(many.map(long))
    expect(new Map(parts('prompts').flatMap(({ value }) => value)).get(long(7))).toBe(7)
    expect(parts('events:orders').flatMap(({ value }) => value)).toHaveLength(1_500)
    expect(parts('http:cache:bytes')[0]!.value).toEqual({ base64: '/wD+' })
    const bytes = parts('http:cache:long').map(({ value }) => Buffer.from(value.base64, 'base64'))
    expect(Buffer.concat(bytes).toString()).toBe('é'.repeat(400_000))

    const reply = await hub.get('/v1/tenants/acme/export', admin)
    const reader = reply.body!.getReader()
    await reader.read()
    const before = hub.waves.length
    await reader.cancel()
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(hub.waves.length - before).toBeLessThanOrEqual(1)
  })
})

const long = (n: number) => `${n} `.padEnd(200, '.')
const many = Array.from({ length: 1_500 }, (_, n) => n)
