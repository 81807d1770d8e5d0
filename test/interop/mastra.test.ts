import { Agent } from '@mastra/core/agent'
import { createTool } from '@mastra/core/tools'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type ServedHub, serveHub } from './support/served-hub.ts'

let hub: ServedHub
beforeAll(async () => {
  process.env.MASTRA_TELEMETRY_DISABLED = '1'
  hub = await serveHub()
})
afterAll(() => hub[Symbol.asyncDispose]())

const asked: string[] = []
const weather = createTool({
  ...{ id: 'weather', description: 'The weather of a city' },
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => {
    asked.push(city)
    return `It rains in ${city}.`
  },
})

/** By Mastra's own provider for servers of OpenAI's shape. */
const agent = (modelId = 'local/local', instructions = 'Be brief.') =>
  new Agent({
    ...{ id: 'a-test', name: 'A test', instructions },
    model: { providerId: 'hub', modelId, url: `${hub.url}/v1`, apiKey: hub.key },
    tools: { weather },
  })
/** The local model calls what a line of its instructions names. */
const CALLS = '@tool weather {"city":"Paris"}'

describe('a Mastra agent', () => {
  it('generates', async () => {
    const { text, usage } = await agent('openai/gpt-4o-mini').generate(crypto.randomUUID())
    expect(text).toBe('Hello from the mock.')
    expect(usage).toMatchObject({ inputTokens: 10, outputTokens: 5 })
  })

  it('streams', async () => {
    const question = crypto.randomUUID()
    const { textStream } = await agent().stream(question)
    const pieces: string[] = []
    for await (const piece of textStream) pieces.push(piece)
    expect(pieces.length).toBeGreaterThan(5)
    expect(pieces.join('')).toContain(question)
  })

  it('calls a tool and hears its result, generated and streamed', async () => {
    const { text } = await agent('local/local', CALLS).generate(crypto.randomUUID())
    expect(text).toContain('The tools answered: It rains in Paris.')
    const streamed = await agent('local/local', CALLS).stream(crypto.randomUUID())
    expect(await streamed.text).toContain('The tools answered: It rains in Paris.')
    expect(asked).toEqual(['Paris', 'Paris'])
  })

  it('answers by a schema', async () => {
    const schema = z.object({ name: z.string(), count: z.number() })
    const { object } = await agent().generate(crypto.randomUUID(), { structuredOutput: { schema } })
    expect(object).toEqual({ name: '', count: 0 })
  })
})
