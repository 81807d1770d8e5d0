import Anthropic from '@anthropic-ai/sdk'
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod'
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type ServedHub, serveHub } from './support/served-hub.ts'

let hub: ServedHub
let client: Anthropic
beforeAll(async () => {
  hub = await serveHub({
    provider: { behave: (_, { model }) => (model === 'gpt-4o-cut' ? { cut: 'destroy' } : undefined) },
  })
  client = new Anthropic({ baseURL: hub.url, apiKey: hub.key, maxRetries: 0 })
})
afterAll(() => hub[Symbol.asyncDispose]())

const asking = (model = 'openai/gpt-4o-mini') => ({
  ...{ model, max_tokens: 200 },
  messages: [{ role: 'user' as const, content: crypto.randomUUID() }],
})

/** The local model calls what a line of its instructions names. */
const calling = {
  ...asking('local/local'),
  system: '@tool weather {"city":"Paris"}',
}
const weather = {
  name: 'weather',
  description: 'The weather of a city',
  input_schema: { type: 'object' as const, properties: { city: { type: 'string' } }, required: ['city'] },
}

describe('@anthropic-ai/sdk', () => {
  it('messages.create, and again from the cache', async () => {
    const body = asking()
    const { data, response, request_id } = await client.messages.create(body).withResponse()
    expect(data.content).toMatchObject([{ type: 'text', text: 'Hello from the mock.' }])
    expect(data).toMatchObject({ stop_reason: 'end_turn', usage: { input_tokens: 10, output_tokens: 5 } })
    expect(request_id).toBe(response.headers.get('x-request-id'))
    const again = await client.messages.create(body).withResponse()
    expect(again.response.headers.get('cache-status')).toContain('; hit;')
    expect(again.data).toEqual(data)
  })

  it('messages.stream: its events, its text and its final message, the same from the cache', async () => {
    const body = asking('local/local')
    const read = async () => {
      const stream = client.messages.stream(body)
      const texts: string[] = []
      const types = new Set<string>()
      stream.on('text', (text) => texts.push(text)).on('streamEvent', ({ type }) => types.add(type))
      const message = await stream.finalMessage()
      expect(texts.join('')).toBe(await stream.finalText())
      expect([...types]).toEqual([
        ...['message_start', 'content_block_start', 'content_block_delta', 'content_block_stop'],
        ...['message_delta', 'message_stop'],
      ])
      return { message, pieces: texts.length }
    }
    const first = await read()
    expect(first.pieces).toBeGreaterThan(5)
    expect(first.message.usage.output_tokens).toBe(first.pieces)
    expect(first.message.usage.input_tokens).toBeGreaterThan(1)
    expect((await read()).message).toEqual(first.message)
  })

  it('create with stream: true is iterated', async () => {
    const types: string[] = []
    for await (const { type } of await client.messages.create({ ...asking(), stream: true })) types.push(type)
    expect(types.at(-1)).toBe('message_stop')
  })

  it('a loop of tools by hand', async () => {
    const tools = [weather]
    const first = await client.messages.create({ ...calling, tools })
    expect(first.stop_reason).toBe('tool_use')
    const use = first.content.find((block) => block.type === 'tool_use')!
    expect(use).toMatchObject({ name: 'weather', input: { city: 'Paris' } })
    const result = { type: 'tool_result' as const, tool_use_id: use.id, content: 'It rains.' }
    const messages: Anthropic.MessageParam[] = [
      ...calling.messages,
      { role: 'assistant', content: first.content },
      { role: 'user', content: [result] },
    ]
    const last = await client.messages.create({ ...calling, messages, tools })
    expect(last.stop_reason).toBe('end_turn')
    expect(last.content).toMatchObject([{ text: expect.stringContaining('The tools answered: It rains.') }])
  })

  it('the tool runner, and streamed', async () => {
    const asked: string[] = []
    const tool = betaZodTool({
      ...{ name: 'weather', description: 'The weather of a city' },
      inputSchema: z.object({ city: z.string() }),
      run: ({ city }) => {
        asked.push(city)
        return `It rains in ${city}.`
      },
    })
    const end = { content: [{ text: expect.stringContaining('The tools answered: It rains in Paris.') }] }
    const body = { ...calling, tools: [tool] }
    expect(await client.beta.messages.toolRunner(body)).toMatchObject(end)
    const messages = []
    for await (const stream of client.beta.messages.toolRunner({ ...body, stream: true })) {
      messages.push(await stream.finalMessage())
    }
    expect(messages).toMatchObject([{ stop_reason: 'tool_use' }, end])
    expect(asked).toEqual(['Paris', 'Paris'])
  })

  it('a tool that is asked for, with its input in parts', async () => {
    const tool_choice = { type: 'tool' as const, name: 'weather' }
    const stream = client.messages.stream({ ...asking('local/local'), tools: [weather], tool_choice })
    const parts: string[] = []
    stream.on('inputJson', (part) => parts.push(part))
    const message = await stream.finalMessage()
    expect(message.content).toMatchObject([{ type: 'tool_use', name: 'weather', input: { city: '' } }])
    expect(JSON.parse(parts.join(''))).toEqual({ city: '' })
  })

  it('messages.parse: an output of a schema', async () => {
    const format = zodOutputFormat(z.object({ name: z.string(), count: z.number() }))
    const { parsed_output } = await client.messages.parse({
      ...asking('local/local'),
      output_config: { format },
    })
    expect(parsed_output).toEqual({ name: '', count: 0 })
  })

  it('countTokens and models.list', async () => {
    const { max_tokens: _, ...body } = asking()
    expect((await client.messages.countTokens(body)).input_tokens).toBeGreaterThan(5)
    const ids: string[] = []
    for await (const { id } of client.models.list()) ids.push(id)
    expect(ids).toContain('local/local')
  })

  it('images and documents reach the provider', async () => {
    await client.messages.create({
      ...asking(),
      messages: [
        {
          role: 'user',
          content: [
            { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'iVBORw0KGgo=' } },
            {
              type: 'document',
              source: { type: 'text', media_type: 'text/plain', data: 'A text.' },
              title: 'T',
            },
            { type: 'text', text: crypto.randomUUID() },
          ],
        },
      ],
    })
    expect(hub.provider.requests.at(-1)!.body.messages).toMatchObject([
      {
        content: [
          { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=' } },
          { type: 'text', text: 'Document: T' },
          { type: 'text', text: 'A text.' },
          { type: 'text' },
        ],
      },
    ])
  })

  it('its token is sent as Authorization, which is a key as well', async () => {
    const other = new Anthropic({ baseURL: hub.url, authToken: hub.key, apiKey: null })
    expect((await other.messages.create(asking())).type).toBe('message')
  })
})

