import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Index, type Vector } from '@upstash/vector'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { readVectorBridgeEnv } from '../../infra/vector-rest/env.ts'
import { toPredicate } from '../../infra/vector-rest/filter.ts'
import { createVectorBridge } from '../../infra/vector-rest.ts'
import { unique } from '../support/app.ts'
import { testRedisUrl } from '../support/redis.ts'
import { startVectorBridge } from '../support/vector-bridge.ts'

const name = unique('index')
let bridge: Awaited<ReturnType<typeof startVectorBridge>>
let index: Index

const clientOf = ({ url, token }: { url: string; token: string }) =>
  new Index({ url, token, enableTelemetry: false, retry: false })

beforeAll(async () => {
  bridge = await startVectorBridge({ redisUrl: testRedisUrl(), name, dimension: 2 })
  index = clientOf(bridge)
})
afterAll(async () => {
  await index.reset({ all: true })
  await bridge.close()
})

/** What `curl` would do. */
async function ask(path: string, body?: unknown, token = bridge.token) {
  const response = await fetch(`${bridge.url}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: response.status, body: await response.json() }
}

/** Of its types the client leaves out that data may stand beside a vector. */
type Upsert = { id: string; vector: number[] }[]

/** A namespace of its own with some places. */
async function places() {
  const namespace = index.namespace(unique('ns'))
  const vectors: Vector[] = [
    { id: 'east', vector: [1, 0], metadata: { kind: 'way', tags: ['sun', 'day'], n: 1 }, data: 'sunrise' },
    { id: 'north-east', vector: [1, 1], metadata: { kind: 'between', n: 2 } },
    { id: 'north', vector: [0, 2], metadata: { kind: 'way', tags: ['pole'], n: 3 } },
    { id: 'west', vector: [-1, 0] },
  ]
  await namespace.upsert(vectors as Upsert)
  return namespace
}

describe('@upstash/vector', () => {
  test('upserts one or many, and queries with Upstash’s score', async () => {
    const namespace = index.namespace(unique('ns'))
    expect(await namespace.upsert({ id: 1, vector: [1, 0] })).toBe('Success')
    expect(
      await namespace.upsert([
        { id: 'b', vector: [0, 1] },
        { id: 'c', vector: [-3, 0] },
      ]),
    ).toBe('Success')
    const found = await namespace.query({ vector: [2, 0], topK: 10 })
    expect(found).toEqual([
      { id: '1', score: expect.closeTo(1, 5) },
      { id: 'b', score: expect.closeTo(0.5, 5) },
      { id: 'c', score: expect.closeTo(0, 5) },
    ])
    expect(await namespace.query({ vector: [2, 0], topK: 2 })).toEqual(found.slice(0, 2))
  })

  test('gives vectors, metadata and data where asked', async () => {
    const namespace = await places()
    const all = { includeVectors: true, includeMetadata: true, includeData: true }
    expect(await namespace.query({ vector: [1, 0], topK: 1, ...all })).toEqual([
      {
        id: 'east',
        score: expect.closeTo(1, 5),
        vector: [1, 0],
        metadata: { kind: 'way', tags: ['sun', 'day'], n: 1 },
        data: 'sunrise',
      },
    ])
    expect(await namespace.fetch(['north', 'nowhere', 'west'], all)).toEqual([
      { id: 'north', vector: [0, 2], metadata: { kind: 'way', tags: ['pole'], n: 3 } },
      null,
      { id: 'west', vector: [-1, 0] },
    ])
    expect(await namespace.fetch(['north'])).toEqual([{ id: 'north' }])
    expect(await namespace.fetch({ prefix: 'north' })).toEqual([{ id: 'north-east' }, { id: 'north' }])
  })

  test('filters queries by metadata', async () => {
    const namespace = await places()
    const ids = async (filter: string, topK = 10) =>
      (await namespace.query({ vector: [1, 0], topK, filter })).map(({ id }) => id)
    expect(await ids("kind = 'way'")).toEqual(['east', 'north'])
    expect(await ids("kind = 'way'", 1)).toEqual(['east'])
    expect(await ids("tags CONTAINS 'pole' OR n = 2")).toEqual(['north-east', 'north'])
    expect(await ids('HAS NOT FIELD kind')).toEqual(['west'])
    expect(await ids('n > 3')).toEqual([])
    await expect(ids('kind =')).rejects.toThrow(/^Invalid filter: expected a string, a number or a boolean/)
  })

  test('finds the few that pass a filter among many', async () => {
    const namespace = index.namespace(unique('ns'))
    const many = Array.from({ length: 1_000 }, (_, i) => ({
      id: `v${i}`,
      vector: [Math.cos(i / 400), Math.sin(i / 400)],
      metadata: { rare: i % 300 === 299 },
    }))
    await namespace.upsert(many)
    const found = await namespace.query({ vector: [1, 0], topK: 10, filter: 'rare = true' })
    expect(found.map(({ id }) => id)).toEqual(['v299', 'v599', 'v899'])
  })

  test('sends several queries at once', async () => {
    const place = unique('ns')
    await index.namespace(place).upsert([
      { id: 'a', vector: [1, 0] },
      { id: 'b', vector: [0, 1] },
    ])
    const queries = [
      { vector: [1, 0], topK: 1 },
      { vector: [0, 1], topK: 1 },
    ]
    const found = await index.queryMany(queries, { namespace: place })
    expect(found.map((list) => list.map(({ id }) => id))).toEqual([['a'], ['b']])
    expect(await index.queryMany(queries.slice(0, 1), { namespace: place })).toHaveLength(1)
  })

  test('updates vector, data and metadata, whole or as a patch', async () => {
    const namespace = await places()
    const read = async (id: string) =>
      (await namespace.fetch([id], { includeVectors: true, includeMetadata: true, includeData: true }))[0]
    expect(await namespace.update({ id: 'east', vector: [0, -1] })).toEqual({ updated: 1 })
    expect(await read('east')).toEqual({
      ...{ id: 'east', vector: [0, -1], data: 'sunrise' },
      metadata: { kind: 'way', tags: ['sun', 'day'], n: 1 },
    })
    expect((await namespace.query({ vector: [0, -1], topK: 1 }))[0]!.id).toBe('east')
    const patch = { tags: null, n: 5, more: { a: 1, b: null } }
    await namespace.update({ id: 'east', metadata: patch, metadataUpdateMode: 'PATCH' })
    expect((await read('east'))!.metadata).toEqual({ kind: 'way', n: 5, more: { a: 1 } })
    await namespace.update({ id: 'east', metadata: { only: true } })
    expect((await read('east'))!.metadata).toEqual({ only: true })
    await namespace.update({ id: 'west', data: 'sunset' })
    expect(await read('west')).toEqual({ id: 'west', vector: [-1, 0], data: 'sunset' })
    expect(await namespace.update({ id: 'nowhere', data: 'x' })).toEqual({ updated: 0 })
  })

  test('upserts replace a vector whole', async () => {
    const namespace = await places()
    await namespace.upsert({ id: 'east', vector: [0, 1] })
    const [east] = await namespace.fetch(['east'], { includeMetadata: true, includeVectors: true })
    expect(east).toEqual({ id: 'east', vector: [0, 1] })
    expect(await namespace.query({ vector: [1, 0], topK: 10 })).toHaveLength(4)
  })

  test('deletes by ids, by prefix and by filter', async () => {
    const ids = async (namespace: Awaited<ReturnType<typeof places>>) =>
      (await namespace.range({ cursor: 0, limit: 10 })).vectors.map(({ id }) => id)
    const byIds = await places()
    expect(await byIds.delete(['east', 'nowhere'])).toEqual({ deleted: 1 })
    expect(await byIds.delete('east')).toEqual({ deleted: 0 })
    expect(await ids(byIds)).toEqual(['north-east', 'north', 'west'])
    const byPrefix = await places()
    expect(await byPrefix.delete({ prefix: 'north' })).toEqual({ deleted: 2 })
    expect(await ids(byPrefix)).toEqual(['east', 'west'])
    const byFilter = await places()
    expect(await byFilter.delete({ filter: 'n >= 2' })).toEqual({ deleted: 2 })
    expect(await ids(byFilter)).toEqual(['east', 'west'])
    await expect(byFilter.delete({ ids: ['a'], prefix: 'a' } as never)).rejects.toThrow(
      'Only and only one of the ids, prefix, or filter must be provided.',
    )
  })

  test('ranges over a namespace in the order in which vectors came', async () => {
    const namespace = index.namespace(unique('ns'))
    const ids = Array.from({ length: 25 }, (_, i) => `v${i}`)
    await namespace.upsert(ids.map((id, i) => ({ id, vector: [1, i + 1] })))
    await namespace.upsert({ id: 'v3', vector: [1, 1] })
    const seen: string[] = []
    let cursor = '0'
    do {
      const page = await namespace.range({ cursor, limit: 10, includeMetadata: true })
      seen.push(...page.vectors.map(({ id }) => id))
      cursor = page.nextCursor
    } while (cursor !== '')
    expect(seen).toEqual(ids)
    const some = await namespace.range({ cursor: 0, limit: 3, prefix: 'v1', includeVectors: true } as never)
    expect(some.vectors).toEqual([
      { id: 'v1', vector: [1, 2] },
      { id: 'v10', vector: [1, 11] },
      { id: 'v11', vector: [1, 12] },
    ])
    const rest = await namespace.range({ cursor: some.nextCursor, limit: 100, prefix: 'v1' } as never)
    expect(rest.vectors.map(({ id }) => id)).toEqual(['v12', 'v13', 'v14', 'v15', 'v16', 'v17', 'v18', 'v19'])
  })

  test('goes on with a resumable query, from another process too', async () => {
    const place = unique('ns')
    const vectors = Array.from({ length: 9 }, (_, i) => ({ id: `v${i}`, vector: [1, i], metadata: { i } }))
    await index.namespace(place).upsert(vectors)
    const query = { vector: [1, 0], topK: 3, maxIdle: 60, filter: 'i != 4', includeMetadata: true }
    const { result, fetchNext, stop } = await index.resumableQuery(query, { namespace: place })
    expect(result.map(({ id, metadata }) => [id, metadata])).toEqual([
      ['v0', { i: 0 }],
      ['v1', { i: 1 }],
      ['v2', { i: 2 }],
    ])
    expect((await fetchNext(2)).map(({ id }) => id)).toEqual(['v3', 'v5'])

    const other = await startVectorBridge({ redisUrl: testRedisUrl(), name, dimension: 2 })
    onTestFinished(other.close)
    const started = await ask(`/resumable-query/${place}`, { vector: [1, 0], topK: 4 })
    const { uuid, scores } = started.body.result
    expect(scores).toHaveLength(4)
    const next = await fetch(`${other.url}/resumable-query-next`, {
      method: 'POST',
      headers: { authorization: `Bearer ${other.token}` },
      body: JSON.stringify({ uuid, additionalK: 100 }),
    })
    const { result: others } = (await next.json()) as { result: { id: string }[] }
    expect(others.map(({ id }) => id)).toEqual(['v4', 'v5', 'v6', 'v7', 'v8'])

    expect(await stop()).toBe('Success')
    expect((await ask('/resumable-query-end', { uuid })).body).toEqual({ result: 'Success' })
    expect((await ask('/resumable-query-next', { uuid, additionalK: 1 })).status).toBe(404)
    expect((await ask('/resumable-query-end', { uuid })).status).toBe(404)
  })

  test('lists, resets and deletes namespaces, and counts their vectors', async () => {
    const place = unique('ns')
    await index.upsert({ id: 'a', vector: [1, 0] })
    await index.upsert({ id: 'b', vector: [1, 0] }, { namespace: place })
    const names = await index.listNamespaces()
    expect(names[0]).toBe('')
    expect(names).toContain(place)
    const info = await index.info()
    expect(info).toMatchObject({
      ...{ pendingVectorCount: 0, dimension: 2, similarityFunction: 'COSINE', indexType: 'DENSE' },
      denseIndex: { dimension: 2, similarityFunction: 'COSINE' },
      namespaces: { '': { vectorCount: 1 }, [place]: { vectorCount: 1, pendingVectorCount: 0 } },
    })
    expect(info.indexSize).toBe(info.vectorCount * 8)
    expect(await index.reset({ namespace: place })).toBe('Success')
    expect((await index.info()).namespaces[place]).toEqual({ vectorCount: 0, pendingVectorCount: 0 })
    expect(await index.query({ vector: [1, 0], topK: 1 }, { namespace: place })).toEqual([])
    expect(await index.deleteNamespace(place)).toBe('Success')
    expect(await index.listNamespaces()).not.toContain(place)
    const missing = `Namespace ${place} for the index ${name} does not exist`
    await expect(index.deleteNamespace(place)).rejects.toThrow(missing)
    await expect(index.query({ vector: [1, 0], topK: 1 }, { namespace: place })).rejects.toThrow(missing)
    expect(await index.reset()).toBe('Success')
    expect(await index.range({ cursor: 0, limit: 1 })).toEqual({ nextCursor: '', vectors: [] })
  })

  test('keeps namespaces apart, whatever their names', async () => {
    const names = ['a', 'A', 'a:b', '{a}', 'ü ä'].map((start) => start + unique('ns'))
    for (const namespace of names) await index.upsert({ id: namespace, vector: [1, 0] }, { namespace })
    for (const namespace of names) {
      const found = await index.query({ vector: [1, 0], topK: 10 }, { namespace })
      expect(found.map(({ id }) => id)).toEqual([namespace])
    }
  })

  test('takes odd ids and metadata as they are', async () => {
    const namespace = index.namespace(unique('ns'))
    const vectors: Vector[] = ['a b', 'é😀', '"', "'", '\\', '\u0000', '{x}', 'EF', 'COUNT'].map((id) => ({
      ...{ id, vector: [1, 0], data: id },
      metadata: { 'k "\\': [id, null, { __proto__x: id }], empty: {}, list: [] },
    }))
    await namespace.upsert(vectors as Upsert)
    const got = await namespace.fetch(
      vectors.map(({ id }) => id),
      { includeMetadata: true, includeVectors: true, includeData: true },
    )
    expect(got).toEqual(vectors)
  })
})

describe('refuses as Upstash does', () => {
  test.each([
    [
      'another dimension',
      '/upsert',
      { id: 'a', vector: [1, 2, 3] },
      'Invalid vector dimension: 3, expected: 2',
    ],
    [
      'another dimension of a query',
      '/query',
      { vector: [1], topK: 1 },
      'Invalid vector dimension: 1, expected: 2',
    ],
    ['an empty id', '/upsert', { id: '', vector: [1, 0] }, /id/],
    ['a missing vector', '/upsert', { id: 'a' }, /vector/],
    ['a sparse vector', '/upsert', { id: 'a', vector: [1, 0], sparseVector: {} }, /this index is dense/],
    ['zeros', '/upsert', { id: 'a', vector: [0, 0] }, /all zeros/],
    ['a number that no float holds', '/upsert', { id: 'a', vector: [1e39, 0] }, /too large/],
    ['too many vectors', '/upsert', Array(1_001).fill({ id: 'a', vector: [1, 0] }), /at most: 1000/],
    [
      'too much metadata',
      '/upsert',
      { id: 'a', vector: [1, 0], metadata: { a: 'x'.repeat(50_000) } },
      /metadata/,
    ],
    ['too many results', '/query', { vector: [1, 0], topK: 1_001 }, /topK/],
    ['no query', '/query', [], /no query/],
    ['an update of nothing', '/update', { id: 'a' }, /at least one/],
    [
      'data without a model',
      '/upsert-data',
      { id: 'a', data: 'x' },
      /^Embedding data for this index is not allowed/,
    ],
    [
      'a query by data',
      '/query-data',
      { data: 'x', topK: 1 },
      /^Embedding data for this index is not allowed/,
    ],
    [
      'a fetch by ids and prefix',
      '/fetch',
      { ids: ['a'], prefix: 'b' },
      'Only one of ids or prefix must be provided.',
    ],
    ['a range without a limit', '/range', { cursor: '0' }, /limit/],
  ])('%s', async (_, path, body, message) => {
    const answer = await ask(path, body)
    expect(answer).toEqual({ status: 422, body: { error: expect.stringMatching(message), status: 422 } })
  })

  test('a wrong token, an unknown path and what is not JSON', async () => {
    expect(await ask('/info', undefined, 'wrong')).toEqual({
      status: 401,
      body: { error: 'Unauthorized: Invalid auth token', status: 401 },
    })
    expect((await ask('/nothing')).status).toBe(404)
    expect((await ask('/upsert', '{"id":')).status).toBe(400)
  })

  test('a batch of which one is wrong, whole', async () => {
    const namespace = index.namespace(unique('ns'))
    await namespace.upsert({ id: 'first', vector: [1, 0] })
    const batch = [
      { id: 'good', vector: [1, 0] },
      { id: 'bad', vector: [1] },
    ]
    await expect(namespace.upsert(batch)).rejects.toThrow('Invalid vector dimension: 1, expected: 2')
    expect(await namespace.fetch(['first', 'good'])).toEqual([{ id: 'first' }, null])
  })
})

describe('filters', () => {
  const istanbul = {
    ...{ city: 'Istanbul', country: 'Turkey', is_capital: false, population: 15_460_000 },
    geography: { continent: 'Asia', coordinates: { latitude: 41.0082, longitude: 28.9784 } },
    economy: { currency: 'TRY', major_industries: ['Tourism', 'Textiles', 'Finance'] },
    nothing: null,
  }

  test.each([
    ["country = 'Turkey' AND population = 15460000 AND is_capital = false", true],
    ["country != 'Germany' AND population != 12500000 AND is_capital != true", true],
    ['population < 20000000 OR geography.coordinates.longitude < 20.0', true],
    ['population <= 15460000 and population >= 15460000', true],
    ['population > 15460000 OR population < 1.5e7', false],
    ['is_capital = 0', true],
    ['is_capital = 1', false],
    ["city GLOB '?[sz]*[^m-z]'", true],
    ["city NOT GLOB 'A*'", true],
    ["city GLOB 'i*'", false],
    ["city GLOB 'Istanbu[]l]'", true],
    ["city GLOB 'Istan.*'", false],
    ["country IN ('Germany', 'Turkey', 'France')", true],
    ["economy.currency NOT IN ('USD', 'EUR')", true],
    ["economy.major_industries CONTAINS 'Tourism'", true],
    ["economy.major_industries NOT CONTAINS 'Steel Production'", true],
    ["economy.major_industries NOT CONTAINS 'Tourism'", false],
    ['HAS FIELD geography.coordinates', true],
    ['HAS NOT FIELD geography.coordinates.longitude', false],
    ['has not field nothing', true],
    ["country = 'Turkey' AND population > 20000000 OR is_capital = false", true],
    ["country = 'Turkey' AND (population > 20000000 OR is_capital = true)", false],
    ["is_capital = false OR country = 'X' AND country = 'Y'", true],
    ["economy.major_industries[0] = 'Tourism'", true],
    ["economy.major_industries[#-1] = 'Finance'", true],
    ["economy.major_industries[3] = 'Finance'", false],
    ['city = "Istanbul"', true],
    ["city != 'It''s'", true],
    ["missing != 'x'", false],
    ["missing NOT IN ('x')", false],
    ['constructor != 1', false],
    ["city > 5 OR country = 'X'", false],
  ])('%s', (filter, expected) => {
    expect(toPredicate(filter)(istanbul)).toBe(expected)
    expect(toPredicate('HAS FIELD city')(undefined)).toBe(false)
  })

  test.each([
    ['', 'expected a field, found the end'],
    ['a', 'expected an operator, found the end'],
    ["a = 'x", "cannot read ` 'x` at 3"],
    ['(a = 1', 'expected `)`, found the end'],
    ['a = 1 b = 2', 'expected `AND`, `OR` or the end, found `b` at 5'],
    ["a > 'x'", '> compares numbers'],
    ['a[ = 1', '`a[` is no field (at `[`)'],
    ['a IN ()', 'expected a string, a number or a boolean, found `)` at 6'],
    ['a GLOB 5', 'GLOB takes a string'],
    ["a GLOB '[z-a]'", '"[z-a]" is no glob'],
    ['('.repeat(100_000), 'too many parentheses'],
  ])('refuses %j', (filter, message) => {
    expect(() => toPredicate(filter)).toThrow(`Invalid filter: ${message}`)
  })
})

