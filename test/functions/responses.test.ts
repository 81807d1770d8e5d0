import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startApp, type TestApp, unique } from '../support/app.ts'

let hub: TestApp
beforeAll(async () => {
  hub = await startApp()
})
afterAll(() => hub[Symbol.asyncDispose]())

const MODEL = 'openai/gpt-4o-mini'
const respond = (body: object, headers?: Record<string, string>) =>
  hub.send('POST', '/v1/responses', { model: MODEL, ...body }, headers)
const status = (response: Response) => response.headers.get('cache-status')
const asked = () => hub.provider.requests.at(-1)!.body

// biome-ignore lint/suspicious/noExplicitAny: what a server sends
type Json = any
const toJson = async (reply: Response): Promise<Json> => reply.json()

async function readEvents(reply: Response): Promise<Json[]> {
  const text = await reply.text()
  return text
    .split('\n\n')
    .filter(Boolean)
    .map((event) => {
      const [, type, data] = /^event: (.+)\ndata: (.+)$/.exec(event)!
      const value = JSON.parse(data!)
      expect(value.type).toBe(type)
      return value
    })
}

describe('the request becomes the chat completion that answers it', () => {
  it('a text with instructions, sampling and limits', async () => {
    const text = crypto.randomUUID()
    await respond({
      input: text,
      instructions: 'Be brief.',
      temperature: 0.5,
      top_p: 0.9,
      max_output_tokens: 50,
      reasoning: { effort: 'low' },
      metadata: { a: 'b' },
      user: 'me',
      truncation: 'auto',
      include: ['reasoning.encrypted_content'],
      seed: 7,
    })
    expect(asked()).toEqual({
      model: 'gpt-4o-mini',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: text },
      ],
      temperature: 0.5,
      top_p: 0.9,
      max_completion_tokens: 50,
      reasoning_effort: 'low',
      user: 'me',
      seed: 7,
    })
  })

  it('parts, calls and their outputs; reasoning is left out', async () => {
    const image = 'data:image/png;base64,AAAA'
    const file_data = 'data:application/pdf;base64,AAAA'
    await respond({
      input: [
        { role: 'developer', content: 'Help.' },
        {
          role: 'user',
          content: [
            { type: 'input_text', text: 'See:' },
            { type: 'input_image', image_url: image, detail: 'low' },
            { type: 'input_file', filename: 'a.pdf', file_data },
          ],
        },
        { type: 'reasoning', id: 'rs_1', summary: [] },
        { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'I look.' }] },
        { type: 'function_call', call_id: 'c1', name: 'a', arguments: '{}' },
        { type: 'function_call', call_id: 'c2', name: 'b', arguments: '{"x":1}' },
        { type: 'function_call_output', call_id: 'c1', output: 'one' },
        { type: 'function_call_output', call_id: 'c2', output: [{ type: 'input_text', text: 'two' }] },
      ],
    })
    const call = (id: string, name: string, text: string) => ({
      id,
      type: 'function',
      function: { name, arguments: text },
    })
    expect(asked().messages).toEqual([
      { role: 'developer', content: 'Help.' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'See:' },
          { type: 'image_url', image_url: { url: image, detail: 'low' } },
          { type: 'file', file: { file_data, filename: 'a.pdf' } },
        ],
      },
      {
        role: 'assistant',
        content: 'I look.',
        tool_calls: [call('c1', 'a', '{}'), call('c2', 'b', '{"x":1}')],
      },
      { role: 'tool', tool_call_id: 'c1', content: 'one' },
      { role: 'tool', tool_call_id: 'c2', content: 'two' },
    ])
  })

  it('tools, their choice, and formats', async () => {
    const tool = (name: string) => ({ type: 'function', name, parameters: { type: 'object' }, strict: true })
    const chatTool = (name: string) => ({
      type: 'function',
      function: { name, parameters: { type: 'object' }, strict: true },
    })
    const text = { format: { type: 'json_schema', name: 'n', strict: true, schema: { type: 'object' } } }
    const tools = [tool('a'), tool('b')]
    await respond({
      input: unique('q'),
      tools,
      tool_choice: { type: 'function', name: 'b' },
      parallel_tool_calls: false,
      text,
    })
    expect(asked()).toMatchObject({
      tools: [chatTool('a'), chatTool('b')],
      tool_choice: { type: 'function', function: { name: 'b' } },
      parallel_tool_calls: false,
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'n', strict: true, schema: { type: 'object' } },
      },
    })
    const allowed = { type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'b' }] }
    await respond({ input: unique('q'), tools, tool_choice: allowed })
    expect(asked()).toMatchObject({ tools: [chatTool('b')], tool_choice: 'required' })
    await respond({ input: unique('q'), parallel_tool_calls: true, tool_choice: 'auto' })
    expect(asked()).not.toHaveProperty('parallel_tool_calls') // without tools providers refuse it
    expect(asked()).not.toHaveProperty('tool_choice')
  })

  it('a stored prompt goes before the input, by number or by label', async () => {
    const name = unique('prompt')
    const put = (text: string, labels: string[]) =>
      hub.send('PUT', `/v1/prompts/${name}`, { messages: [{ role: 'system', content: text }], labels })
    await put('Speak as {{who}}.', ['old'])
    await put('Be {{who}}.', ['new'])
    for (const [version, text] of [
      ['1', 'Speak as Ada.'],
      ['new', 'Be Ada.'],
    ]) {
      const variables = { who: { type: 'input_text', text: 'Ada' } }
      await respond(
        { input: 'hi', prompt: { id: name, version, variables } },
        { 'cache-control': 'no-cache' },
      )
      expect(asked().messages).toEqual([
        { role: 'system', content: text },
        { role: 'user', content: 'hi' },
      ])
    }
    const unknown = await respond({ prompt: { id: unique('none') } })
    expect((await toJson(unknown)).error).toMatchObject({ code: 'prompt_not_found', param: 'prompt.id' })
  })
})