describe('@anthropic-ai/sdk has a class for each refusal', () => {
  const failure = (promise: Promise<unknown>) =>
    promise.then(
      () => expect.unreachable('it was not refused'),
      (error) => error as InstanceType<typeof Anthropic.APIError>,
    )

  it('400, with the path', async () => {
    const error = await failure(client.messages.create({ ...asking(), max_tokens: 0 }))
    expect(error).toBeInstanceOf(Anthropic.BadRequestError)
    expect(error.type).toBe('invalid_request_error')
    expect(error.errorCode).toBe('invalid_value')
    expect(error.apiMessage).toContain('max_tokens')
    expect(error.requestID).toMatch(/./)
  })

  it('401', async () => {
    const stranger = new Anthropic({ baseURL: hub.url, apiKey: 'nobody', maxRetries: 0 })
    const error = await failure(stranger.messages.create(asking()))
    expect(error).toBeInstanceOf(Anthropic.AuthenticationError)
    expect(error.type).toBe('authentication_error')
  })

  it('403', async () => {
    const apiKey = await hub.newKey({ models: ['local/local'] })
    const narrow = new Anthropic({ baseURL: hub.url, apiKey, maxRetries: 0 })
    const error = await failure(narrow.messages.create(asking()))
    expect(error).toBeInstanceOf(Anthropic.PermissionDeniedError)
  })

  it('404', async () => {
    const error = await failure(client.messages.create(asking('nowhere/x')))
    expect(error).toBeInstanceOf(Anthropic.NotFoundError)
  })

  it('429, of a limit', async () => {
    const apiKey = await hub.newKey({ limits: [{ on: 'requests', limit: 1, window_seconds: 600 }] })
    const limited = new Anthropic({ baseURL: hub.url, apiKey, maxRetries: 0 })
    await limited.messages.create(asking())
    const error = await failure(limited.messages.create(asking()))
    expect(error).toBeInstanceOf(Anthropic.RateLimitError)
    expect(error.headers?.get('retry-after')).toMatch(/^\d+$/)
  })

  it('an error inside a stream', async () => {
    const stream = client.messages.stream(asking('openai/gpt-4o-cut'))
    const error = await failure(stream.finalMessage())
    expect(error).toBeInstanceOf(Anthropic.APIError)
    expect(error.type).toBe('api_error')
    expect(error.message).toContain('broke off')
  })
})
