import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask, readSse, startApp, type TestApp, unique } from '../support/app.ts'

const HUB_ADMIN_KEY = 'an-admin-key-of-tests'
const admin = { authorization: `Bearer ${HUB_ADMIN_KEY}` }
/** 1 USD per thousand tokens of either kind, to count with. */
const HUB_PROVIDERS = JSON.stringify({
  openai: { models: { 'gpt-4o-mini': { input: 1000, cached: 100, output: 1000 } } },
})
const USAGE = { prompt_tokens: 10, completion_tokens: 20, total_tokens: 30 }

let hub: TestApp
beforeAll(async () => {
  hub = await startApp({ env: { HUB_ADMIN_KEY, HUB_PROVIDERS }, provider: { usage: USAGE } })
})
afterAll(() => hub[Symbol.asyncDispose]())

async function newCaller(settings: object, tenant = unique('acme')) {
  const reply = await hub.send('POST', '/v1/keys', { tenant, ...settings }, admin)
  expect(reply.status).toBe(201)
  const { key, id } = (await reply.json()) as { key: string; id: string }
  const headers = { authorization: `Bearer ${key}` }
  return {
    ...{ tenant, id, headers },
    complete: (body: object = ask(), more: object = {}) => hub.complete(body, { ...headers, ...more }),
  }
}

describe('request limits', () => {
  it('are told in RateLimit headers, refuse with 429, and count hits too', async () => {
    const caller = await newCaller({ limits: [{ on: 'requests', limit: 3, window_seconds: 3600 }] })
    const body = ask()
    for (const left of [2, 1, 0]) {
      const reply = await caller.complete(body)
      expect(reply.status).toBe(200)
      expect(reply.headers.get('ratelimit-policy')).toBe('"key-requests-3600";q=3;w=3600')
      expect(reply.headers.get('ratelimit')).toMatch(new RegExp(`^"key-requests-3600";r=${left};t=\\d+$`))
    }
    const refused = await caller.complete(body)
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(refused.headers.get('ratelimit')).toContain('r=0')
    expect((await refused.json()).error).toMatchObject({
      type: 'rate_limit_error',
      code: 'rate_limit_exceeded',
    })
  })

  it('of a tenant hold for all of its keys together', async () => {
    const tenant = unique('acme')
    const limits = [{ on: 'requests', limit: 2, window_seconds: 3600 }]
    expect((await hub.send('PUT', `/v1/tenants/${tenant}`, { limits }, admin)).status).toBe(200)
    const [a, b] = [await newCaller({}, tenant), await newCaller({}, tenant)]
    const statuses = []
    for (const caller of [a, b, a, b]) statuses.push((await caller.complete()).status)
    expect(statuses).toEqual([200, 200, 429, 429])
    expect(await (await hub.get(`/v1/tenants/${tenant}`, admin)).json()).toEqual({ limits })
  })

  it('a request that one limit refuses is not counted by the other', async () => {
    const limits = [
      { on: 'requests', limit: 1, window_seconds: 3600 },
      { on: 'requests', limit: 10, window_seconds: 7200 },
    ]
    const caller = await newCaller({ limits })
    await caller.complete()
    await caller.complete()
    const refused = await caller.complete()
    expect(refused.status).toBe(429)
    await hub.settled()
    expect(refused.headers.get('ratelimit')).toMatch(/"key-requests-7200";r=[89]/)
  })

  it('hold on every route, and a change of them holds at once', async () => {
    const caller = await newCaller({ limits: [{ on: 'requests', limit: 2, window_seconds: 3600 }] })
    expect((await hub.get('/v1/models', caller.headers)).headers.get('ratelimit')).toContain('r=1')
    await hub.get('/v1/models', caller.headers)
    expect((await hub.get('/v1/models', caller.headers)).status).toBe(429)
  })

  it('a hit with a limit is still one wave', async () => {
    await using app = await startApp({ env: { HUB_ADMIN_KEY }, tallyDelayMs: 2_000 })
    const limits = [{ on: 'requests', limit: 100, window_seconds: 3600 }]
    const { key } = await (
      await app.send('POST', '/v1/keys', { tenant: unique('acme'), limits }, admin)
    ).json()
    const body = ask()
    const headers = { authorization: `Bearer ${key}` }
    await app.complete(body, headers)
    app.waves.length = 0
    expect((await app.complete(body, headers)).headers.get('cache-status')).toContain('; hit;')
    expect(app.waves.map((wave) => wave.length)).toEqual([3])
  })
})

