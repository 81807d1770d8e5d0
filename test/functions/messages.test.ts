import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { startApp, type TestApp, unique } from '../support/app.ts'
import { startProvider } from '../support/provider.ts'

let hub: TestApp
beforeAll(async () => {
  hub = await startApp()
})
afterAll(() => hub[Symbol.asyncDispose]())

const asking = (more: object = {}) => ({
  model: 'openai/gpt-4o-mini',
  max_tokens: 100,
  messages: [{ role: 'user', content: crypto.randomUUID() }],
  ...more,
})
const post = (body: object | string, headers: Record<string, string> = {}, to: TestApp = hub) =>
  to.send('POST', '/v1/messages', body, headers)
const status = (response: Response) => response.headers.get('cache-status')
/** What the hub sent to the provider for it. */
const passedOn = async (body: object) => {
  const reply = await post(body)
  expect(reply.status, await reply.clone().text()).toBe(200)
  return hub.provider.requests.at(-1)!.body
}

interface Event {
  type: string
  // biome-ignore lint/suspicious/noExplicitAny: any event's fields
  [field: string]: any
}
const eventsOf = async (response: Response): Promise<Event[]> =>
  (await response.text())
    .split('\n\n')
    .filter(Boolean)
    .map((event) => {
      const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(event) ?? []
      const value = JSON.parse(data!)
      expect(value.type).toBe(name)
      return value
    })

