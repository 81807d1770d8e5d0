import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask, unique } from '../support/app.ts'
import { ADMIN_KEY, type NodeHub, startNodeHub, until } from '../support/hub.ts'
import { startOtlpReceiver } from '../support/otlp.ts'
import { parsePrometheus } from '../support/prometheus.ts'
import { startProvider } from '../support/provider.ts'
import { testRedisUrl } from '../support/redis.ts'

const PROVIDER_KEY = 'sk-proj-provider-key-of-this-test'

let hub: NodeHub
let provider: Awaited<ReturnType<typeof startProvider>>
let otlp: Awaited<ReturnType<typeof startOtlpReceiver>>

beforeAll(async () => {
  otlp = await startOtlpReceiver()
  provider = await startProvider()
  hub = await startNodeHub({
    REDIS_URL: testRedisUrl(),
    OPENAI_API_KEY: PROVIDER_KEY,
    OPENAI_BASE_URL: provider.url,
    OTEL_EXPORTER_OTLP_ENDPOINT: otlp.url,
    HUB_ACCESS_LOG: 'on',
  })
})

afterAll(async () => {
  await hub.stop()
  await Promise.all([provider.close(), otlp.close()])
})

function call(
  path: string,
  body?: object,
  headers: Record<string, string> = {},
  method = body ? 'POST' : 'GET',
) {
  return fetch(`${hub.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json', ...headers },
    body: body && JSON.stringify(body),
  })
}

async function scrape() {
  const reply = await call('/metrics')
  expect(reply.status).toBe(200)
  expect(reply.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  const text = await reply.text()
  return { text, families: parsePrometheus(text) }
}

type Scraped = Awaited<ReturnType<typeof scrape>>

/** Of a histogram, how many there were. */
const countOf = ({ families }: Scraped, name: string, labels: Record<string, string>) => {
  const { type, series } = families.get(name) ?? { type: '', series: [] }
  return series
    .filter((one) => one.name === (type === 'histogram' ? `${name}_count` : name))
    .filter((one) => Object.entries(labels).every(([label, value]) => one.labels[label] === value))
    .reduce((sum, { value }) => sum + value, 0)
}

/** One of each kind that the dashboard shows. */
async function serve() {
  const question = ask(unique('what'))
  await (await call('/v1/chat/completions', question)).text()
  await until('it is a hit', async () => {
    const reply = await call('/v1/chat/completions', question)
    await reply.text()
    return /hit/.test(reply.headers.get('cache-status') ?? '')
  })
  await (await call('/v1/chat/completions', ask(unique('stream'), { stream: true }))).text()
  await (await call('/v1/chat/completions', ask(unique('broken'), { mock: { status: 500 } }))).text()
  const stream = unique('stream')
  await call(`/v1/events/${stream}`, { handler: { type: 'store' } }, {}, 'PUT')
  await call(`/v1/events/${stream}`, { value: 1 })
}

describe('GET /metrics', () => {
  it('counts what was served, in Prometheus’ text format', async () => {
    const before = await scrape()
    await serve()
    const after = await until('they are counted', async () => {
      const now = await scrape()
      return countOf(now, 'hub_provider_errors_total', {}) > 0 && now
    })
    const risen = (name: string, labels = {}) => countOf(after, name, labels) - countOf(before, name, labels)
    const route = { http_route: '/v1/chat/completions', http_request_method: 'POST' }
    expect(risen('http_server_request_duration_seconds', route)).toBeGreaterThanOrEqual(4)
    expect(
      risen('http_server_request_duration_seconds', { ...route, http_response_status_code: '502' }),
    ).toBe(1)
    expect(risen('hub_completion_duration_seconds', { hub_cache_verdict: 'exact' })).toBeGreaterThanOrEqual(1)
    expect(risen('hub_completion_duration_seconds', { hub_cache_verdict: 'miss' })).toBeGreaterThanOrEqual(3)
    expect(risen('db_client_operation_duration_seconds', { db_system_name: 'redis' })).toBeGreaterThan(3)
    expect(countOf(after, 'process_memory_usage_bytes', {})).toBeGreaterThan(1e6)
    const model = { gen_ai_provider_name: 'openai', gen_ai_request_model: 'gpt-4o-mini' }
    expect(risen('gen_ai_client_operation_duration_seconds', model)).toBeGreaterThanOrEqual(3)
    expect(
      risen('gen_ai_client_token_usage', { ...model, gen_ai_token_type: 'output' }),
    ).toBeGreaterThanOrEqual(2)
  })

  it('names routes by their templates, and nothing that callers chose', async () => {
    const name = unique('stream-of-mine')
    await call(`/v1/events/${name}`, { value: 1 })
    await call(`/v1/nothing/${name}`)
    const { text } = await scrape()
    expect(text).toContain('http_route="/v1/events/{stream}"')
    expect(text).not.toContain(name)
  })

  it('is the operator’s: not without a key, not by a tenant’s', async () => {
    expect((await fetch(`${hub.url}/metrics`)).status).toBe(401)
    const made = await call('/v1/keys', { name: 'scraper', tenant: unique('acme') })
    const { key } = (await made.json()) as { key: string }
    const refused = await call('/metrics', undefined, { authorization: `Bearer ${key}` })
    expect(refused.status).toBe(403)
  })

  it('has every metric that the Grafana dashboard asks for', async () => {
    await serve()
    const dashboard = JSON.parse(
      readFileSync(new URL('../../infra/grafana/redis-ai-hub.json', import.meta.url), 'utf8'),
    )
    const queries: string[] = dashboard.panels.flatMap(({ targets = [] }: { targets?: { expr: string }[] }) =>
      targets.map(({ expr }) => expr),
    )
    const names = queries.flatMap((expr) =>
      [...expr.matchAll(/([a-z][a-z0-9_]+)\{/g)].map(([, name]) => name!),
    )
    expect(new Set(names).size).toBeGreaterThan(15)
    const missing = async () => {
      const { text } = await scrape()
      return [...new Set(names)].filter((name) => !new RegExp(`^${name}[ {]`, 'm').test(text))
    }
    // Money is counted once a call is over.
    await until('all of them are there', async () => (await missing()).length === 0, 5_000).catch(() => {})
    expect(await missing()).toEqual([])
    // Labels that queries sort by are labels of something.
    const { text } = await scrape()
    const labels = queries.flatMap((expr) =>
      [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list]) => list!.split(/,\s*/)),
    )
    for (const label of new Set(labels.filter((one) => !['le', 'instance'].includes(one)))) {
      expect(text, label).toContain(`${label}="`)
    }
    expect(dashboard).toMatchObject({ uid: 'redis-ai-hub', title: 'redis-ai-hub' })
    expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(39)
    expect(dashboard.templating.list[0]).toMatchObject({ type: 'datasource', query: 'prometheus' })
    for (const { type, datasource } of dashboard.panels) {
      if (type !== 'row') expect(datasource.uid).toBe(`\${${dashboard.templating.list[0].name}}`)
    }
  })
})

