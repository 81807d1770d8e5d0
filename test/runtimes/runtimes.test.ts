import OpenAI, { APIError, AuthenticationError, BadRequestError, NotFoundError, RateLimitError } from 'openai'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { cacheStatsKey } from '../../shared/keys.ts'
import { unique } from '../support/app.ts'
import { startTestBridge } from '../support/bridge.ts'
import {
  ADMIN_KEY,
  startLambdaHub,
  startNodeHub,
  startWorkerHub,
  type TestHub,
  until,
} from '../support/hub.ts'
import { type Behaviour, bagOfWords, startProvider } from '../support/provider.ts'
import { startTestRedis, testRedisUrl } from '../support/redis.ts'
import { startVectorBridge } from '../support/vector-bridge.ts'

type Env = Record<string, string | undefined>
type Chunk = OpenAI.ChatCompletionChunk
type Asked = { citations: { document_id: string; quote: string; start: number; end: number }[] }
type Start = (env: Env, options?: { ready?: boolean }) => Promise<TestHub>

const startStream: Start = (env, options) => startLambdaHub(env, { ...options, handler: 'streamHandler' })

/** `streams`: an answer arrives while it is being made. `hearsLeaving`: the runtime tells that a caller is gone. */
const rims: { rim: string; start: Start; streams: boolean; hearsLeaving: boolean }[] = [
  { rim: 'Node', start: startNodeHub, streams: true, hearsLeaving: true },
  { rim: 'Workers', start: startWorkerHub, streams: true, hearsLeaving: true },
  { rim: 'Lambda', start: startLambdaHub, streams: false, hearsLeaving: false },
  { rim: 'Lambda, streaming', start: startStream, streams: true, hearsLeaving: false },
]
const drivers = ['resp', 'rest'] as const

/** Made anew for each rim and driver, so that no cached answer crosses. */
let provider: Awaited<ReturnType<typeof startProvider>>
let bridge: Awaited<ReturnType<typeof startTestBridge>>
let vectorBridge: Awaited<ReturnType<typeof startVectorBridge>>

const DIMENSIONS = 64

beforeAll(async () => {
  vectorBridge = await startVectorBridge({
    redisUrl: testRedisUrl(),
    name: unique('index'),
    dimension: DIMENSIONS,
  })
  provider = await startProvider({ text: 'Hello from the mock.' })
  bridge = await startTestBridge({ redisUrl: testRedisUrl() })
})
afterAll(async () => {
  await provider?.close()
  await bridge?.close()
  await vectorBridge?.close()
})

const redisOf = (driver: (typeof drivers)[number]): Env =>
  driver === 'resp'
    ? { REDIS_URL: testRedisUrl() }
    : {
        ...{ UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token },
        ...{ UPSTASH_VECTOR_REST_URL: vectorBridge.url, UPSTASH_VECTOR_REST_TOKEN: vectorBridge.token },
      }

const cases = rims.flatMap((rim) => drivers.map((driver) => ({ ...rim, driver })))

