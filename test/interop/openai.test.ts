import OpenAI from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { unique } from '../support/app.ts'
import { lastText, type ServedHub, saidOf, serveHub } from './support/served-hub.ts'

let hub: ServedHub
let client: OpenAI
beforeAll(async () => {
  hub = await serveHub({
    provider: {
      behave: (_, body) => {
        if (body.tools && saidOf(body).at(-1)?.role === 'user') {
          return { toolCalls: [{ id: `call_${unique('c')}`, name: 'weather', arguments: '{"city":"Oslo"}' }] }
        }
        if (body.response_format) return { text: '{"steps":["12 + 30"],"answer":42}' }
        return { text: `You said: ${lastText(body)}` }
      },
    },
  })
  client = clientOf(hub.key)
})
afterAll(() => hub[Symbol.asyncDispose]())

const clientOf = (apiKey: string) => new OpenAI({ baseURL: `${hub.url}/v1`, apiKey, maxRetries: 0 })
const model = 'openai/gpt-4o-mini'
const says = (content: string) => [{ role: 'user' as const, content }]

describe('chat completions', () => {
  it('are answered, and the second one from the cache', async () => {
    const messages = says(unique('hello'))
    const first = await client.chat.completions.create({ model, messages })
    expect(first.choices[0]!.message.content).toBe(`You said: ${messages[0]!.content}`)
    const { data, response } = await client.chat.completions.create({ model, messages }).withResponse()
    expect(response.headers.get('cache-status')).toContain('; hit;')
    expect(data).toEqual(first)
  })

  it('stream, from the provider and from the cache', async () => {
    const messages = says(`${unique('hello')} in many words`)
    for (const verdict of ['fwd=miss', '; hit;']) {
      const { data, response } = await client.chat.completions
        .create({ model, messages, stream: true, stream_options: { include_usage: true } })
        .withResponse()
      expect(response.headers.get('cache-status')).toContain(verdict)
      let text = ''
      let tokens = 0
      for await (const chunk of data) {
        text += chunk.choices[0]?.delta.content ?? ''
        tokens = chunk.usage?.total_tokens ?? tokens
      }
      expect([text, tokens]).toEqual([`You said: ${messages[0]!.content}`, 15])
    }
    const stream = client.chat.completions.stream({ model, messages })
    const deltas: string[] = []
    stream.on('content', (delta) => deltas.push(delta))
    const final = await stream.finalChatCompletion()
    expect(final.choices[0]!.message.content).toBe(deltas.join(''))
  })

  it.each([false, true])('run tools (streamed: %s)', async (stream) => {
    const asked: string[] = []
    const weather = {
      name: 'weather',
      description: 'The weather of a city',
      parameters: { type: 'object', properties: { city: { type: 'string' } } },
      parse: JSON.parse,
      function({ city }: { city: string }) {
        asked.push(city)
        return `Rain in ${city}`
      },
    }
    const tools = [{ type: 'function' as const, function: weather }]
    const body = { model, messages: says(unique('weather?')), tools }
    const runner = stream
      ? client.chat.completions.runTools({ ...body, stream })
      : client.chat.completions.runTools(body)
    expect(await runner.finalContent()).toBe('You said: Rain in Oslo')
    expect(asked).toEqual(['Oslo'])
  })

  it('parse structured outputs', async () => {
    const Sum = z.object({ steps: z.array(z.string()), answer: z.number() })
    const completion = await client.chat.completions.parse({
      ...{ model, messages: says(unique('12 + 30?')) },
      response_format: zodResponseFormat(Sum, 'sum'),
    })
    expect(completion.choices[0]!.message.parsed).toEqual({ steps: ['12 + 30'], answer: 42 })
    const schema = hub.provider.requests.at(-1)!.body.response_format
    expect(schema).toMatchObject({ type: 'json_schema', json_schema: { name: 'sum', strict: true } })
  })

  it('are answered by the local model without any provider: text, tools, structures', async () => {
    const local = 'local/local'
    const { choices } = await client.chat.completions.create({ model: local, messages: says('Hi there') })
    expect(choices[0]!.message.content).toContain('You said: Hi there')
    const parsed = await client.chat.completions.parse({
      ...{ model: local, messages: says('a sum') },
      response_format: zodResponseFormat(z.object({ answer: z.number() }), 'sum'),
    })
    expect(parsed.choices[0]!.message.parsed).toEqual({ answer: expect.any(Number) })
  })
})

