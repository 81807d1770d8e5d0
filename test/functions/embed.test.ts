import OpenAI, { type APIError } from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createEmbedderLocal } from '../../shared/drivers/embedder-local.ts'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { startApp, type TestApp, type TestAppOptions, unique } from '../support/app.ts'
import { bagOfWords, startProvider } from '../support/provider.ts'
import { startTestRedis, testRedisUrl } from '../support/redis.ts'

const HUB_ADMIN_KEY = 'an-admin-key-of-tests'
const admin = { authorization: `Bearer ${HUB_ADMIN_KEY}` }
const MODEL = 'openai/text-embedding-3-small'

const open: AsyncDisposable[] = []
afterEach(async () => {
  for (const resource of open.splice(0).reverse()) await resource[Symbol.asyncDispose]()
})
const started = async (options?: TestAppOptions) => {
  const hub = await startApp(options)
  open.push(hub)
  return hub
}

/** The real client, in front of a hub in this process. */
const clientOf = (hub: TestApp, apiKey = 'none') =>
  new OpenAI({
    baseURL: 'http://localhost/v1',
    apiKey,
    maxRetries: 0,
    fetch: (url, init) =>
      hub.send(
        'POST',
        new URL(String(url)).pathname,
        init!.body,
        Object.fromEntries(new Headers(init!.headers)),
      ),
  })

const embed = async (
  hub: TestApp,
  input: unknown,
  more: object = {},
  headers: Record<string, string> = {},
) => {
  const reply = await hub.send('POST', '/v1/embeddings', { model: MODEL, input, ...more }, headers)
  await hub.settled()
  const body = await reply.json()
  return {
    ...{ reply, body, status: reply.status, error: body.error, usage: body.usage?.prompt_tokens },
    cache: reply.headers.get('cache-status')?.replace('redis-ai-hub; ', ''),
    vectors: body.data?.map((one: { embedding: number[] }) => Float32Array.from(one.embedding)),
  }
}

/** Inputs of each call that the provider got. */
const asked = (hub: TestApp) => hub.provider.requests.map(({ body }) => body.input as string[])
const texts = (count: number) => Array.from({ length: count }, () => crypto.randomUUID())
const expected = (inputs: string[]) => inputs.map((text) => bagOfWords(text, 1536))

describe('the openai client', () => {
  let hub: TestApp
  beforeAll(async () => {
    hub = await startApp()
  })
  afterAll(() => hub[Symbol.asyncDispose]())

  it.each([undefined, 'float', 'base64'] as const)(
    'gets the right numbers: encoding_format %s',
    async (format) => {
      const input = [...texts(3), 'Redis keeps it in memory']
      const made = await clientOf(hub).embeddings.create({ model: MODEL, input, encoding_format: format })
      expect(made).toMatchObject({ object: 'list', model: MODEL })
      expect(made.data.map(({ index, object }) => [index, object])).toEqual(
        input.map((_, n) => [n, 'embedding']),
      )
      const vectors = made.data.map(({ embedding }) =>
        typeof embedding === 'string'
          ? new Float32Array(new Uint8Array(Buffer.from(embedding, 'base64')).buffer)
          : Float32Array.from(embedding),
      )
      expect(vectors).toEqual(expected(input))
      expect(made.usage.prompt_tokens).toBeGreaterThan(0)
      expect(made.usage.total_tokens).toBe(made.usage.prompt_tokens)
    },
  )

  it('embeds one text, shorter, and tokens', async () => {
    const client = clientOf(hub)
    const one = await client.embeddings.create({
      model: MODEL,
      input: 'one text',
      dimensions: 64,
      user: 'me',
    })
    expect(one.data.map(({ embedding }) => Float32Array.from(embedding))).toEqual([
      bagOfWords('one text', 64),
    ])
    const [token] = [Math.floor(Math.random() * 1e9)]
    const tokens = await client.embeddings.create({ model: MODEL, input: [token, 2, 3] })
    expect(tokens.data).toHaveLength(1)
    const lists = await client.embeddings.create({ model: MODEL, input: [[token], [2, 3, 4]] })
    expect(lists.data).toHaveLength(2)
    expect(asked(hub).slice(-2)).toEqual([[[token, 2, 3]], [[token], [2, 3, 4]]])
  })

  it('embeds 2,048 texts, in batches', async () => {
    const input = texts(2048)
    const before = hub.provider.count
    const made = await clientOf(hub).embeddings.create({ model: MODEL, input, dimensions: 8 })
    expect(made.data).toHaveLength(2048)
    expect(Float32Array.from(made.data[2047]!.embedding)).toEqual(bagOfWords(input[2047]!, 8))
    expect(hub.provider.count - before).toBe(4)
    const error = await clientOf(hub)
      .embeddings.create({ model: MODEL, input: [...input, 'more'] })
      .catch((error: APIError) => error)
    expect(error).toMatchObject({ status: 400, param: 'input', message: expect.stringContaining('2049') })
  })
})