describe.each(cases)('$rim over $driver', ({ start, driver, streams, hearsLeaving }) => {
  let hub: TestHub
  let admin: OpenAI
  let user: OpenAI
  let tenant: string

  beforeAll(async () => {
    hub = await start({ ...redisOf(driver), OPENAI_API_KEY: 'sk-test', OPENAI_BASE_URL: provider.url })
    // Warms as many instances as a test has calls at the same time.
    await Promise.all([1, 2, 3].map(() => fetch(`${hub.url}/readyz`)))
    admin = clientOf(ADMIN_KEY)
    tenant = unique('tenant')
    user = clientOf((await makeKey()).key)
  })
  afterAll(() => hub?.stop())

  const clientOf = (apiKey: string) => new OpenAI({ baseURL: `${hub.url}/v1`, apiKey, maxRetries: 0 })
  const makeKey = () => admin.post('/keys', { body: { tenant } }) as Promise<{ id: string; key: string }>

  test('a miss is stored, and a hit has the same bytes', async () => {
    const body = ask()
    const miss = await user.chat.completions.create(body).asResponse()
    const hit = await user.chat.completions.create(body).asResponse()
    expect(miss.headers.get('cache-status')).toBe('redis-ai-hub; fwd=miss; stored')
    expect(miss.headers.get('age')).toBeNull()
    expect(hit.headers.get('cache-status')).toMatch(/^redis-ai-hub; hit; ttl=\d+; detail=exact$/)
    expect(hit.headers.get('age')).toMatch(/^\d+$/)
    expect(Buffer.from(await hit.arrayBuffer())).toEqual(Buffer.from(await miss.arrayBuffer()))
  })

  test('the pages are there, and signing in opens what they read', async () => {
    const page = await fetch(hub.url)
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
    const [script = ''] = /face\/dashboard-\w+\.js/.exec(await page.text()) ?? []
    const file = await fetch(`${hub.url}/${script}`)
    expect(file.headers.get('content-type')).toContain('text/javascript')
    expect(file.headers.get('cache-control')).toContain('immutable')
    expect((await file.text()).length).toBeGreaterThan(10_000)

    const signIn = await fetch(`${hub.url}/v1/dashboard-session`, {
      ...{ method: 'POST', body: JSON.stringify({ key: ADMIN_KEY }) },
      headers: { 'content-type': 'application/json' },
    })
    const cookie = signIn.headers.getSetCookie()[0]!.split(';')[0]!
    const overview = (site: string) =>
      fetch(`${hub.url}/v1/overview`, { headers: { cookie, 'sec-fetch-site': site } })
    expect((await overview('same-origin')).status).toBe(200)
    expect((await overview('cross-site')).status).toBe(401)
  })

  test('a streamed answer is stored, and streamed again', async () => {
    const body = { ...ask(), stream: true, stream_options: { include_usage: true } } as const
    const miss = await read(user, body)
    const hit = await read(user, body)
    expect(miss.headers.get('cache-status')).toBe('redis-ai-hub; fwd=miss; stored')
    expect(hit.headers.get('cache-status')).toContain('; hit;')
    for (const { headers, text, finish, usage } of [miss, hit]) {
      expect(headers.get('content-type')).toContain('text/event-stream')
      expect({ text, finish }).toEqual({ text: 'Hello from the mock.', finish: 'stop' })
      expect(usage).toMatchObject({ prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 })
    }
  })

  test('what was streamed is served as JSON, and the reverse', async () => {
    const [streamedFirst, jsonFirst] = [ask(), ask()]
    await read(user, { ...streamedFirst, stream: true })
    const json = await user.chat.completions.create(streamedFirst).withResponse()
    expect(json.response.headers.get('cache-status')).toContain('; hit;')
    expect(json.data.choices[0]).toMatchObject({
      message: { content: 'Hello from the mock.' },
      finish_reason: 'stop',
    })
    await admin.chat.completions.create(jsonFirst)
    const stream = await read(admin, { ...jsonFirst, stream: true })
    expect(stream.headers.get('cache-status')).toContain('; hit;')
    expect(stream).toMatchObject({ text: 'Hello from the mock.', finish: 'stop', usage: undefined })
  })

  test('a model calls a tool', async () => {
    const body: OpenAI.ChatCompletionCreateParamsNonStreaming = {
      model: 'local/local',
      messages: [
        { role: 'system', content: '@tool weather {"city":"Köln"}' },
        { role: 'user', content: crypto.randomUUID() },
      ],
      tools: [{ type: 'function', function: { name: 'weather', parameters: { type: 'object' } } }],
    }
    const { choices } = await user.chat.completions.create(body)
    expect(choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: {
        tool_calls: [{ type: 'function', function: { name: 'weather', arguments: '{"city":"Köln"}' } }],
      },
    })
    const { tools, finish } = await read(user, { ...body, stream: true })
    expect({ tools, finish }).toEqual({ tools: 'weather{"city":"Köln"}', finish: 'tool_calls' })
  })

  test('equal calls that run at the same time are one call of the provider', async () => {
    const body = ask({ delayMs: 700 })
    const before = provider.count
    const both = await Promise.all([1, 2].map(() => user.chat.completions.create(body).asResponse()))
    const texts = await Promise.all(both.map((response) => response.text()))
    expect(provider.count - before).toBe(1)
    expect(texts[0]).toBe(texts[1])
    const statuses = both.map((response) => response.headers.get('cache-status'))
    expect(statuses.toSorted()).toEqual([
      'redis-ai-hub; fwd=miss; collapsed',
      'redis-ai-hub; fwd=miss; stored',
    ])
  })

  test('texts are embedded, and the cache has them the next time', async () => {
    const input = ['Redis keeps it in memory', crypto.randomUUID()]
    const body = { model: 'openai/text-embedding-3-small', input, dimensions: 64 }
    const { data } = await user.embeddings.create(body)
    const vectors = data.map(({ embedding }) => Float32Array.from(embedding))
    expect(vectors).toEqual(input.map((text) => bagOfWords(text, 64)))
    await until('the cache has them', async () => {
      const { data: again, response } = await user.embeddings.create(body).withResponse()
      expect(again.data).toEqual(data)
      return response.headers.get('cache-status') === 'redis-ai-hub; hit'
    })
  })

  test('documents are found, and a question is answered with a quote of them', async () => {
    const index = unique('docs')
    const body = {
      fields: { topic: 'tag' },
      embedding_model: 'openai/text-embedding-3-small',
      dimensions: DIMENSIONS,
    }
    await user.put(`/indexes/${index}`, { body })
    const text = 'A fence is a number that only rises. The lock of the gate gives one to each holder.'
    const documents = [
      { id: 'fence', text, metadata: { topic: 'locks' } },
      {
        id: 'tea',
        text: 'Tea is steeped for four minutes in water that has boiled.',
        metadata: { topic: 'food' },
      },
    ]
    await user.post(`/indexes/${index}/documents`, { body: documents })
    const filters = { type: 'eq' as const, key: 'topic', value: 'locks' }
    const found = await user.vectorStores.search(index, { query: 'number of the gate', filters })
    expect(found.data.map(({ file_id }) => file_id)).toEqual(['fence'])
    const question = {
      index,
      question: 'What does the lock of the gate give to each holder?',
      model: 'local/local',
    }
    const asked = (await user.post('/ask', { body: question })) as Asked
    expect(asked.citations[0]).toMatchObject({ document_id: 'fence' })
    const { quote, start, end } = asked.citations[0]!
    expect(text.slice(start, end)).toBe(quote)
  })

  test('every answer is counted, though nobody waits for it', async () => {
    const counted = unique('counted')
    const { key } = (await admin.post('/keys', { body: { tenant: counted } })) as { key: string }
    const client = clientOf(key)
    const body = ask()
    await client.chat.completions.create(body)
    await Promise.all([1, 2, 3].map(() => client.chat.completions.create(body)))
    // Not through the hub: an instance that is frozen by now must not wake up to finish it.
    const redis = createRedisResp({ url: testRedisUrl() })
    onTestFinished(() => redis.close())
    await until('four answers are counted', async () => {
      const counters = ['HMGET', cacheStatsKey(counted), 'misses', 'hits', 'saved_tokens'] as const
      const [counts] = await redis.wave([counters], { timeoutMs: 2_000 })
      return String(counts) === '1,3,45'
    })
  })

  const streamed = async () => {
    const slow = ask({ deltas: Array.from({ length: 100 }, (_, i) => `${i} `), delayMs: 200 })
    const leave = new AbortController()
    const before = { time: performance.now(), aborted: provider.aborted }
    const stream = await user.chat.completions.create({ ...slow, stream: true }, { signal: leave.signal })
    const first = await stream[Symbol.asyncIterator]().next()
    expect(first.done).toBe(false)
    expect(performance.now() - before.time).toBeLessThan(15_000)
    leave.abort()
    if (!hearsLeaving) return
    await until("the provider's call ends when its caller leaves", () => provider.aborted > before.aborted)
  }
  const buffered = async () => {
    const slow = ask({ deltas: ['one', ' two', ' three'], delayMs: 100 })
    const start = performance.now()
    const answer = await user.chat.completions.create({ ...slow, stream: true }).asResponse()
    expect(performance.now() - start).toBeGreaterThan(290)
    const body = await answer.text()
    expect(answer.headers.get('content-type')).toContain('text/event-stream')
    expect(body.match(/^data: /gm)?.length).toBeGreaterThan(4)
    expect(body).toMatch(/data: \[DONE\]\n\n$/)
  }
  if (streams) test('a stream begins before the provider has finished', streamed)
  else test('a stream arrives whole', buffered)

  test('errors are those of OpenAI', async () => {
    const stranger = clientOf('sk-of-somebody-else')
    const forged = clientOf(`hub_0123456789abcdef_${'x'.repeat(44)}_${tenant}`)
    for (const client of [stranger, forged]) {
      const refused = await failure(client.chat.completions.create(ask()))
      expect(refused).toBeInstanceOf(AuthenticationError)
      expect(refused).toMatchObject({ status: 401, code: 'invalid_api_key' })
    }
    const nowhere = await failure(user.chat.completions.create({ ...ask(), model: 'nobody/model' }))
    expect(nowhere).toBeInstanceOf(NotFoundError)
    expect(nowhere).toMatchObject({ code: 'provider_not_found', param: 'model' })

    const messages = [{ role: 'king', content: 'x' }] as never
    const illTyped = await failure(user.chat.completions.create({ ...ask(), messages }))
    expect(illTyped).toBeInstanceOf(BadRequestError)
    expect(illTyped).toMatchObject({ param: 'messages[0].role' })

    const busy = await failure(user.chat.completions.create(ask({ status: 429, retryAfter: '7' })))
    expect(busy).toBeInstanceOf(RateLimitError)
    expect(busy.headers?.get('retry-after')).toBe('7')
    expect(busy.headers?.get('x-request-id')).toBeTruthy()
  })

  test('a stream that breaks off ends in an error, and is not stored', async () => {
    const body = { ...ask({ cut: 'destroy', deltas: ['a', 'b', 'c', 'd'] }), stream: true } as const
    const before = provider.count
    for (const _ of [1, 2]) {
      const broken = await failure(read(user, body))
      expect(broken).toBeInstanceOf(APIError)
      expect(broken).toMatchObject({ code: 'stream_interrupted' })
    }
    expect(provider.count - before).toBe(2)
  })

  test('a revoked key is refused', async () => {
    const { id, key } = await makeKey()
    const client = clientOf(key)
    const body = ask()
    await client.chat.completions.create(body)
    const revoked = await admin.delete(`/keys/${id}`).asResponse()
    expect(revoked.status).toBe(204)
    expect(await failure(client.chat.completions.create(body))).toMatchObject({
      status: 401,
      code: 'invalid_api_key',
    })
  })

  test('it tells how it is and what it can', async () => {
    const get = async (path: string) => {
      const response = await fetch(hub.url + path, { headers: { 'x-request-id': 'mine' } })
      expect(response.headers.get('x-request-id')).toBe('mine')
      return { status: response.status, body: await response.json() }
    }
    expect(await get('/healthz')).toEqual({ status: 200, body: { status: 'ok' } })
    expect(await get('/readyz')).toEqual({ status: 200, body: { status: 'ok', redis: 'ok' } })
    const [document] = await Promise.all([get('/openapi.json'), get('/openapi.json')])
    expect(document.body).toMatchObject({ openapi: '3.1.0' })
    expect(Object.keys(document.body.paths)).toContain('/v1/chat/completions')
    expect(await get('/nowhere')).toMatchObject({ status: 404, body: { error: { code: 'not_found' } } })
  })

  async function read(client: OpenAI, body: OpenAI.ChatCompletionCreateParamsStreaming) {
    const { data, response } = await client.chat.completions.create(body).withResponse()
    const chunks: Chunk[] = []
    for await (const chunk of data) chunks.push(chunk)
    const deltas = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta))
    const calls = deltas.flatMap(({ tool_calls: calls = [] }) => calls.map((call) => call.function))
    return {
      headers: response.headers,
      text: deltas.map(({ content }) => content ?? '').join(''),
      tools: calls.map((call) => (call?.name ?? '') + (call?.arguments ?? '')).join(''),
      finish: chunks.flatMap(({ choices }) => choices).findLast((choice) => choice.finish_reason)
        ?.finish_reason,
      usage: chunks.findLast(({ usage }) => usage)?.usage ?? undefined,
    }
  }
})

