import OpenAI from 'openai'
import { zodTextFormat } from 'openai/helpers/zod'
import { afterAll, beforeAll, expect, it } from 'vitest'
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
          return {
            toolCalls: ['Oslo', 'Rome'].map((city) => ({
              ...{ id: unique('call'), name: 'weather' },
              arguments: JSON.stringify({ city }),
            })),
          }
        }
        if (body.response_format) return { text: '{"answer":42}' }
        const said = saidOf(body).filter(({ role }) => role === 'user')
        return { text: `${said.length}: ${lastText(body)}` }
      },
    },
  })
  client = new OpenAI({ baseURL: `${hub.url}/v1`, apiKey: hub.key, maxRetries: 0 })
})
afterAll(() => hub[Symbol.asyncDispose]())

const model = 'openai/gpt-4o-mini'
const tools = [
  {
    ...{ type: 'function' as const, name: 'weather', strict: true },
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
]

it('a response is created, read, its input listed, and it is deleted', async () => {
  const input = unique('hello')
  const response = await client.responses.create({ model, input, instructions: 'Be brief.' })
  expect(response.output_text).toBe(`1: ${input}`)
  expect((await client.responses.retrieve(response.id)).output_text).toBe(response.output_text)
  const items = []
  for await (const item of client.responses.inputItems.list(response.id)) items.push(item)
  expect(items).toMatchObject([{ role: 'user', content: [{ type: 'input_text', text: input }] }])
  await client.responses.delete(response.id)
  await expect(client.responses.retrieve(response.id)).rejects.toBeInstanceOf(OpenAI.NotFoundError)
})

it('an equal one comes from the cache, of chat completions too', async () => {
  const input = unique('hello')
  await client.chat.completions.create({ model, messages: [{ role: 'user', content: input }] })
  const { data, response } = await client.responses.create({ model, input }).withResponse()
  expect(response.headers.get('cache-status')).toContain('; hit;')
  expect(data.output_text).toBe(`1: ${input}`)
})

it('streams, by events and by the helper, which checks each step', async () => {
  const input = unique('hello')
  const stream = await client.responses.create({ model, input, stream: true })
  let text = ''
  let last = ''
  for await (const event of stream) {
    if (event.type === 'response.output_text.delta') text += event.delta
    last = event.type
  }
  expect([text, last]).toEqual([`1: ${input}`, 'response.completed'])
  const helper = client.responses.stream({ model, input: `${input} again` })
  const deltas: string[] = []
  helper.on('response.output_text.delta', ({ delta }) => deltas.push(delta))
  const final = await helper.finalResponse()
  expect(final.output_text).toBe(`1: ${input} again`)
  expect(deltas.join('')).toBe(final.output_text)
  expect(final.usage?.total_tokens).toBe(15)
})

it('parses structured outputs, streamed too', async () => {
  const format = zodTextFormat(z.object({ answer: z.number() }), 'sum')
  const input = unique('12 + 30')
  const parsed = await client.responses.parse({ model, input, text: { format } })
  expect(parsed.output_parsed).toEqual({ answer: 42 })
  const streamed = client.responses.stream({ model, input: `${input}!`, text: { format } })
  expect((await streamed.finalResponse()).output_parsed).toEqual({ answer: 42 })
})

it.each(['items', 'previous_response_id'] as const)('loops over tools, going on by %s', async (by) => {
  const conversation: OpenAI.Responses.ResponseInputItem[] = [{ role: 'user', content: unique('Weather?') }]
  let response = await client.responses.create({ model, tools, input: conversation })
  for (let turn = 0; turn < 5; turn++) {
    const calls = response.output.filter((item) => item.type === 'function_call')
    if (calls.length === 0) break
    const outputs = calls.map(({ call_id, arguments: text }) => {
      const output = `Rain in ${JSON.parse(text).city}`
      return { type: 'function_call_output' as const, call_id, output }
    })
    conversation.push(...(response.output as OpenAI.Responses.ResponseInputItem[]), ...outputs)
    response = await client.responses.create({
      ...{ model, tools },
      ...(by === 'items' ? { input: conversation } : { input: outputs, previous_response_id: response.id }),
    })
  }
  expect(response.output_text).toBe('1: Rain in Rome')
  expect(saidOf(hub.provider.requests.at(-1)!.body).map(({ role }) => role)).toEqual([
    ...['user', 'assistant', 'tool', 'tool'],
  ])
})

it('a streamed loop goes on from what it has just streamed', async () => {
  const first = client.responses.stream({ model, tools, input: unique('Weather?') })
  const { id, output } = await first.finalResponse()
  const calls = output.filter((item) => item.type === 'function_call')
  expect(calls.map((call) => JSON.parse(call.arguments).city)).toEqual(['Oslo', 'Rome'])
  const input = calls.map(({ call_id }) => ({
    type: 'function_call_output' as const,
    call_id,
    output: 'Sun',
  }))
  const second = client.responses.stream({ model, tools, input, previous_response_id: id })
  expect((await second.finalResponse()).output_text).toBe('1: Sun')
})

it('a conversation goes on from turn to turn', async () => {
  let previous: string | undefined
  for (const turn of [1, 2, 3]) {
    const input = unique('turn')
    const response = await client.responses.create({ model, input, previous_response_id: previous })
    expect(response.output_text).toBe(`${turn}: ${input}`)
    previous = response.id
  }
})

it('the local model answers without any provider: text, streams, tools, structures', async () => {
  const local = 'local/local'
  const response = await client.responses.create({ model: local, input: 'Hi there' })
  expect(response.output_text).toContain('You said: Hi there')
  const streamed = await client.responses.stream({ model: local, input: 'Hi there' }).finalResponse()
  expect(streamed.output_text).toBe(response.output_text)
  const format = zodTextFormat(z.object({ answer: z.number() }), 'sum')
  const parsed = await client.responses.parse({ model: local, input: 'x', text: { format } })
  expect(parsed.output_parsed).toEqual({ answer: expect.any(Number) })
  const called = await client.responses.create({ model: local, input: 'x', tools, tool_choice: 'required' })
  expect(called.output).toMatchObject([{ type: 'function_call', name: 'weather' }])
  const cut = await client.responses.create({ model: local, input: 'Hi there', max_output_tokens: 3 })
  expect(cut).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } })
})

