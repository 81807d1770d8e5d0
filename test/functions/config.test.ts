import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { startApp, type TestApp, unique } from '../support/app.ts'
import { startTestBridge } from '../support/bridge.ts'
import { until } from '../support/hub.ts'
import { listen } from '../support/listen.ts'
import { startTestRedis, testRedisUrl } from '../support/redis.ts'

const env = { HUB_ADMIN_KEY: 'an-admin-key-of-tests' }
const admin = { authorization: `Bearer ${env.HUB_ADMIN_KEY}` }
type Headers = Record<string, string>

let hub: TestApp
/** Another instance, over HTTP. */
let other: TestApp
let bridge: Awaited<ReturnType<typeof startTestBridge>>
let member: Headers
let keyId: string
beforeAll(async () => {
  bridge = await startTestBridge({ redisUrl: testRedisUrl() })
  hub = await startApp({ env })
  const rest = { UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token }
  other = await startApp({ env: { ...env, REDIS_URL: '', ...rest } })
  ;({ header: member, id: keyId } = await newMember())
  // A key that an instance knows is trusted by it though the machine is busy.
  await until('it knows the key', async () => (await other.get('/v1/config', member)).ok)
})
afterAll(async () => {
  await hub[Symbol.asyncDispose]()
  await other[Symbol.asyncDispose]()
  await bridge.close()
})

/** A key of a tenant that is new. */
async function newMember(scopes = ['platform'], app = hub) {
  const reply = await app.send('POST', '/v1/keys', { tenant: unique('config'), scopes }, admin)
  const { key, id } = await reply.json()
  return { id, header: { authorization: `Bearer ${key}` } }
}

const write =
  (method: string) =>
  (namespace: string, body: unknown, headers: Headers = {}, app = hub) =>
    app.send(method, `/v1/config/${namespace}`, body, { ...member, ...headers })
const put = write('PUT')
const patch = write('PATCH')
const post = write('POST')
const get = (path: string, headers: Headers = {}, app = hub) =>
  app.get(`/v1/config/${path}`, { ...member, ...headers })
async function failed(replying: Promise<Response>) {
  const reply = await replying
  const { error } = await reply.json()
  return [reply.status, error?.code, error?.param]
}
const json = async (replying: Promise<Response>) => (await replying).json()

