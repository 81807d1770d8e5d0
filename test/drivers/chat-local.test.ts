import { describe, expect, it } from 'vitest'
import { createChatLocal } from '../../shared/drivers/chat-local.ts'
import { minimalJson } from '../../shared/drivers/minimal-json.ts'
import type { ChatRequest } from '../../shared/ports/chat.ts'

const chat = createChatLocal()
const never = new AbortController().signal
const user = { role: 'user', content: 'good morning' }
const weather = {
  type: 'function',
  function: {
    name: 'weather',
    parameters: {
      type: 'object',
      properties: {
        city: { type: 'string' },
        days: { type: 'integer', minimum: 1 },
        unit: { enum: ['C', 'F'] },
      },
      required: ['city', 'days', 'unit'],
    },
  },
}
const clock = { type: 'function', function: { name: 'clock' } }

async function ask(request: Partial<ChatRequest>, model = 'local'): Promise<string[]> {
  const chunks: string[] = []
  const body = { messages: [user], ...request, model }
  for await (const chunk of chat.call(chat.resolve(model), body, { signal: never })) chunks.push(chunk)
  return chunks
}

async function choice(request: Partial<ChatRequest>, model?: string) {
  const [text = ''] = await ask(request, model)
  return JSON.parse(text).choices[0]
}

const calledFor = async (request: Partial<ChatRequest>) =>
  (await choice(request)).message.tool_calls?.map((call: { function: object }) => call.function)

describe('the local model', () => {
  it('says what it is, what to set and what it was told', async () => {
    const { message, finish_reason } = await choice({})
    expect(message.content).toMatch(/redis-ai-hub's local model.*OPENAI_API_KEY.*You said: good morning$/)
    expect(finish_reason).toBe('stop')
  })

  it('answers the same request with the same bytes, another with another id', async () => {
    const id = ([text = '']: string[]) => JSON.parse(text).id
    expect(await ask({})).toEqual(await ask({}))
    expect(await ask({ stream: true })).toEqual(await ask({ stream: true }))
    expect(id(await ask({}))).toBe(id(await ask({ stream: true })))
    expect(id(await ask({}))).not.toBe(id(await ask({ temperature: 1 })))
  })

  it('streams the role, words, the reason and usage', async () => {
    const chunks = (await ask({ stream: true })).map((chunk) => JSON.parse(chunk))
    expect(chunks[0].choices[0].delta).toEqual({ role: 'assistant', content: '', refusal: null })
    expect(chunks[3].choices[0].delta).toEqual({ content: " redis-ai-hub's" })
    expect(chunks.at(-2).choices[0]).toMatchObject({ delta: {}, finish_reason: 'stop' })
    const [whole = ''] = await ask({})
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: JSON.parse(whole).usage })
    const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')
    expect(text).toBe(JSON.parse(whole).choices[0].message.content)
  })

  it('echo repeats the last user message exactly, parts too', async () => {
    const content = [
      { type: 'text', text: ' a  b\n' },
      { type: 'image_url' },
      { type: 'text', text: '☃👩‍🚀 ' },
    ]
    const messages = [user, { role: 'user', content }, { role: 'assistant', content: 'x' }]
    expect((await choice({ messages }, 'echo')).message.content).toBe(' a  b\n☃👩‍🚀 ')
  })

  it('stops at max_tokens', async () => {
    for (const limit of [{ max_tokens: 3 }, { max_completion_tokens: 3, max_tokens: 9 }]) {
      const [text = ''] = await ask(limit)
      expect(JSON.parse(text)).toMatchObject({
        choices: [{ message: { content: "I am redis-ai-hub's" }, finish_reason: 'length' }],
        usage: { completion_tokens: 3 },
      })
    }
  })

  it('answers JSON where JSON is asked for', async () => {
    const object = await choice({ response_format: { type: 'json_object' } })
    expect(JSON.parse(object.message.content)).toEqual({ answer: 'good morning' })
    const schema = weather.function.parameters
    const format = { type: 'json_schema', json_schema: { name: 'w', schema } }
    const typed = await choice({ response_format: format })
    expect(JSON.parse(typed.message.content)).toEqual({ city: '', days: 1, unit: 'C' })
  })

  it('knows its models and refuses others, and n above 1', async () => {
    expect(chat.models().map(({ id }) => id)).toEqual(['local/local', 'local/echo'])
    expect(() => chat.resolve('gpt-4o')).toThrow(
      expect.objectContaining({ status: 404, code: 'model_not_found' }),
    )
    await expect(ask({ n: 2 })).rejects.toMatchObject({ status: 400, param: 'n' })
  })

  it('ends when the caller aborts', async () => {
    const controller = new AbortController()
    const request = { model: 'local', messages: [user], stream: true }
    const chunks = chat
      .call(chat.resolve('local'), request, { signal: controller.signal })
      [Symbol.asyncIterator]()
    await chunks.next()
    controller.abort()
    await expect(chunks.next()).rejects.toMatchObject({ name: 'AbortError' })
  })
})

