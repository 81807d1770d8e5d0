import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startApp, type TestApp, unique } from '../support/app.ts'
import { startTestBridge } from '../support/bridge.ts'
import { until } from '../support/hub.ts'
import { testRedisUrl } from '../support/redis.ts'

const env = { HUB_ADMIN_KEY: 'an-admin-key-of-tests' }
const admin = { authorization: `Bearer ${env.HUB_ADMIN_KEY}` }
type Headers = Record<string, string>

let hub: TestApp
/** Another instance, over HTTP. */
let other: TestApp
let bridge: Awaited<ReturnType<typeof startTestBridge>>
let member: Headers
beforeAll(async () => {
  bridge = await startTestBridge({ redisUrl: testRedisUrl() })
  hub = await startApp({ env })
  const rest = { UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token }
  other = await startApp({ env: { ...env, REDIS_URL: '', ...rest } })
  member = await newMember()
  // A key that an instance knows is trusted by it though the machine is busy.
  await until('it knows the key', async () => (await other.get('/v1/services', member)).ok)
})
afterAll(async () => {
  await hub[Symbol.asyncDispose]()
  await other[Symbol.asyncDispose]()
  await bridge.close()
})

/** A key of a tenant that is new. */
async function newMember(scopes = ['platform']): Promise<Headers> {
  const reply = await hub.send('POST', '/v1/keys', { tenant: unique('services'), scopes }, admin)
  return { authorization: `Bearer ${(await reply.json()).key}` }
}

/** To be polled for what takes a second. */
const LONG = { timeout: 15_000, interval: 200 }
const url = 'http://10.0.0.5:8080/base'
const put = (path: string, more: object = {}, headers: Headers = {}, app = hub) =>
  app.send('PUT', `/v1/services/${path}`, { url, ttl_seconds: 60, ...more }, { ...member, ...headers })
const get = (path: string, headers: Headers = {}, app = hub) =>
  app.get(`/v1/services/${path}`, { ...member, ...headers })
const choose = (path: string, app = hub) => app.get(`/v1/service-choices/${path}`, { ...member })
const json = async (replying: Promise<Response>) => (await replying).json()
const names = async (path: string, app = hub) =>
  (await json(get(path, {}, app))).data.map(({ instance }: { instance: string }) => instance)
async function failed(replying: Promise<Response>) {
  const reply = await replying
  const { error } = await reply.json()
  return [reply.status, error?.code, error?.param]
}

/** Which instance is chosen how often. */
async function choices(path: string, times: number, app = hub): Promise<Record<string, number>> {
  const chosen: Record<string, number> = {}
  const replies = await Promise.all(Array.from({ length: times }, () => json(choose(path, app))))
  for (const { instance } of replies) chosen[instance] = (chosen[instance] ?? 0) + 1
  return chosen
}

test('an instance registers, says how it is, and leaves', async () => {
  const name = unique('billing')
  const made = await put(`${name}/a`, { metadata: { zone: 'eu' }, weight: 3 })
  const instance = {
    ...{ instance: 'a', url, status: 'passing', weight: 3, metadata: { zone: 'eu' }, ttl_seconds: 60 },
    ...{ since: expect.any(String), expires_at: expect.any(String) },
  }
  const first = await made.json()
  expect([made.status, first]).toEqual([201, instance])
  expect(Date.parse(first.expires_at) - Date.parse(first.since)).toBe(60_000)
  const again = await put(`${name}/a`, { status: 'warning' }, {}, other)
  const beat = await again.json()
  expect([again.status, beat]).toMatchObject([
    200,
    { status: 'warning', weight: 1, metadata: {}, since: first.since },
  ])
  expect(beat.expires_at > first.expires_at).toBe(true)
  for (const app of [hub, other]) {
    expect(await json(get(`${name}/a`, {}, app))).toEqual(beat)
    expect(await json(get(name, {}, app))).toEqual({ data: [beat] })
  }
  expect((await hub.delete(`/v1/services/${name}/a`, member)).status).toBe(204)
  expect(await failed(hub.delete(`/v1/services/${name}/a`, member))).toEqual([
    404,
    'instance_not_found',
    'instance',
  ])
  expect(await failed(get(`${name}/a`))).toEqual([404, 'instance_not_found', 'instance'])
  expect(await json(get(name))).toEqual({ data: [] })
})

test('lists those that are well, or all, or those with such metadata', async () => {
  const name = unique('billing')
  await put(`${name}/b`, { metadata: { zone: 'eu', 'v.1': 'x' } })
  await put(`${name}/a`, { status: 'warning', metadata: { zone: 'us' } })
  await put(`${name}/c`, { status: 'critical', metadata: { zone: 'eu' } })
  await put(`${name}/d`, { weight: 0 })
  expect(await names(name)).toEqual(['a', 'b', 'd'])
  expect(await names(`${name}?all=true`)).toEqual(['a', 'b', 'c', 'd'])
  expect(await names(`${name}?metadata[zone]=eu`)).toEqual(['b'])
  expect(await names(`${name}?metadata%5Bzone%5D=eu&all=true`)).toEqual(['b', 'c'])
  expect(await names(`${name}?metadata[zone]=eu&metadata[v.1]=x`)).toEqual(['b'])
  expect(await failed(get(`${name}?metadata=eu`))).toEqual([400, 'invalid_value', 'metadata'])
})

