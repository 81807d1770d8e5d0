import { ChatAnthropic } from '@langchain/anthropic'
import { HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages'
import { tool } from '@langchain/core/tools'
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { HubVectorStore } from '../../infra/langchain.ts'
import { createEmbedderLocal } from '../../shared/drivers/embedder-local.ts'
import { unique } from '../support/app.ts'
import { type ServedHub, serveHub } from './support/served-hub.ts'

let hub: ServedHub
beforeAll(async () => {
  hub = await serveHub({ localEmbedder: createEmbedderLocal() })
})
afterAll(() => hub[Symbol.asyncDispose]())

const Person = z.object({ name: z.string(), age: z.number() })
const weather = tool(({ city }: { city: string }) => `It rains in ${city}.`, {
  ...{ name: 'weather', description: 'The weather of a city' },
  schema: z.object({ city: z.string() }),
})
/** The local model calls what a line of its instructions names. */
const said = () => [
  new SystemMessage('@tool weather {"city":"Paris"}'),
  new HumanMessage(`What is the weather? ${crypto.randomUUID()}`),
]
const openai = (model = 'local/local') =>
  new ChatOpenAI({ model, apiKey: hub.key, configuration: { baseURL: `${hub.url}/v1` }, maxRetries: 0 })
const anthropic = (model = 'local/local') =>
  new ChatAnthropic({ model, apiKey: hub.key, anthropicApiUrl: hub.url, maxTokens: 200, maxRetries: 0 })

describe.each([
  ['ChatOpenAI', openai],
  ['ChatAnthropic', anthropic],
] as const)('%s', (_, make) => {
  it('invoke, with what it used', async () => {
    const message = await make('openai/gpt-4o-mini').invoke(crypto.randomUUID())
    expect(message.text).toBe('Hello from the mock.')
    expect(message.usage_metadata).toMatchObject({ input_tokens: 10, output_tokens: 5, total_tokens: 15 })
  })

  it('stream, in pieces', async () => {
    const text = crypto.randomUUID()
    const pieces: string[] = []
    for await (const chunk of await make().stream(text)) if (chunk.text) pieces.push(chunk.text)
    expect(pieces.length).toBeGreaterThan(5)
    expect(pieces.join('')).toContain(`You said: ${text}`)
  })

  it('bindTools, and the answer after the result', async () => {
    const model = make().bindTools([weather])
    const messages = said()
    const call = await model.invoke(messages)
    expect(call.tool_calls).toMatchObject([{ name: 'weather', args: { city: 'Paris' } }])
    const result = await weather.invoke(call.tool_calls![0]!)
    expect(result).toBeInstanceOf(ToolMessage)
    const last = await model.invoke([...messages, call, result])
    expect(last.text).toContain('The tools answered: It rains in Paris.')
  })

  it('a streamed tool call adds up', async () => {
    const model = make().bindTools([weather])
    const chunks = []
    for await (const chunk of await model.stream(said())) chunks.push(chunk)
    const whole = chunks.reduce((all, chunk) => all.concat(chunk))
    expect(whole.tool_calls).toMatchObject([{ name: 'weather', args: { city: 'Paris' } }])
  })

  it.each(['jsonSchema', 'functionCalling'] as const)('withStructuredOutput by %s', async (method) => {
    const model = make().withStructuredOutput(Person, { name: 'person', method })
    expect(await model.invoke(crypto.randomUUID())).toEqual({ name: '', age: 0 })
  })
})

it('OpenAIEmbeddings embeds documents and queries', async () => {
  const embeddings = new OpenAIEmbeddings({
    ...{ model: 'local', apiKey: hub.key, maxRetries: 0 },
    configuration: { baseURL: `${hub.url}/v1` },
  })
  const [dog, car] = await embeddings.embedDocuments(['A dog sleeps.', 'A car needs fuel.'])
  const puppy = await embeddings.embedQuery('A puppy is asleep.')
  const dot = (a: number[], b: number[]) => a.reduce((sum, value, i) => sum + value * b[i]!, 0)
  expect(puppy.length).toBe(dog!.length)
  expect(dot(puppy, dog!)).toBeGreaterThan(dot(puppy, car!))
})

describe('HubVectorStore', () => {
  const documents = [
    {
      id: 'bee',
      pageContent: 'A honey bee visits fifty flowers on one flight.',
      metadata: { lang: 'en', year: 2001 },
    },
    { id: 'car', pageContent: 'A car engine burns fuel.', metadata: { lang: 'en', year: 2020 } },
    { id: 'biene', pageContent: 'Die Biene sammelt Honig.', metadata: { lang: 'de', year: 2001 } },
  ]
  const made = async (settings: object = {}) => {
    const index = unique('docs')
    await hub.call(
      'PUT',
      `/v1/indexes/${index}`,
      { fields: { lang: 'tag', year: 'number' }, ...settings },
      hub.key,
    )
    return { url: hub.url, key: hub.key, index }
  }
  const english = { type: 'eq', key: 'lang', value: 'en' } as const

  it('adds documents, searches them with scores and a filter, and deletes them', async () => {
    const store = new HubVectorStore(await made())
    expect(await store.addDocuments(documents)).toEqual(['bee', 'car', 'biene'])
    const [[best, score] = []] = await store.similaritySearchWithScore('insects and flowers', 2)
    expect(best).toMatchObject(documents[0]!)
    expect(score).toBeGreaterThan(0)
    const found = await store.similaritySearch('honey', 3, english)
    expect(found.map(({ id }) => id).sort()).toEqual(['bee', 'car'])
    await store.delete({ ids: ['bee', 'no such one'] })
    expect((await store.similaritySearch('honey', 3)).map(({ id }) => id).sort()).toEqual(['biene', 'car'])
    await store.delete({ filter: english })
    expect((await store.similaritySearch('honey', 3)).map(({ id }) => id)).toEqual(['biene'])
  })

  it('is a retriever', async () => {
    const store = new HubVectorStore(await made())
    await store.addDocuments(documents, { ids: ['1', '2', '3'] })
    const found = await store.asRetriever({ k: 1, filter: english }).invoke('Which insects visit flowers?')
    expect(found).toMatchObject([{ id: '1', pageContent: documents[0]!.pageContent }])
  })

  it('takes vectors of the application’s own', async () => {
    const embeddings = new OpenAIEmbeddings({
      ...{ model: 'openai/text-embedding-3-small', dimensions: 256, apiKey: hub.key },
      configuration: { baseURL: `${hub.url}/v1` },
    })
    const options = await made({ embedding_model: null, dimensions: 256 })
    const store = new HubVectorStore({ ...options, embeddings, mode: 'vector' })
    await store.addDocuments(documents)
    const [[best, score] = []] = await store.similaritySearchWithScore('A car engine burns fuel.', 1)
    expect(best?.id).toBe('car')
    expect(score).toBeCloseTo(1, 2)
    await store.addVectors([await embeddings.embedQuery('rain')], [{ pageContent: 'Rain.', metadata: {} }])
    const [[rain] = []] = await store.similaritySearchVectorWithScore(await embeddings.embedQuery('rain'), 1)
    expect(rain?.pageContent).toBe('Rain.')
  })

  it('tells what the hub refuses', async () => {
    const store = new HubVectorStore({ url: hub.url, key: hub.key, index: unique('none') })
    await expect(store.similaritySearch('x')).rejects.toMatchObject({ status: 404, code: 'index_not_found' })
    await expect(store.embeddings.embedQuery('x')).rejects.toThrow('The hub embeds')
  })
})
