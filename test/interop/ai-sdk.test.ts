import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import {
  APICallError,
  embed,
  embedMany,
  generateText,
  isStepCount,
  type LanguageModel,
  type ModelMessage,
  Output,
  streamText,
  tool,
} from 'ai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { unique } from '../support/app.ts'
import { lastText, type ServedHub, saidOf, serveHub } from './support/served-hub.ts'

let hub: ServedHub
beforeAll(async () => {
  hub = await serveHub({
    provider: {
      behave: (_, body) => {
        if (body.model === 'gpt-4.1-nano') return { cut: 'destroy', deltas: ['one', ' two', ' three'] }
        if (body.tools && saidOf(body).at(-1)?.role === 'user') {
          return { toolCalls: [{ id: unique('call'), name: 'weather', arguments: '{"city":"Oslo"}' }] }
        }
        if (body.response_format) return { text: '{"answer":42}' }
        return { text: `You said: ${lastText(body)}` }
      },
    },
  })
})
afterAll(() => hub[Symbol.asyncDispose]())

const openai = (apiKey = hub.key) => createOpenAI({ baseURL: `${hub.url}/v1`, apiKey })
const compatible = () =>
  createOpenAICompatible({
    ...{ name: 'redis-ai-hub', baseURL: `${hub.url}/v1`, apiKey: hub.key },
    ...{ includeUsage: true, supportsStructuredOutputs: true },
  })

const MODEL = 'openai/gpt-4o-mini'
const tools = {
  weather: tool({
    description: 'The weather of a city',
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `Rain in ${city}`,
  }),
}
const loop = { tools, stopWhen: isStepCount(5) }

describe.each<[string, (id?: string) => LanguageModel]>([
  ['the responses model', (id = MODEL) => openai()(id)],
  ['the chat model', (id = MODEL) => openai().chat(id)],
  ['the compatible model', (id = MODEL) => compatible()(id)],
])('%s', (_, modelOf) => {
  it('generates text, the second time from the cache', async () => {
    const prompt = unique('hello')
    const calls = hub.provider.count
    const first = await generateText({ model: modelOf(), prompt, system: 'Be brief.', temperature: 0 })
    expect(first.text).toBe(`You said: ${prompt}`)
    expect(first.finishReason).toBe('stop')
    expect(first.usage).toMatchObject({ inputTokens: 10, outputTokens: 5 })
    const second = await generateText({ model: modelOf(), prompt, system: 'Be brief.', temperature: 0 })
    expect(second.text).toBe(first.text)
    expect(second.response.headers?.['cache-status']).toContain('; hit;')
    expect(hub.provider.count).toBe(calls + 1)
  })

  it('streams text', async () => {
    const prompt = `${unique('hello')} in some words`
    const { textStream, usage, finishReason } = streamText({ model: modelOf(), prompt })
    const parts: string[] = []
    for await (const part of textStream) parts.push(part)
    expect(parts.join('')).toBe(`You said: ${prompt}`)
    expect(parts.length).toBeGreaterThan(3)
    expect([await finishReason, (await usage).totalTokens]).toEqual(['stop', 15])
  })

  it('loops over tools, streamed and not', async () => {
    const { text, steps } = await generateText({ model: modelOf(), prompt: unique('weather?'), ...loop })
    expect(text).toContain('Rain in Oslo')
    expect(steps.map(({ toolResults }) => toolResults.map(({ output }) => output))).toEqual([
      ['Rain in Oslo'],
      [],
    ])
    const streamed = streamText({ model: modelOf(), prompt: unique('weather?'), ...loop })
    let read = ''
    for await (const part of streamed.textStream) read += part
    expect(read).toContain('Rain in Oslo')
    expect((await streamed.steps).length).toBe(2)
  })

  it('makes objects of a schema, streamed and not', async () => {
    const output = Output.object({ schema: z.object({ answer: z.number() }) })
    const made = await generateText({ model: modelOf(), prompt: unique('12 + 30'), output })
    expect(made.output).toEqual({ answer: 42 })
    expect(hub.provider.requests.at(-1)!.body.response_format).toMatchObject({ type: 'json_schema' })
    const streamed = streamText({ model: modelOf(), prompt: unique('12 + 30'), output })
    let last: unknown
    for await (const partial of streamed.partialOutputStream) last = partial
    expect(last).toEqual({ answer: 42 })
  })

  it('goes on with a conversation of its own messages', async () => {
    const messages: ModelMessage[] = [{ role: 'user', content: unique('first') }]
    const first = await generateText({ model: modelOf(), messages })
    messages.push(...first.response.messages, { role: 'user', content: unique('second') })
    const second = await generateText({ model: modelOf(), messages })
    expect(second.text).toBe(`You said: ${messages.at(-1)!.content}`)
    expect(saidOf(hub.provider.requests.at(-1)!.body)).toMatchObject([
      { role: 'user', content: messages[0]!.content },
      { role: 'assistant', content: first.text },
      { role: 'user', content: messages.at(-1)!.content },
    ])
  })

  it('is the local model where its name is', async () => {
    const { text } = await generateText({ model: modelOf('local/local'), prompt: 'Hi there' })
    expect(text).toContain('You said: Hi there')
    const { textStream } = streamText({ model: modelOf('local/local'), prompt: 'Hi there' })
    let read = ''
    for await (const part of textStream) read += part
    expect(read).toBe(text)
  })

  it('tells of what fails: before the answer, and in its middle', async () => {
    const unknown = generateText({ model: modelOf('local/none'), prompt: 'x', maxRetries: 0 })
    await expect(unknown).rejects.toSatisfy(
      (error) => APICallError.isInstance(error) && error.statusCode === 404,
    )
    const failing = modelOf('openai/gpt-4.1-nano')
    const errors: unknown[] = []
    const stream = streamText({
      model: failing,
      prompt: unique('x'),
      onError: ({ error }) => errors.push(error),
    })
    const reasons: unknown[] = []
    for await (const part of stream.fullStream) if (part.type === 'finish') reasons.push(part.finishReason)
    expect(errors).toHaveLength(1)
    expect(reasons).toEqual(['error'])
  })
})