test('a list is 304 for who has it, however often instances say that they are alive', async () => {
  const name = unique('billing')
  await put(`${name}/a`)
  const etag = (await get(name)).headers.get('etag')!
  await put(`${name}/a`)
  const known = await get(name, { 'if-none-match': etag }, other)
  expect([known.status, await known.text()]).toEqual([304, ''])
  await put(`${name}/a`, { status: 'warning' })
  expect((await get(name, { 'if-none-match': etag })).status).toBe(200)
})

describe('a choice', () => {
  test('is by weight among those that pass', async () => {
    const name = unique('billing')
    await put(`${name}/heavy`, { weight: 3 })
    await put(`${name}/light`, { weight: 1 })
    await put(`${name}/drained`, { weight: 0 })
    await put(`${name}/warning`, { status: 'warning', weight: 100 })
    await put(`${name}/critical`, { status: 'critical', weight: 100 })
    const { heavy = 0, light = 0, ...others } = await choices(`${name}`, 400)
    expect(others).toEqual({})
    // 300 and 100 on the average: six standard deviations are 52.
    expect(heavy).toBeGreaterThan(248)
    expect(light).toBeGreaterThan(48)
    expect(await choices(`${name}?exclude=heavy`, 5, other)).toEqual({ light: 5 })
    expect(await choices(`${name}?exclude=heavy,light`, 5)).toEqual({ warning: 5 })
    const nobody = await choose(`${name}?exclude=heavy,light,warning`)
    expect([nobody.status, nobody.headers.get('retry-after')]).toEqual([503, '1'])
    expect(await failed(choose(`${name}?metadata[zone]=eu`))).toEqual([503, 'no_healthy_instance', null])
    expect(await failed(choose(unique('nobody')))).toEqual([404, 'service_not_found', 'name'])
  })

  test('is none of those that are silent', async () => {
    const name = unique('billing')
    await put(`${name}/silent`, { ttl_seconds: 1 })
    await put(`${name}/alive`)
    await expect.poll(() => names(name), LONG).toEqual(['alive'])
    expect(await json(get(`${name}/silent`))).toMatchObject({ status: 'expired' })
    expect(await names(`${name}?all=true`, other)).toEqual(['alive', 'silent'])
    expect(await choices(`${name}`, 20)).toEqual({ alive: 20 })
    const { data } = await json(hub.get('/v1/services', member))
    expect(data).toContainEqual({ name, instances: 2, healthy: 1 })
    expect((await put(`${name}/silent`)).status).toBe(201) // it begins anew
    expect(await names(name)).toEqual(['alive', 'silent'])
  })
})

test('one that says again that it is alive does not expire', async () => {
  const name = unique('billing')
  await put(`${name}/silent`, { ttl_seconds: 1 })
  await put(`${name}/a`, { ttl_seconds: 1 })
  await put(`${name}/a`)
  await expect.poll(() => names(name), LONG).toEqual(['a'])
})

test('services are listed page by page, without those that have no instance', async () => {
  const header = await newMember()
  for (const name of ['b', 'gone', 'c', 'a']) await put(`${name}/1`, {}, header)
  await hub.delete('/v1/services/gone/1', header)
  const of = (name: string) => ({ name, instances: 1, healthy: 1 })
  const first = await json(hub.get('/v1/services?limit=2', header))
  expect(first).toEqual({ data: [of('a'), of('b')], has_more: true })
  const rest = await json(hub.get('/v1/services?limit=2&after=b', header))
  expect(rest).toEqual({ data: [of('c')], has_more: false })
})

test('an instance whose lock somebody else holds by now is not registered', async () => {
  const name = unique('billing')
  expect((await put(`${name}/primary`, { url: 'http://new' }, { 'x-hub-lock': 'primary=8' })).status).toBe(
    201,
  )
  const stale = put(`${name}/primary`, { url: 'http://old' }, { 'x-hub-lock': 'primary=7' })
  expect(await failed(stale)).toEqual([412, 'lock_lost', 'x-hub-lock'])
  expect(await json(get(`${name}/primary`))).toMatchObject({ url: 'http://new' })
  expect(await names(`${name}?all=true`)).toEqual(['primary'])
})

test('belong to their tenant and need the scope `platform`', async () => {
  const name = unique('billing')
  await put(`${name}/a`)
  expect(await json(get(name, await newMember()))).toEqual({ data: [] })
  expect(await failed(get(name, await newMember(['search'])))).toEqual([403, 'scope_missing', null])
  expect((await hub.get(`/v1/services/${name}`)).status).toBe(401)
})

test.each([
  ['a name with a colon', 'a:b/1', {}, 'name'],
  ['an instance with a space', 'a/b%20c', {}, 'instance'],
  ['no address', 'a/1', { url: undefined }, 'url'],
  ['an address without a host', 'a/1', { url: 'mailto:ann@example.com' }, 'url'],
  ['an address with credentials', 'a/1', { url: 'https://a:b@example.com' }, 'url'],
  ['no time to live', 'a/1', { ttl_seconds: undefined }, 'ttl_seconds'],
  ['a part of a second', 'a/1', { ttl_seconds: 0.5 }, 'ttl_seconds'],
  ['a negative weight', 'a/1', { weight: -1 }, 'weight'],
  ['a status of its own', 'a/1', { status: 'fine' }, 'status'],
  ['metadata that are no texts', 'a/1', { metadata: { n: 1 } }, 'metadata.n'],
  ['what nobody knows', 'a/1', { tags: [] }, 'tags'],
])('%s is told', async (_, path, body, param) => {
  expect(await failed(put(path, body))).toEqual([400, 'invalid_value', param])
})