describe('batches', () => {
  it('keep to the provider’s bounds, in texts and in characters; a text beyond them goes alone', async () => {
    const provider = await startProvider()
    open.push({ [Symbol.asyncDispose]: provider.close })
    const env = { MISTRAL_API_KEY: 'key', MISTRAL_BASE_URL: provider.url, TEI_BASE_URL: provider.url }
    const hub = await started({ env })
    const sizes = () =>
      provider.requests.splice(0).map(({ body }) => (body.input as string[]).map((text) => text.length))
    const long = (size: number) => crypto.randomUUID().padEnd(size, ' x')
    const input = [7000, 7000, 7000, 20_000, 100].map(long)
    expect(await embed(hub, input, { model: 'mistral/m' })).toMatchObject({ status: 200 })
    expect(sizes().toSorted()).toEqual([[100], [20_000], [7000], [7000, 7000]])
    expect(await embed(hub, texts(70), { model: 'tei/any' })).toMatchObject({ status: 200 })
    expect(
      sizes()
        .map(({ length }) => length)
        .toSorted(),
    ).toEqual([32, 32, 6])
  })
})

describe('bad input gets a clear error, and nothing is asked', () => {
  let hub: TestApp
  beforeAll(async () => {
    hub = await startApp({ env: { TEI_BASE_URL: 'http://127.0.0.1:9' } })
  })
  afterAll(() => hub[Symbol.asyncDispose]())

  it.each<[string, object, object]>([
    ['no input', { input: undefined }, { param: 'input' }],
    ['null', { input: null }, { param: 'input' }],
    ['an empty text', { input: '' }, { param: 'input[0]' }],
    ['no texts', { input: [] }, { param: 'input' }],
    ['an empty text among others', { input: ['a', ''] }, { param: 'input[1]' }],
    ['no tokens', { input: [[1], []] }, { param: 'input[1]' }],
    ['texts and tokens', { input: ['a', 1] }, { param: 'input' }],
    ['half a token', { input: [1.5] }, { param: 'input' }],
    ['an object', { input: { text: 'a' } }, { param: 'input' }],
    [
      'tokens where only texts are taken',
      { model: 'tei/any', input: ['a'].map(() => 7) },
      { param: 'input[0]' },
    ],
    ['no model', { model: undefined }, { param: 'model' }],
    ['no such provider', { model: 'nobody/m' }, { status: 404, param: 'model', code: 'provider_not_found' }],
    ['a provider without a key', { model: 'cohere/m' }, { param: 'model', code: 'provider_not_configured' }],
    ['one without embeddings', { model: 'anthropic/m' }, { param: 'model' }],
    ['no dimensions', { dimensions: 0 }, { param: 'dimensions' }],
    ['dimensions in words', { dimensions: 'many' }, { param: 'dimensions' }],
    ['an unknown encoding', { encoding_format: 'hex' }, { param: 'encoding_format' }],
    ['local where there is none', { model: 'local' }, { param: 'model', code: 'provider_not_configured' }],
  ])('%s', async (_, body, error) => {
    const reply = await embed(hub, 'a text', body)
    const { status = 400, ...rest } = error as { status?: number }
    expect(reply.status).toBe(status)
    expect(reply.error).toMatchObject({ message: expect.any(String), type: expect.any(String), ...rest })
    expect(hub.provider.count).toBe(0)
  })
})

