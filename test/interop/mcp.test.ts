import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { unique } from '../support/app.ts'
import { startTestBridge } from '../support/bridge.ts'
import { ADMIN_KEY, type NodeHub, startNodeHub, startWorkerHub } from '../support/hub.ts'
import { SOFTMAX_OF_1234, softmax } from '../support/models.ts'
import { testRedisUrl } from '../support/redis.ts'

let hub: NodeHub
let key: string
const index = unique('docs')
const model = unique('softmax')

beforeAll(async () => {
  hub = await startNodeHub({ REDIS_URL: testRedisUrl() })
  const tenant = unique('mcp')
  key = await keyOf(hub.url, { tenant })
  await put(`/v1/indexes/${index}`, JSON.stringify({ fields: { lang: 'tag' } }))
  await put(
    `/v1/indexes/${index}/documents/bees`,
    JSON.stringify({ text: 'A honey bee visits fifty flowers on one flight.', metadata: { lang: 'en' } }),
  )
  const upload = { tenant, scopes: ['infer', 'admin'] }
  const bytes = { 'content-type': 'application/octet-stream', authorization: await keyOf(hub.url, upload) }
  await put(`/v2/models/${model}/versions/1`, softmax as BodyInit, bytes)
})
afterAll(() => hub?.stop())

async function keyOf(url: string, settings: object): Promise<string> {
  const reply = await fetch(`${url}/v1/keys`, {
    ...{ method: 'POST', body: JSON.stringify(settings) },
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
  })
  expect(reply.status).toBe(201)
  return `Bearer ${(await reply.json()).key}`
}

async function put(path: string, body: BodyInit, headers: Record<string, string> = {}) {
  const sent = { authorization: key, 'content-type': 'application/json', ...headers }
  const reply = await fetch(hub.url + path, { method: 'PUT', body, headers: sent })
  expect(`${path}: ${reply.ok ? 'done' : await reply.text()}`).toBe(`${path}: done`)
}

async function connect(mode: 'auto' | 'legacy', { url = hub.url, authorization = key } = {}) {
  const client = new Client({ name: 'a-test', version: '1' }, { versionNegotiation: { mode } })
  const requestInit = { headers: { authorization } }
  await client.connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit }))
  onTestFinished(() => client.close())
  return client
}