describe('the reply', () => {
  it('is a response with its message, usage and what was asked', async () => {
    const reply = await respond({ input: unique('q'), metadata: { a: 'b' }, instructions: 'Hi.' })
    expect(reply.headers.get('content-type')).toBe('application/json')
    const response = await toJson(reply)
    expect(response).toMatchObject({
      id: expect.stringMatching(/^resp_/),
      object: 'response',
      status: 'completed',
      model: 'gpt-4o-mini',
      metadata: { a: 'b' },
      instructions: 'Hi.',
      error: null,
      incomplete_details: null,
      store: true,
      output: [
        {
          type: 'message',
          role: 'assistant',
          status: 'completed',
          content: [{ type: 'output_text', text: 'Hello from the mock.', annotations: [] }],
        },
      ],
      usage: {
        input_tokens: 10,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens: 5,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 15,
      },
    })
  })

  it('of calls has one item for each', async () => {
    const toolCalls = [
      { name: 'a', arguments: '{"x":1}' },
      { name: 'b', arguments: '{}' },
    ]
    const { output } = await toJson(await respond({ input: unique('q'), mock: { toolCalls } }))
    expect(output).toMatchObject([
      { type: 'function_call', call_id: 'call_0', name: 'a', arguments: '{"x":1}', status: 'completed' },
      { type: 'function_call', call_id: 'call_1', name: 'b', arguments: '{}', status: 'completed' },
    ])
    expect(new Set(output.map(({ id }: Json) => id)).size).toBe(2)
  })

  it('that was cut is incomplete and says why; a refusal is a part of its own', async () => {
    const raw = (message: object, finish_reason: string) => ({
      raw: JSON.stringify({ choices: [{ index: 0, message, finish_reason }], model: 'm' }),
    })
    const cut = await respond({ input: unique('q'), mock: raw({ content: 'Half a' }, 'length') })
    expect(await toJson(cut)).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      output: [{ status: 'incomplete', content: [{ text: 'Half a' }] }],
    })
    const filtered = await respond({ input: unique('q'), mock: raw({ content: '' }, 'content_filter') })
    expect((await toJson(filtered)).incomplete_details).toEqual({ reason: 'content_filter' })
    const refused = await respond({
      input: unique('q'),
      mock: raw({ content: null, refusal: 'No.' }, 'stop'),
    })
    expect((await toJson(refused)).output[0].content).toEqual([{ type: 'refusal', refusal: 'No.' }])
  })
})

