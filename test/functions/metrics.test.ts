import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createMetrics } from '../../infra/telemetry/metrics.ts'
import { ask, startApp, type TestApp, unique } from '../support/app.ts'
import { parsePrometheus } from '../support/prometheus.ts'

const ADMIN_KEY = 'the-admin-key-of-the-tests'
const admin = { authorization: `Bearer ${ADMIN_KEY}` }
const settings = { serviceName: 'hub', attributes: {} }

describe('GET /metrics', () => {
  const metrics = createMetrics({ settings, byTenant: true })
  let app: TestApp
  beforeAll(async () => {
    const env = { HUB_ADMIN_KEY: ADMIN_KEY, HUB_METRICS_TENANTS: 'on' }
    app = await startApp({ env, telemetry: { metrics } })
  })
  afterAll(async () => {
    await app[Symbol.asyncDispose]()
    await metrics.close()
  })

  const keyOf = async (body: object) => {
    const made = await app.send('POST', '/v1/keys', { tenant: 'default', ...body }, admin)
    return { authorization: `Bearer ${((await made.json()) as { key: string }).key}` }
  }
  const scrape = async () => parsePrometheus(await (await app.get('/metrics', admin)).text())

  it('needs the scope `face`, in the default tenant', async () => {
    expect((await app.get('/metrics')).status).toBe(401)
    expect((await app.get('/metrics', await keyOf({ scopes: ['face'] }))).status).toBe(200)
    expect((await app.get('/metrics', await keyOf({ scopes: ['embed'] }))).status).toBe(403)
    expect((await app.get('/metrics', await keyOf({ tenant: unique('acme') }))).status).toBe(403)
  })

  it('has what was counted before it was asked for the first time', async () => {
    const tenant = unique('acme')
    const key = await keyOf({ tenant })
    await app.complete(ask(), key)
    await app.settled()
    const { series } = (await scrape()).get('hub_completion_duration_seconds')!
    const count = series.find(({ name, labels }) => name.endsWith('_count') && labels.hub_tenant === tenant)
    expect(count).toMatchObject({
      value: 1,
      labels: { hub_cache_verdict: 'miss', hub_endpoint: 'chat.completions' },
    })
  })

  it('tells of each stream what waits and what was given up', async () => {
    const stream = unique('orders')
    // Nobody works here: what is sent waits.
    await app.send('PUT', `/v1/events/${stream}`, { handler: { type: 'store' } }, admin)
    await app.send('POST', `/v1/events/${stream}`, { value: 1 }, admin)
    const families = await scrape()
    const of = (metric: string) =>
      families.get(metric)?.series.find(({ labels }) => labels.messaging_destination_name === stream)
    expect(of('hub_stream_dead')?.value).toBe(0)
    expect(of('hub_stream_lag')).toBeDefined()
    expect(of('hub_stream_pending')?.value).toBe(0)
  })

  it('counts waves of Redis by role, and the failed ones by error', async () => {
    const { series } = (await scrape()).get('db_client_operation_duration_seconds')!
    expect(series.find(({ name }) => name.endsWith('_count'))?.labels).toMatchObject({
      db_system_name: 'redis',
      hub_redis_role: 'state',
    })
  })
})

it('a hub without metrics says so', async () => {
  await using app = await startApp()
  const reply = await app.get('/metrics')
  expect(reply.status).toBe(501)
  expect(await reply.json()).toMatchObject({
    error: { code: 'not_supported', message: expect.stringContaining('HUB_METRICS') },
  })
})