describe('POST /v1/messages', () => {
  it('answers with a message of Anthropic’s shape', async () => {
    const reply = await post(asking())
    expect(reply.status).toBe(200)
    expect(reply.headers.get('request-id')).toBe(reply.headers.get('x-request-id'))
    expect(await reply.json()).toEqual({
      id: expect.stringMatching(/^msg_\d+$/),
      ...{ type: 'message', role: 'assistant', model: 'gpt-4o-mini' },
      content: [{ type: 'text', text: 'Hello from the mock.', citations: null }],
      ...{ stop_reason: 'end_turn', stop_sequence: null, stop_details: null },
      usage: {
        ...{ input_tokens: 10, output_tokens: 5 },
        ...{ cache_creation_input_tokens: 0, cache_read_input_tokens: 0 },
      },
    })
  })

  it('shares its cache with chat completions, with the same directives and headers', async () => {
    const content = crypto.randomUUID()
    const messages = [{ role: 'user', content }]
    await hub.complete({ model: 'openai/gpt-4o-mini', max_completion_tokens: 100, messages })
    const calls = hub.provider.count
    const hit = await post(asking({ messages, metadata: { user_id: 'somebody' } }))
    expect(status(hit)).toContain('; hit;')
    expect(hit.headers.get('age')).toMatch(/^\d$/)
    expect(status(await post(asking({ messages, stream: true })))).toContain('; hit;')
    expect(hub.provider.count).toBe(calls)
    const fresh = await post(asking({ messages }), { 'cache-control': 'no-store' })
    expect(status(fresh)).toBe('redis-ai-hub; fwd=request')
    const none = await post(asking(), { 'cache-control': 'only-if-cached' })
    expect(none.status).toBe(504)
    expect((await none.json()).error.code).toBe('not_cached')
  })

  it('passes on what OpenAI’s shape has a word for', async () => {
    const body = await passedOn(
      asking({
        system: [
          { type: 'text', text: 'One.', cache_control: { type: 'ephemeral' } },
          { type: 'text', text: 'Two.' },
        ],
        ...{ temperature: 0.5, top_p: 0.9, top_k: 40, stop_sequences: ['END'] },
        metadata: { user_id: 'u1' },
        thinking: { type: 'enabled', budget_tokens: 2000 },
        tools: [
          {
            name: 'weather',
            description: 'It tells.',
            input_schema: { type: 'object' },
            cache_control: null,
          },
        ],
        tool_choice: { type: 'tool', name: 'weather', disable_parallel_tool_use: true },
        output_config: { effort: 'low', format: { type: 'json_schema', schema: { type: 'object' } } },
      }),
    )
    const { messages, ...others } = body
    expect((messages as object[])[0]).toEqual({ role: 'system', content: 'One.\nTwo.' })
    expect(others).toEqual({
      model: 'gpt-4o-mini',
      max_completion_tokens: 100,
      ...{ temperature: 0.5, top_p: 0.9, top_k: 40, stop: ['END'], user: 'u1' },
      tools: [
        {
          type: 'function',
          function: { name: 'weather', description: 'It tells.', parameters: { type: 'object' } },
        },
      ],
      tool_choice: { type: 'function', function: { name: 'weather' } },
      parallel_tool_calls: false,
      reasoning_effort: 'low',
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'answer', schema: { type: 'object' }, strict: true },
      },
    })
  })

  it('streams the events of Anthropic in their order', async () => {
    const reply = await post(asking({ stream: true }))
    expect(reply.headers.get('content-type')).toMatch(/^text\/event-stream/)
    const events = await eventsOf(reply)
    expect(events.map(({ type }) => type)).toEqual([
      ...['message_start', 'content_block_start', 'ping'],
      ...Array.from({ length: 4 }, () => 'content_block_delta'),
      ...['content_block_stop', 'message_delta', 'message_stop'],
    ])
    expect(events[0]!.message).toMatchObject({ type: 'message', content: [], stop_reason: null })
    const texts = events.filter(({ type }) => type === 'content_block_delta').map(({ delta }) => delta.text)
    expect(texts.join('')).toBe('Hello from the mock.')
    expect(events.at(-2)).toMatchObject({
      delta: { stop_reason: 'end_turn', stop_sequence: null },
      usage: { input_tokens: 10, output_tokens: 5 },
    })
  })

  it('streams tool calls as the JSON of their input', async () => {
    await using other = await startApp({
      provider: {
        toolCalls: [
          { name: 'a', arguments: '{"x":1}' },
          { name: 'b', arguments: '{}' },
        ],
      },
    })
    const tools = ['a', 'b'].map((name) => ({ name, input_schema: { type: 'object' } }))
    const events = await eventsOf(await post(asking({ tools, stream: true }), {}, other))
    const starts = events.filter(({ type }) => type === 'content_block_start')
    expect(starts.map(({ index, content_block }) => [index, content_block])).toEqual([
      [0, { type: 'tool_use', id: 'call_0', name: 'a', input: {} }],
      [1, { type: 'tool_use', id: 'call_1', name: 'b', input: {} }],
    ])
    expect(events.find(({ index, delta }) => index === 0 && delta)!.delta).toEqual({
      type: 'input_json_delta',
      partial_json: '{"x":1}',
    })
    expect(events.at(-2)!.delta.stop_reason).toBe('tool_use')
  })

  it('an interrupted stream ends in an error event and is not stored', async () => {
    await using other = await startApp({ provider: { cut: 'destroy' } })
    const body = asking({ stream: true })
    const reply = await post(body, {}, other)
    expect(reply.status).toBe(200)
    const events = await eventsOf(reply)
    expect(events[0]!.type).toBe('message_start')
    expect(events.at(-1)).toMatchObject({
      type: 'error',
      error: { type: 'api_error', code: 'stream_interrupted', message: expect.stringContaining('broke off') },
    })
    expect(status(await post(body, {}, other))).not.toContain('hit')
  })

  it('counts what it used', async () => {
    const usage = async () => (await hub.get('/v1/usage?group_by=model')).json()
    await hub.settled()
    const tokens = (reply: { data: { model: string; requests: number }[] }) =>
      reply.data.find(({ model }) => model === 'openai/gpt-4o-mini')?.requests ?? 0
    const before = tokens(await usage())
    await post(asking())
    await hub.settled()
    expect(tokens(await usage())).toBe(before + 1)
  })

  it('a key counts as x-api-key too, on these routes alone, and Authorization goes first', async () => {
    await using open = await startApp({ env: { HUB_ADMIN_KEY: 'an-admin-key' } })
    const made = { tenant: unique('tenant'), scopes: ['cache-complete'] }
    const admin = { authorization: 'Bearer an-admin-key' }
    const { key } = await (await open.send('POST', '/v1/keys', made, admin)).json()
    for (const path of ['/v1/messages', '/v1/messages/count_tokens']) {
      expect((await open.send('POST', path, asking(), { 'x-api-key': key })).status, path).toBe(200)
      expect((await open.send('POST', path, asking(), { 'x-api-key': 'hub_wrong' })).status, path).toBe(401)
      const both = { 'x-api-key': key, authorization: 'Bearer hub_wrong' }
      expect((await open.send('POST', path, asking(), both)).status, path).toBe(401)
    }
    expect((await open.get('/v1/models', { 'x-api-key': key })).status).toBe(200)
    expect((await open.get('/v1/cache/stats', { 'x-api-key': key })).status).toBe(401)
  })

  it('a key without the scope is refused in Anthropic’s words', async () => {
    const { key } = await (
      await hub.send('POST', '/v1/keys', { tenant: unique('tenant'), scopes: ['embed'] })
    ).json()
    const reply = await post(asking(), { 'x-api-key': key })
    expect(reply.status).toBe(403)
    expect(await reply.json()).toMatchObject({
      type: 'error',
      error: { type: 'permission_error', code: 'scope_missing', details: { error_code: 'scope_missing' } },
      request_id: reply.headers.get('request-id'),
    })
  })

  it('a limit answers 429 with the headers of limits', async () => {
    const limits = [{ on: 'requests', limit: 1, window_seconds: 600 }]
    const { key } = await (await hub.send('POST', '/v1/keys', { tenant: unique('tenant'), limits })).json()
    const headers = { 'x-api-key': key }
    expect((await post(asking(), headers)).headers.get('ratelimit')).toContain('r=0')
    const refused = await post(asking(), headers)
    expect(refused.status).toBe(429)
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/)
    expect((await refused.json()).error.type).toBe('rate_limit_error')
  })
})

