import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { ANSWER_LIMIT } from '../../../shared/completions/answer.ts'
import { ask, readSse, startApp, type TestApp, textOf } from '../../support/app.ts'
import { startTestBridge } from '../../support/bridge.ts'
import { testRedisUrl } from '../../support/redis.ts'

const status = (response: Response) => response.headers.get('cache-status')
const words = (count: number) => Array.from({ length: count }, (_, index) => `word${index} `)
const saying = (deltas: string[], delayMs: number) => ({ deltas, text: deltas.join(''), delayMs })
const collapsed = 'redis-ai-hub; fwd=miss; collapsed'

let bridge: Awaited<ReturnType<typeof startTestBridge>>
beforeAll(async () => {
  bridge = await startTestBridge({ redisUrl: testRedisUrl() })
})
afterAll(() => bridge.close())

/** Two instances that share nothing but Redis and the provider; the second one over each driver. */
describe.each(['resp', 'rest'])('equal calls over two instances, the second on %s', (driver) => {
  let one: TestApp
  let two: TestApp
  beforeAll(async () => {
    one = await startApp()
    const rest = { REDIS_URL: '', UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token }
    two = await startApp({ env: { OPENAI_BASE_URL: one.provider.url, ...(driver === 'rest' && rest) } })
    // Their first calls compile code; who is busy with that for 250 ms would rather answer than share.
    for (const hub of [one, two])
      for (const stream of [false, true]) await (await hub.complete(ask(undefined, { stream }))).text()
  })
  afterEach(async () => {
    await one.settled()
    await two.settled()
  })
  afterAll(async () => {
    await two[Symbol.asyncDispose]()
    await one[Symbol.asyncDispose]()
  })

  /** Starts `first`'s call and waits until the provider has it. */
  async function lead(first: TestApp, body: object, signal?: AbortSignal) {
    const calls = one.provider.count
    const reply = first.complete(body, {}, signal)
    await expect.poll(() => one.provider.count).toBe(calls + 1)
    return reply
  }

  it('make one provider call, whichever form each caller wants', async () => {
    const calls = one.provider.count
    const body = ask(undefined, { mock: saying(words(20), 20) })
    const forms = Array.from({ length: 20 }, (_, index) => ({
      hub: index % 2 ? one : two,
      stream: index % 4 < 2,
    }))
    const texts = await Promise.all(
      forms.map(async ({ hub, stream }) => {
        const reply = await hub.complete({ ...body, stream })
        return stream ? textOf(await readSse(reply)) : (await reply.json()).choices[0].message.content
      }),
    )
    expect(one.provider.count).toBe(calls + 1)
    expect(new Set(texts)).toEqual(new Set([words(20).join('')]))
  })

  it('say who joined; then the entry is a hit for both', async () => {
    const body = ask(undefined, { stream: true, mock: saying(words(10), 30) })
    const first = await lead(one, body)
    const second = await two.complete(body)
    expect([status(first), status(second)]).toEqual(['redis-ai-hub; fwd=miss; stored', collapsed])
    expect(textOf(await readSse(second))).toBe(textOf(await readSse(first)))
    await one.settled()
    expect(status(await two.complete(body))).toContain('; hit;')
  })

  it('who joined saves what the call cost its leader, in its process and in the other', async () => {
    const stats = async () => (await one.get('/v1/cache/stats')).json()
    const before = await stats()
    const body = ask(undefined, { mock: { delayMs: 300 } })
    const replies = await Promise.all([one, one, two, two].map((hub) => hub.complete(body)))
    const { usage } = await replies[0]!.json()
    expect(replies.map(status).filter((one) => one === collapsed)).toHaveLength(3)
    await two.settled()
    await one.settled()
    expect((await stats()).saved_tokens - before.saved_tokens).toBe(3 * usage.total_tokens)
  })

  it('a streaming caller is served while the answer is being made', async () => {
    const body = ask(undefined, { stream: true, mock: saying(words(60), 50) })
    const first = await lead(one, body)
    const second = await two.complete(body)
    const reader = second.body!.getReader()
    const { value } = await reader.read()
    expect(new TextDecoder().decode(value)).toContain('chat.completion.chunk')
    expect(one.waves.length).toBeGreaterThan(0)
    const providerEnded = readSse(first).then(() => true)
    expect(await Promise.race([providerEnded, Promise.resolve(false)])).toBe(false)
    await reader.cancel()
    await providerEnded
  })

  it('share the provider’s error too', async () => {
    const body = ask(undefined, { mock: { status: 429, retryAfter: '9' } })
    const calls = one.provider.count
    for (const reply of await Promise.all([two, two, two].map((hub) => hub.complete(body)))) {
      expect([reply.status, reply.headers.get('retry-after')]).toEqual([429, '9'])
    }
    expect(one.provider.count).toBe(calls + 1)
  })

  it('a stream cut under a leader ends its followers in an error event', async () => {
    const body = ask(undefined, { stream: true, mock: { deltas: words(80), delayMs: 40, cut: 'destroy' } })
    const first = await lead(one, body)
    const second = await two.complete(body)
    for (const reply of [first, second]) {
      const events = await readSse(reply)
      expect(JSON.parse(events.at(-1)!).error.code).toBe('stream_interrupted')
    }
    expect(status(await one.complete({ ...body, mock: undefined }))).toContain('fwd=miss')
  })

  it('the leader’s client leaves: the call goes on for those who wait, and is stored', async () => {
    const aborted = one.provider.aborted
    const calls = one.provider.count
    const body = ask(undefined, { stream: true, mock: saying(words(30), 30) })
    const left = new AbortController()
    const first = await lead(one, body, left.signal)
    await first.body!.getReader().read()
    const second = await two.complete(body).then(readSse)
    left.abort()
    expect(textOf(second)).toBe(words(30).join(''))
    expect([one.provider.count, one.provider.aborted]).toEqual([calls + 1, aborted])
  })

  it('the only follower leaves: it no longer counts as waiting', async () => {
    const aborted = one.provider.aborted
    const body = ask(undefined, { stream: true, mock: saying(words(200), 30) })
    const [leftOne, leftTwo] = [new AbortController(), new AbortController()]
    const first = await lead(one, body, leftOne.signal)
    await first.body!.getReader().read()
    const second = await two.complete(body, {}, leftTwo.signal)
    await second.body!.getReader().read()
    leftTwo.abort()
    await two.settled()
    leftOne.abort()
    await expect.poll(() => one.provider.aborted, { timeout: 3_000 }).toBe(aborted + 1)
  })

  it('an answer past 1 MiB is neither stored nor shared: followers call for themselves', async () => {
    const calls = one.provider.count
    const size = ANSWER_LIMIT + 200_000
    const body = ask(undefined, { stream: true, mock: { size } })
    const replies = await Promise.all([one, two].map((hub) => hub.complete(body)))
    for (const reply of replies) expect(textOf(await readSse(reply))).toHaveLength(size)
    expect(one.provider.count).toBe(calls + 2)
    await one.settled()
    expect(status(await one.complete(body, { 'cache-control': 'only-if-cached' }))).toContain('fwd=miss')
  })

  it('no-cache and no-store calls are never collapsed', async () => {
    const calls = one.provider.count
    const body = ask(undefined, { mock: { delayMs: 100 } })
    const directives = ['no-cache', 'no-store', 'no-cache']
    const replies = await Promise.all(
      directives.map((directive) => two.complete(body, { 'cache-control': directive })),
    )
    for (const reply of replies) expect(status(reply)).toContain('fwd=request')
    expect(one.provider.count).toBe(calls + 3)
  })
})
