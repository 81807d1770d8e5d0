import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startApp, type TestApp, unique } from '../support/app.ts'

const HUB_ADMIN_KEY = 'an-admin-key-of-tests'

let app: TestApp
let key: Record<string, string>
let other: Record<string, string>
beforeAll(async () => {
  app = await startApp({ env: { HUB_ADMIN_KEY }, drains: { kickMs: 5_000, scheduledMs: 5_000 } })
  key = await newKey()
  other = await newKey()
})
afterAll(() => app[Symbol.asyncDispose]())

async function newKey(more: object = {}) {
  const admin = { authorization: `Bearer ${HUB_ADMIN_KEY}` }
  const reply = await app.send('POST', '/v1/keys', { tenant: unique('tenant'), ...more }, admin)
  return { authorization: `Bearer ${(await reply.json()).key}` }
}

async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const all = { ...key, ...headers }
  const reply =
    body === undefined
      ? await app.request(path, { method, headers: { host: 'localhost', ...all } })
      : await app.send(method, path, body, all)
  const text = await reply.text()
  const isJson = reply.headers.get('content-type')?.startsWith('application/json')
  return { status: reply.status, headers: reply.headers, body: isJson ? JSON.parse(text) : text }
}
const lines = (text: string) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))

describe('/v1/features', () => {
  it('writes an entity of a view that nobody declared, and reads it with its freshness', async () => {
    const view = unique('view')
    const event_time = new Date(Date.now() - 10_000).toISOString()
    const features = { age: 30, city: 'Rome', embedding: [0.1, 0.2] }
    expect(await call('PUT', `/v1/features/${view}/user%3A1`, { features, event_time })).toMatchObject({
      status: 200,
      body: { entity: 'user:1', event_time, written: ['age', 'city', 'embedding'], outdated: [] },
    })
    const older = { features: { age: 29 }, event_time: '2020-01-01T00:00:00Z' }
    expect((await call('PUT', `/v1/features/${view}/user%3A1`, older)).body).toMatchObject({
      written: [],
      outdated: ['age'],
    })
    const asked = { entities: ['user:1', 'nobody'], features: ['age', 'city'], max_age_seconds: 5 }
    const { status, body } = await call('POST', `/v1/features/${view}/query`, asked)
    expect(status).toBe(200)
    expect(body.data).toEqual([
      {
        ...{ entity: 'user:1', features: { age: 30, city: 'Rome' }, event_time },
        ...{ age_seconds: expect.any(Number), stale: ['age', 'city'] },
      },
      { entity: 'nobody', features: null, event_time: null, age_seconds: null, stale: [] },
    ])
    expect(body.data[0].age_seconds).toBeGreaterThanOrEqual(10)
    expect(await call('GET', `/v1/features/${view}/user%3A1`)).toMatchObject({
      status: 200,
      body: { features, event_times: { age: event_time } },
    })
  })

  it('a query waits on Redis once, with who asks it', async () => {
    const view = unique('view')
    await call('PUT', `/v1/features/${view}/1`, { features: { a: 1 } })
    app.waves.length = 0
    await call('POST', `/v1/features/${view}/query`, { entities: ['1', '2'] })
    expect(
      app.waves.map((wave) => wave.map((call) => ('script' in call ? call.script.name : call[0]))),
    ).toEqual([['HMGET', 'HGET', 'HGETALL', 'HGETALL']])
  })

  it('writes many entities at once, all of them or none', async () => {
    const view = unique('view')
    const rows = [
      { entity: '1', features: { a: 1 } },
      { entity: '2', features: { a: 'two' } },
    ]
    expect(await call('POST', `/v1/features/${view}`, { rows })).toMatchObject({
      status: 400,
      body: { error: { param: 'rows[1].features.a' } },
    })
    rows[1]!.features.a = 2
    expect((await call('POST', `/v1/features/${view}`, { rows })).body.data).toHaveLength(2)
  })

  it('a stream writes features by its handler', async () => {
    const view = unique('view')
    const handler = { type: 'features', view, entity_path: 'data.user', values_path: 'data.values' }
    expect((await call('PUT', `/v1/events/${view}`, { handler })).status).toBe(200)
    await call('POST', `/v1/events/${view}`, { user: '1', values: { clicks: 3 } })
    await app.settled()
    expect((await call('GET', `/v1/features/${view}/1`)).body.features).toEqual({ clicks: 3 })
    const bad = await call('PUT', `/v1/events/${view}`, { handler: { type: 'features' } })
    expect([bad.status, bad.body.error.param]).toEqual([400, 'handler.view'])
  })

  it('deletes an entity', async () => {
    const view = unique('view')
    await call('PUT', `/v1/features/${view}/1`, { features: { a: 1 } })
    expect((await call('DELETE', `/v1/features/${view}/1`)).status).toBe(204)
    expect((await call('DELETE', `/v1/features/${view}/1`)).status).toBe(404)
    expect((await call('GET', `/v1/features/${view}/1`)).body.error.code).toBe('entity_not_found')
  })

  it('tenants do not see each other’s views, entities and datasets', async () => {
    const view = unique('view')
    await call('PUT', `/v1/features/${view}/1`, { features: { a: 1 } })
    await call('POST', `/v1/datasets/${view}/rows`, [{ id: 'a', features: {} }])
    const asked = { entities: ['1'] }
    expect((await call('POST', `/v1/features/${view}/query`, asked, other)).status).toBe(404)
    await call('PUT', `/v1/features/${view}/2`, { features: { a: 2 } }, other)
    expect((await call('POST', `/v1/features/${view}/query`, asked, other)).body.data[0].features).toBeNull()
    expect((await call('GET', `/v1/datasets/${view}`, undefined, other)).status).toBe(404)
    expect((await call('GET', '/v1/datasets', undefined, other)).body).toEqual({ data: [] })
    expect((await call('PUT', `/v1/datasets/${view}/rows/a/label`, { label: 1 }, other)).status).toBe(404)
  })

  it('asks for the scope `features`', async () => {
    const narrow = await newKey({ scopes: ['embed'] })
    for (const [method, path, body] of [
      ['POST', '/v1/features/v/query', { entities: ['1'] }],
      ['PUT', '/v1/features/v/1', { features: { a: 1 } }],
      ['GET', '/v1/feature-views'],
      ['GET', '/v1/datasets/v'],
    ] as const)
      expect((await call(method, path, body, narrow)).status).toBe(403)
  })

  it.each([
    [{ features: {} }, 'features'],
    [{ features: [1] }, 'features'],
    [{ features: { a: { b: 1 } } }, 'features.a'],
    [{ features: { a: [] } }, 'features.a'],
    [{ features: { a: [1, 'x'] } }, 'features.a'],
    [{ features: { 'a b': 1 } }, 'features.a b'],
    ['{"features":{"a":1e999}}', 'features.a'],
    [{ features: { a: 1 }, event_time: 'now' }, 'event_time'],
    [{ features: { a: 1 }, event_time: '2999-01-01T00:00:00Z' }, 'event_time'],
    [{ features: { a: 1 }, more: 1 }, 'more'],
  ])('%j is 400 at %s, and no view is made of it', async (body, param) => {
    const view = unique('view')
    const reply = await call('PUT', `/v1/features/${view}/1`, body)
    expect([reply.status, reply.body.error.param]).toEqual([400, param])
    expect((await call('GET', `/v1/feature-views/${view}`)).status).toBe(404)
  })

  it.each([
    [{ entities: [] }, 400, 'entities'],
    [{ entities: Array(1_001).fill('1') }, 400, 'entities'],
    [{ entities: [''] }, 400, 'entities[0]'],
    [{ entities: ['1'], features: ['none'] }, 400, 'features[0]'],
    [{ entities: ['1'], max_age_seconds: -1 }, 400, 'max_age_seconds'],
  ])('the query %j is refused', async (body, status, param) => {
    const view = unique('view')
    await call('PUT', `/v1/features/${view}/1`, { features: { a: 1 } })
    const reply = await call('POST', `/v1/features/${view}/query`, body)
    expect([reply.status, reply.body.error.param]).toEqual([status, param])
  })

  it('a view that is not there: reading names the way out', async () => {
    const reply = await call('POST', '/v1/features/nothing/query', { entities: ['1'] })
    expect(reply).toMatchObject({ status: 404, body: { error: { code: 'feature_view_not_found' } } })
    expect(reply.body.error.message).toContain('PUT /v1/features/nothing/{entity}')
    expect((await call('PUT', '/v1/features/a%20b/1', { features: { a: 1 } })).status).toBe(400)
  })
})

