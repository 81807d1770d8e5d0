import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRuntimeOnnx } from '../../shared/drivers/runtime-onnx.ts'
import { Snapshot } from '../../shared/overview/snapshot.ts'
import { ask, startApp, type TestApp, unique } from '../support/app.ts'
import { softmax } from '../support/models.ts'
import { startTestRedis } from '../support/redis.ts'

const HUB_ADMIN_KEY = 'an-admin-key-of-tests'
const admin = { authorization: `Bearer ${HUB_ADMIN_KEY}` }
const env = { HUB_ADMIN_KEY, HUB_SECRET_KEY: 'the secret key of tests', HUB_BREAKER_MIN_CALLS: '2' }

let redis: Awaited<ReturnType<typeof startTestRedis>>
let hub: TestApp
beforeAll(async () => {
  redis = await startTestRedis() // queues and agents are every hub's
  hub = await startApp({
    env: { ...env, REDIS_URL: redis.url },
    modelRuntime: createRuntimeOnnx(),
    drains: { kickMs: 5_000, scheduledMs: 5_000 },
  })
})
afterAll(() => hub[Symbol.asyncDispose]().finally(() => redis.stop()))

type Header = Record<string, string>

async function member(more: object = {}, tenant = unique('tenant')) {
  const reply = await hub.send('POST', '/v1/keys', { tenant, ...more }, admin)
  const { key, id } = await reply.json()
  return { tenant, id, header: { authorization: `Bearer ${key}` } }
}

async function complete(header: Header, body: object) {
  await (await hub.complete(body, header)).text()
  await hub.settled()
}

/** As the schema says. */
async function overview(header: Header, asked = '', of = hub): Promise<Snapshot> {
  const reply = await of.get(`/v1/overview${asked}`, header)
  expect(reply.status).toBe(200)
  return Snapshot.strict().parse(await reply.json())
}

