import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { ask, startApp, type TestApp, unique } from '../support/app.ts'
import { startTestRedis } from '../support/redis.ts'

const SEMANTIC = { 'x-hub-semantic': 'on' }

/** Judges yes where it is asked about cheese; else repeats the question. */
const answers = (body: Record<string, unknown>) => {
  const messages = body.messages as { role: string; content: string }[]
  const text = messages.at(-1)!.content
  if (body.model === 'judge') return text.includes('cheese') ? 'Yes.' : 'no'
  return `You asked: ${typeof text === 'string' ? text : JSON.stringify(text)}`
}

let app: TestApp
beforeAll(async () => {
  app = await startApp({
    provider: { text: (_, body) => answers(body) },
    env: { HUB_SEMANTIC_JUDGE: 'openai/judge' },
  })
})
afterAll(() => app[Symbol.asyncDispose]())

/** Its own scope: no other test's questions are near. */
const scope = () => {
  const system = unique('You are assistant')
  return async (text: string | object[], more: object = {}, headers: Record<string, string> = SEMANTIC) => {
    const messages = [
      { role: 'system', content: system },
      { role: 'user', content: text },
    ]
    const response = await app.complete({ model: 'openai/gpt-4o-mini', messages, ...more }, headers)
    const body = await response.text()
    await app.settled()
    return { status: response.status, body, cache: response.headers.get('cache-status') }
  }
}

const FIRST = 'What is the capital of France?'
const SAME = 'Could you tell me what the capital of France is, please?'

describe('x-hub-semantic', () => {
  it('serves the answer of a question that asks the same, and says so', async () => {
    const ask = scope()
    await ask(FIRST)
    const { body, cache } = await ask(SAME)
    expect(JSON.parse(body).choices[0].message.content).toBe(`You asked: ${FIRST}`)
    expect(cache).toMatch(/^redis-ai-hub; hit; ttl=\d+; detail=semantic;similarity=[01]\.\d{3}$/)
  })

  it('serves it to a streaming caller too', async () => {
    const ask = scope()
    await ask(FIRST)
    const { body, cache } = await ask(SAME, { stream: true })
    expect(cache).toContain('detail=semantic')
    expect(body).toContain('data: [DONE]')
  })

  it('is off by default, for readers and for writers', async () => {
    const ask = scope()
    await ask(FIRST)
    expect((await ask(SAME, {}, {})).cache).toContain('fwd=miss')
    const other = scope()
    await other(FIRST, {}, {})
    expect((await other(SAME)).cache).toContain('fwd=miss')
    expect((await other(SAME, {}, { 'x-hub-semantic': 'off' })).cache).toContain('detail=exact')
  })

  it.each([
    ['another number', 'List 5 rivers of Italy.', 'List 6 rivers of Italy.'],
    ['a negation', 'Which rivers flow into the sea?', 'Which rivers do not flow into the sea?'],
    ['another direction', 'How do I get from Rome to Oslo?', 'How do I get from Oslo to Rome?'],
    ['another name', 'Who is the mayor of London?', 'Who is the mayor of Paris?'],
  ])('does not serve it over %s', async (_, first, second) => {
    const ask = scope()
    await ask(first)
    expect((await ask(second)).cache).toContain('fwd=miss')
  })

  it('keeps to the system prompt, the model, the parameters and the tenant', async () => {
    const ask = scope()
    await ask(FIRST)
    expect((await scope()(SAME)).cache).toContain('fwd=miss')
    expect((await ask(SAME, { model: 'openai/gpt-4o' })).cache).toContain('fwd=miss')
    expect((await ask(SAME, { max_tokens: 5 })).cache).toContain('fwd=miss')
    const tenant = unique('tenant').slice(0, 20)
    const { key } = await (await app.send('POST', '/v1/keys', { tenant })).json()
    expect((await ask(SAME, {}, { ...SEMANTIC, authorization: `Bearer ${key}` })).cache).toContain('fwd=miss')
    expect((await ask(SAME)).cache).toContain('detail=semantic')
  })

  it('is off for tools, images and hot calls', async () => {
    const ask = scope()
    const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }]
    for (const more of [{ tools }, { temperature: 1.5 }, { n: 2 }]) {
      await ask(FIRST, more)
      expect((await ask(SAME, more)).cache, JSON.stringify(more)).toContain('fwd=miss')
    }
    const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } }
    await ask([{ type: 'text', text: FIRST }, image])
    expect((await ask([{ type: 'text', text: SAME }, image])).cache).toContain('fwd=miss')
  })

  it('takes a caller’s own threshold, and refuses what is none', async () => {
    const ask = scope()
    await ask(FIRST)
    expect((await ask(SAME, {}, { 'x-hub-semantic': '0.9999' })).cache).toContain('fwd=miss')
    for (const value of ['yes', '1.5', '-1', 'NaN']) {
      const { status, body } = await ask(SAME, {}, { 'x-hub-semantic': value })
      expect(status, value).toBe(400)
      expect(JSON.parse(body).error.param).toBe('x-hub-semantic')
    }
  })

  it('answers `only-if-cached` and keeps to `max-age` and `no-cache`', async () => {
    const ask = scope()
    await ask(FIRST)
    expect((await ask(SAME, {}, { ...SEMANTIC, 'cache-control': 'only-if-cached' })).cache).toContain(
      'detail=semantic',
    )
    expect((await ask(SAME, {}, { ...SEMANTIC, 'cache-control': 'max-age=0, only-if-cached' })).status).toBe(
      504,
    )
    expect((await ask(SAME, {}, { ...SEMANTIC, 'cache-control': 'no-cache' })).cache).toContain('fwd=request')
  })

  it('an answer that is gone is not served', async () => {
    const ask = scope()
    await ask(FIRST, {}, { ...SEMANTIC, 'x-hub-cache-ttl': '1' })
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    expect((await ask(SAME)).cache).toContain('fwd=miss')
  })

  it('a question is forgotten when its answer has expired', async () => {
    await using redis = await startTestRedis()
    await using own = await startApp({ env: { REDIS_URL: redis.url } })
    const client = createRedisResp({ url: redis.url })
    const left = async () => {
      const [keys, known] = await client.wave([
        ['KEYS', '*~semantic*'],
        ['ZCARD', 'llm:questions'],
      ])
      return [(keys as string[]).length, known]
    }
    await (await own.complete(ask(FIRST), { ...SEMANTIC, 'x-hub-cache-ttl': '1' })).text()
    await own.settled()
    expect((await left())[1]).toBe(1)
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    await own.scheduled()
    expect(await left()).toEqual([0, 0])
    await client.close()
  })

  it('puts what the guard is not sure of to the judge, if there is one', async () => {
    const cheese = scope()
    await cheese('What is the best cheese for toast?')
    expect((await cheese('What is the finest cheese for toast?')).cache).toContain('detail=semantic')
    const bread = scope()
    await bread('What is the best bread for toast?')
    expect((await bread('What is the finest bread for toast?')).cache).toContain('fwd=miss')
  })

  it('is a miss, and no error, while there are no embeddings', async () => {
    await using lame = await startApp({
      provider: { behave: (_, body) => (body.input ? { status: 500 } : { text: 'fine' }) },
    })
    const response = await lame.complete(
      { model: 'openai/gpt-4o-mini', messages: [{ role: 'user', content: unique('Any news?') }] },
      SEMANTIC,
    )
    expect(response.status).toBe(200)
    expect(response.headers.get('cache-status')).toContain('fwd=miss')
    await response.text()
    await lame.settled()
    expect(lame.lines.some(({ msg }) => msg === 'Semantic cache')).toBe(true)
  })
})
