import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, type TestContext } from 'vitest'
import { ask, readSse, textOf } from '../support/app.ts'
import { startTestBridge } from '../support/bridge.ts'
import { startNodeHub } from '../support/hub.ts'
import { startProvider } from '../support/provider.ts'
import { testRedisUrl } from '../support/redis.ts'

const words = (count: number, prefix = 'word') =>
  Array.from({ length: count }, (_, index) => `${prefix}${index} `)
const saying = (deltas: string[], delayMs: number) => ({ deltas, text: deltas.join(''), delayMs })

/** Two Node processes on one Redis and one provider; the second one talks to Redis by `driver`. */
async function start(
  { onTestFinished }: TestContext,
  driver: string,
  options: Parameters<typeof startProvider>[0],
) {
  const provider = await startProvider(options)
  onTestFinished(provider.close)
  const bridge = await startTestBridge({ redisUrl: testRedisUrl() })
  onTestFinished(bridge.close)
  const common = { HUB_ADMIN_KEY: undefined, OPENAI_API_KEY: 'sk-test', OPENAI_BASE_URL: provider.url }
  const rest = { UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token }
  const hubs = await Promise.all([
    startNodeHub({ ...common, REDIS_URL: testRedisUrl() }),
    startNodeHub({ ...common, ...(driver === 'rest' ? rest : { REDIS_URL: testRedisUrl() }) }),
  ])
  for (const hub of hubs) onTestFinished(hub.stop)
  // Their first calls compile code; a process that is busy with that for 250 ms would rather answer than share.
  await Promise.all(
    hubs.flatMap((hub) =>
      Array.from({ length: 10 }, () => complete(hub, { ...ask(), model: 'local/local' })),
    ),
  )
  const [first, second] = hubs as [(typeof hubs)[0], (typeof hubs)[0]]
  return { provider, first, second }
}

async function complete(hub: { url: string }, body: object): Promise<{ text: string; error?: string }> {
  const reply = await fetch(`${hub.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!(body as { stream?: boolean }).stream) return { text: (await reply.json()).choices[0].message.content }
  const events = await readSse(reply)
  return {
    text: textOf(events),
    error: events.at(-1) === '[DONE]' ? undefined : JSON.parse(events.at(-1)!).error.code,
  }
}

/** Reads until some text has come, then says so. */
async function streamTo(hub: { url: string }, body: object, onText: () => void): Promise<string[]> {
  const reply = await fetch(`${hub.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, stream: true }),
  })
  let all = ''
  for await (const part of reply.body!.pipeThrough(new TextDecoderStream())) {
    all += part
    if (all.includes('word')) onText()
  }
  return all
    .split('\n\n')
    .filter(Boolean)
    .map((event) => event.replace(/^data: /, ''))
}

describe.each(['resp', 'rest'])('two processes, the second on %s', (driver) => {
  it('50 equal concurrent calls reach the provider once', async (context) => {
    const { provider, first, second } = await start(context, driver, saying(words(20), 25))
    const body = ask()
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        complete(index % 2 ? first : second, { ...body, stream: index % 4 < 2 }),
      ),
    )
    expect(new Set(answers.map(({ text }) => text))).toEqual(new Set([words(20).join('')]))
    expect(provider.count).toBe(1)
  })

  it('the leader is killed mid-stream: every caller of the other process gets the whole answer, of two calls', async (context) => {
    const { provider, first, second } = await start(context, driver, saying(words(60), 50))
    const body = ask()
    const lost = streamTo(first, body, () => {}).catch((error: Error) => error)
    await expect.poll(() => provider.count).toBe(1)
    const hasText = Promise.withResolvers<void>()
    const streams = Array.from({ length: 5 }, () => streamTo(second, body, hasText.resolve))
    const whole = Array.from({ length: 5 }, () => complete(second, body))
    await hasText.promise
    await first.kill()
    expect(await lost).toBeInstanceOf(Error)
    for (const events of await Promise.all(streams)) {
      expect(textOf(events)).toBe(words(60).join(''))
      expect(events.at(-1)).toBe('[DONE]')
    }
    for (const { text } of await Promise.all(whole)) expect(text).toBe(words(60).join(''))
    expect(provider.count).toBe(2)
  }, 60_000)

  it('the second answer differs: who has text ends in stream_interrupted, who has none gets the second answer whole', async (context) => {
    const behave = (call: number) => saying(words(60, call === 1 ? 'word' : 'other'), 50)
    const { provider, first, second } = await start(context, driver, { behave })
    const body = ask()
    const lost = streamTo(first, body, () => {}).catch((error: Error) => error)
    await expect.poll(() => provider.count).toBe(1)
    const hasText = Promise.withResolvers<void>()
    const stream = streamTo(second, body, hasText.resolve)
    const whole = complete(second, body)
    await hasText.promise
    await first.kill()
    expect(await lost).toBeInstanceOf(Error)
    const events = await stream
    expect(JSON.parse(events.at(-1)!).error.code).toBe('stream_interrupted')
    const text = textOf(events)
    expect(text.length).toBeGreaterThan(0)
    expect(words(60).join('').startsWith(text)).toBe(true)
    expect((await whole).text).toBe(words(60, 'other').join(''))
  }, 60_000)
})

describe('a leader that was only asleep', () => {
  it('has lost its lease: its answer is not stored over the newer one', async (context) => {
    const behave = (call: number) => saying(words(40, call === 1 ? 'old' : 'new'), 50)
    const { provider, first, second } = await start(context, 'resp', { behave })
    const body = ask()
    const old = complete(first, { ...body, stream: true })
    await expect.poll(() => provider.count).toBe(1)
    first.process.kill('SIGSTOP')
    const fresh = await complete(second, { ...body, stream: true }) // waits for the lease to end
    first.process.kill('SIGCONT')
    expect(fresh.text).toBe(words(40, 'new').join(''))
    expect((await old).text).toBe(words(40, 'old').join('')) // its own caller keeps one answer
    await sleep(200)
    expect((await complete(second, body)).text).toBe(fresh.text)
    expect(provider.count).toBe(2)
  }, 60_000)
})