describe('a stream', () => {
  it('tells each step in OpenAI’s order, and ends with the whole response', async () => {
    const reply = await respond({ input: unique('q'), stream: true, mock: { deltas: ['Hel', 'lo'] } })
    expect(reply.headers.get('content-type')).toMatch(/^text\/event-stream/)
    const events = await readEvents(reply)
    expect(events.map(({ type }) => type)).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ])
    expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, at) => at))
    expect(events[0].response).toMatchObject({ status: 'in_progress', output: [] })
    const { response } = events.at(-1)
    expect(response).toMatchObject({ status: 'completed', usage: { total_tokens: 15 } })
    expect(response.output[0]).toEqual(events.at(-2).item)
    expect(response.output[0].content[0].text).toBe('Hello')
    const stored = await toJson(await hub.get(`/v1/responses/${response.id}`))
    expect(stored).toEqual(response)
  })

  it('tells calls piece by piece', async () => {
    const toolCalls = [{ name: 'a', arguments: '{"x":1}' }]
    const events = await readEvents(await respond({ input: unique('q'), stream: true, mock: { toolCalls } }))
    expect(events.map(({ type }) => type).slice(2)).toEqual([
      'response.output_item.added',
      'response.function_call_arguments.delta',
      'response.function_call_arguments.done',
      'response.output_item.done',
      'response.completed',
    ])
    expect(events[2].item).toMatchObject({ name: 'a', arguments: '', status: 'in_progress' })
    expect(events[4]).toMatchObject({ name: 'a', arguments: '{"x":1}', item_id: events[2].item.id })
  })

  it('that breaks off ends in an error and a failed response, which is not kept', async () => {
    for (const cut of ['end', 'destroy', 'error']) {
      const events = await readEvents(await respond({ input: unique('q'), stream: true, mock: { cut } }))
      const [error, failed] = events.slice(-2)
      expect(error).toMatchObject({ type: 'error', message: expect.any(String), param: null })
      expect(failed).toMatchObject({
        type: 'response.failed',
        sequence_number: error.sequence_number + 1,
        response: { status: 'failed', error: { code: 'server_error', message: error.message } },
      })
      expect((await hub.get(`/v1/responses/${failed.response.id}`)).status).toBe(404)
    }
  })

  it('that fails before it begins is an HTTP error', async () => {
    const reply = await respond({ input: unique('q'), stream: true, mock: { status: 429, retryAfter: '7' } })
    expect(reply.status).toBe(429)
    expect(reply.headers.get('content-type')).toMatch(/json/)
  })

  it('is left by its caller: the provider’s call ends', async () => {
    const before = hub.provider.aborted
    const left = new AbortController()
    const reply = await hub.request('/v1/responses', {
      method: 'POST',
      headers: { host: 'localhost', 'content-type': 'application/json' },
      body: JSON.stringify({
        model: MODEL,
        input: unique('q'),
        stream: true,
        mock: { deltas: Array(500).fill('word '), delayMs: 20 },
      }),
      signal: left.signal,
    })
    await reply.body!.getReader().read()
    left.abort()
    await expect.poll(() => hub.provider.aborted, { timeout: 5_000 }).toBeGreaterThan(before)
  })
})

describe('the cache is the one of chat completions', () => {
  it('equal requests hit, streamed or not, in either shape', async () => {
    const input = unique('q')
    const calls = hub.provider.count
    expect(status(await respond({ input, temperature: 0 }))).toBe('redis-ai-hub; fwd=miss; stored')
    await hub.settled()
    const hit = await respond({ input, temperature: 0, user: 'other', metadata: { a: 'b' }, store: false })
    expect(status(hit)).toContain('; hit;')
    expect(hit.headers.get('age')).toMatch(/^\d+$/)
    const streamed = await respond({
      input: [{ role: 'user', content: [{ type: 'input_text', text: input }] }],
      temperature: 0,
      stream: true,
    })
    expect(status(streamed)).toContain('; hit;')
    expect((await readEvents(streamed)).at(-1).response.output[0].content[0].text).toBe(
      'Hello from the mock.',
    )
    const chat = await hub.complete({
      model: MODEL,
      temperature: 0,
      messages: [{ role: 'user', content: input }],
    })
    expect(status(chat)).toContain('; hit;')
    expect(hub.provider.count).toBe(calls + 1)
  })

  it('a streamed response serves one that is not, with ids of its own', async () => {
    const body = { input: unique('q'), mock: { toolCalls: [{ name: 'a', arguments: '{}' }] } }
    const { response: first } = (await readEvents(await respond({ ...body, stream: true }))).at(-1)
    await hub.settled()
    const reply = await respond(body)
    expect(status(reply)).toContain('; hit;')
    const second = await toJson(reply)
    expect(second.id).not.toBe(first.id)
    expect(second.output).toMatchObject([{ name: 'a', call_id: 'call_0' }])
    expect(second.output[0].id).not.toBe(first.output[0].id)
  })

  it('obeys directives and limits', async () => {
    const input = unique('q')
    expect((await respond({ input }, { 'cache-control': 'only-if-cached' })).status).toBe(504)
    await respond({ input }, { 'cache-control': 'no-store' })
    expect(status(await respond({ input }))).toContain('fwd=miss')
    const tenant = unique('tenant')
    const made = await hub.send('POST', '/v1/keys', {
      ...{ tenant, name: 'k' },
      limits: [{ on: 'requests', limit: 1, window_seconds: 600 }],
    })
    const authorization = `Bearer ${(await toJson(made)).key}`
    const first = await respond({ input }, { authorization })
    expect(first.headers.get('ratelimit')).toMatch(/r=0/)
    const second = await respond({ input }, { authorization })
    expect(second.status).toBe(429)
    expect(second.headers.get('retry-after')).toMatch(/^\d+$/)
  })
})