describe('token limits', () => {
  it('are held by estimate and settled to the provider’s figure', async () => {
    const caller = await newCaller({ limits: [{ on: 'tokens', limit: 1000, window_seconds: 3600 }] })
    const body = () => ask(undefined, { max_tokens: 500 })
    expect((await caller.complete(body())).status).toBe(200)
    await hub.settled() // 30 of some 560 held
    expect((await caller.complete(body())).status).toBe(200)
    await hub.settled()
    const refused = await caller.complete(ask(undefined, { max_tokens: 950 }))
    expect(refused.status).toBe(429)
    expect((await refused.json()).error.message).toContain('1000 tokens')
  })

  it('cost a hit nothing', async () => {
    const caller = await newCaller({ limits: [{ on: 'tokens', limit: 600, window_seconds: 3600 }] })
    const body = ask(undefined, { max_tokens: 300 })
    expect((await caller.complete(body)).status).toBe(200)
    for (let i = 0; i < 5; i++) expect((await caller.complete(body)).status).toBe(200)
  })
})

describe('budgets', () => {
  it('a model that costs nothing takes nothing of them, also when they are spent', async () => {
    const caller = await newCaller({ budget: { usd: 0, period: 'daily' } })
    expect((await caller.complete({ ...ask(), model: 'local/local' })).status).toBe(200)
    await hub.settled()
    const shown = await (await hub.get(`/v1/keys/${caller.id}`, admin)).json()
    expect(shown.budget).toMatchObject({ spent_usd: 0, held_usd: 0 })
  })

  it('refuse what they do not cover, and are shown on the key', async () => {
    const caller = await newCaller({ budget: { usd: 1, period: 'total' } })
    const body = () => ask(undefined, { max_tokens: 400 })
    expect((await caller.complete(body())).status).toBe(200)
    await hub.settled()
    const shown = await (await hub.get(`/v1/keys/${caller.id}`, admin)).json()
    expect(shown.budget).toEqual({ usd: 1, period: 'total', spent_usd: 0.03, held_usd: 0 })
    const refused = await caller.complete(ask(undefined, { max_tokens: 1000 }))
    expect(refused.status).toBe(429)
    expect((await refused.json()).error.code).toBe('insufficient_quota')
  })

  it('of nothing refuse everything but hits; below zero is 400', async () => {
    const tenant = unique('acme')
    const body = ask(undefined, { max_tokens: 10 })
    await (await newCaller({}, tenant)).complete(body)
    const poor = await newCaller({ budget: { usd: 0, period: 'daily' } }, tenant)
    expect((await poor.complete(body)).headers.get('cache-status')).toContain('; hit;')
    expect((await poor.complete(ask())).status).toBe(429)
    const bad = await hub.send('POST', '/v1/keys', { tenant, budget: { usd: -1, period: 'daily' } }, admin)
    expect([bad.status, (await bad.json()).error.param]).toEqual([400, 'budget.usd'])
  })

  it('a caller without money does not stop others who want the same answer', async () => {
    const tenant = unique('acme')
    const [poor, rich] = [
      await newCaller({ budget: { usd: 0, period: 'daily' } }, tenant),
      await newCaller({}, tenant),
    ]
    const body = ask(undefined, { mock: { delayMs: 100 } })
    const replies = await Promise.all([poor, rich, poor, rich].map((caller) => caller.complete(body)))
    expect(replies.map(({ status }) => status)).toEqual([429, 200, expect.any(Number), 200])
  })

  it('a failed call costs nothing; a broken one what was sent', async () => {
    const caller = await newCaller({ budget: { usd: 10, period: 'total' } })
    await caller.complete(ask(undefined, { mock: { status: 500 } }))
    await hub.settled()
    const spent = async () => (await (await hub.get(`/v1/keys/${caller.id}`, admin)).json()).budget
    expect(await spent()).toMatchObject({ spent_usd: 0, held_usd: 0 })
    await readSse(
      await caller.complete(
        ask(undefined, { stream: true, mock: { cut: 'destroy', text: 'word '.repeat(50), delayMs: 5 } }),
      ),
    )
    await hub.settled()
    const { spent_usd, held_usd } = await spent()
    expect(held_usd).toBe(0)
    expect(spent_usd).toBeGreaterThan(0)
  })

  it('a model without a known price is refused, with the way out', async () => {
    const caller = await newCaller({ budget: { usd: 1, period: 'total' } })
    const reply = await caller.complete({ ...ask(), model: 'openai/unheard-of' })
    expect([reply.status, (await reply.json()).error.code]).toEqual([400, 'model_not_priced'])
  })
})