describe('/v1/overview', () => {
  it('shows requests, hit rates, latencies, tokens and money of the window', async () => {
    const { id, header } = await member({ name: 'shop' })
    const body = ask()
    for (let i = 0; i < 3; i++) await complete(header, body)
    const both = ask('slow', { mock: { delayMs: 100 } })
    await Promise.all([complete(header, both), complete(header, both)])
    await complete(header, ask('no', { mock: { status: 500 } }))

    const { traffic, usage, window, errors } = await overview(header, '?minutes=5')
    expect(errors).toEqual([])
    const { total, minutes } = traffic!
    expect(total).toMatchObject({
      requests: 6,
      verdicts: { miss: 3, exact: 2, collapsed: 1 },
      errors: { client: 0, limited: 0, server: 1 },
      endpoints: { 'chat.completions': 6 },
      ...{ input_tokens: 20, output_tokens: 10, saved_tokens: 45 },
    })
    expect(total.hit_rate).toMatchObject({ exact: 2 / 6, semantic: 0, collapsed: 1 / 6, all: 3 / 6 })
    expect(total.saved).toBeCloseTo(total.cost * 1.5, 12) // two hits and who joined, on what two misses cost
    expect(total.total_ms.p99!).toBeGreaterThan(90)
    expect(total.total_ms.p50!).toBeLessThan(total.total_ms.p99!)
    expect(total.first_ms.p50).not.toBeNull()
    expect(minutes).toHaveLength(5)
    expect(minutes[0]!.at).toBe(window.from)
    expect(minutes.reduce((sum, { requests }) => sum + requests, 0)).toBe(6)

    expect(usage!.models.data[0]).toMatchObject({ model: 'openai/gpt-4o-mini', requests: 6 })
    expect(usage!.keys).toEqual({
      data: [expect.objectContaining({ key: id, name: 'shop', requests: 6, tokens: 30 })],
      more: false,
    })
    expect(usage!.total).toMatchObject({ requests: 6, tokens: 30 })
  })

  it('shows limits and budgets, and what is left of them', async () => {
    const limits = [
      { on: 'requests', limit: 10, window_seconds: 3600 },
      { on: 'requests', limit: 20, window_seconds: 60, algorithm: 'token_bucket' },
      { on: 'tokens', limit: 100_000, window_seconds: 3600 },
    ]
    const { tenant, id, header } = await member({ limits, budget: { usd: 1, period: 'daily' }, name: 'bot' })
    await member({}, tenant) // without bounds
    await hub.send('PUT', `/v1/tenants/${tenant}`, { budget: { usd: 5, period: 'total' } }, admin)
    await complete(header, ask())
    await complete(header, ask())
    const { limits: shown } = await overview(admin, `?tenant=${tenant}`)
    expect(shown!.keys).toEqual({
      data: [expect.objectContaining({ id, name: 'bot' })],
      more: false,
    })
    const [key] = shown!.keys.data
    expect(key!.limits.map(({ on, remaining }) => [on, remaining])).toEqual([
      ['requests', 8],
      ['requests', 18],
      ['tokens', 100_000 - 30],
    ])
    expect(key!.budget).toMatchObject({ usd: 1, period: 'daily', held_usd: 0 })
    expect(key!.budget!.spent_usd).toBeGreaterThan(0)
    expect(shown!.tenant).toMatchObject({ limits: [], budget: { usd: 5, period: 'total' } })
    expect(shown!.tenant.budget!.spent_usd).toBe(key!.budget!.spent_usd)
  })

  it('shows streams, queues, agents, alerts and schedules', async () => {
    const { header } = await member()
    const send = (method: string, path: string, body: unknown) => hub.send(method, path, body, header)
    await send('PUT', '/v1/events/orders', {
      handler: { type: 'embed', index: 'none' },
      retry: { attempts: 1 },
    })
    await send('PUT', '/v1/events/kept', {})
    const rule = { on: { stream: 'kept' }, when: { type: 'threshold', path: 'data.n', op: 'gt', value: 1 } }
    await send('PUT', '/v1/alerts/many', rule)
    await send('POST', '/v1/events/orders', { n: 1 })
    await send('POST', '/v1/events/kept', { n: 2 })
    await send('POST', '/v1/queues/mail/jobs', {
      handler: { type: 'embed', index: 'none' },
      retry: { attempts: 1 },
    })
    await send('PUT', '/v1/agents/helper', { role: 'custom', model: 'openai/gpt-4o-mini' })
    await send('PUT', '/v1/agents/idle', { role: 'planner', model: 'openai/gpt-4o-mini' })
    await send('POST', '/v1/agents/helper/steps', { input: 'Hello' })
    const source = { type: 'http-json', url: `${hub.provider.url}/none`, allow_private: true }
    const plan = { every_seconds: 3600, target: { stream: 'kept' }, enabled: true }
    await hub.send('PUT', '/v1/schedules/pull', { ...plan, source }, header)
    await hub.settled()

    const { streams, queues, agents, alerts, schedules, errors } = await overview(header)
    expect(errors).toEqual([])
    expect(streams!.data).toEqual([
      expect.objectContaining({ name: 'kept', handler: null, length: 1, lag: null, pending: 0, dead: 0 }),
      expect.objectContaining({ name: 'orders', handler: 'embed', lag: 0, pending: 0, dead: 1 }),
    ])
    expect(queues!.data).toEqual([{ name: 'mail', waiting: 0, leased: 0, dead: 1 }])
    expect(agents!.data).toMatchObject([
      { id: 'helper', role: 'custom', steps: 1, last_step_at: expect.any(String) },
      { id: 'idle', role: 'planner', status: 'idle', steps: 0, last_step_at: null },
    ])
    expect(alerts!.rules.data).toMatchObject([{ name: 'many', type: 'threshold', on: 'stream:kept' }])
    expect(alerts!.rules.data[0]!.fired_at).not.toBeNull()
    expect(Date.parse(alerts!.rules.data[0]!.quiet_until!)).toBeGreaterThan(Date.now())
    expect(alerts!.latest).toMatchObject([{ rule: 'many', type: 'threshold', value: 2 }])
    expect(schedules).toEqual({ data: [], more: false })
  })

  it('shows models and how often they ran', async () => {
    const { header } = await member({ scopes: ['admin', 'infer', 'face'] })
    const put = await hub.request('/v2/models/soft/versions/1', {
      method: 'PUT',
      body: softmax as BodyInit,
      headers: { 'content-type': 'application/octet-stream', host: 'localhost', ...header },
    })
    expect(put.status).toBe(201)
    const input = { name: 'x', shape: [1, 4], datatype: 'FP32', data: [1, 2, 3, 4] }
    const run = (inputs: unknown[]) => hub.send('POST', '/v2/models/soft/infer', { inputs }, header)
    expect((await run([input])).status).toBe(200)
    expect((await run([input])).status).toBe(200)
    expect((await run([{ ...input, name: 'y' }])).status).toBe(400)
    expect((await hub.send('POST', '/v2/models/none/infer', { inputs: [input] }, header)).status).toBe(404)
    await hub.settled()
    const { models, usage } = await overview(header)
    expect(models!.data).toMatchObject([
      { name: 'soft', versions: ['1'], labels: {}, default_version: '1', inferences: 2, errors: 0 },
    ])
    expect(models!.data[0]!.total_ms.p50).toBeGreaterThan(0)
    expect(usage!.models.data).toMatchObject([{ model: 'infer/soft', requests: 2 }])
  })

  it('shows which providers fail', async () => {
    const { header } = await member()
    for (let i = 0; i < 2; i++) {
      await complete(header, ask(`no ${i}`, { model: 'openai/gpt-4.1-nano', mock: { status: 500 } }))
    }
    await complete(header, ask('no', { model: 'openai/gpt-4.1-mini', mock: { status: 500 } }))
    const { breakers } = await overview(header)
    const nano = breakers!.data.find(({ name }) => name === 'openai/gpt-4.1-nano')
    expect(nano).toMatchObject({ state: 'open', manual: false, seconds_left: expect.any(Number) })
    const mini = breakers!.data.find(({ name }) => name === 'openai/gpt-4.1-mini')
    expect(mini).toMatchObject({ state: 'closed', failed: 1, failure_rate: 1 })
    // Another tenant, which did not call it, is not told of it.
    const { header: other } = await member()
    expect((await overview(other)).breakers!.data).toEqual([])
    expect((await overview(admin)).breakers!.data.length).toBeGreaterThan(0)
  })

  it('is the tenant’s own; an admin may name any, and is told which there are', async () => {
    const [one, other] = [await member(), await member()]
    await complete(one.header, ask())
    expect((await overview(other.header)).traffic!.total.requests).toBe(0)
    expect(await overview(other.header)).toMatchObject({ tenant: other.tenant, tenants: null })
    expect((await hub.get(`/v1/overview?tenant=${one.tenant}`, other.header)).status).toBe(403)
    const seen = await overview(admin, `?tenant=${one.tenant}`)
    expect(seen).toMatchObject({ tenant: one.tenant, traffic: { total: { requests: 1 } } })
    expect(seen.streams!.data.map(({ kind }) => kind)).toEqual(['hub', 'hub'])
    await expect
      .poll(async () => (await overview(admin)).tenants, { timeout: 5_000 })
      .toEqual(expect.arrayContaining(['default', one.tenant, other.tenant]))
  })

  it('needs the scope `face`', async () => {
    const { header } = await member({ scopes: ['usage'] })
    for (const path of ['/v1/overview', '/v1/overview/events']) {
      expect((await hub.get(path, header)).status).toBe(403)
      expect((await hub.get(path)).status).toBe(401)
      expect((await hub.get(`${path}?minutes=0`, admin)).status).toBe(400)
    }
  })

  it('says what the instance is, and shows only parts whose function is deployed', async () => {
    await using few = await startApp({ env: { REDIS_URL: redis.url, FUNCTIONS: 'face,usage,keys' } })
    const { instance, ...parts } = await overview({}, '', few)
    expect(instance).toMatchObject({ redis: 'ok', functions: ['face', 'usage', 'keys'] })
    expect(parts).toHaveProperty('usage')
    expect(parts).toHaveProperty('limits')
    for (const part of ['traffic', 'streams', 'queues', 'agents', 'models', 'alerts', 'breakers']) {
      expect(parts).not.toHaveProperty(part)
    }
  })

  it('is read once by all who look at the same time', async () => {
    const { header } = await member()
    hub.waves.length = 0
    await overview(header)
    const alone = hub.waves.length
    const { header: second } = await member()
    hub.waves.length = 0
    await Promise.all([1, 2, 3, 4, 5].map(() => overview(second)))
    expect(hub.waves.length).toBeLessThanOrEqual(alone + 4) // each one's key
    expect(alone).toBeLessThan(30)
  })

  it('names the parts that fail, and shows the others', async () => {
    const own = await startTestRedis()
    const app = await startApp({ env: { REDIS_URL: own.url } })
    try {
      await overview({}, '', app)
      await own.stop()
      const snapshot = await overview({}, '?minutes=7', app)
      expect(snapshot).toMatchObject({ traffic: null, instance: { functions: expect.any(Array) } })
      expect(snapshot.errors).toContainEqual({
        ...{ part: 'traffic', code: 'redis_unavailable' },
        message: expect.stringContaining('Redis'),
      })
    } finally {
      await app[Symbol.asyncDispose]()
    }
  })
})