describe('the cache', () => {
  it('a text is paid for once: a hit asks nobody and costs nothing', async () => {
    const hub = await started()
    const input = texts(3)
    const first = await embed(hub, input)
    expect(first).toMatchObject({ status: 200, cache: 'fwd=miss', vectors: expected(input) })
    const again = await embed(hub, input.toReversed())
    expect(again).toMatchObject({ cache: 'hit', usage: 0, vectors: expected(input.toReversed()) })
    expect(hub.provider.count).toBe(1)
    const [more] = texts(1)
    const partial = await embed(hub, [...input, more])
    expect(partial).toMatchObject({ cache: 'fwd=partial', vectors: expected([...input, more!]) })
    expect(asked(hub)).toEqual([input, [more]])
  })

  it('equal texts of one call are embedded once', async () => {
    const hub = await started()
    const [a, b] = texts(2) as [string, string]
    expect(await embed(hub, [a, b, a, a])).toMatchObject({ vectors: expected([a, b, a, a]) })
    expect(asked(hub)).toEqual([[a, b]])
  })

  it('is not shared between models, lengths, credentials, and a text that looks like tokens', async () => {
    const hub = await started()
    const input = [unique('7')]
    await embed(hub, input)
    expect(await embed(hub, input, { dimensions: 64 })).toMatchObject({ cache: 'fwd=miss' })
    expect(await embed(hub, input, { model: 'openai/other' })).toMatchObject({ cache: 'fwd=miss' })
    const other = await started({ env: { OPENAI_API_KEY: 'sk-other', OPENAI_BASE_URL: hub.provider.url } })
    expect(await embed(other, input)).toMatchObject({ cache: 'fwd=miss' })
    const number = Math.floor(Math.random() * 1e9)
    await embed(hub, [number])
    expect(await embed(hub, String(number))).toMatchObject({ cache: 'fwd=miss' })
  })

  it('is not shared between tenants', async () => {
    const hub = await started({ env: { HUB_ADMIN_KEY } })
    const input = texts(1)
    for (const _ of [1, 2]) {
      const { headers } = await newKey(hub)
      expect(await embed(hub, input, {}, headers)).toMatchObject({ cache: 'fwd=miss' })
      expect(await embed(hub, input, {}, headers)).toMatchObject({ cache: 'hit' })
    }
  })

  it('is asked and kept as Cache-Control says', async () => {
    const hub = await started()
    const [a, b] = texts(2)
    await embed(hub, a, {}, { 'cache-control': 'no-store' })
    expect(await embed(hub, a)).toMatchObject({ cache: 'fwd=miss' })
    expect(await embed(hub, a, {}, { 'cache-control': 'no-cache' })).toMatchObject({ cache: 'fwd=request' })
    await embed(hub, b, {}, { 'cache-control': 'no-cache' })
    expect(await embed(hub, b)).toMatchObject({ cache: 'hit' })
  })

  it('one wave reads it, however many texts there are', async () => {
    const hub = await started()
    hub.waves.length = 0
    await hub.send('POST', '/v1/embeddings', { model: MODEL, input: texts(100) })
    const reads = hub.waves.filter((wave) => wave.some((call) => 'at' in call && call[0] === 'GET'))
    expect(reads.map((wave) => wave.length)).toEqual([100])
    await hub.settled()
  })

  it('many vectors are written in waves that any service takes', async () => {
    const hub = await started()
    const input = texts(200)
    await embed(hub, input)
    const writes = hub.waves.filter((wave) => wave.some((call) => 'at' in call && call[0] === 'SET'))
    expect(writes.length).toBeGreaterThan(1)
    for (const wave of writes) expect(JSON.stringify(wave).length).toBeLessThan(1_000_000)
    expect(await embed(hub, input)).toMatchObject({ cache: 'hit' })
  })

  it('what is broken in it, or of another length than now, is made again', async () => {
    const hub = await started({
      provider: { behave: (call) => ({ embeddings: { dimensions: call < 2 ? 8 : 16 } }) },
    })
    const input = texts(3)
    await embed(hub, input)
    const keys = hub.waves
      .flat()
      .flatMap((call) => ('at' in call && call[0] === 'SET' ? [String(call[1])] : []))
    expect(keys).toHaveLength(3)
    const redis = createRedisResp({ url: testRedisUrl() })
    await redis.wave([
      ['SET', keys[0]!, 'no vector'],
      ['DEL', keys[1]!],
      ['LPUSH', keys[1]!, 'a list'],
    ])
    await redis.close()
    const { vectors, status } = await embed(hub, input)
    expect(status).toBe(200)
    expect(vectors).toEqual(input.map((text) => bagOfWords(text, 16)))
  })
})