describe('what cannot be answered is refused with its path', () => {
  const user = (...content: object[]) => ({ messages: [{ role: 'user', content }] })
  it.each([
    ['no max_tokens', { max_tokens: undefined }, 'max_tokens'],
    ['no messages', { messages: [] }, 'messages'],
    ['a role', { messages: [{ role: 'tool', content: 'x' }] }, 'messages[0].role'],
    ['content', { messages: [{ role: 'user', content: 5 }] }, 'messages[0].content'],
    ['a block', user({ type: 'server_tool_use' }), 'messages[0].content[0].type'],
    ['a text', user({ type: 'text', text: 5 }), 'messages[0].content[0].text'],
    [
      'an image file',
      user({ type: 'image', source: { type: 'file' } }),
      'messages[0].content[0].source.type',
    ],
    ['an image', user({ type: 'image' }), 'messages[0].content[0].source'],
    [
      'a document by its url',
      user({ type: 'document', source: { type: 'url', url: 'https://example.com/a.pdf' } }),
      'messages[0].content[0].source.type',
    ],
    ['a result without its call', user({ type: 'tool_result' }), 'messages[0].content[0].tool_use_id'],
    [
      'an image of an assistant',
      { messages: [{ role: 'assistant', content: [{ type: 'image' }] }] },
      'messages[0].content[0].type',
    ],
    [
      'an image as a system prompt',
      { system: [{ type: 'image', source: { type: 'url', url: 'x' } }] },
      'system',
    ],
    ['a server tool', { tools: [{ type: 'web_search_20250305', name: 'web_search' }] }, 'tools[0].type'],
    ['a tool without a schema', { tools: [{ name: 'x' }] }, 'tools[0].input_schema'],
    ['a choice without a name', { tool_choice: { type: 'tool' } }, 'tool_choice.name'],
    ['servers', { mcp_servers: [{ type: 'url' }] }, 'mcp_servers'],
    ['a container', { container: 'c' }, 'container'],
  ])('%s', async (_, more, param) => {
    const reply = await post(asking(more))
    expect(reply.status).toBe(400)
    const body = await reply.json()
    expect(body).toMatchObject({ type: 'error', error: { type: 'invalid_request_error', param } })
    expect(reply.headers.get('request-id')).toBe(body.request_id)
  })

  it('what comes before the route is refused in the same words', async () => {
    const large = await post('x'.repeat(9), { 'content-length': String(2 ** 40) })
    expect(large.status).toBe(413)
    expect(await large.json()).toMatchObject({ type: 'error', error: { type: 'request_too_large' } })
    const batches = await hub.send('POST', '/v1/messages/batches', {})
    expect(batches.status).toBe(404)
    expect(await batches.json()).toMatchObject({ type: 'error', error: { type: 'not_found_error' } })
    const broken = await post('{')
    expect(broken.status).toBe(400)
    expect((await broken.json()).error).toMatchObject({ type: 'invalid_request_error', code: 'invalid_json' })
  })

  it('a provider’s failure has Anthropic’s type and the provider’s status', async () => {
    await using failing = await startApp({ provider: { status: 503 } })
    const reply = await post(asking({ stream: true }), {}, failing)
    expect(reply.status).toBe(503)
    expect(await reply.json()).toMatchObject({ error: { type: 'overloaded_error', code: 'provider_error' } })
  })
})