describe('embeddings', () => {
  it('are the same as numbers and as the base64 that the client asks for by itself', async () => {
    const body = { model: 'openai/text-embedding-3-small', input: [unique('one'), 'two'] }
    const packed = await client.embeddings.create(body)
    const numbers = await client.embeddings.create({ ...body, encoding_format: 'float' })
    expect(packed.data.map(({ embedding }) => embedding.length)).toEqual([1536, 1536])
    expect(packed.data).toEqual(numbers.data)
    const asked = hub.provider.requests.filter(({ path }) => path.includes('/embeddings'))
    expect(asked).toHaveLength(1) // the second came from the cache
  })
})

it('a vector store’s search finds what was stored in an index', async () => {
  const index = unique('docs')
  await hub.call('PUT', `/v1/indexes/${index}`, {}, hub.key)
  const bees = { text: 'A honey bee visits fifty flowers on one flight.', metadata: { lang: 'en' } }
  await hub.call('PUT', `/v1/indexes/${index}/documents/bees`, bees, hub.key)
  const page = await client.vectorStores.search(index, { query: 'How many flowers does a bee visit?' })
  const [best] = page.data
  expect(best).toMatchObject({
    file_id: 'bees',
    score: expect.any(Number),
    attributes: { lang: 'en' },
    content: [{ type: 'text', text: bees.text }],
  })
  const none = await client.vectorStores
    .search(unique('none'), { query: 'x' })
    .then(() => undefined)
    .catch((error: unknown) => error)
  expect(none).toBeInstanceOf(OpenAI.NotFoundError)
})

it('models are listed', async () => {
  const ids: string[] = []
  for await (const { id } of client.models.list()) ids.push(id)
  expect(ids).toContain('local/local')
})

describe('failures are the client’s own classes', () => {
  const failure = (call: Promise<unknown>) => call.then(() => undefined).catch((error) => error)

  it('401', async () => {
    const call = clientOf('sk-nobody').chat.completions.create({ model, messages: says('x') })
    const error = await failure(call)
    expect(error).toBeInstanceOf(OpenAI.AuthenticationError)
    expect(error).toMatchObject({ status: 401, code: 'invalid_api_key' })
  })

  it('429, with when to come back', async () => {
    const key = await hub.newKey({ limits: [{ on: 'requests', limit: 1, window_seconds: 600 }] })
    const limited = clientOf(key)
    const ask = () => limited.chat.completions.create({ model: 'local/local', messages: says('x') })
    await ask()
    const error = await failure(ask())
    expect(error).toBeInstanceOf(OpenAI.RateLimitError)
    expect(error.headers.get('ratelimit')).toMatch(/r=0/)
    expect(Number(error.headers.get('retry-after'))).toBeGreaterThan(0)
  })

  it('400 that names the field, 404 of a model', async () => {
    const bad = await failure(client.chat.completions.create({ model, messages: says('x'), temperature: 3 }))
    expect(bad).toBeInstanceOf(OpenAI.BadRequestError)
    expect(bad).toMatchObject({ param: 'temperature', type: 'invalid_request_error' })
    const unknown = await failure(
      client.chat.completions.create({ model: 'local/none', messages: says('x') }),
    )
    expect(unknown).toBeInstanceOf(OpenAI.NotFoundError)
    expect(unknown.code).toBe('model_not_found')
  })

  it('a stream that breaks off throws, and is not a short answer', async () => {
    const mock = { deltas: ['one', 'two', 'three', 'four'], cut: 'destroy' }
    const body = { model, messages: says(unique('x')), stream: true as const, mock }
    const stream = await client.chat.completions.create(body)
    const read = async () => {
      for await (const _ of stream);
    }
    await expect(read()).rejects.toBeInstanceOf(OpenAI.APIError)
  })

  it('leaving a stream ends the provider’s call', async () => {
    const before = hub.provider.aborted
    const mock = { deltas: Array(500).fill('word '), delayMs: 20 }
    const body = { model, messages: says(unique('x')), stream: true as const, mock }
    const stream = await client.chat.completions.create(body)
    for await (const _ of stream) break
    await expect.poll(() => hub.provider.aborted, { timeout: 5_000 }).toBe(before + 1)
    const abort = new AbortController()
    const slow = { model, messages: says(unique('x')), mock: { delayMs: 5_000 } }
    const call = failure(client.chat.completions.create(slow, { signal: abort.signal }))
    const calls = hub.provider.count
    await expect.poll(() => hub.provider.count).toBe(calls + 1)
    abort.abort()
    expect(await call).toBeInstanceOf(OpenAI.APIUserAbortError)
  })
})