async function newKey(hub: TestApp, settings: object = {}) {
  const reply = await hub.send('POST', '/v1/keys', { tenant: unique('acme'), ...settings }, admin)
  const { key, id } = (await reply.json()) as { key: string; id: string }
  return { id, headers: { authorization: `Bearer ${key}` } }
}

describe('bad days', () => {
  it('a provider that goes down half-way gives an error and no half answer; what was paid for is kept', async () => {
    let down = true
    // Four batches of 32 are on their way at once: when the sixth is asked for, two have come back.
    const provider = await startProvider({ behave: (call) => (call > 5 && down ? { cut: 'destroy' } : {}) })
    open.push({ [Symbol.asyncDispose]: provider.close })
    const hub = await started({ env: { TEI_BASE_URL: provider.url } })
    const input = texts(320)
    const failed = await embed(hub, input, { model: 'tei/any' })
    expect(failed).toMatchObject({ status: 502, error: { code: 'provider_unreachable' } })
    expect(failed.body.data).toBeUndefined()
    down = false
    const before = provider.requests.length
    const again = await embed(hub, input, { model: 'tei/any' })
    const vectors = input.map((text) => bagOfWords(text, 256))
    expect(again).toMatchObject({ status: 200, cache: 'fwd=partial', vectors })
    const rest = provider.requests.slice(before).flatMap(({ body }) => body.input)
    expect(rest.length).toBeLessThanOrEqual(320 - 2 * 32)
  })

  it('a caller who leaves ends the provider’s calls', async () => {
    const hub = await started({ provider: { silent: 'head' } })
    const leave = new AbortController()
    const body = JSON.stringify({ model: MODEL, input: texts(2000) })
    const headers = { host: 'localhost', 'content-type': 'application/json' }
    const init = { method: 'POST', body, headers, signal: leave.signal }
    const answer = hub.app.request('http://localhost/v1/embeddings', init, { defer: (work) => void work })
    await expect.poll(() => hub.provider.count).toBe(4)
    leave.abort()
    await answer
    await expect.poll(() => hub.provider.aborted).toBe(4)
    expect(hub.provider.count).toBe(4)
  })

  it('a busy provider is asked again when it says so; the caller sees no error', async () => {
    const hub = await started({
      provider: {
        behave: (call) => (call === 1 ? { status: 429, retryAfter: '0' } : call === 2 ? { status: 503 } : {}),
      },
    })
    const input = texts(2)
    expect(await embed(hub, input)).toMatchObject({ status: 200, vectors: expected(input) })
    expect(hub.provider.count).toBe(3)
  })

  it('one that wants a minute is not waited for, nor one that wants money', async () => {
    const busy = await started({ provider: { status: 429, retryAfter: '60' } })
    const refused = await embed(busy, texts(1))
    expect(refused.status).toBe(429)
    expect(refused.reply.headers.get('retry-after')).toBe('60')
    expect(busy.provider.count).toBe(1)
    const errorBody = { error: { message: 'You exceeded your quota', code: 'insufficient_quota' } }
    const poor = await started({ provider: { status: 429, errorBody } })
    expect(await embed(poor, texts(1))).toMatchObject({ status: 429, error: { code: 'insufficient_quota' } })
    expect(poor.provider.count).toBe(1)
  })

  it('one whose batches have several lengths is a 502, and no loop', async () => {
    const hub = await started({
      provider: { behave: (call) => ({ embeddings: { dimensions: call % 2 ? 8 : 16 } }) },
    })
    const made = await embed(hub, texts(600))
    expect(made).toMatchObject({ status: 502, error: { code: 'provider_bad_response' } })
  })

  it('one that answers nonsense is a 502', async () => {
    const hub = await started({ provider: { embeddings: { count: 1 } } })
    expect(await embed(hub, texts(2))).toMatchObject({
      status: 502,
      error: { code: 'provider_bad_response' },
    })
  })

  it('without Redis texts are embedded all the same', async () => {
    const redis = await startTestRedis()
    open.push(redis)
    const hub = await started({ env: { REDIS_URL: redis.url } })
    const input = texts(2)
    await embed(hub, input)
    await redis.stop()
    expect(await embed(hub, input)).toMatchObject({
      status: 200,
      cache: 'fwd=bypass',
      vectors: expected(input),
    })
    expect(hub.provider.count).toBe(2)
  })

  it('the cache leaves a fifth of a shared Redis to state', async () => {
    const redis = await startTestRedis()
    open.push(redis)
    const operator = createRedisResp({ url: redis.url })
    open.push({ [Symbol.asyncDispose]: operator.close })
    const [info] = await operator.wave([['INFO', 'memory']])
    const used = Number(/^used_memory:(\d+)/m.exec(String(info))![1])
    await operator.wave([['CONFIG', 'SET', 'maxmemory', Math.floor(used / 0.85)]])
    const hub = await started({ env: { REDIS_URL: redis.url } })
    const input = texts(1)
    await embed(hub, input)
    expect(await embed(hub, input)).toMatchObject({ status: 200, cache: 'fwd=miss' })
  })
})

