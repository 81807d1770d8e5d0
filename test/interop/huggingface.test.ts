import { InferenceClient, InferenceClientProviderApiError } from '@huggingface/inference'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createEmbedderLocal } from '../../shared/drivers/embedder-local.ts'
import { type ServedHub, serveHub } from './support/served-hub.ts'

let hub: ServedHub
beforeAll(async () => {
  hub = await serveHub({ localEmbedder: createEmbedderLocal() })
})
afterAll(() => hub[Symbol.asyncDispose]())

const client = (key = hub.key) => new InferenceClient(key, { endpointUrl: hub.url })
const asking = (model = 'local/local') => ({
  model,
  messages: [{ role: 'user', content: crypto.randomUUID() }],
})
const weather = {
  type: 'function' as const,
  function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
}

describe('@huggingface/inference, with the hub as its endpoint', () => {
  it('chatCompletion', async () => {
    const { choices, usage } = await client().chatCompletion(asking('openai/gpt-4o-mini'))
    expect(choices[0]!.message.content).toBe('Hello from the mock.')
    expect(usage.total_tokens).toBe(15)
  })

  it('chatCompletionStream', async () => {
    const body = asking()
    const pieces: string[] = []
    for await (const { choices } of client().chatCompletionStream(body)) {
      const text = choices[0]?.delta.content
      if (text) pieces.push(text)
    }
    expect(pieces.length).toBeGreaterThan(5)
    expect(pieces.join('')).toContain(body.messages[0]!.content)
  })

  it('a tool call', async () => {
    const { choices } = await client().chatCompletion({
      ...asking(),
      messages: [{ role: 'system', content: '@tool weather {"city":"Paris"}' }, ...asking().messages],
      tools: [weather],
    })
    expect(choices[0]!.message.tool_calls).toMatchObject([
      { function: { name: 'weather', arguments: '{"city":"Paris"}' } },
    ])
  })

  it('featureExtraction, by the shape of its embedding server', async () => {
    const at = client().endpoint(`${hub.url}/embed?model=local`)
    const both = (await at.featureExtraction({ inputs: ['A dog sleeps.', 'A car.'] })) as number[][]
    expect(both.map((vector) => vector.length)).toEqual([both[0]!.length, both[0]!.length])
    const one = await at.featureExtraction({ inputs: 'A dog sleeps.' })
    expect(one).toEqual([both[0]])
  })

  it('what is refused is told with its status', async () => {
    const refused = client('hub_wrong').chatCompletion(asking(), { retry_on_error: false })
    const error = await refused.catch((error) => error)
    expect(error).toBeInstanceOf(InferenceClientProviderApiError)
    expect(error.httpResponse.status).toBe(401)
  })
})