describe.each([
  { rim: 'Workers', start: startWorkerHub },
  { rim: 'Lambda', start: startLambdaHub },
])('$rim', ({ start }) => {
  test('a schedule that fires leaves a line in the log', async () => {
    await using hub = await start(redisOf('rest'))
    await hub.fireSchedule()
    await until('it is logged', () => hub.logs().includes('Scheduled'))
  })

  test('without an admin key it serves nobody, and says so', async () => {
    await using hub = await start({ ...redisOf('rest'), HUB_ADMIN_KEY: '' }, { ready: false })
    for (const path of ['/v1/models', '/readyz', '/openapi.json', '/nowhere']) {
      const response = await fetch(hub.url + path)
      expect(response.status).toBe(503)
      expect(await response.json()).toMatchObject({
        error: { code: 'not_configured', message: expect.stringContaining('HUB_ADMIN_KEY') },
      })
    }
    expect((await fetch(`${hub.url}/healthz`)).status).toBe(200)
    await hub.fireSchedule()
    await until('it is logged', () => hub.logs().includes('HUB_ADMIN_KEY'))
  })

  test('a bad environment is told by the names of its variables, not by their values', async () => {
    const secret = 'sk-0123456789'
    await using hub = await start(
      { HUB_ADMIN_KEY: 'hub_short', HUB_PROVIDERS: secret, UPSTASH_REDIS_REST_URL: secret },
      { ready: false },
    )
    const text = await (await fetch(`${hub.url}/v1/models`)).text()
    for (const name of ['HUB_ADMIN_KEY', 'HUB_PROVIDERS', 'UPSTASH_REDIS_REST_URL'])
      expect(text).toContain(name)
    expect(text).not.toContain('sk-')
    expect(text).not.toContain('hub_short')
  })
})