describe.each([
  ['of 2026-07-28', 'auto', '2026-07-28'],
  ['with a handshake', 'legacy', '2025-11-25'],
] as const)('the official client, %s', (_, mode, revision) => {
  it('learns who serves and what there is', async () => {
    const client = await connect(mode)
    expect(client.getNegotiatedProtocolVersion()).toBe(revision)
    expect(client.getServerVersion()).toMatchObject({ name: 'redis-ai-hub' })
    expect(client.getInstructions()).toContain('search or ask')
    const { tools } = await client.listTools()
    expect(tools.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['search', 'ask', 'remember', 'recall', 'infer', 'publish_event']),
    )
    for (const { name, description, inputSchema, outputSchema, annotations } of tools) {
      expect({ name, description }).toEqual({ name, description: expect.stringMatching(/\w{3}.*\.$/s) })
      expect(inputSchema).toMatchObject({ type: 'object', additionalProperties: false })
      expect(outputSchema).toMatchObject({ type: 'object' })
      expect(annotations).toMatchObject({ readOnlyHint: expect.any(Boolean), openWorldHint: false })
    }
  })

  it('calls every tool, whose results are as their schemas say', async () => {
    const client = await connect(mode)
    await client.listTools() // it checks results by what it was told
    const called = new Set<string>()
    async function call(name: string, args: object = {}) {
      called.add(name)
      const { isError, content, structuredContent } = await client.callTool({ name, arguments: { ...args } })
      expect({ name, isError, content }).toMatchObject({ isError: undefined })
      expect(JSON.parse((content[0] as { text: string }).text)).toEqual(structuredContent)
      return structuredContent
    }

    expect(await call('list_indexes')).toMatchObject({ data: [{ name: index, fields: { lang: 'tag' } }] })
    const filter = { type: 'eq', key: 'lang', value: 'en' }
    const asked = { index, query: 'how many flowers does a bee visit', filter }
    expect(await call('search', asked)).toMatchObject({ results: [{ document_id: 'bees' }] })
    expect(await call('search', { ...asked, filter: { ...filter, value: 'de' } })).toEqual({ results: [] })
    expect(await call('read_document', { index, id: 'bees' })).toMatchObject({
      text: 'A honey bee visits fifty flowers on one flight.',
    })
    const question = 'How many flowers does a honey bee visit on one flight?'
    expect(await call('ask', { index, question })).toMatchObject({
      found: true,
      citations: [{ document_id: 'bees', quote: expect.stringContaining('fifty') }],
    })

    const agent = unique('helper')
    const text = 'Ann prefers metric units.'
    expect(await call('remember', { agent, text })).toMatchObject({ status: 'stored' })
    expect(await call('remember', { agent, text })).toMatchObject({ status: 'duplicate' })
    expect(await call('recall', { agent, query: 'Which units does Ann like?' })).toMatchObject({
      data: [{ text }],
    })
    expect(await call('recall', { agent })).toMatchObject({ data: [{ text }] })

    const topic = unique('prices')
    expect(await call('write_knowledge', { topic, facts: { pen: 2, ink: { red: 3 } } })).toMatchObject({
      facts: { pen: { value: 2, version: 1 } },
    })
    await call('write_knowledge', { topic, facts: { pen: 4 }, if_versions: { pen: 1 } })
    expect(await call('read_knowledge', { topic, field: ['pen'] })).toMatchObject({
      facts: { pen: { value: 4, version: 2 } },
    })
    expect(JSON.stringify(await call('list_topics', { limit: 1_000 }))).toContain(topic)

    expect(await call('list_models')).toMatchObject({ data: [{ name: model }] })
    expect(await call('describe_model', { model })).toMatchObject({ inputs: [{ name: 'x', shape: [-1, 4] }] })
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [1, 4], data: [[1, 2, 3, 4]] }]
    const { outputs } = (await call('infer', { model, inputs })) as { outputs: { data: number[] }[] }
    expect(outputs[0]!.data).toEqual(SOFTMAX_OF_1234.map((value) => expect.closeTo(value, 5)))

    const stream = unique('orders')
    await put(`/v1/events/${stream}`, JSON.stringify({ handler: { type: 'embed', index } }))
    const event = { stream, type: 'measured', id: 'm-1', data: { text: 'Ink is blue.' } }
    const sent = (await call('publish_event', event)) as { events: { result_id: string }[] }
    expect(sent).toMatchObject({ accepted: 1, duplicates: 0 })
    expect(await call('publish_event', event)).toMatchObject({ accepted: 0, duplicates: 1 })
    expect(await call('read_events', { stream })).toMatchObject({
      data: [{ result_id: sent.events[0]!.result_id, event: { id: 'm-1', type: 'measured' } }],
    })
    expect(await call('event_result', { id: sent.events[0]!.result_id, wait_seconds: 20 })).toMatchObject({
      id: sent.events[0]!.result_id,
    })
    expect(await call('stream_stats', { stream })).toMatchObject({ length: 1 })
    expect([...called].toSorted()).toEqual(
      (await client.listTools()).tools.map(({ name }) => name).toSorted(),
    )
  })

  it('is told what is wrong with a call, in words for a model', async () => {
    const client = await connect(mode)
    const failed = async (name: string, args: Record<string, unknown>) => {
      const { isError, content } = await client.callTool({ name, arguments: args })
      expect({ name, isError }).toMatchObject({ isError: true })
      return (content[0] as { text: string }).text
    }
    expect(await failed('search', { index, query: 'x', top_k: 0 })).toMatch(/arguments.*top_k/s)
    expect(await failed('search', { index, query: 'x', limit: 3 })).toContain('limit')
    expect(await failed('search', { index: 'nowhere', query: 'x' })).toMatch(/nowhere.*\(index_not_found\)$/s)
    expect(await failed('recall', { agent: unique('nobody') })).toContain('(agent_not_found)')
    await expect(client.callTool({ name: 'format_disk', arguments: {} })).rejects.toMatchObject({
      code: -32602,
      message: expect.stringContaining('format_disk'),
    })
  })

  it('sees and calls what its key may, and no more', async () => {
    const authorization = await keyOf(hub.url, { tenant: unique('mcp'), scopes: ['search', 'usage'] })
    const client = await connect(mode, { authorization })
    const { tools } = await client.listTools()
    expect(tools.map(({ name }) => name)).toEqual(['list_indexes', 'search', 'read_document'])
    const refused = await client.callTool({
      name: 'infer',
      arguments: { model, inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [1] }] },
    })
    expect(refused).toMatchObject({ isError: true, content: [{ text: expect.stringContaining('`infer`') }] })
    // Another tenant's key has another tenant's documents.
    expect((await client.callTool({ name: 'list_indexes' })).structuredContent).toEqual({ data: [] })
    const foreign = await connect(mode, { authorization: 'Bearer hub_unknown' }).catch((error) => error)
    expect(String(foreign)).toMatch(/401|nauthorized|API key|hub key/)
  })
})

// Bundling it takes some seconds of a whole core.
it('is served by workerd too', { timeout: 60_000 }, async () => {
  const bridge = await startTestBridge({ redisUrl: testRedisUrl() })
  onTestFinished(() => bridge.close())
  const redis = { UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token }
  await using worker = await startWorkerHub(redis)
  const { url } = worker
  const authorization = await keyOf(url, { tenant: unique('mcp'), scopes: ['agent-step'] })
  const client = await connect('auto', { url, authorization })
  expect((await client.listTools()).tools.map(({ name }) => name)).toContain('remember')
  const topic = unique('topic')
  await client.callTool({ name: 'write_knowledge', arguments: { topic, facts: { a: 1 } } })
  const { structuredContent } = await client.callTool({ name: 'read_knowledge', arguments: { topic } })
  expect(structuredContent).toMatchObject({ facts: { a: { value: 1 } } })
})