describe('/v1/feature-views', () => {
  it('declares, lists, changes and deletes', async () => {
    const view = unique('view')
    const settings = {
      features: { age: 'int', vector: 'vector(2)', plan: { type: 'string', default: 'free' } },
      ttl_seconds: 60,
    }
    const features = {
      age: { type: 'int' },
      vector: { type: 'vector', dimensions: 2 },
      plan: { type: 'string', default: 'free' },
    }
    const made = await call('PUT', `/v1/feature-views/${view}`, settings)
    expect(made).toMatchObject({
      status: 201,
      body: { name: view, declared: true, features, ttl_seconds: 60 },
    })
    expect((await call('PUT', `/v1/feature-views/${view}`, settings)).status).toBe(200)
    expect((await call('GET', `/v1/feature-views/${view}`)).body).toMatchObject({ features })
    expect((await call('GET', '/v1/feature-views')).body.data).toContainEqual(
      expect.objectContaining({ name: view }),
    )
    const other = await call('PUT', `/v1/feature-views/${view}`, { features: { age: 'string' } })
    expect(other).toMatchObject({
      status: 409,
      body: { error: { code: 'feature_type_fixed', param: 'features.age' } },
    })
    await call('PUT', `/v1/features/${view}/1`, { features: { age: 3 } })
    expect((await call('DELETE', `/v1/feature-views/${view}`)).status).toBe(204)
    await app.settled()
    expect((await call('DELETE', `/v1/feature-views/${view}`)).status).toBe(404)
  })

  it.each([
    [{}, 'features'],
    [{ features: { a: 'number' } }, 'features.a.type'],
    [{ features: { a: 'vector' } }, 'features.a.dimensions'],
    [{ features: { a: 'vector(0)' } }, 'features.a.dimensions'],
    [{ features: { a: { type: 'int', more: 1 } } }, 'features.a.more'],
    [{ features: { _a: 'int' } }, 'features._a'],
    [{ features: {}, ttl_seconds: 0 }, 'ttl_seconds'],
  ])('%j is 400 at %s', async (body, param) => {
    const reply = await call('PUT', `/v1/feature-views/${unique('view')}`, body)
    expect([reply.status, reply.body.error.param]).toEqual([400, param])
  })
})