test('an index keeps its dimension', async () => {
  const other = createVectorBridge({ redisUrl: testRedisUrl(), token: 'a-token', name, dimension: 3 })
  onTestFinished(other.close)
  await expect(other.ready()).rejects.toThrow(`The index ${name} has vectors of dimension 2`)
})

test('a filtering budget leaves out what lies beyond it, as on Upstash', async () => {
  const short = await startVectorBridge({
    ...{ redisUrl: testRedisUrl(), name: unique('index'), dimension: 2 },
    filteringBudget: 50,
  })
  onTestFinished(short.close)
  const client = clientOf(short)
  const vectors = Array.from({ length: 100 }, (_, i) => ({
    ...{ id: `v${i}`, vector: [Math.cos(i / 100), Math.sin(i / 100)] },
    metadata: { even: i % 2 === 0, late: i >= 50 },
  }))
  await client.upsert(vectors)
  const query = { vector: [1, 0], topK: 100 }
  expect(await client.query({ ...query, filter: 'even = true' })).toHaveLength(25)
  expect(await client.query({ ...query, filter: 'late = true' })).toHaveLength(0)
  expect(await client.query(query)).toHaveLength(100)
})

describe('npm run vector-bridge', () => {
  test('says where it is and how to use it', async () => {
    const bridge = spawn(process.execPath, ['infra/vector-rest.ts'], {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      env: {
        ...process.env,
        ...{ REDIS_URL: testRedisUrl(), PORT: '0', HUB_VECTOR_BRIDGE_DIMENSION: '2' },
        HUB_VECTOR_BRIDGE_INDEX: unique('index'),
      },
    })
    onTestFinished(() => void bridge.kill('SIGKILL'))
    const lines = createInterface(bridge.stdout)[Symbol.asyncIterator]()
    expect((await lines.next()).value).toMatch(/^Vectors over HTTP at http:\/\/127\.0\.0\.1:\d+, dimension 2/)
    const { value } = await lines.next()
    const [, url, token] = /^UPSTASH_VECTOR_REST_URL=(\S+) UPSTASH_VECTOR_REST_TOKEN=(\S+)$/.exec(value!)!
    const client = clientOf({ url: url!, token: token! })
    await client.upsert({ id: 'a', vector: [1, 0] })
    expect(await client.fetch(['a'])).toEqual([{ id: 'a' }])
    await client.reset()
    bridge.kill('SIGTERM')
    expect(await once(bridge, 'exit')).toEqual([0, null])
  })

  test('names every variable that is wrong', () => {
    const read = () =>
      readVectorBridgeEnv({ REDIS_URL: 'http://x', HUB_VECTOR_BRIDGE_SIMILARITY: 'EUCLIDEAN', PORT: '' })
    expect(read).toThrow(/REDIS_URL: needs redis:/)
    expect(read).toThrow(/HUB_VECTOR_BRIDGE_DIMENSION: needs the length/)
    expect(read).toThrow(/HUB_VECTOR_BRIDGE_SIMILARITY: must be COSINE/)
  })
})