describe('tools of the local model', () => {
  const instructions = [
    'Be nice.',
    '@tool weather {"city": "Oslo"}',
    '  @tool missing {"a":1}',
    '@tool clock',
    '@tool weather {"city": "Rome"}',
  ].join('\n')
  const system = { role: 'system', content: instructions }
  const tools = [weather, clock]
  const call = (name: string) => ({
    role: 'assistant',
    tool_calls: [{ id: 'c', type: 'function', function: { name, arguments: '{}' } }],
  })
  const result = (content: string) => ({ role: 'tool', tool_call_id: 'c', content })

  it('are called line by line, then the results are told', async () => {
    const messages: object[] = [system, user]
    const seen: object[] = []
    for (const answer of ['rain', 'noon', 'sun']) {
      const [asked] = await calledFor({ messages, tools })
      seen.push(asked)
      messages.push(call(asked.name), result(answer))
    }
    expect(seen).toEqual([
      { name: 'weather', arguments: '{"city": "Oslo"}' },
      { name: 'clock', arguments: '{}' },
      { name: 'weather', arguments: '{"city": "Rome"}' },
    ])
    const { message, finish_reason } = await choice({ messages, tools })
    expect(finish_reason).toBe('stop')
    expect(message.content).toContain('The tools answered: rain; noon; sun. You said: good morning')
  })

  it('are not called without tools, with tool_choice none, or for a line of the user', async () => {
    expect(await calledFor({ messages: [system, user] })).toBeUndefined()
    expect(await calledFor({ messages: [system, user], tools, tool_choice: 'none' })).toBeUndefined()
    const asUser = { role: 'user', content: instructions }
    expect(await calledFor({ messages: [asUser], tools })).toBeUndefined()
  })

  it('are called for a line of an agent’s task', async () => {
    const task = { role: 'user', content: `Task t-1 from agent:planner:\n${instructions}` }
    expect(await calledFor({ messages: [task], tools })).toEqual([
      { name: 'weather', arguments: '{"city": "Oslo"}' },
    ])
  })

  it('tool_choice picks the tool: its line’s arguments, else the least that its schema takes', async () => {
    const named = (name: string) => ({ type: 'function', function: { name } })
    const developer = { role: 'developer', content: instructions }
    expect(await calledFor({ messages: [developer, user], tools, tool_choice: named('clock') })).toEqual([
      { name: 'clock', arguments: '{}' },
    ])
    const least = [{ name: 'weather', arguments: '{"city":"","days":1,"unit":"C"}' }]
    expect(await calledFor({ tools, tool_choice: named('weather') })).toEqual(least)
    expect(await calledFor({ tools, tool_choice: 'required' })).toEqual(least)
    await expect(ask({ tools, tool_choice: named('nope') })).rejects.toMatchObject({ status: 400 })
  })

  it('are called in a stream', async () => {
    const chunks = (await ask({ messages: [system, user], tools, stream: true })).map((chunk) =>
      JSON.parse(chunk),
    )
    const parts = chunks.flatMap((chunk) => chunk.choices[0]?.delta.tool_calls ?? [])
    expect(parts[0]).toMatchObject({
      index: 0,
      type: 'function',
      function: { name: 'weather', arguments: '' },
    })
    expect(parts.map((part) => part.function.arguments).join('')).toBe('{"city": "Oslo"}')
    expect(chunks.at(-2).choices[0].finish_reason).toBe('tool_calls')
  })
})

describe('the least JSON of a schema', () => {
  it.each([
    [undefined, {}],
    [{ type: ['string', 'null'], minLength: 2 }, 'xx'],
    [{ type: 'array', items: { type: 'number', exclusiveMinimum: 3 }, minItems: 2 }, [4, 4]],
    [{ anyOf: [{ type: 'null' }, { type: 'string' }] }, null],
    [{ type: 'integer', maximum: -2 }, -2],
    [{ type: 'boolean', default: true }, true],
    [{ $ref: '#/$defs/a', $defs: { a: { const: 7 } } }, 7],
    [{ allOf: [{ properties: { a: { type: 'boolean' } } }, { required: ['a'] }] }, { a: false }],
  ])('%j is %j', (schema, value) => {
    expect(minimalJson(schema)).toEqual(value)
  })

  it('of a schema that requires itself ends', () => {
    const endless = { properties: { next: { $ref: '#' } }, required: ['next'] }
    expect(JSON.stringify(minimalJson(endless))).toContain('null')
  })
})
