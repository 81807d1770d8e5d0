import { describe, expect, it, onTestFinished } from 'vitest'
import { ask, unique } from '../support/app.ts'
import { startTestBridge } from '../support/bridge.ts'
import { ADMIN_KEY, type NodeHub, startNodeHub } from '../support/hub.ts'
import { startProvider } from '../support/provider.ts'
import { testRedisUrl } from '../support/redis.ts'

/** 2 cents a call: 20 tokens at 1 USD per thousand. */
const USAGE = { prompt_tokens: 10, completion_tokens: 10, total_tokens: 20 }
const COST = 0.02
const HUB_PROVIDERS = JSON.stringify({
  openai: { models: { 'gpt-4o-mini': { input: 1000, cached: 1000, output: 1000 } } },
})

/** Two processes on one Redis and one provider: the first over RESP, the second over HTTP. */
async function start(provider: Parameters<typeof startProvider>[0], env: Record<string, string> = {}) {
  const mock = await startProvider({ usage: USAGE, ...provider })
  const bridge = await startTestBridge({ redisUrl: testRedisUrl() })
  const common = { OPENAI_API_KEY: 'sk-test', OPENAI_BASE_URL: mock.url, HUB_PROVIDERS, ...env }
  const rest = { UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token }
  const hubs = await Promise.all([
    startNodeHub({ ...common, REDIS_URL: testRedisUrl() }),
    startNodeHub({ ...common, ...rest }),
  ])
  for (const close of [mock.close, bridge.close, ...hubs.map((hub) => hub.stop)]) onTestFinished(close)
  // Their first calls compile code.
  await Promise.all(
    hubs.map((hub) => post(hub, '/v1/chat/completions', { ...ask(), model: 'local/local' }, ADMIN_KEY)),
  )
  return { mock, hubs: hubs as [NodeHub, NodeHub] }
}

const post = (hub: NodeHub, path: string, body: object, key: string) =>
  fetch(`${hub.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: JSON.stringify(body),
  })

const newKey = async (hub: NodeHub, settings: object): Promise<{ id: string; key: string }> =>
  (await post(hub, '/v1/keys', { tenant: unique('acme'), ...settings }, ADMIN_KEY)).json()

const budgetOf = async (hub: NodeHub, id: string): Promise<{ spent_usd: number; held_usd: number }> => {
  const reply = await fetch(`${hub.url}/v1/keys/${id}`, { headers: { authorization: `Bearer ${ADMIN_KEY}` } })
  return (await reply.json()).budget
}

describe('two processes share one key’s money', () => {
  it('200 concurrent completions against 1 USD: the sum never passes it, and what is left can be spent', async () => {
    const { mock, hubs } = await start({ delayMs: 50 })
    const { id, key } = await newKey(hubs[0], { budget: { usd: 1, period: 'total' } })
    const complete = (index: number) =>
      post(hubs[index % 2]!, '/v1/chat/completions', ask(undefined, { max_tokens: 10 }), key)
    let most = 0
    const watching = setInterval(async () => {
      // 503 on a busy machine: it is looked at again.
      const budget: Awaited<ReturnType<typeof budgetOf>> | undefined = await budgetOf(hubs[0], id)
      if (budget) most = Math.max(most, budget.spent_usd + budget.held_usd)
    }, 20)
    const replies = await Promise.all(Array.from({ length: 200 }, (_, index) => complete(index)))
    clearInterval(watching)
    const served = replies.filter(({ status }) => status === 200).length
    // 503: a budget that could not be asked within 250 ms on a busy machine is not overdrawn.
    for (const { status } of replies) expect([200, 429, 503]).toContain(status)
    expect(served).toBe(mock.count)
    expect(served).toBeGreaterThan(5)
    expect(most).toBeGreaterThan(0)
    expect(most).toBeLessThanOrEqual(1)
    await expect.poll(async () => (await budgetOf(hubs[0], id)).held_usd, { timeout: 5_000 }).toBe(0)
    expect((await budgetOf(hubs[0], id)).spent_usd).toBeCloseTo(served * COST, 6)
    // One after the other until it is spent: the estimate is above 2 cents, so a rest below one estimate may stay.
    for (let index = 0; index < 60; index++) await (await complete(index)).text()
    await expect.poll(async () => (await budgetOf(hubs[0], id)).held_usd, { timeout: 5_000 }).toBe(0)
    const { spent_usd } = await budgetOf(hubs[0], id)
    expect(spent_usd).toBeLessThanOrEqual(1)
    expect(spent_usd).toBeGreaterThan(0.9)
  }, 60_000)

  it('what a killed process held is free within the reservation’s expiry', async () => {
    const { mock, hubs } = await start({ delayMs: 20_000 }, { HUB_RESERVATION_SECONDS: '3' })
    const { id, key } = await newKey(hubs[0], { budget: { usd: 1, period: 'total' } })
    const big = ask(undefined, { max_tokens: 900 })
    const lost = post(hubs[0], '/v1/chat/completions', big, key).catch((error: Error) => error)
    await expect.poll(() => mock.count).toBe(1)
    expect((await budgetOf(hubs[1], id)).held_usd).toBeGreaterThan(0.9)
    const refused = await post(hubs[1], '/v1/chat/completions', ask(undefined, { max_tokens: 900 }), key)
    expect(refused.status).toBe(429)
    await hubs[0].kill()
    expect(await lost).toBeInstanceOf(Error)
    const quick = ask(undefined, { max_tokens: 900, mock: { delayMs: 0 } })
    await expect
      .poll(async () => (await post(hubs[1], '/v1/chat/completions', quick, key)).status, {
        timeout: 8_000,
        interval: 250,
      })
      .toBe(200)
  }, 40_000)
})

describe('two processes and both drivers share one limit', () => {
  it('of 100 a minute admits 100', async () => {
    const { hubs } = await start({})
    const limits = [{ on: 'requests', limit: 100, window_seconds: 60, algorithm: 'token_bucket' }]
    const { key } = await newKey(hubs[0], { limits })
    const body = ask()
    const statuses: number[] = []
    // Waves of ten: 150 at once would be refused by no limit but by the 250 ms that a request waits for Redis.
    for (let wave = 0; wave < 15; wave++) {
      const replies = await Promise.all(
        Array.from({ length: 10 }, (_, index) => post(hubs[index % 2]!, '/v1/chat/completions', body, key)),
      )
      statuses.push(...replies.map(({ status }) => status))
    }
    expect(statuses.filter((status) => status === 200)).toHaveLength(100)
    expect(statuses.filter((status) => status === 429)).toHaveLength(50)
  }, 60_000)
})
