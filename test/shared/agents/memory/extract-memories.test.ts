import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createExtractMemories } from '../../../../shared/agents/memory/extract-memories.ts'
import type { CompletionRequest } from '../../../../shared/completions/completion-look.ts'
import type { Completed } from '../../../../shared/completions/completions.ts'
import { unique } from '../../../support/app.ts'
import { startLongMemory } from '../../../support/long-memory.ts'

let hub: Awaited<ReturnType<typeof startLongMemory>>
beforeAll(async () => {
  hub = await startLongMemory()
})
afterAll(() => hub[Symbol.asyncDispose]())

/** What an agent remembers of a text, where the model answers so. */
async function extracted(text: string, content: string) {
  const asked: CompletionRequest[] = []
  const extract = createExtractMemories({
    memory: hub.memory,
    complete: async ({ request }) => {
      asked.push(request)
      return answered(content)
    },
  })
  const agent = unique('agent')
  const call = {
    ...hub.call,
    tenant: hub.tenant,
    agent,
    model: 'openai/gpt-4o-mini',
    text,
    message: 'm1',
    step: 4,
  }
  const outcomes = await extract(call)
  const again = () => extract(call)
  const { data } = await hub.memory.list(hub.tenant, agent, { limit: 100 })
  return { asked, outcomes, again, remembered: data, agent }
}

function answered(content: string): Completed {
  const response = JSON.stringify({ choices: [{ message: { role: 'assistant', content } }] })
  const entry = { response, model: 'm', timestamp: 0, tokens: 0, ttlSeconds: 60 } as never
  return { kind: 'hit', entry, ageSeconds: 0, headers: {} }
}

const facts = (...facts: object[]) =>
  JSON.stringify({ facts: facts.map((fact) => ({ valid_until: null, ...fact })) })

const TEXT = 'Hi, I’m Ada and I never eat meat.\nUntil 2030 I live in Rome. Find me a restaurant!'

describe('extractMemories', () => {
  it('remembers lasting facts with the words that they rest on, and where they come from', async () => {
    const { remembered, asked } = await extracted(
      TEXT,
      facts(
        { text: 'The user does not eat meat.', quote: 'I never eat  MEAT' },
        { text: 'The user lives in Rome.', quote: 'Until 2030 I live in Rome', valid_until: '2030-01-01' },
      ),
    )
    expect(remembered.map(({ text }) => text).sort()).toEqual([
      'The user does not eat meat.',
      'The user lives in Rome.',
    ])
    expect(remembered[0]!.origin).toEqual({ kind: 'extracted', step: 4, message: 'm1' })
    expect(remembered.find(({ text }) => text.includes('Rome'))!.valid_until).toBe('2030-01-01T00:00:00.000Z')
    const said = asked[0]!.messages!.at(-1) as { content: string }
    expect(JSON.parse(said.content)).toEqual({ text: TEXT })
  })

  it('remembers nothing that no words of the user say', async () => {
    const invented = facts(
      { text: 'The user owns a yacht.', quote: 'I own a yacht' },
      { text: 'The user is rich.', quote: ' ' },
    )
    expect((await extracted(TEXT, invented)).outcomes).toEqual([])
  })

  it.each([
    'I found nothing.',
    '{"facts": "none"}',
    '[]',
    'null',
    '{"facts":[null, 1, {"text": 1, "quote": "Ada"}]}',
  ])('takes %s for no fact', async (content) => {
    expect((await extracted(TEXT, content)).outcomes).toEqual([])
  })

  it('reads an answer in a fence', async () => {
    const content = `\`\`\`json\n${facts({ text: 'The user is called Ada.', quote: 'I’m Ada' })}\n\`\`\``
    expect((await extracted(TEXT, content)).remembered).toHaveLength(1)
  })

  it('may be repeated, and is bounded', async () => {
    const many = Array.from({ length: 30 }, (_, i) => ({ text: `The user has the number ${i}.`, quote: 'I' }))
    const { outcomes, again } = await extracted(TEXT, facts(...many))
    expect(outcomes).toHaveLength(10)
    expect(await again()).toEqual(outcomes)
  })

  it('asks nobody about an empty text', async () => {
    expect((await extracted(' \n', facts())).asked).toEqual([])
  })
})