describe('who may, and what it costs', () => {
  let hub: TestApp
  beforeAll(async () => {
    const models = { 'text-embedding-3-small': { input: 1000 } } // 1 USD per thousand tokens, to count with
    hub = await startApp({ env: { HUB_ADMIN_KEY, HUB_PROVIDERS: JSON.stringify({ openai: { models } }) } })
  })
  afterAll(() => hub[Symbol.asyncDispose]())

  const usageOf = async (headers: Record<string, string>) => {
    const today = new Date().toISOString().slice(0, 10)
    const reply = await hub.get(`/v1/usage?from=${today}&to=${today}&group_by=model`, headers)
    return (await reply.json()).data as Record<string, unknown>[]
  }

  it('a key needs the scope, and the model', async () => {
    const nobody = await embed(hub, 'a', {}, {})
    expect(nobody.status).toBe(401)
    const { headers: without } = await newKey(hub, { scopes: ['cache-complete'] })
    expect(await embed(hub, 'a', {}, without)).toMatchObject({
      status: 403,
      error: { code: 'scope_missing' },
    })
    const { headers: bound } = await newKey(hub, {
      scopes: ['embed'],
      models: ['openai/text-embedding-3-large'],
    })
    expect(await embed(hub, 'a', {}, bound)).toMatchObject({
      status: 403,
      error: { code: 'model_not_allowed' },
    })
    const large = await embed(hub, texts(1), { model: 'openai/text-embedding-3-large' }, bound)
    expect(large.status).toBe(200)
  })

  it('usage counts tokens and money of what was paid for, and every request', async () => {
    const { headers } = await newKey(hub)
    const input = ['one two three four', `five ${unique('six').replace('-', '')}`]
    const { usage } = await embed(hub, input, {}, headers)
    expect(usage).toBe(6)
    await embed(hub, input, {}, headers)
    const [row] = await usageOf(headers)
    expect(row).toMatchObject({ model: MODEL, requests: 2, tokens: 6, input_tokens: 6, estimated: 0 })
    expect(row!.cost).toBeCloseTo(0.006)
  })

  it('what the provider does not count is counted here', async () => {
    const other = await started({ env: { HUB_ADMIN_KEY }, provider: { usage: {} } })
    const { headers } = await newKey(other)
    const { usage } = await embed(other, 'one two three four', {}, headers)
    expect(usage).toBeGreaterThanOrEqual(4)
    const [row] = await usageOf(headers)
    expect(row).toMatchObject({ estimated: 1, tokens: usage })
  })

  it('a budget is held before and settled after; what it does not cover is refused, and cached texts are free', async () => {
    const { headers, id } = await newKey(hub, { budget: { usd: 0.06, period: 'daily' } })
    const input = [unique('a').replaceAll('-', '')]
    expect(await embed(hub, input, {}, headers)).toMatchObject({ status: 200, usage: 1 })
    const { budget } = await (await hub.get(`/v1/keys/${id}`, admin)).json()
    expect(budget.spent_usd).toBeCloseTo(0.001)
    expect(budget.held_usd).toBe(0)
    const much = await embed(hub, 'word '.repeat(100), {}, headers)
    expect(much).toMatchObject({ status: 429, error: { code: 'insufficient_quota' } })
    expect(await embed(hub, input, {}, headers)).toMatchObject({ status: 200, cache: 'hit' })
    const unpriced = await embed(hub, texts(1), { model: 'openai/unheard-of' }, headers)
    expect(unpriced).toMatchObject({ status: 400, error: { code: 'model_not_priced' } })
  })

  it('a token limit counts what was used, not what was held', async () => {
    const limits = [{ on: 'tokens', limit: 100, window_seconds: 3600 }]
    const { headers } = await newKey(hub, { limits })
    for (let n = 0; n < 4; n++) expect((await embed(hub, texts(1), {}, headers)).status).toBe(200)
    const refused = await embed(hub, 'word '.repeat(200), {}, headers)
    expect(refused).toMatchObject({ status: 429, error: { code: 'rate_limit_exceeded' } })
    expect(refused.reply.headers.get('retry-after')).toMatch(/^\d+$/)
  })

  it('request limits are told in headers', async () => {
    const { headers } = await newKey(hub, { limits: [{ on: 'requests', limit: 5, window_seconds: 3600 }] })
    const { reply } = await embed(hub, texts(1), {}, headers)
    expect(reply.headers.get('ratelimit')).toContain('r=4')
  })
})

describe('the embedded model', () => {
  it('is `local`, needs no key, and costs nothing', async () => {
    const env = { OPENAI_API_KEY: undefined, OPENAI_BASE_URL: undefined, HUB_ADMIN_KEY }
    const hub = await started({ env, localEmbedder: createEmbedderLocal() })
    const { headers } = await newKey(hub, { budget: { usd: 0, period: 'daily' } })
    const input = texts(40)
    const made = await embed(hub, input, { model: 'local' }, headers)
    expect(made).toMatchObject({ status: 200, body: { model: 'local/local' } })
    expect(made.vectors).toHaveLength(40)
    expect(made.vectors[39]).toHaveLength(512)
    expect(made.usage).toBeGreaterThan(40)
    expect(await embed(hub, input, { model: 'local' }, headers)).toMatchObject({
      cache: 'hit',
      vectors: made.vectors,
    })
    const long = await embed(hub, ['a', 'x'.repeat(16_001)], { model: 'local' }, headers)
    expect(long).toMatchObject({ status: 400, error: { param: 'input[1]' } })
    const short = await embed(hub, 'a', { model: 'local', dimensions: 64 }, headers)
    expect(short).toMatchObject({ status: 400, error: { code: 'dimensions_not_supported' } })
  })
})
