import { Index } from '@upstash/vector'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createVectorsUpstash } from '../../shared/drivers/vectors-upstash.ts'
import type { Filter } from '../../shared/filters.ts'
import { vectorKeys as keys } from '../../shared/keys.ts'
import type { Chunk, VectorIndex } from '../../shared/ports/vectors.ts'
import { unique } from '../support/app.ts'
import { startProvider } from '../support/provider.ts'
import { seeded } from '../support/random.ts'
import { testRedisUrl } from '../support/redis.ts'
import { startVectorBridge } from '../support/vector-bridge.ts'

const PATIENT = { timeoutMs: 20_000 }

const toIndex = (settings: Partial<VectorIndex> = {}): VectorIndex => ({
  ...{ tenant: 'acme', name: unique('index'), dimensions: 2, metric: 'cosine', partitions: 1 },
  ...{ fields: { color: 'tag', size: 'number' }, quantization: 'none', ...settings },
})

const toChunk = (documentId: string, vector: number[], fields: Chunk['fields'] = {}): Chunk => ({
  ...{ documentId, version: 1, n: 0, text: 'text', fields, hash: {} },
  vector: Float32Array.from(vector),
})

function connect() {
  const redis = createRedisResp({ url: testRedisUrl() })
  onTestFinished(redis.close)
  return redis
}

async function start(settings: { dimension?: number; filteringBudget?: number } = {}) {
  const bridge = await startVectorBridge({
    ...{ redisUrl: testRedisUrl(), name: unique('upstash'), dimension: 2, ...settings },
  })
  const { url, token, paths } = bridge
  const client = new Index({ url, token, enableTelemetry: false })
  onTestFinished(async () => {
    for (const namespace of (await client.listNamespaces()).slice(1)) await client.deleteNamespace(namespace)
    await bridge.close()
  })
  return { vectors: createVectorsUpstash({ url, token, redis: connect(), keys }), client, url, paths }
}

describe('one Upstash index for many of the hub', () => {
  test('each has a namespace of its own, where only vectors, tags and numbers are', async () => {
    const { vectors, client } = await start()
    const index = toIndex()
    await vectors.put(index, [toChunk('a#b', [1, 0], { color: ['red', "it's"], size: 3 })], PATIENT)
    const namespace = `acme:${index.name}`
    expect(await client.listNamespaces()).toEqual(['', namespace])
    const all = { cursor: 0, limit: 10, includeMetadata: true, includeVectors: true, includeData: true }
    expect((await client.range(all, { namespace })).vectors).toEqual([
      { id: 'a#b#1.0', vector: [1, 0], metadata: { f_color: ['red', 'it%27s'], f_size: 3 } },
    ])
  })

  test('refuses what does not fit the Upstash index, and says what would', async () => {
    const { vectors } = await start()
    await vectors.create(toIndex(), PATIENT)
    await expect(vectors.create(toIndex({ dimensions: 3 }), PATIENT)).rejects.toMatchObject({
      ...{ status: 400, code: 'dimensions_mismatch', param: 'dimensions' },
      message: expect.stringMatching(/holds vectors of 2 dimensions, not 3: set `dimensions`/),
    })
    await expect(vectors.create(toIndex({ metric: 'euclidean' }), PATIENT)).rejects.toMatchObject({
      ...{ status: 501, code: 'not_supported', param: 'metric' },
      message: expect.stringMatching(/compares by COSINE/),
    })
    await expect(vectors.create(toIndex({ quantization: 'int8' }), PATIENT)).rejects.toMatchObject({
      ...{ status: 501, code: 'not_supported', param: 'quantization' },
    })
  })

  test('puts more than 1,000 vectors in several requests, and asks for more than 1,000 by a resumable query', async () => {
    const { vectors, paths } = await start()
    const index = toIndex()
    const chunks = Array.from({ length: 1_100 }, (_, i) => toChunk(`d${i}`, [1, i / 100]))
    await vectors.put(index, chunks, PATIENT)
    expect(paths.splice(0)).toEqual(Array(2).fill(`/upsert/acme:${index.name}`))
    const { vector, plan } = await vectors.search(index, {
      ...{ vector: Float32Array.of(1, 0), limit: 1_050, ...PATIENT },
    })
    expect(vector).toHaveLength(1_050)
    expect(paths.splice(0)).toEqual([
      `/resumable-query/acme:${index.name}`,
      '/resumable-query-next',
      '/resumable-query-end',
    ])
    expect(plan[0]!.commands).toEqual([`POST /resumable-query/acme:${index.name} {"vector":"…","topK":1050}`])
    await vectors.remove(index, chunks, PATIENT)
    expect(paths).toEqual(Array(2).fill(`/delete/acme:${index.name}`))
  })

  test('passes over what others have put into its namespace', async () => {
    const { vectors, client } = await start()
    const index = toIndex()
    await vectors.put(index, [toChunk('a', [1, 0])], PATIENT)
    await client.upsert({ id: 'no chunk', vector: [1, 0] }, { namespace: keys.name(index) })
    const { vector } = await vectors.search(index, { vector: Float32Array.of(1, 0), limit: 10, ...PATIENT })
    expect(vector!.map(({ documentId }) => documentId)).toEqual(['a'])
  })

  test('refuses more tags than Upstash keeps, and stores nothing', async () => {
    const { vectors, paths } = await start()
    const index = toIndex()
    const tags = Array.from({ length: 5_000 }, (_, i) => `a-rather-long-tag-${i}`)
    const chunks = [toChunk('small', [1, 0]), toChunk('large', [1, 0], { color: tags })]
    await expect(vectors.put(index, chunks, PATIENT)).rejects.toMatchObject({
      ...{ status: 400, code: 'metadata_too_large', message: expect.stringContaining('`large`') },
    })
    expect(paths).toEqual([])
    const { text } = await vectors.search(index, { text: 'text', limit: 10, ...PATIENT })
    expect(text).toEqual([])
  })
})