describe('/v1/overview/events', () => {
  /** Events until told to stop. */
  async function follow(header: Header, of = hub) {
    const leaving = new AbortController()
    const response = await of.request('/v1/overview/events', {
      headers: { host: 'localhost', ...header, 'last-event-id': 'anything' },
      signal: leaving.signal,
    })
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    return {
      async next(): Promise<{ type: string; data: Snapshot } | undefined> {
        for (;;) {
          const [event, rest] = [text.slice(0, text.indexOf('\n\n')), text.slice(text.indexOf('\n\n') + 2)]
          if (text.includes('\n\n')) {
            text = rest
            const data = /^data: (.*)$/m.exec(event)?.[1]
            if (data) return { type: /^event: (.*)$/m.exec(event)![1]!, data: JSON.parse(data) }
            continue
          }
          const { done, value } = await reader.read()
          if (done) return undefined
          text += value
        }
      },
      async leave() {
        await reader.cancel()
        leaving.abort()
      },
    }
  }

  it('sends a snapshot at once, and another one when something changed', async () => {
    const { header } = await member()
    const events = await follow(header)
    const first = await events.next()
    expect(first).toMatchObject({ type: 'snapshot', data: { traffic: { total: { requests: 0 } } } })
    await (await hub.complete(ask(), header)).text()
    let second = await events.next()
    while (second?.data.traffic?.total.requests === 0) second = await events.next() // a minute may have begun
    expect(second).toMatchObject({ type: 'snapshot', data: { traffic: { total: { requests: 1 } } } })
    await events.leave()
    await hub.settled() // nothing of it is left
  })

  it('ends where the runtime bounds it; whoever comes back goes on', async () => {
    await using app = await startApp({ env: { REDIS_URL: redis.url }, longestStreamMs: 100 })
    for (let i = 0; i < 2; i++) {
      const events = await follow({}, app)
      expect(await events.next()).toMatchObject({ type: 'snapshot' })
      expect(await events.next()).toBeUndefined()
    }
    await app.settled()
  })

  it('sends one where calls are counted', async () => {
    await using app = await startApp({ env: { REDIS_URL: redis.url }, countsCalls: true })
    app.waves.length = 0
    const events = await follow({}, app)
    expect(await events.next()).toMatchObject({ type: 'snapshot' })
    expect(app.waves.length).toBeLessThan(40)
    await events.leave()
    await app.settled()
  })
})
