import OpenAI from 'openai'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { documentKey } from '../../shared/keys.ts'
import { startApp, type TestApp, unique } from '../support/app.ts'
import { startTestBridge } from '../support/bridge.ts'
import { patient, startTestRedis, testRedisUrl } from '../support/redis.ts'

const FIELDS = { color: 'tag', size: 'number', filename: 'text' } as const

const DOCUMENTS = [
  {
    id: 'cache',
    text: 'A cache keeps answers, so that the same question costs nothing.',
    metadata: { color: 'red', size: 1 },
  },
  {
    id: 'lock',
    text: 'A lock carries a fencing token, which only rises.',
    metadata: { color: 'blue', size: 2 },
  },
  {
    id: 'stream',
    text: 'Streams are truth and channels wake those who wait.',
    metadata: { color: 'red', size: 3, filename: 'stream.md' },
  },
]

async function start(options: Parameters<typeof startApp>[0] = {}) {
  const hub = await startApp(options)
  onTestFinished(() => hub[Symbol.asyncDispose]())
  return hub
}

/** A new index with these documents. */
async function fill(hub: TestApp, documents: object[] = DOCUMENTS, settings: object = {}, headers = {}) {
  const index = unique('search')
  const made = await hub.send('PUT', `/v1/indexes/${index}`, { fields: FIELDS, ...settings }, headers)
  expect(made.status, await made.clone().text()).toBe(201)
  const put = await hub.send('POST', `/v1/indexes/${index}/documents`, documents, headers)
  expect(put.status, await put.clone().text()).toBe(201)
  await hub.settled()
  return index
}

async function search(hub: TestApp, index: string, body: object, headers = {}) {
  const response = await hub.send('POST', `/v1/indexes/${index}/search`, body, headers)
  return { status: response.status, ...(await response.json()) }
}
const ids = ({ results }: { results: { document_id: string }[] }) => results.map((one) => one.document_id)