it('the responses model goes on by previous_response_id and refers to stored items', async () => {
  const first = await generateText({ model: openai()(MODEL), prompt: unique('weather?'), ...loop })
  const previousResponseId = first.response.id
  const prompt = unique('and now?')
  const second = await generateText({
    ...{ model: openai()(MODEL), prompt },
    providerOptions: { openai: { previousResponseId } },
  })
  expect(second.text).toBe(`You said: ${prompt}`)
  expect(saidOf(hub.provider.requests.at(-1)!.body).map(({ role }) => role)).toEqual([
    ...['user', 'assistant', 'tool', 'assistant', 'user'],
  ])
})

it('the responses model searches files in an index of the hub', async () => {
  const index = unique('docs')
  await hub.call('PUT', `/v1/indexes/${index}`, {}, hub.key)
  const document = { text: 'A honey bee visits fifty flowers on one flight.' }
  await hub.call('PUT', `/v1/indexes/${index}/documents/bees`, document, hub.key)
  const provider = openai()
  const { text, sources } = await generateText({
    ...{ model: provider('local/local'), prompt: 'How many flowers does a honey bee visit?' },
    tools: { file_search: provider.tools.fileSearch({ vectorStoreIds: [index] }) },
  })
  expect(text).toContain('fifty flowers')
  expect(sources).toMatchObject([{ filename: 'bees' }])
})

describe.each([
  ['openai', () => openai().embedding('openai/text-embedding-3-small')],
  ['openai-compatible', () => compatible().embeddingModel('openai/text-embedding-3-small')],
])('embeddings of %s', (_, modelOf) => {
  it('are made of one text and of many', async () => {
    const value = unique('text')
    const one = await embed({ model: modelOf(), value })
    const many = await embedMany({ model: modelOf(), values: [value, 'other'] })
    expect(many.embeddings).toHaveLength(2)
    expect(many.embeddings[0]).toEqual(one.embedding)
    expect(one.embedding).toHaveLength(1536)
  })
})

it('a refused key is an error that says so', async () => {
  const model = openai('sk-nobody')(MODEL)
  await expect(generateText({ model, prompt: 'x', maxRetries: 0 })).rejects.toMatchObject({ statusCode: 401 })
})