describe('usage', () => {
  const report = async (headers: Record<string, string>, query = '') =>
    (await hub.get(`/v1/usage${query}`, headers)).json()

  it('counts requests, tokens, cost and what the cache saved, by model, key and day', async () => {
    const caller = await newCaller({})
    const body = ask()
    await caller.complete(body)
    await caller.complete(body)
    await readSse(await caller.complete(ask(undefined, { stream: true })))
    await hub.settled()
    const { data, total } = await report(caller.headers)
    const expected = {
      requests: 3,
      tokens: 60,
      input_tokens: 20,
      output_tokens: 40,
      estimated: 0,
      cost: expect.closeTo(0.06),
      saved: expect.closeTo(0.03),
    }
    expect(data).toEqual([expect.objectContaining({ model: 'openai/gpt-4o-mini', ...expected })])
    expect(total).toMatchObject(expected)
    expect((await report(caller.headers, '?group_by=key')).data).toEqual([
      expect.objectContaining({ key: caller.id, ...expected }),
    ])
    const today = new Date().toISOString().slice(0, 10)
    expect((await report(caller.headers, '?group_by=day')).data).toEqual([
      expect.objectContaining({ day: today, ...expected }),
    ])
  })

  it('a stream without usage is counted here and says so', async () => {
    const caller = await newCaller({})
    await readSse(
      await caller.complete(
        ask('Tell me about Redis.', {
          stream: true,
          salt: unique('x'),
          mock: { cut: 'end', text: 'one two three four five six seven eight' },
        }),
      ),
    )
    await hub.settled()
    const { data } = await report(caller.headers)
    expect(data[0]).toMatchObject({ requests: 1, estimated: 1 })
    expect(data[0].output_tokens).toBeGreaterThan(2)
    expect(data[0].input_tokens).toBeGreaterThan(5)
  })

  it('of a stream past 1 MiB keeps a part, and counts all of it', async () => {
    const caller = await newCaller({})
    const deltas = Array.from({ length: 60 }, () => 'word '.repeat(10_000))
    const body = ask(undefined, { stream: true, mock: { deltas, cut: 'end' } }) // ends after half of them
    await readSse(await caller.complete(body))
    await hub.settled()
    const { data } = await report(caller.headers)
    expect(data[0].output_tokens).toBeGreaterThan(250_000)
    expect(data[0].output_tokens).toBeLessThan(400_000)
  })

  it('takes days and times', async () => {
    const { headers } = await newCaller({})
    const reply = await report(headers, '?from=2026-03-01&to=2026-03-02T23:30:00-02:00&group_by=day')
    expect(reply.data.map(({ day }: { day: string }) => day)).toEqual([
      '2026-03-01',
      '2026-03-02',
      '2026-03-03',
    ])
  })

  it('keeps tenants apart, and dates in order', async () => {
    const other = await newCaller({})
    expect((await report(other.headers)).data).toEqual([])
    for (const query of [
      '?from=2026-02-30',
      '?group_by=colour',
      '?from=2026-03-02&to=2026-03-01',
      '?from=2020-01-01&to=2026-01-01',
    ]) {
      expect((await hub.get(`/v1/usage${query}`, other.headers)).status, query).toBe(400)
    }
  })
})