describe('search', () => {
  it('is hybrid by default: the best chunks with text, score, similarity, metadata and highlights', async () => {
    const hub = await start()
    const index = await fill(hub)
    const found = await search(hub, index, { query: 'do cached answers cost nothing?' })
    const [first] = found.results
    expect(first).toMatchObject({ document_id: 'cache', chunk: 0, metadata: { color: 'red', size: 1 } })
    expect(first.text).toBe(DOCUMENTS[0]!.text)
    expect(first.score).toBeGreaterThanOrEqual(0.7)
    expect(first.score).toBeLessThanOrEqual(1)
    expect(first.similarity).toBeGreaterThan(0)
    const marked = first.highlights.map(({ start, end }: { start: number; end: number }) =>
      first.text.slice(start, end),
    )
    expect(marked).toEqual(['cache', 'answers', 'costs', 'nothing'])
  })

  it('by vector alone scores similarity, and text alone finds what shares a word', async () => {
    const hub = await start()
    const index = await fill(hub)
    const same = await search(hub, index, { query: DOCUMENTS[1]!.text, mode: 'vector' })
    expect(same.results).toHaveLength(3)
    expect(same.results[0]).toMatchObject({ document_id: 'lock' })
    expect(same.results[0].score).toBeCloseTo(1, 4)
    const worded = await search(hub, index, { query: 'fenced tokens', mode: 'text' })
    expect(ids(worded)).toEqual(['lock'])
  })

  it('takes the caller’s vectors in an index without a model, and then searches words for a query alone', async () => {
    const hub = await start()
    const documents = [
      { id: 'x', text: 'first of all', vector: [1, 0, 0] },
      { id: 'y', text: 'second of all', vector: [0, 1, 0] },
    ]
    const index = await fill(hub, documents, { fields: {}, dimensions: 3, embedding_model: null })
    const near = await search(hub, index, { vector: [1, 0.1, 0] })
    expect(ids(near)).toEqual(['x', 'y'])
    expect(near.results[0].highlights).toBeUndefined()
    expect(ids(await search(hub, index, { query: 'second' }))).toEqual(['y'])
    const both = await search(hub, index, { query: 'second', vector: [1, 0, 0], explain: true })
    expect(both.explain.mode).toBe('hybrid')
    expect(ids(both).toSorted()).toEqual(['x', 'y'])
    expect(await search(hub, index, { query: 'second', mode: 'vector' })).toMatchObject({
      status: 400,
      error: { param: 'vector' },
    })
  })

  it('filters, and returns at most top_k', async () => {
    const hub = await start()
    const index = await fill(hub)
    const filter = {
      type: 'and',
      filters: [
        { type: 'eq', key: 'color', value: 'red' },
        { type: 'gt', key: 'size', value: 1 },
      ],
    }
    for (const mode of ['vector', 'text', 'hybrid']) {
      expect(ids(await search(hub, index, { query: 'streams cache lock', filter, mode })), mode).toEqual([
        'stream',
      ])
    }
    expect((await search(hub, index, { query: 'streams cache lock', top_k: 2 })).results).toHaveLength(2)
  })

  it('min_score is least similarity, also of what was found by its words', async () => {
    const hub = await start()
    const long = `lock ${Array.from({ length: 80 }, (_, i) => `filler${i}`).join(' ')}`
    const others = Array.from({ length: 60 }, (_, i) => ({ id: `o${i}`, text: `channels wake number ${i}` }))
    const index = await fill(hub, [...DOCUMENTS, { id: 'long', text: long }, ...others])
    const query = 'fencing lock number'
    expect(ids(await search(hub, index, { query, top_k: 100 }))).toContain('long')
    const found = await search(hub, index, { query, min_score: 0.3, top_k: 100 })
    expect(ids(found)).toContain('lock')
    expect(ids(found)).not.toContain('long')
    for (const { similarity } of found.results) expect(similarity).toBeGreaterThanOrEqual(0.3)
    expect(await search(hub, index, { query, min_score: 0.3, mode: 'text' })).toMatchObject({
      status: 400,
      error: { param: 'min_score' },
    })
  })

  it('several chunks of a document are several results', async () => {
    const hub = await start()
    const text = `${'A lock ends. '.repeat(40)}\n\n${'A lock begins. '.repeat(40)}`
    const index = await fill(hub, [{ id: 'd', text }], { chunking: { size: 400, overlap: 0 } })
    const { results } = await search(hub, index, { query: 'lock' })
    expect(results.length).toBeGreaterThan(1)
    expect(new Set(results.map(({ chunk }: { chunk: number }) => chunk)).size).toBe(results.length)
  })

  it('explains: plan, fusion, phases', async () => {
    const hub = await start()
    const index = await fill(hub)
    const { explain } = await search(hub, index, { query: 'a lock', explain: true })
    expect(explain).toMatchObject({ mode: 'hybrid', store: 'vectorset', stale: 0 })
    expect(explain.fusion).toEqual({ method: 'weighted_sum', vector_weight: 0.3 })
    expect(explain.plan.map(({ side }: { side: string }) => side).toSorted()).toEqual(['text', 'vector'])
    expect(explain.phases.map(({ name }: { name: string }) => name)).toEqual([
      'admission',
      'index',
      'embedding',
      'search',
      'read',
    ])
    for (const { milliseconds } of explain.phases) expect(milliseconds).toBeGreaterThanOrEqual(0)
  })

  it('a replaced document is found as it is now, a deleted one not at all', async () => {
    const hub = await start()
    const index = await fill(hub)
    await hub.send('POST', `/v1/indexes/${index}/documents`, [{ id: 'lock', text: 'Nothing but elephants.' }])
    await hub.delete(`/v1/indexes/${index}/documents/cache`)
    const { results } = await search(hub, index, { query: 'cache lock fencing elephants' })
    expect(results.map(({ text }: { text: string }) => text).toSorted()).toEqual([
      'Nothing but elephants.',
      DOCUMENTS[2]!.text,
    ])
  })

  it('hits that count no longer, and are not swept yet, take nobody’s place', async () => {
    const hub = await start()
    const documents = Array.from({ length: 40 }, (_, i) => ({
      id: `d${i}`,
      text: 'same',
      vector: [1, i / 100],
    }))
    const index = await fill(hub, documents, { fields: {}, dimensions: 2, embedding_model: null })
    const redis = patient(createRedisResp({ url: testRedisUrl() }))
    // As if a process had died after it deleted them.
    await redis.wave(documents.slice(0, 30).map(({ id }) => ['DEL', documentKey('default', index, id)]))
    await redis.close()
    const found = await search(hub, index, { vector: [1, 0], top_k: 5, explain: true })
    expect(ids(found)).toEqual(['d30', 'd31', 'd32', 'd33', 'd34'])
    expect(found.explain.stale).toBe(30)
  })

  it.each([
    ['no query and no vector', {}, 'query'],
    ['an empty query', { query: '  ' }, 'query'],
    ['a text search without a query', { vector: [1], mode: 'text' }, 'query'],
    ['another length', { vector: [1, 2] }, 'vector'],
    ['a zero vector', { vector: Array(1536).fill(0) }, 'vector'],
    ['what is zero as a float32', { vector: Array(1536).fill(1e-60) }, 'vector'],
    ['what a float32 cannot hold', { vector: [1e300, ...Array(1535).fill(1)] }, 'vector'],
    ['null in a vector, which is JSON’s NaN', { vector: [null, ...Array(1535).fill(1)] }, 'vector[0]'],
    ['top_k 0', { query: 'x', top_k: 0 }, 'top_k'],
    ['top_k 1001', { query: 'x', top_k: 1001 }, 'top_k'],
    ['an undeclared field', { query: 'x', filter: { type: 'eq', key: 'nope', value: 1 } }, 'filter.key'],
    [
      'an undeclared field within',
      { query: 'x', filter: { type: 'or', filters: [{ type: 'eq', key: 'nope', value: 1 }] } },
      'filter.filters[0].key',
    ],
    ['a misspelt field', { query: 'x', topk: 3 }, 'topk'],
  ])('refuses %s with 400 and the path', async (_, body, param) => {
    const hub = await start()
    const index = await fill(hub)
    expect(await search(hub, index, body)).toMatchObject({ status: 400, error: { param } })
  })

  it('a key that may name other models alone searches and fills what is there', async () => {
    const hub = await start()
    const tenant = unique('tenant')
    const keyOf = async (settings: object) =>
      (await (await hub.send('POST', '/v1/keys', { tenant, ...settings })).json()).key as string
    const index = await fill(hub, DOCUMENTS, {}, { authorization: `Bearer ${await keyOf({})}` })
    const narrow = { authorization: `Bearer ${await keyOf({ models: ['openai/gpt-4o-mini'] })}` }
    const found = await search(hub, index, { query: 'fencing token', top_k: 1 }, narrow)
    expect({ status: found.status, ids: ids(found) }).toEqual({ status: 200, ids: ['lock'] })
    const more = [{ id: 'more', text: 'More of it.' }]
    expect((await hub.send('POST', `/v1/indexes/${index}/documents`, more, narrow)).status).toBe(201)
  })

  it('an unknown index is 404; a stranger does not learn even that', async () => {
    const HUB_ADMIN_KEY = 'an-admin-key-of-tests'
    const hub = await start({ env: { HUB_ADMIN_KEY } })
    const admin = { authorization: `Bearer ${HUB_ADMIN_KEY}` }
    expect(await search(hub, unique('none'), { query: 'x' }, admin)).toMatchObject({
      status: 404,
      error: { code: 'index_not_found' },
    })
    expect(await search(hub, unique('none'), { query: 'x' })).toMatchObject({ status: 401 })
    const tenant = unique('acme')
    const make = async (fields: object) =>
      (await (await hub.send('POST', '/v1/keys', { tenant, ...fields }, admin)).json()).key
    const unscoped = { authorization: `Bearer ${await make({ scopes: ['prompts'] })}` }
    expect(await search(hub, unique('none'), { query: 'x' }, unscoped)).toMatchObject({
      status: 403,
      error: { code: 'scope_missing' },
    })
    // Another tenant's index is not there.
    const index = await fill(hub, DOCUMENTS, {}, admin)
    const member = { authorization: `Bearer ${await make({})}` }
    expect(await search(hub, index, { query: 'x' }, member)).toMatchObject({ status: 404 })
  })

  it('an outage of Redis is 503', async () => {
    const redis = await startTestRedis()
    const hub = await start({ env: { REDIS_URL: redis.url } })
    const index = await fill(hub)
    await redis.stop()
    expect(await search(hub, index, { query: 'lock', mode: 'text' })).toMatchObject({ status: 503 })
  })

  it('a failing embedding provider is told, and text search goes on', async () => {
    let down = false
    const hub = await start({ provider: { behave: () => (down ? { status: 500 } : undefined) } })
    const index = await fill(hub)
    down = true
    const { status, error } = await search(hub, index, { query: unique('lock') })
    expect(status).toBeGreaterThanOrEqual(500)
    expect(error.message).toBeTruthy()
    expect((await search(hub, index, { query: 'fencing', mode: 'text' })).status).toBe(200)
  })
})