describe('a filter that Upstash compares with few vectors', () => {
  const rare: Filter = { type: 'eq', key: 'color', value: 'rare' }

  async function fill(dimension: number, count: number) {
    const { vectors, paths } = await start({ dimension, filteringBudget: 10 })
    const index = toIndex({ dimensions: dimension })
    const random = seeded(3)
    const rest = Array.from({ length: dimension - 1 }, () => random() / dimension)
    const chunks = Array.from({ length: count }, (_, i) =>
      toChunk(`d${i}`, [i / count, ...rest], { color: i % 3 ? 'common' : 'rare', size: i }),
    )
    await vectors.put(index, chunks, PATIENT)
    paths.length = 0
    const search = (filter: Filter, limit: number) =>
      vectors.search(index, { vector: chunks.at(-1)!.vector, filter, limit, ...PATIENT })
    return { search, paths, namespace: keys.name(index) }
  }

  test('is completed by comparing the rest here', async () => {
    const { search, paths, namespace } = await fill(3, 90)
    const { vector, plan } = await search(rare, 100)
    const expected = Array.from({ length: 30 }, (_, i) => `d${87 - 3 * i}`)
    expect(vector!.map(({ documentId }) => documentId)).toEqual(expected)
    expect(plan).toMatchObject([{ side: 'vector', name: 'filter-and-compare', approximate: false }])
    expect(paths).toEqual([`/query/${namespace}`, `/fetch/${namespace}`])
    expect(plan[0]!.commands[0]).toContain(`"filter":"f_color CONTAINS 'rare'"`)
    expect(plan[0]!.commands.join()).toContain('POST /fetch/')
    expect((await search(rare, 20)).vector).toEqual(vector!.slice(0, 20))
  })

  test('costs no more where Upstash gave enough', async () => {
    const { search, paths, namespace } = await fill(3, 90)
    const { vector, plan } = await search(rare, 2)
    expect(vector!.map(({ documentId }) => documentId)).toEqual(['d87', 'd84'])
    expect(plan).toMatchObject([{ name: 'filter', approximate: true, why: expect.stringMatching(/DiskANN/) }])
    expect(paths).toEqual([`/query/${namespace}`])
  })

  test('is called approximate where that would be too many', async () => {
    const { search, paths } = await fill(3_072, 180)
    const { vector, plan } = await search({ type: 'gte', key: 'size', value: 0 }, 180)
    expect(vector).toHaveLength(10)
    expect(plan).toMatchObject([
      {
        name: 'filter',
        approximate: true,
        why: expect.stringMatching(/^of 180 chunks that pass, Upstash gave 10:/),
      },
    ])
    expect(paths).toHaveLength(1)
  })
})