it('what breaks off throws, in a stream too; what cannot be done is 400 with the field', async () => {
  const mock = { deltas: ['one', 'two', 'three', 'four'], cut: 'destroy' }
  const body = { model, input: unique('x'), mock }
  const stream = await client.responses.create({ ...body, stream: true })
  const read = async () => {
    for await (const _ of stream);
  }
  await expect(read()).rejects.toMatchObject({ code: 'stream_interrupted' })
  await expect(
    client.responses.stream({ ...body, input: unique('x') }).finalResponse(),
  ).rejects.toBeInstanceOf(OpenAI.APIError)
  const background = client.responses.create({ model, input: 'x', background: true })
  await expect(background).rejects.toMatchObject({ status: 400, param: 'background' })
})

it('file_search answers from an index of the hub and cites it, streamed too', async () => {
  const index = unique('docs')
  await hub.call('PUT', `/v1/indexes/${index}`, {}, hub.key)
  const text = 'A honey bee visits fifty flowers on one flight.'
  await hub.call('PUT', `/v1/indexes/${index}/documents/bees`, { text }, hub.key)
  const body = {
    ...{ model: 'local/local', input: 'How many flowers does a honey bee visit?' },
    tools: [{ type: 'file_search' as const, vector_store_ids: [index] }],
    include: ['file_search_call.results' as const],
  }
  const streamed = await client.responses.stream(body).finalResponse()
  for (const { output, output_text } of [await client.responses.create(body), streamed]) {
    expect(output_text).toBe(`${text} [1]`)
    expect(output).toMatchObject([
      { type: 'file_search_call', status: 'completed', results: [{ file_id: 'bees', text }] },
      { content: [{ annotations: [{ type: 'file_citation', file_id: 'bees', index: text.length + 1 }] }] },
    ])
  }
})