describe('a hot vector search', () => {
  const HUB_ADMIN_KEY = 'an-admin-key-of-tests'
  const admin = { authorization: `Bearer ${HUB_ADMIN_KEY}` }

  async function prepare(env: Record<string, string>) {
    const hub = await start({ env: { HUB_ADMIN_KEY, ...env }, tallyDelayMs: 5_000 })
    const { key } = await (await hub.send('POST', '/v1/keys', { tenant: unique('hot') }, admin)).json()
    const headers = { authorization: `Bearer ${key}` }
    const settings = { fields: {}, dimensions: 2, embedding_model: null }
    const index = await fill(hub, [{ id: 'a', text: 'a', vector: [1, 0] }], settings, headers)
    const hot = () => search(hub, index, { vector: [1, 0] }, headers)
    await hot()
    await hub.settled()
    return { hub, hot }
  }

  it('asks who calls and what is near, then reads the chunks', async () => {
    const { hub, hot } = await prepare({ HUB_INDEX_PARTITIONS: '1' })
    hub.waves.length = 0
    expect(ids(await hot())).toEqual(['a'])
    const names = hub.waves.map((wave) => wave.map((call) => ('script' in call ? call.script.name : call[0])))
    expect(names).toEqual([['HMGET'], ['VSIM'], ['HMGET', expect.any(String)]])
  })

  it('waits on Redis twice over HTTP', async () => {
    const redis = await startTestRedis()
    onTestFinished(redis.stop)
    const bridge = await startTestBridge({ redisUrl: redis.url })
    onTestFinished(bridge.close)
    const { hot } = await prepare({
      REDIS_URL: '',
      UPSTASH_REDIS_REST_URL: bridge.url,
      UPSTASH_REDIS_REST_TOKEN: bridge.token,
    })
    const { fetch } = globalThis
    let running = 0
    let waits = 0
    globalThis.fetch = async (...call) => {
      if (running++ === 0) waits += 1
      return fetch(...call).finally(() => {
        running -= 1
      })
    }
    onTestFinished(() => {
      globalThis.fetch = fetch
    })
    expect(ids(await hot())).toEqual(['a'])
    expect(waits).toBe(2)
  })
})