describe('the log', () => {
  it('tells of each request and of its trace, without secrets', async () => {
    const before = hub.logs().length
    const secret = 'sk-of-a-caller-9876543210'
    const said = `You said: ${unique('a prompt of somebody')}`
    const errorBody = { error: { message: `${said}; key ${secret}; Authorization: Bearer abcdefgh12345678` } }
    const reply = await call(
      `/v1/chat/completions?api_key=${secret}`,
      ask(said, { mock: { status: 500, errorBody } }),
      { 'x-api-key': secret, cookie: `session=${secret}` },
    )
    expect(reply.status).toBe(502)
    const lines = await until('the lines are there', () => {
      const all = hub
        .logs()
        .slice(before)
        .split('\n')
        .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []))
      return all.some(({ level }) => level === 'error') && all.some(({ msg }) => msg === 'Request') && all
    })
    const request = lines.find(({ msg }) => msg === 'Request')
    expect(request).toMatchObject({
      level: 'info',
      method: 'POST',
      route: '/v1/chat/completions',
      status: 502,
      tenant: 'default',
      request_id: reply.headers.get('x-request-id'),
      trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
    })
    const error = lines.find(({ level }) => level === 'error')
    expect(error).toMatchObject({ request_id: request.request_id, trace_id: request.trace_id })
    expect(error.msg).toBe('openai failed with 500: [redacted]')
    const text = hub.logs()
    for (const hidden of [secret, said, PROVIDER_KEY, ADMIN_KEY, 'abcdefgh12345678']) {
      expect(text).not.toContain(hidden)
    }
  })
})

describe('the end', () => {
  it('sends what is left: spans, and metrics by OTLP', async () => {
    await call('/v1/chat/completions', ask(unique('last')))
    await hub.stop()
    expect(otlp.spans.some(({ name }) => name === 'POST /v1/chat/completions')).toBe(true)
    expect([...otlp.metrics]).toEqual(
      expect.arrayContaining(['http.server.request.duration', 'gen_ai.client.token.usage', 'process.uptime']),
    )
    expect(otlp.text()).not.toContain('a prompt of somebody')
  })
})
