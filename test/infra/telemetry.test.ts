import { trace } from '@opentelemetry/api'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startTelemetry } from '../../infra/telemetry/start-telemetry.ts'
import { createOutgoingNode } from '../../shared/drivers/outgoing-node.ts'
import { ask, startApp, type TestApp, unique } from '../support/app.ts'
import { until } from '../support/hub.ts'
import { type ReceivedSpan, startOtlpReceiver } from '../support/otlp.ts'
import { startReceiver } from '../support/receiver.ts'

const PROMPT = 'the quick brown secret-of-mine jumps'
const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const CLOUD_EVENT = { 'content-type': 'application/cloudevents+json' }
const TRACE = '0af7651916cd43dd8448eb211c80319c'

let otlp: Awaited<ReturnType<typeof startOtlpReceiver>>
let telemetry: Awaited<ReturnType<typeof startTelemetry>>
let hook: Awaited<ReturnType<typeof startReceiver>>
let app: TestApp
const stopping = new AbortController()
let work: Promise<void>

beforeAll(async () => {
  otlp = await startOtlpReceiver()
  telemetry = await startTelemetry({
    OTEL_EXPORTER_OTLP_ENDPOINT: `${otlp.url}/`,
    OTEL_SERVICE_NAME: 'hub-under-test',
    OTEL_METRIC_EXPORT_INTERVAL: '60000',
  })
  hook = await startReceiver({ answer: () => ({ text: '{"taken":true}' }) })
  const node = createOutgoingNode({ silenceMs: 5_000 })
  app = await startApp({
    telemetry,
    provider: { text: 'It is forty-two.' },
    // Handlers take https alone: their server is here.
    outgoing: {
      ...node,
      send: (request) => node.send({ ...request, url: new URL(hook.url), allowPrivate: true }),
    },
  })
  work = app.work(stopping.signal)
})

afterAll(async () => {
  stopping.abort()
  await work
  await app[Symbol.asyncDispose]()
  await telemetry.close()
  await Promise.all([otlp.close(), hook.close()])
})

beforeEach(() => void otlp.spans.splice(0))

/** Spans of a trace, once those of all these names are there: they end, and are sent, in no certain order. */
async function traced(traceId: string, ...names: (string | RegExp)[]): Promise<ReceivedSpan[]> {
  return until('the spans of the trace', async () => {
    await telemetry.tracing?.flush()
    const spans = otlp.spans.filter((span) => span.traceId === traceId)
    return names.every((name) => named(spans, name)) ? spans : undefined
  })
}

const named = (spans: ReceivedSpan[], name: string | RegExp) =>
  spans.find((span) => (typeof name === 'string' ? span.name === name : name.test(span.name)))

/** Of a trace that this test begins. */
function newTrace() {
  const traceId = crypto.randomUUID().replaceAll('-', '')
  return { traceId, headers: { traceparent: `00-${traceId}-b7ad6b7169203331-01` } }
}