describe('OpenAI’s vector stores', () => {
  async function openai() {
    const hub = await start()
    const index = await fill(hub)
    const fetch = (url: string | URL | Request, init?: RequestInit) => {
      const headers = new Headers(init?.headers)
      headers.set('host', 'localhost')
      return hub.app.request(String(url), { ...init, headers }, { defer() {} }) as Promise<Response>
    }
    return {
      index,
      client: new OpenAI({ apiKey: 'local', baseURL: 'http://localhost/v1', fetch, maxRetries: 0 }),
    }
  }

  it('are searched by its own client', async () => {
    const { client, index } = await openai()
    const page = await client.vectorStores.search(index, {
      query: 'streams and channels',
      filters: { type: 'eq', key: 'color', value: 'red' },
      max_num_results: 2,
    })
    expect(page.object).toBe('vector_store.search_results.page')
    expect(page.data[0]).toMatchObject({
      file_id: 'stream',
      filename: 'stream.md',
      attributes: { color: 'red', size: 3 },
      content: [{ type: 'text', text: DOCUMENTS[2]!.text }],
    })
    expect(page.data).toHaveLength(2)
    expect(page.data[1]!.filename).toBe('cache')
    expect(page.hasNextPage()).toBe(false)
    for (const { score } of page.data) expect(score).toBeLessThanOrEqual(1)
  })

  it('say what was searched with', async () => {
    const hub = await start()
    const index = await fill(hub)
    const body = { query: ['locks', 'streams'], rewrite_query: true }
    const page = await (await hub.send('POST', `/v1/vector_stores/${index}/search`, body)).json()
    expect(page).toMatchObject({ search_query: ['locks', 'streams'], has_more: false, next_page: null })
  })

  it('take several queries, a threshold and no ranker', async () => {
    const { client, index } = await openai()
    const both = await client.vectorStores.search(index, {
      query: ['fencing token', 'wake channels'],
      max_num_results: 2,
    })
    expect(both.data.map(({ file_id }) => file_id).toSorted()).toEqual(['lock', 'stream'])
    const ranking_options = { ranker: 'none', score_threshold: 0.99 } as const
    const exact = await client.vectorStores.search(index, { query: DOCUMENTS[0]!.text, ranking_options })
    expect(exact.data.map(({ file_id }) => file_id)).toEqual(['cache'])
  })

  it('tell errors in OpenAI’s terms', async () => {
    const { client, index } = await openai()
    const filters = { type: 'eq', key: 'nope', value: 'x' } as const
    await expect(client.vectorStores.search(index, { query: 'x', filters })).rejects.toMatchObject({
      status: 400,
      param: 'filters.key',
    })
    await expect(
      client.vectorStores.search(index, { query: 'x', max_num_results: 51 }),
    ).rejects.toMatchObject({
      status: 400,
      param: 'max_num_results',
    })
    await expect(client.vectorStores.search(unique('none'), { query: 'x' })).rejects.toMatchObject({
      status: 404,
    })
  })
})
