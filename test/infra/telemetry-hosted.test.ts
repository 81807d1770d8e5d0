import { afterAll, beforeAll, expect, test } from 'vitest'
import { ask, unique } from '../support/app.ts'
import { startTestBridge } from '../support/bridge.ts'
import { ADMIN_KEY, startLambdaHub, startWorkerHub, until } from '../support/hub.ts'
import { startOtlpReceiver } from '../support/otlp.ts'
import { startProvider } from '../support/provider.ts'
import { testRedisUrl } from '../support/redis.ts'

let provider: Awaited<ReturnType<typeof startProvider>>
let otlp: Awaited<ReturnType<typeof startOtlpReceiver>>
let bridge: Awaited<ReturnType<typeof startTestBridge>>

beforeAll(async () => {
  otlp = await startOtlpReceiver()
  provider = await startProvider()
  bridge = await startTestBridge({ redisUrl: testRedisUrl() })
})
afterAll(() => Promise.all([provider.close(), otlp.close(), bridge.close()]))

test.each([
  ['Workers', startWorkerHub],
  ['Lambda', startLambdaHub],
])('%s: a trace goes on, and is sent behind the answer', async (_, start) => {
  await using hub = await start({
    UPSTASH_REDIS_REST_URL: bridge.url,
    UPSTASH_REDIS_REST_TOKEN: bridge.token,
    OPENAI_API_KEY: 'sk-test',
    OPENAI_BASE_URL: provider.url,
    OTEL_EXPORTER_OTLP_ENDPOINT: otlp.url,
  })
  const traceId = crypto.randomUUID().replaceAll('-', '')
  const call = (path: string, body?: object) =>
    fetch(`${hub.url}${path}`, {
      method: body ? 'POST' : 'GET',
      headers: {
        authorization: `Bearer ${ADMIN_KEY}`,
        'content-type': 'application/json',
        traceparent: `00-${traceId}-b7ad6b7169203331-01`,
      },
      body: body && JSON.stringify(body),
    })
  const prompt = unique('what is to stay between us')
  expect((await call('/v1/chat/completions', ask(prompt))).status).toBe(200)
  const spans = await until('its spans are there', () => {
    const found = otlp.spans.filter((span) => span.traceId === traceId)
    return found.some(({ name }) => name === 'chat gpt-4o-mini') && found
  })
  const server = spans.find(({ kind }) => kind === 2)!
  expect(server).toMatchObject({
    name: 'POST /v1/chat/completions',
    parentSpanId: 'b7ad6b7169203331',
    attributes: { 'hub.cache.verdict': 'miss' },
  })
  expect(spans.some(({ name, parentSpanId }) => /^redis /.test(name) && parentSpanId === server.spanId)).toBe(
    true,
  )
  expect(otlp.text()).not.toContain(prompt)

  const metrics = await call('/metrics')
  expect(metrics.status).toBe(501)
  expect(await metrics.json()).toMatchObject({ error: { code: 'not_supported' } })
})