describe('traces', () => {
  it('a completion is one trace: request, waves of Redis, call of the model, without what was said', async () => {
    const reply = await app.complete(ask(`${PROMPT} ${unique('q')}`, { temperature: 0.5 }), {
      traceparent: PARENT,
      authorization: 'Bearer sk-of-the-caller-1234567',
    })
    expect(reply.status).toBe(200)
    await app.settled()
    const spans = await traced(TRACE, 'POST /v1/chat/completions', /^redis /, 'chat gpt-4o-mini')

    const server = named(spans, 'POST /v1/chat/completions')!
    expect(server).toMatchObject({
      kind: 2,
      parentSpanId: 'b7ad6b7169203331',
      attributes: {
        'http.request.method': 'POST',
        'http.route': '/v1/chat/completions',
        'http.response.status_code': 200,
        'hub.tenant': 'default',
        'hub.cache.verdict': 'miss',
      },
    })
    const wave = named(spans, /^redis /)!
    expect(wave).toMatchObject({ kind: 3, parentSpanId: server.spanId })
    expect(wave.attributes).toMatchObject({ 'db.system.name': 'redis', 'hub.redis.role': 'state' })
    expect(wave.attributes['db.query.summary']).toMatch(/^[A-Z]+( [a-z][a-z-]*)?( |$)/)

    expect(named(spans, 'chat gpt-4o-mini')).toMatchObject({
      kind: 3,
      attributes: {
        'gen_ai.operation.name': 'chat',
        'gen_ai.provider.name': 'openai',
        'gen_ai.request.model': 'gpt-4o-mini',
        'gen_ai.request.temperature': 0.5,
        'gen_ai.response.model': 'gpt-4o-mini',
        'gen_ai.usage.input_tokens': 10,
        'gen_ai.usage.output_tokens': 5,
        'gen_ai.response.finish_reasons': ['stop'],
      },
    })
    const all = otlp.text()
    expect(all).toContain('hub-under-test')
    for (const secret of [PROMPT, 'forty-two', 'sk-of-the-caller', 'sk-test', 'secret-of-mine']) {
      expect(all, secret).not.toContain(secret)
    }
    // Providers are others' houses: they are not told of our traces.
    expect(app.provider.requests.at(-1)?.headers.traceparent).toBeUndefined()
  })

  it('a hit says so and calls nobody', async () => {
    const question = ask()
    await app.complete(question)
    await app.settled()
    const { traceId, headers } = newTrace()
    await app.complete(question, headers)
    const spans = await traced(traceId, /^POST/)
    expect(named(spans, /^POST/)?.attributes['hub.cache.verdict']).toBe('exact')
    expect(named(spans, /^chat/)).toBeUndefined()
  })

  it('a stream tells when its first chunk came, and what it took', async () => {
    const { traceId, headers } = newTrace()
    const reply = await app.complete(ask(undefined, { stream: true }), headers)
    await reply.text()
    await app.settled()
    const spans = await traced(traceId, /^chat/)
    const chat = named(spans, /^chat/)!
    expect(chat.events.map(({ name }) => name)).toEqual(['gen_ai.first_chunk'])
    expect(chat.attributes).toMatchObject({
      'gen_ai.request.stream': true,
      'gen_ai.usage.output_tokens': 5,
      'gen_ai.response.finish_reasons': ['stop'],
    })
  })

  it('a failed call is told by its code alone', async () => {
    const { traceId, headers } = newTrace()
    const body = ask('what nobody is to read', { mock: { status: 500 } })
    expect((await app.complete(body, headers)).status).toBe(502)
    await app.settled()
    const spans = await traced(traceId, /^POST/, /^chat/)
    expect(named(spans, /^chat/)).toMatchObject({
      status: { code: 2 },
      attributes: { 'error.type': 'provider_error' },
    })
    expect(otlp.text()).not.toContain('what nobody is to read')
  })

  it('an event goes on in the trace of who sent it: request, stream, consumer, the handler’s own request', async () => {
    const stream = unique('orders')
    const put = await app.send('PUT', `/v1/events/${stream}`, {
      handler: { type: 'http', url: 'https://hooks.example.com/take/T0KEN-in-path' },
    })
    expect(put.status).toBeLessThan(300)
    const { traceId, headers } = newTrace()
    const event = { specversion: '1.0', id: '1', source: '/test', type: 'order', data: { text: PROMPT } }
    const sent = await app.send('POST', `/v1/events/${stream}`, event, { ...headers, ...CLOUD_EVENT })
    expect(sent.status).toBe(202)

    const spans = await traced(traceId, `process ${stream}`, /^POST \/v1\/events/, 'POST')
    const consumer = named(spans, `process ${stream}`)!
    const server = named(spans, /^POST \/v1\/events/)!
    expect(server.attributes['http.route']).toBe('/v1/events/{stream}')
    expect(consumer).toMatchObject({ kind: 5, parentSpanId: server.spanId })
    expect(consumer.attributes).toMatchObject({
      'messaging.destination.name': stream,
      'messaging.batch.message_count': 1,
    })
    const call = spans.find(({ name, parentSpanId }) => name === 'POST' && parentSpanId === consumer.spanId)!
    expect(call).toMatchObject({
      kind: 3,
      attributes: { 'server.address': 'hooks.example.com', 'http.response.status_code': 200 },
    })
    expect(hook.received.at(-1)?.headers.traceparent).toBe(`00-${traceId}-${call.spanId}-01`)
    expect(otlp.text()).not.toContain('T0KEN')
  })

  it('an event that has a trace of its own stays in that one', async () => {
    const stream = unique('orders')
    await app.send('PUT', `/v1/events/${stream}`, {
      key: 'type',
      handler: { type: 'http', url: 'https://hooks.example.com/take' },
    })
    const { traceId } = newTrace()
    const traceparent = `00-${traceId}-00f067aa0ba902b7-01`
    const event = { specversion: '1.0', id: '1', source: '/test', type: 'order', data: 1, traceparent }
    await app.send('POST', `/v1/events/${stream}`, event, { ...newTrace().headers, ...CLOUD_EVENT })
    const spans = await traced(traceId, `process ${stream}`)
    expect(named(spans, `process ${stream}`)?.parentSpanId).toBe('00f067aa0ba902b7')
  })

  it('jobs of a queue and messages of an agent carry it too', async () => {
    const queue = unique('jobs')
    const { traceId, headers } = newTrace()
    const job = { handler: { type: 'http', url: 'https://hooks.example.com/take' }, data: 1 }
    const pushed = await app.send('POST', `/v1/queues/${queue}/jobs`, job, headers)
    expect(pushed.status).toBe(202)
    await traced(traceId, `process ${queue}`)

    const agent = unique('agent')
    const instructions = `@tool log {"message":"${PROMPT}"}`
    const put = await app.send('PUT', `/v1/agents/${agent}`, { role: 'custom', instructions, tools: ['log'] })
    expect(put.status).toBeLessThan(300)
    const second = newTrace()
    const told = await app.send('POST', `/v1/agents/${agent}/messages`, { content: PROMPT }, second.headers)
    expect(told.status).toBe(202)
    const names = [`invoke_agent ${agent}`, 'execute_tool log', 'chat local']
    const spans = await traced(second.traceId, ...names)
    const step = named(spans, `invoke_agent ${agent}`)!
    expect(step.attributes).toMatchObject({
      'gen_ai.operation.name': 'invoke_agent',
      'gen_ai.agent.id': agent,
    })
    expect(named(spans, 'execute_tool log')?.parentSpanId).toBe(step.spanId)
    expect(named(spans, 'chat local')).toMatchObject({
      traceId: second.traceId,
      attributes: { 'gen_ai.provider.name': 'local' },
    })
    expect(otlp.text()).not.toContain(PROMPT)
  })

  it('an embedding is a call of a model', async () => {
    const { traceId, headers } = newTrace()
    const body = { model: 'openai/text-embedding-3-small', input: [PROMPT, unique('text')] }
    expect((await app.send('POST', '/v1/embeddings', body, headers)).status).toBe(200)
    await app.settled()
    const spans = await traced(traceId, /^embeddings/)
    expect(named(spans, 'embeddings text-embedding-3-small')?.attributes).toMatchObject({
      'gen_ai.operation.name': 'embeddings',
      'gen_ai.provider.name': 'openai',
      'gen_ai.embeddings.dimension.count': 1536,
    })
  })

  it('shows what was said only to an operator who asks for it', async () => {
    const tracing = { ...telemetry.tracing!, captureContent: true }
    await using open = await startApp({ telemetry: { tracing }, provider: { text: 'Forty-two, of course.' } })
    const prompt = unique('how much is it')
    for (const stream of [false, true]) {
      const { traceId, headers } = newTrace()
      const body = ask(`${prompt} ${stream}`, { stream })
      await (await open.complete(body, headers)).text()
      await open.settled()
      const chat = named(await traced(traceId, /^chat/), /^chat/)!
      expect(JSON.parse(chat.attributes['gen_ai.input.messages'] as string)).toEqual([
        { role: 'user', parts: [{ type: 'text', content: `${prompt} ${stream}` }] },
      ])
      expect(JSON.parse(chat.attributes['gen_ai.output.messages'] as string)).toEqual([
        {
          role: 'assistant',
          parts: [{ type: 'text', content: 'Forty-two, of course.' }],
          finish_reason: 'stop',
        },
      ])
    }
  })

  it('probes leave none', async () => {
    await app.get('/healthz')
    await app.get('/readyz')
    await telemetry.tracing?.flush()
    expect(otlp.spans.filter(({ kind }) => kind === 2)).toEqual([])
    expect(trace.getActiveSpan()).toBeUndefined()
  })
})