test('a Worker over TCP closes its connection after each request', async () => {
  await using redis = await startTestRedis()
  await using hub = await startWorkerHub({ REDIS_URL: redis.url })
  const watch = createRedisResp({ url: redis.url })
  onTestFinished(() => watch.close())
  const client = new OpenAI({ baseURL: `${hub.url}/v1`, apiKey: ADMIN_KEY, maxRetries: 0 })
  const stream = await client.chat.completions.create({ ...ask(), model: 'local/local', stream: true })
  for await (const _ of stream);
  await until('only ours is left', async () => {
    const [info] = await watch.wave([['INFO', 'clients']], { timeoutMs: 2_000 })
    return /connected_clients:1\r/.test(String(info))
  })
})

test('a Lambda instance whose connection dies while it is frozen answers as before', async () => {
  await using redis = await startTestRedis()
  await using hub = await startLambdaHub({ REDIS_URL: redis.url })
  const watch = createRedisResp({ url: redis.url })
  onTestFinished(() => watch.close())
  const admin = new OpenAI({ baseURL: `${hub.url}/v1`, apiKey: ADMIN_KEY, maxRetries: 0 })
  const { key: apiKey } = (await admin.post('/keys', { body: { tenant: 'some' } })) as { key: string }
  const client = new OpenAI({ baseURL: `${hub.url}/v1`, apiKey, maxRetries: 0 })
  const body = { ...ask(), model: 'local/local' }
  await client.chat.completions.create(body)
  for (let i = 0; i < 3; i++) {
    const [killed] = await watch.wave([['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes']])
    expect(killed).toBe(1)
    const answer = await client.chat.completions.create(body).asResponse()
    expect(answer.headers.get('cache-status')).toContain('; hit;')
  }
  expect(hub.instances).toBe(1)
})

/** A question that nobody has asked before; the provider reads from it how to behave. */
function ask(mock?: Behaviour) {
  const messages = [{ role: 'user' as const, content: crypto.randomUUID() }]
  return { model: 'gpt-mock', messages, ...(mock && { mock }) }
}

async function failure(call: PromiseLike<unknown>): Promise<APIError> {
  try {
    await call
  } catch (error) {
    return error as APIError
  }
  throw new Error('It did not fail')
}