describe('a stored response', () => {
  it('is gone on from, turn after turn, with its calls; instructions are not', async () => {
    const input = unique('q')
    const toolCalls = [{ name: 'a', arguments: '{}' }]
    const first = await toJson(await respond({ input, instructions: 'Once.', mock: { toolCalls } }))
    const outputs = [{ type: 'function_call_output', call_id: 'call_0', output: 'done' }]
    const second = await toJson(await respond({ input: outputs, previous_response_id: first.id }))
    expect(second.previous_response_id).toBe(first.id)
    await respond({ input: 'And now?', previous_response_id: second.id, instructions: 'Anew.' })
    expect(asked().messages).toEqual([
      { role: 'system', content: 'Anew.' },
      { role: 'user', content: input },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'call_0', type: 'function', function: { name: 'a', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 'call_0', content: 'done' },
      { role: 'assistant', content: 'Hello from the mock.' },
      { role: 'user', content: 'And now?' },
    ])
  })

  it('is gone on from in two waves, however long the conversation is', async () => {
    let { id } = await toJson(await respond({ input: unique('q') }))
    for (let turn = 0; turn < 3; turn++) {
      id = (await toJson(await respond({ input: `${turn}`, previous_response_id: id }))).id
    }
    const before = hub.waves.length
    await respond({ input: 'last', previous_response_id: id, store: false })
    const reads = hub.waves
      .slice(before)
      .map((wave) => wave.flatMap((call) => ('script' in call || call[0] !== 'GETEX' ? [] : [call[0]])))
    expect(reads.filter(({ length }) => length > 0)).toEqual([['GETEX'], ['GETEX', 'GETEX', 'GETEX']])
  })

  it('has its items referred to', async () => {
    const input = unique('q')
    const { id, output } = await toJson(await respond({ input }))
    const items = await toJson(await hub.get(`/v1/responses/${id}/input_items`))
    await respond({
      input: [
        { id: items.data[0].id },
        { type: 'item_reference', id: output[0].id },
        { role: 'user', content: 'Go on' },
      ],
    })
    expect(asked().messages).toEqual([
      { role: 'user', content: input },
      { role: 'assistant', content: 'Hello from the mock.' },
      { role: 'user', content: 'Go on' },
    ])
    for (const id of ['msg_nobody_0', 'nonsense']) {
      const reply = await respond({ input: [{ type: 'item_reference', id }] })
      expect(reply.status).toBe(404)
      expect((await toJson(reply)).error).toMatchObject({ code: 'item_not_found', param: 'input[0].id' })
    }
  })

  it('lists its input page by page', async () => {
    const texts = ['one', 'two', 'three']
    const { id } = await toJson(await respond({ input: texts.map((content) => ({ role: 'user', content })) }))
    const list = async (query: string) => toJson(await hub.get(`/v1/responses/${id}/input_items?${query}`))
    const first = await list('limit=2')
    expect(first).toMatchObject({ object: 'list', has_more: true })
    const rest = await list(`limit=2&after=${first.last_id}`)
    expect(rest.has_more).toBe(false)
    const said = [...first.data, ...rest.data].map(({ content }) => content[0].text)
    expect(said).toEqual(texts.toReversed())
    expect((await list('order=asc')).data.map(({ content }: Json) => content[0].text)).toEqual(texts)
    expect((await list('after=nobody')).error.param).toBe('after')
  })

  it('is gone once it is deleted, and is never there with store: false', async () => {
    const { id } = await toJson(await respond({ input: unique('q') }))
    const deleted = await hub.delete(`/v1/responses/${id}`)
    expect(await toJson(deleted)).toEqual({ id, object: 'response', deleted: true })
    const unkept = await toJson(await respond({ input: unique('q'), store: false }))
    expect(unkept.store).toBe(false)
    for (const gone of [id, unkept.id]) {
      expect((await hub.get(`/v1/responses/${gone}`)).status).toBe(404)
      expect((await hub.delete(`/v1/responses/${gone}`)).status).toBe(404)
      const reply = await respond({ input: 'x', previous_response_id: gone })
      expect(reply.status).toBe(400)
      expect((await toJson(reply)).error).toMatchObject({
        code: 'previous_response_not_found',
        param: 'previous_response_id',
      })
    }
  })

  it('is its tenant’s alone', async () => {
    const keyOf = async (tenant: string) => {
      const made = await hub.send('POST', '/v1/keys', { tenant, name: 'k' })
      return { authorization: `Bearer ${(await toJson(made)).key}` }
    }
    const [mine, theirs] = [await keyOf(unique('mine')), await keyOf(unique('theirs'))]
    const { id } = await toJson(await respond({ input: unique('q') }, mine))
    expect((await hub.get(`/v1/responses/${id}`, mine)).status).toBe(200)
    expect((await hub.get(`/v1/responses/${id}`, theirs)).status).toBe(404)
    expect((await respond({ input: 'x', previous_response_id: id }, theirs)).status).toBe(400)
    const stranger = { authorization: 'Bearer hub_nobody' }
    expect((await respond({ input: 'x', previous_response_id: id }, stranger)).status).toBe(401)
  })
})