describe('/v1/datasets', () => {
  it('records rows, labels them, and exports both', async () => {
    const name = unique('data')
    const at = '2026-01-01T00:00:00.000Z'
    const rows = [
      { id: 'a', at, entity: '1', features: { n: 1 }, output: 0.7, model: 'm:2' },
      { id: 'b', at, features: { n: 2 } },
    ]
    const appended = await call('POST', `/v1/datasets/${name}/rows`, rows)
    const body = { accepted: 2, duplicates: 0, rows: [{ id: 'a' }, { id: 'b' }] }
    expect(appended).toMatchObject({ status: 201, body })
    const ndjson = { 'content-type': 'application/x-ndjson' }
    const sent = `${JSON.stringify(rows[1])}\n\n{"id":"c","features":{}}\n`
    expect((await call('POST', `/v1/datasets/${name}/rows`, sent, ndjson)).body).toMatchObject({
      accepted: 1,
      duplicates: 1,
    })
    const label_at = '2026-01-02T00:00:00.000Z'
    expect(
      await call('PUT', `/v1/datasets/${name}/rows/a/label`, { label: true, at: label_at }),
    ).toMatchObject({
      status: 204,
    })
    const labels = [
      { id: 'b', label: false, at: label_at },
      { id: 'none', label: 1 },
    ]
    expect((await call('POST', `/v1/datasets/${name}/labels`, labels)).body).toEqual({
      labelled: 1,
      missing: ['none'],
    })
    const exported = await call('GET', `/v1/datasets/${name}?labelled=true`)
    expect(exported.headers.get('content-type')).toBe('application/x-ndjson; charset=utf-8')
    expect(lines(exported.body)).toEqual([
      { ...rows[0], label: true, label_at },
      { ...rows[1], label: false, label_at },
    ])
    const read = async (query: string) =>
      lines((await call('GET', `/v1/datasets/${name}?${query}`)).body).map(({ id }) => id)
    expect(await read('limit=2')).toEqual(['a', 'b'])
    expect(await read('after=a&limit=1')).toEqual(['b'])
    expect(await read('from=2026-01-03T00:00:00Z')).toEqual(['c'])
    expect(await read('labelled=true&as_of=2026-01-01T12:00:00Z')).toEqual([])
    expect(await read('as_of=2026-01-01T12:00:00Z')).toEqual(['a', 'b'])
    expect((await call('GET', `/v1/datasets/${name}/stats`)).body).toMatchObject({ name, rows: 3 })
  })

  it('the same call with an Idempotency-Key records rows without an id once', async () => {
    const name = unique('data')
    const send = () =>
      call('POST', `/v1/datasets/${name}/rows`, [{ features: {} }, { features: {} }], {
        'idempotency-key': 'k',
      })
    const [first, second] = [await send(), await send()]
    expect(first.body).toMatchObject({ accepted: 2, duplicates: 0 })
    expect(second.body).toEqual({ ...first.body, accepted: 0, duplicates: 2 })
  })

  it('an export is read as its client takes it, and no further once it has left', async () => {
    const name = unique('data')
    const rows = Array.from({ length: 1_000 }, (_, n) => ({ features: { n } }))
    for (let n = 0; n < 5; n++) await call('POST', `/v1/datasets/${name}/rows`, rows)
    app.waves.length = 0
    const reply = await app.get(`/v1/datasets/${name}`, key)
    const reader = reply.body!.getReader()
    expect(lines(new TextDecoder().decode((await reader.read()).value))).toHaveLength(1_000)
    const pages = () =>
      app.waves.flat().filter((call) => 'script' in call && call.script.name === 'read-rows')
    expect(pages()).toHaveLength(1)
    await reader.read()
    expect(pages()).toHaveLength(2)
    await reader.cancel()
    expect(pages()).toHaveLength(2)
  })

  it('reports what is served against what was trained on', async () => {
    const name = unique('data')
    const row = (at: string, n: number) => ({ at, features: { n, plan: 'free' } })
    const rows = Array.from({ length: 100 }, (_, n) => [
      row('2026-01-01T00:00:00Z', n),
      row('2026-02-01T00:00:00Z', n + 100),
    ]).flat()
    await call('POST', `/v1/datasets/${name}/rows`, rows)
    const at = '2026-01-15T00:00:00Z'
    const { status, body } = await call('GET', `/v1/datasets/${name}/skew?reference_to=${at}&from=${at}`)
    expect(status).toBe(200)
    expect(body).toMatchObject({
      reference: { rows: 100 },
      current: { rows: 100 },
      features: { n: { type: 'numeric', ks: 1 }, plan: { type: 'categorical', psi: 0 } },
    })
  })

  it('sets bounds, lists and deletes', async () => {
    const name = unique('data')
    const bounds = { max_rows: 5, max_age_days: 30 }
    expect((await call('PUT', `/v1/datasets/${name}`, bounds)).body).toEqual({ name, ...bounds })
    expect((await call('GET', '/v1/datasets')).body.data).toContainEqual({ name, ...bounds })
    expect((await call('GET', `/v1/datasets/${name}`)).body).toBe('')
    expect((await call('DELETE', `/v1/datasets/${name}`)).status).toBe(204)
    expect((await call('DELETE', `/v1/datasets/${name}`)).body.error.code).toBe('dataset_not_found')
    await app.settled()
  })

  it.each([
    ['rows', [], 400, 'rows'],
    ['rows', { features: {} }, 400, 'body'],
    ['rows', [{ features: {} }, { features: 1 }], 400, 'rows[1].features'],
    ['rows', [{ features: {}, at: 'now' }], 400, 'rows[0].at'],
    ['rows', [{ features: {}, id: '' }], 400, 'rows[0].id'],
    ['rows', '[{"features":{"a":1e999}}]', 400, 'rows[0].features.a'],
    ['rows', Array(1_001).fill({ features: {} }), 413, 'rows'],
    ['rows', [{ features: { text: 'x'.repeat(270_000) } }], 413, 'rows[0]'],
    ['labels', [{ id: 'a' }], 400, 'labels[0].label'],
    ['labels', [{ id: 'a', label: 'x'.repeat(5_000) }], 413, 'labels[0].label'],
    ['labels', [{ id: 'a', label: 1, at: '2999-01-01T00:00:00Z' }], 400, 'labels[0].at'],
  ])('%s %j is refused', async (route, body, status, param) => {
    const reply = await call('POST', `/v1/datasets/${unique('data')}/${route}`, body)
    expect([reply.status, reply.body.error?.param]).toEqual([status, param])
  })

  it.each([
    ['?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z', 'to'],
    ['?labelled=maybe', 'labelled'],
    ['?limit=0', 'limit'],
    ['?as_of=now', 'as_of'],
    ['?after=none', 'after'],
    ['/skew?from=2026-01-01T00:00:00Z', 'reference_to'],
  ])('GET %s is 400', async (path, param) => {
    const name = unique('data')
    await call('POST', `/v1/datasets/${name}/rows`, [{ features: {} }])
    const reply = await call('GET', `/v1/datasets/${name}${path}`)
    expect([reply.status, reply.body.error?.param]).toEqual([400, param])
  })

  it('a wrong content type is 415', async () => {
    const reply = await call('POST', '/v1/datasets/d/rows', 'a,b', { 'content-type': 'text/csv' })
    expect(reply.status).toBe(415)
  })
})