describe('names of models', () => {
  it('a bare claude name is Anthropic’s where it can be called, else the default provider’s', async () => {
    expect((await passedOn(asking({ model: 'claude-sonnet-5' }))).model).toBe('claude-sonnet-5')
    const anthropic = await startProvider()
    onTestFinished(anthropic.close)
    const env = { ANTHROPIC_API_KEY: 'sk-ant', ANTHROPIC_BASE_URL: anthropic.url.replace('/v1', '') }
    await using both = await startApp({ env })
    expect((await post(asking({ model: 'claude-sonnet-5' }), {}, both)).status).toBe(200)
    expect(anthropic.requests.at(-1)).toMatchObject({
      headers: { authorization: 'Bearer sk-ant' },
      body: { model: 'claude-sonnet-5' },
    })
    expect((await post(asking({ model: 'gpt-4o-mini' }), {}, both)).status).toBe(200)
    expect(both.provider.count).toBe(1)
  })

  it('an alias of the tenant leads where it says', async () => {
    const tenant = unique('tenant')
    const { key } = await (await hub.send('POST', '/v1/keys', { tenant })).json()
    const route = { targets: [{ model: 'local/local' }] }
    const made = await hub.send('PUT', `/v1/model-routes/claude-opus-5?tenant=${tenant}`, route)
    expect(made.ok, await made.clone().text()).toBe(true)
    const reply = await post(asking({ model: 'claude-opus-5' }), { 'x-api-key': key })
    expect((await reply.json()).content[0].text).toContain('local model')
  })
})

describe('POST /v1/messages/count_tokens', () => {
  const count = async (more: object) => {
    const { max_tokens: _, ...body } = asking(more)
    const reply = await hub.send('POST', '/v1/messages/count_tokens', body)
    expect(reply.status).toBe(200)
    return (await reply.json()).input_tokens as number
  }

  it('grows with the text, and with tools', async () => {
    const short = await count({ messages: [{ role: 'user', content: 'Hello there.' }] })
    expect(short).toBeGreaterThan(2)
    expect(short).toBeLessThan(40)
    const long = await count({ messages: [{ role: 'user', content: 'Hello there. '.repeat(1_000) }] })
    expect(long).toBeGreaterThan(2_000)
    expect(long).toBeLessThan(4_000)
    const tools = [{ name: 'weather', description: 'It tells. '.repeat(100), input_schema: {} }]
    expect(await count({ messages: [{ role: 'user', content: 'Hello there.' }], tools })).toBeGreaterThan(
      short,
    )
  })

  it('an image counts by what a model reads of it, not by its bytes', async () => {
    const source = { type: 'base64', media_type: 'image/png', data: 'QUJD'.repeat(50_000) }
    const tokens = await count({ messages: [{ role: 'user', content: [{ type: 'image', source }] }] })
    expect(tokens).toBeGreaterThan(1_000)
    expect(tokens).toBeLessThan(3_000)
  })
})