describe('file_search searches an index of the hub', () => {
  const index = unique('docs')
  const BEES = 'A honey bee visits fifty flowers on one flight.'
  const tools = [{ type: 'file_search', vector_store_ids: [index], max_num_results: 2 }]
  const question = { model: 'local/local', input: 'How many flowers does a honey bee visit?', tools }
  const put = (id: string, text: string) =>
    hub.send('PUT', `/v1/indexes/${index}/documents/${id}`, { text, metadata: { filename: `${id}.md` } })
  beforeAll(async () => {
    await hub.send('PUT', `/v1/indexes/${index}`, {})
    await put('bees', BEES)
    await put('tides', 'The moon makes the tides of the sea.')
  })

  it('and the answer cites what was found', async () => {
    const plain = await toJson(await respond(question))
    expect(plain.output[0]).toMatchObject({ type: 'file_search_call', status: 'completed', results: null })
    const response = await toJson(await respond({ ...question, include: ['file_search_call.results'] }))
    const [search, message] = response.output
    expect(search.queries).toEqual([question.input])
    expect(search.results[0]).toMatchObject({ file_id: 'bees', filename: 'bees.md', text: BEES })
    const [{ text, annotations }] = message.content
    expect(text).toContain('fifty flowers')
    expect(annotations).toEqual([
      { type: 'file_citation', file_id: 'bees', filename: 'bees.md', index: text.indexOf('[1]') },
    ])
  })

  it('in a stream, step by step', async () => {
    const events = await readEvents(await respond({ ...question, stream: true }))
    const types = events.map(({ type }) => type)
    expect(types.slice(2, 7)).toEqual([
      'response.output_item.added',
      'response.file_search_call.in_progress',
      'response.file_search_call.searching',
      'response.file_search_call.completed',
      'response.output_item.done',
    ])
    expect(events.find(({ type }) => type === 'response.output_text.annotation.added')).toMatchObject({
      ...{ output_index: 1, content_index: 0, annotation_index: 0 },
      annotation: { type: 'file_citation', file_id: 'bees' },
    })
    expect(types.at(-1)).toBe('response.completed')
  })

  it('by the last words of a conversation, which does not carry older files along', async () => {
    const first = await toJson(await respond({ ...question, model: MODEL }))
    await respond({ ...question, model: MODEL, input: 'What makes tides?', previous_response_id: first.id })
    const [rules, ...messages] = asked().messages as Json[]
    expect(rules.content).toContain('numbered sources')
    expect(messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user'])
    expect(messages[0].content).toBe(question.input)
    expect(messages[2].content).toMatch(/The moon makes the tides[\s\S]+What makes tides\?$/)
  })

  it('and an answer goes with the document that it was made of', async () => {
    const body = { ...question, input: `${question.input} ${unique('q')}` }
    await respond(body)
    await hub.settled()
    expect(status(await respond(body))).toContain('; hit;')
    await put('bees', `${BEES} It weighs little.`)
    await hub.settled()
    expect(status(await respond(body))).toContain('fwd=miss')
  })

  it('for keys that may search, and asks their limits once', async () => {
    const tenant = unique('tenant')
    const keyOf = async (settings: object) => {
      const made = await hub.send('POST', '/v1/keys', { tenant, ...settings })
      return { authorization: `Bearer ${(await toJson(made)).key}` }
    }
    await hub.send('PUT', `/v1/indexes/${index}`, {}, await keyOf({}))
    for (const scope of ['cache-complete', 'search']) {
      const reply = await respond(question, await keyOf({ scopes: [scope] }))
      expect([reply.status, (await toJson(reply)).error.code]).toEqual([403, 'scope_missing'])
    }
    const limits = [{ on: 'requests', limit: 5, window_seconds: 600 }]
    const both = await keyOf({ scopes: ['cache-complete', 'search'], limits })
    const used = await respond(question, both)
    expect([used.status, used.headers.get('ratelimit')]).toEqual([200, expect.stringMatching(/r=4/)])
  })

  it('one of them, which there is', async () => {
    const unknown = await respond({ ...question, tools: [{ ...tools[0], vector_store_ids: [unique('no')] }] })
    expect([unknown.status, (await toJson(unknown)).error.code]).toEqual([404, 'index_not_found'])
    const two = await respond({ ...question, tools: [...tools, ...tools] })
    expect((await toJson(two)).error.param).toBe('tools')
  })
})

it.each([
  [{ input: undefined }, 'input'],
  [{ input: [{ role: 'robot', content: 'x' }] }, 'input[0].role'],
  [{ input: [{ type: 'web_search_call', id: 'x' }] }, 'input[0].type'],
  [{ input: [{ role: 'user', content: [{ type: 'input_video' }] }] }, 'input[0].content[0].type'],
  [
    { input: [{ role: 'user', content: [{ type: 'input_image', file_id: 'f' }] }] },
    'input[0].content[0].image_url',
  ],
  [
    { input: [{ role: 'user', content: [{ type: 'input_file', file_url: 'f' }] }] },
    'input[0].content[0].file_data',
  ],
  [{ input: [{ type: 'function_call_output', call_id: 'c', output: 'x' }] }, 'input[0].call_id'],
  [{ tools: [{ type: 'web_search' }] }, 'tools[0].type'],
  [{ tool_choice: { type: 'mcp' } }, 'tool_choice'],
  [{ background: true }, 'background'],
  [{ conversation: 'conv_1' }, 'conversation'],
  [{ text: { format: { type: 'json_schema', name: 'n' } } }, 'text.format.schema'],
  [{ max_output_tokens: 0 }, 'max_output_tokens'],
  [{ model: undefined }, 'model'],
])('what it cannot take is 400 that names the field: %j', async (body, param) => {
  const reply = await respond({ input: 'x', ...body })
  expect(reply.status).toBe(400)
  expect((await toJson(reply)).error).toMatchObject({ type: 'invalid_request_error', param })
})

it('built-in tools are refused with what there is instead', async () => {
  const { error } = await toJson(await respond({ input: 'x', tools: [{ type: 'web_search' }] }))
  expect(error.message).toContain('give `function` tools')
})

it('while Redis is away responses are made, and say that they are not kept', async () => {
  await using away = await startApp({ env: { REDIS_URL: 'redis://127.0.0.1:1' } })
  const reply = await away.send('POST', '/v1/responses', { model: MODEL, input: unique('q') })
  expect(reply.status).toBe(200)
  expect(await reply.json()).toMatchObject({ status: 'completed', store: false })
  const further = { model: MODEL, input: 'x', previous_response_id: 'resp_1' }
  expect((await away.send('POST', '/v1/responses', further)).status).toBe(503)
})