describe('a configuration', () => {
  test('is written, changed, read, listed and deleted, on every instance', async () => {
    const name = unique('app')
    const made = await put(`${name}?note=first`, { url: 'https://a.example', limits: { rps: 5, burst: 9 } })
    const first = {
      ...{ namespace: name, version: 1, by: keyId, note: 'first' },
      at: expect.stringMatching(/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      values: { url: 'https://a.example', limits: { rps: 5, burst: 9 } },
    }
    expect([made.status, made.headers.get('etag'), await made.json()]).toEqual([201, '"1"', first])
    const changed = await patch(
      name,
      { limits: { rps: null, retries: [1, { deep: null }] }, url: 'https://b.example', on: true },
      { 'content-type': 'application/merge-patch+json' },
      other,
    )
    const values = { url: 'https://b.example', limits: { burst: 9, retries: [1, { deep: null }] }, on: true }
    expect([changed.status, changed.headers.get('etag'), await changed.json()]).toMatchObject([
      ...[200, '"2"'],
      { version: 2, values },
    ])
    for (const app of [hub, other]) {
      expect(await json(get(name, {}, app))).toMatchObject({ namespace: name, version: 2, values })
      expect(await json(get(`${name}?version=1`, {}, app))).toEqual(first)
    }
    const page = await json(hub.get('/v1/config?limit=1000', member))
    expect(page.data).toContainEqual({ namespace: name, version: 2 })
    expect((await hub.delete(`/v1/config/${name}`, member)).status).toBe(204)
    expect(await failed(get(name))).toEqual([404, 'config_not_found', 'namespace'])
    expect(await failed(hub.delete(`/v1/config/${name}`, member))).toEqual([
      404,
      'config_not_found',
      'namespace',
    ])
    const after = await json(hub.get('/v1/config?limit=1000', member))
    expect(after.data).not.toContainEqual(expect.objectContaining({ namespace: name }))
  })

  test('is listed by name, page by page', async () => {
    const { header } = await newMember()
    for (const name of ['b', 'c', 'a']) await put(name, {}, header)
    const pages = []
    for (let query = '?limit=2'; query; ) {
      const { data, has_more } = await json(hub.get(`/v1/config${query}`, header))
      pages.push(data.map(({ namespace }: { namespace: string }) => namespace))
      query = has_more ? `?limit=2&after=${data.at(-1).namespace}` : ''
    }
    expect(pages).toEqual([['a', 'b'], ['c']])
  })

  test('keeps values as they were: names, nothing, and what only looks like a number', async () => {
    const text =
      '{"a":null,"":"empty","a/b~c":{},"list":[],"n":1.50,"deep":{"__proto__":{"x":1},"constructor":2},"€":"\\u0000"}'
    const name = unique('app')
    expect((await put(name, text)).status).toBe(201)
    const { values } = await json(get(name))
    expect(JSON.stringify(values)).toBe(JSON.stringify(JSON.parse(text)))
    await patch(name, { n: 2 })
    expect((await json(get(name))).values).toEqual({ ...JSON.parse(text), n: 2 })
  })

  test('the same values again are no new version; a repeated call with its Idempotency-Key is one', async () => {
    const name = unique('app')
    const once = { 'idempotency-key': unique('key') }
    const first = await json(put(name, { a: 1, b: { c: 2 } }, once))
    expect(await json(put(name, { b: { c: 2 }, a: 1 }))).toEqual(first)
    expect(await json(patch(name, { a: 1 }))).toEqual(first)
    await put(name, { a: 2 })
    expect(await json(put(name, { a: 1, b: { c: 2 } }, once, other))).toEqual(first)
    expect(await failed(put(name, { a: 3 }, once))).toEqual([422, 'idempotency_mismatch', null])
    expect(await json(get(name))).toMatchObject({ version: 2, values: { a: 2 } })
  })

  test('conditions: If-Match, If-None-Match, and 304 for who has it', async () => {
    const name = unique('app')
    const conflict = [412, 'version_conflict', 'if-match']
    expect(await failed(put(name, { n: 1 }, { 'if-match': '"1"' }))).toEqual(conflict)
    expect(await failed(patch(name, { n: 1 }, { 'if-match': '*' }))).toEqual(conflict)
    expect((await put(name, { n: 1 }, { 'if-none-match': '*' })).status).toBe(201)
    expect(await failed(put(name, { n: 2 }, { 'if-none-match': '*' }))).toEqual(conflict)
    expect((await put(name, { n: 2 }, { 'if-match': '"1"' })).status).toBe(200)
    expect((await patch(name, { n: 3 }, { 'if-match': '*' })).status).toBe(200)
    expect(await failed(patch(name, { n: 4 }, { 'if-match': '"2"' }))).toEqual(conflict)
    expect(await failed(post(`${name}/rollback`, { version: 1 }, { 'if-match': '"2"' }))).toEqual(conflict)
    expect(await failed(hub.delete(`/v1/config/${name}`, { ...member, 'if-match': '"2"' }))).toEqual(conflict)
    expect(await json(get(name))).toMatchObject({ version: 3, values: { n: 3 } })

    const known = await get(name, { 'if-none-match': '"2", W/"3"' })
    expect([known.status, known.headers.get('etag'), await known.text()]).toEqual([304, '"3"', ''])
    expect((await get(name, { 'if-none-match': '"2"' })).status).toBe(200)
  })

  test('a write with a lock that somebody else holds by now is refused', async () => {
    const name = unique('app')
    expect((await put(name, { n: 1 }, { 'x-hub-lock': 'deploy=8' })).status).toBe(201)
    const stale = { 'x-hub-lock': 'deploy=7' }
    for (const writing of [
      ...[
        put(name, { n: 2 }, stale),
        patch(name, { n: 2 }, stale),
        post(`${name}/rollback`, { version: 1 }, stale),
      ],
      hub.delete(`/v1/config/${name}`, { ...member, ...stale }),
    ]) {
      expect(await failed(writing)).toEqual([412, 'lock_lost', 'x-hub-lock'])
    }
    expect(await failed(put(name, {}, { 'x-hub-lock': 'deploy' }))).toEqual([
      400,
      'invalid_value',
      'x-hub-lock',
    ])
    expect(await json(get(name))).toMatchObject({ version: 1, values: { n: 1 } })
  })

  test('history tells who wrote, newest first, and a rollback is a new version', async () => {
    const name = unique('app')
    await put(`${name}?note=good`, { n: 1 })
    await put(name, { n: 2 }, admin) // of another tenant
    await put(name, { n: 2 })
    const back = await post(`${name}/rollback`, { version: 1, note: 'it was bad' }, {}, other)
    expect([back.status, await back.json()]).toMatchObject([
      200,
      { version: 3, values: { n: 1 }, restores: 1 },
    ])
    const at = expect.any(String)
    expect(await json(get(`${name}/history`))).toEqual({
      data: [
        { version: 3, at, by: keyId, note: 'it was bad', restores: 1 },
        { version: 2, at, by: keyId },
        { version: 1, at, by: keyId, note: 'good' },
      ],
      has_more: false,
    })
    const page = await json(get(`${name}/history?limit=1&before=3`))
    expect(page).toMatchObject({ data: [{ version: 2 }], has_more: true })
    expect((await json(get(`${name}/history?before=1`))).data).toEqual([])
    expect(await failed(post(`${name}/rollback`, { version: 9 }))).toEqual([
      ...[404, 'config_version_not_found', 'version'],
    ])
    expect(await json(get(`${name}/history`, admin))).toMatchObject({ data: [{ by: 'admin' }] })
    await hub.delete(`/v1/config/${name}`, admin)
  })

  test('a rollback brings back no values that were deleted', async () => {
    const name = unique('app')
    await put(name, { secret: 1 })
    await hub.delete(`/v1/config/${name}?note=leaked`, member)
    expect((await post(`${name}/rollback`, { version: 1 })).status).toBe(404)
    expect(await json(get(`${name}/history`))).toMatchObject({
      data: [{ version: 2, deleted: true, note: 'leaked' }],
    })
    expect(await json(put(name, { n: 1 }))).toMatchObject({ version: 3 })
  })

  test('belongs to its tenant and needs the scope `platform`', async () => {
    const name = unique('app')
    await put(name, { n: 1 })
    const { header } = await newMember()
    expect((await get(name, header)).status).toBe(404)
    const without = await newMember(['search'])
    expect(await failed(get(name, without.header))).toEqual([403, 'scope_missing', null])
    expect((await hub.get(`/v1/config/${name}`)).status).toBe(401)
  })

  test.each([
    ['a name with a colon', 'PUT', 'a:b', {}, [400, 'invalid_value', 'namespace']],
    ['a list', 'PUT', 'x', [1], [400, 'invalid_value', 'body']],
    ['nothing', 'PUT', 'x', 'null', [400, 'invalid_value', 'body']],
    ['a member that records lose', 'PUT', 'x', '{"__proto__":1}', [400, 'invalid_value', 'body']],
    ['no JSON', 'PATCH', 'x', '{', [400, 'invalid_json', 'body']],
    ['too much', 'PUT', 'x', { a: 'x'.repeat(256 * 1024) }, [413, 'config_too_large', 'values']],
    ['a long note', 'PUT', `x?note=${'x'.repeat(501)}`, {}, [400, 'invalid_value', 'note']],
    ['a rollback to nothing', 'POST', 'x/rollback', {}, [400, 'invalid_value', 'version']],
    [
      'a rollback with something else',
      'POST',
      'x/rollback',
      { version: 1, n: 1 },
      [400, 'invalid_value', 'n'],
    ],
  ])('%s is told', async (_, method, path, body, expected) => {
    expect(await failed(hub.send(method, `/v1/config/${path}`, body, member))).toEqual(expected)
  })

  test.each([
    ['x?version=0', {}, 'version'],
    ['x?version=1&watch=true', {}, 'version'],
    ['x?watch=perhaps', {}, 'watch'],
    ['x?watch=true', { 'last-event-id': '1-0' }, 'last_event_id'],
    ['x/history?limit=0', {}, 'limit'],
    ['x/history?before=a', {}, 'before'],
  ])('%s is told', async (path, headers, param) => {
    expect(await failed(get(path, headers as Headers))).toEqual([400, 'invalid_value', param])
  })

  test('conditions that are none are told', async () => {
    expect(await failed(put('x', {}, { 'if-match': 'W/"1"' }))).toEqual([400, 'invalid_value', 'if-match'])
    expect(await failed(put('x', {}, { 'if-none-match': '"1"' }))).toEqual([
      400,
      'invalid_value',
      'if-none-match',
    ])
  })
})

describe.each([
  ['a connection', () => hub],
  ['HTTP', () => other],
])('a watch over %s', (_, app) => {
  async function watch(name: string, headers: Headers = {}, at = app()) {
    const heard = listen(await get(name, { accept: 'text/event-stream', ...headers }, at))
    onTestFinished(heard.leave)
    return heard
  }

  test('begins with what there is, then tells of changes made anywhere', async () => {
    const name = unique('app')
    await put(name, { n: 1 })
    const heard = await watch(name)
    await heard.atLeast(1)
    expect(heard.events[0]).toMatchObject({ id: '1' })
    expect(heard.data()[0]).toEqual(await json(get(name)))
    await put(name, { n: 2 }, {}, hub)
    await heard.atLeast(2)
    await patch(name, { m: 1 }, {}, other)
    await heard.atLeast(3)
    expect(heard.data().map(({ values }) => values)).toEqual([{ n: 1 }, { n: 2 }, { n: 2, m: 1 }])
    expect(heard.events.map(({ id, event }) => [id, event])).toEqual(
      ['1', '2', '3'].map((id) => [id, undefined]),
    )
  })

  test('who comes back is told of the newest alone, or of nothing where it has that', async () => {
    const name = unique('app')
    await put(name, { n: 1 })
    const heard = await watch(name)
    await heard.atLeast(1)
    await heard.leave()
    const upToDate = await watch(name, { 'last-event-id': heard.lastId! })
    for (const n of [2, 3, 4]) await put(name, { n })
    const back = await watch(`${name}?last_event_id=${heard.lastId}`)
    await back.atLeast(1)
    await put(name, { n: 5 })
    await Promise.all([back.atLeast(2), upToDate.atLeast(1)])
    expect(back.data().map(({ version }) => version)).toEqual([4, 5])
    const told = upToDate.data().map(({ version }) => version)
    expect(told).toEqual([...told].sort()) // perhaps 4 alone, perhaps each
    expect(told).not.toContain(1)
  })

  test('waits for one that is not there, and tells when it is deleted', async () => {
    const name = unique('app')
    const heard = await watch(`${name}?watch=true`, { accept: '*/*' })
    await heard.atLeast(1)
    await put(name, { n: 1 })
    await heard.atLeast(2)
    await hub.delete(`/v1/config/${name}`, member)
    await heard.atLeast(3)
    await put(name, { n: 2 })
    await heard.atLeast(4)
    expect(heard.events.map(({ id, event }) => [id, event])).toEqual([
      ...[
        ['0', 'deleted'],
        ['1', undefined],
      ],
      ...[
        ['2', 'deleted'],
        ['3', undefined],
      ],
    ])
    expect(heard.data()).toMatchObject([
      { namespace: name, version: 0, deleted: true },
      { version: 1, values: { n: 1 } },
      { version: 2, deleted: true, by: keyId },
      { version: 3, values: { n: 2 } },
    ])
  })

  test('misses nothing while many write', async () => {
    const name = unique('app')
    await put(name, { n: 0 })
    const watches = await Promise.all(Array.from({ length: 5 }, () => watch(name)))
    await Promise.all(
      Array.from({ length: 30 }, (_, i) => patch(name, { [`k${i}`]: i }, {}, i % 2 ? hub : other)),
    )
    const last = await json(get(name))
    for (const heard of watches) {
      await expect.poll(() => heard.data().at(-1), { timeout: 15_000 }).toEqual(last)
      const versions = heard.data().map(({ version }) => version)
      expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b))
    }
  })
})

test('a watch goes on when Redis was away', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'hub-redis-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const redis = await startTestRedis({ directory, persist: true })
  const app = await startApp({ env: { ...env, REDIS_URL: redis.url } })
  onTestFinished(() => app[Symbol.asyncDispose]())
  await put('app', { n: 1 }, admin, app)
  const heard = listen(await get('app', { ...admin, accept: 'text/event-stream' }, app))
  onTestFinished(heard.leave)
  await heard.atLeast(1)
  await redis.stop()
  const { port, password } = redis
  await using _ = await startTestRedis({ directory, persist: true, port, password })
  const written = async () => (await put('app', { n: 2 }, admin, app)).status
  await expect.poll(written, { timeout: 15_000 }).toBe(200)
  await heard.atLeast(2)
  expect(heard.data().map(({ values }) => values.n)).toEqual([1, 2])
})
