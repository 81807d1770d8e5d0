import type { ToolCallLLMMessageOptions } from '@llamaindex/core/llms'
import type { QueryBundle } from '@llamaindex/core/query-engine'
import { BaseRetriever } from '@llamaindex/core/retriever'
import { type NodeWithScore, TextNode } from '@llamaindex/core/schema'
import { tool } from '@llamaindex/core/tools'
import { extractText } from '@llamaindex/core/utils'
import { OpenAI, OpenAIEmbedding } from '@llamaindex/openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createHubClient } from '../../infra/client/client.ts'
import { createEmbedderLocal } from '../../shared/drivers/embedder-local.ts'
import { unique } from '../support/app.ts'
import { type ServedHub, serveHub } from './support/served-hub.ts'

let hub: ServedHub
beforeAll(async () => {
  hub = await serveHub({ localEmbedder: createEmbedderLocal() })
})
afterAll(() => hub[Symbol.asyncDispose]())

const llm = (model = 'local/local') => new OpenAI({ model, apiKey: hub.key, baseURL: `${hub.url}/v1` })
const user = (content = crypto.randomUUID()) => ({ role: 'user' as const, content })
const weather = tool({
  ...{ name: 'weather', description: 'The weather of a city' },
  parameters: z.object({ city: z.string() }),
  execute: ({ city }) => `It rains in ${city}.`,
})

/** An index of the hub, as an application would write it. */
class HubRetriever extends BaseRetriever {
  readonly hub
  readonly index

  constructor(options: { baseUrl: string; key: string; index: string }) {
    super()
    this.hub = createHubClient(options)
    this.index = options.index
  }

  async _retrieve({ query }: QueryBundle): Promise<NodeWithScore[]> {
    const { results } = await this.hub.call('POST /v1/indexes/{index}/search', {
      path: { index: this.index },
      body: { query: extractText(query), top_k: 2 },
    })
    return results.map(({ document_id: id_, text, score, metadata }) => ({
      node: new TextNode({ id_, text, metadata }),
      score,
    }))
  }
}

describe('LlamaIndex.TS', () => {
  it('chat', async () => {
    const { message } = await llm('openai/gpt-4o-mini').chat({ messages: [user()] })
    expect(message.content).toBe('Hello from the mock.')
  })

  it('chat, streamed', async () => {
    const message = user()
    const pieces: string[] = []
    for await (const { delta } of await llm().chat({ messages: [message], stream: true })) {
      if (delta) pieces.push(delta)
    }
    expect(pieces.length).toBeGreaterThan(5)
    expect(pieces.join('')).toContain(message.content)
  })

  it.each([false, true])('a tool is called and its result is heard, streamed: %s', async (stream) => {
    const messages = [{ role: 'system' as const, content: '@tool weather {"city":"Paris"}' }, user()]
    let options: ToolCallLLMMessageOptions | undefined
    if (stream) {
      for await (const chunk of await llm().chat({ messages, tools: [weather], stream: true })) {
        options = chunk.options ?? options
      }
    } else options = (await llm().chat({ messages, tools: [weather] })).message.options
    const call = options && 'toolCall' in options ? options.toolCall[0]! : expect.unreachable('no call')
    const input = typeof call.input === 'string' ? JSON.parse(call.input) : call.input
    expect([call.name, input]).toEqual(['weather', { city: 'Paris' }])
    const result = String(await weather.call(input))
    const { message } = await llm().chat({
      messages: [
        ...messages,
        { role: 'assistant', content: '', options },
        { role: 'user', content: result, options: { toolResult: { id: call.id, result, isError: false } } },
      ],
      tools: [weather],
    })
    expect(message.content).toContain('The tools answered: It rains in Paris.')
  })

  it('embeddings', async () => {
    const embedding = new OpenAIEmbedding({ model: 'local', apiKey: hub.key, baseURL: `${hub.url}/v1` })
    const [dog, car] = await embedding.getTextEmbeddings(['A dog sleeps.', 'A car needs fuel.'])
    const puppy = await embedding.getTextEmbedding('A puppy is asleep.')
    expect(embedding.similarity(puppy, dog!)).toBeGreaterThan(embedding.similarity(puppy, car!))
  })

  it('a retriever over an index of the hub', async () => {
    const index = unique('docs')
    await hub.call('PUT', `/v1/indexes/${index}`, { fields: {} }, hub.key)
    await hub.call(
      'PUT',
      `/v1/indexes/${index}/documents/bee`,
      { text: 'A honey bee visits fifty flowers.' },
      hub.key,
    )
    const retriever = new HubRetriever({ baseUrl: hub.url, key: hub.key, index })
    const [found] = await retriever.retrieve('Which insects visit flowers?')
    expect(found!.node).toMatchObject({ id_: 'bee', text: 'A honey bee visits fifty flowers.' })
    expect(found!.score).toBeGreaterThan(0)
  })
})