describe('metrics that the local server lacks, by what Upstash would answer', () => {
  const withAnswer = (result: unknown) => {
    const bodies: { path: string; body: { vector?: number[] } }[] = []
    const fetch = async (url: string | URL | Request, init?: RequestInit) => {
      bodies.push({ path: new URL(String(url)).pathname, body: JSON.parse(String(init!.body)) })
      return Response.json({ result })
    }
    const vectors = createVectorsUpstash({
      ...{ url: 'https://x.upstash.io', token: 't', fetch, redis: connect(), keys },
    })
    return { vectors, bodies }
  }
  const search = { vector: Float32Array.of(3, 4), limit: 1, ...PATIENT }

  test('euclidean: Upstash’s score is the port’s', async () => {
    const { vectors } = withAnswer([{ id: 'a#1.0', score: 0.2 }])
    const { vector } = await vectors.search(toIndex({ metric: 'euclidean' }), search)
    expect(vector).toEqual([{ documentId: 'a', version: 1, n: 0, score: 0.2 }])
  })

  test('dot product: of vectors of length 1 only, the query’s length being put back', async () => {
    const { vectors, bodies } = withAnswer([{ id: 'a#1.0', score: 0.9 }])
    const index = toIndex({ metric: 'dot_product' })
    const { vector } = await vectors.search(index, search)
    expect(vector![0]!.score).toBeCloseTo(4, 6)
    expect(bodies[0]!.body.vector).toEqual([expect.closeTo(0.6, 6), expect.closeTo(0.8, 6)])
    await expect(vectors.put(index, [toChunk('long', [3, 4])], PATIENT)).rejects.toMatchObject({
      ...{ status: 400, code: 'vector_not_normalized', message: expect.stringContaining('`long`') },
    })
    expect(bodies).toHaveLength(1)
  })

  test('an index that is not dense is refused', async () => {
    const info = { dimension: 2, similarityFunction: 'COSINE', indexType: 'HYBRID' }
    const { vectors } = withAnswer(info)
    await expect(vectors.create(toIndex(), PATIENT)).rejects.toMatchObject({
      ...{
        status: 501,
        code: 'not_supported',
        message: expect.stringMatching(/is hybrid: it must be dense/),
      },
    })
  })
})

describe('bad days', () => {
  const search = { vector: Float32Array.of(1, 0), limit: 1, ...PATIENT }
  const at = (url: string, token = 'a-token-that-is-wrong') =>
    createVectorsUpstash({ url, token, redis: connect(), keys })
  const unavailable = (message: RegExp) => ({
    ...{ status: 503, code: 'vectors_unavailable', message: expect.stringMatching(message) },
  })

  test('a wrong token is told without showing it', async () => {
    const { url } = await start()
    const error = await at(url)
      .search(toIndex(), search)
      .catch((error) => error)
    expect(error).toMatchObject(unavailable(/^Upstash Vector refuses UPSTASH_VECTOR_REST_TOKEN\. /))
    expect(`${error.message} ${error.cause}`).not.toContain('a-token')
  })

  test.each([
    [
      'an overload',
      { status: 429, errorBody: { error: 'Exceeded daily request limit', status: 429 } },
      /daily/,
    ],
    ['a failure', { status: 500, errorBody: '<html>' }, /status 500/],
    ['a page of a proxy', { raw: '<html>', contentType: 'text/html' }, /status 200/],
    ['a broken connection', { cut: 'destroy' as const }, /cannot be reached/],
  ])('%s is 503, after one request', async (_, behaviour, message) => {
    const provider = await startProvider(behaviour)
    onTestFinished(provider.close)
    const error = await at(provider.url)
      .search(toIndex(), search)
      .catch((error) => error)
    expect(error).toMatchObject(unavailable(message))
    expect(provider.count).toBe(1)
  })

  test('what takes too long is 503', async () => {
    const provider = await startProvider({ silent: 'head' })
    onTestFinished(provider.close)
    await expect(at(provider.url).search(toIndex(), { ...search, timeoutMs: 50 })).rejects.toMatchObject(
      unavailable(/^Upstash Vector did not answer in time\. /),
    )
  })

  test('nobody there is 503', async () => {
    await expect(at('http://127.0.0.1:9').search(toIndex(), search)).rejects.toMatchObject(
      unavailable(/^Upstash Vector cannot be reached\. /),
    )
  })

  test('an address that is not Upstash Vector’s does not look like an empty index', async () => {
    const provider = await startProvider({ status: 404, errorBody: { error: 'Not found' } })
    onTestFinished(provider.close)
    await expect(at(provider.url).search(toIndex(), search)).rejects.toMatchObject({
      ...{ status: 502, code: 'vectors_refused', message: 'Upstash Vector refused the request: Not found' },
    })
  })

  test('a refusal is told in Upstash’s words', async () => {
    const { vectors } = await start()
    const index = toIndex()
    await vectors.put(index, [toChunk('a', [1, 0])], PATIENT)
    const long = { ...search, vector: Float32Array.of(1, 2, 3) }
    await expect(vectors.search(index, long)).rejects.toMatchObject({
      ...{ status: 502, code: 'vectors_refused' },
      message: expect.stringMatching(/refused the request: Invalid vector dimension: 3, expected: 2$/),
    })
  })
})
