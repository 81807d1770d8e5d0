import { describe, expect, it } from 'vitest'
import { createMessageEvents, type MessageEvent } from '../../../shared/messages/message-events.ts'
import { toMessage } from '../../../shared/messages/to-message.ts'

const request = { model: 'm', messages: [{ role: 'user', content: 'a question' }], stop: ['END'] }
const usage = { prompt_tokens: 100, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 60 } }
const call = (name: string, text: string, id?: string) => ({
  ...{ id, type: 'function' },
  function: { name, arguments: text },
})

const completion = (message: object, choice: object = {}, more: object = { usage }) =>
  toMessage(
    JSON.stringify({
      ...{ id: 'chatcmpl-1', model: 'm' },
      choices: [{ index: 0, message, finish_reason: 'stop', ...choice }],
      ...more,
    }),
    request,
  )

/** The events of chunks with these deltas, and of one that ends them. */
function streamed(deltas: object[], end: object = { finish_reason: 'stop' }, more: object = { usage }) {
  const events = createMessageEvents(request)
  const head = { id: 'chatcmpl-1', model: 'm' }
  const chunks = [
    ...deltas.map((delta) => ({ ...head, choices: [{ index: 0, delta, finish_reason: null }] })),
    { ...head, choices: [{ index: 0, delta: {}, ...end }] },
    { ...head, choices: [], ...more },
  ]
  const made = chunks.flatMap((chunk) => [...events.push(JSON.stringify(chunk))])
  return [...made, ...events.end()]
}

/** As a client adds them up. */
function added(events: MessageEvent[]) {
  const blocks: { type: string; text: string; [field: string]: unknown }[] = []
  let open: number | undefined
  for (const event of events) {
    const { type, content_block, delta } = event
    const index = event.index as number
    if (type === 'content_block_start') {
      expect(open).toBeUndefined()
      expect(index).toBe(blocks.length)
      open = index
      blocks.push({ ...(content_block as { type: string }), text: '' })
    }
    if (type === 'content_block_delta') {
      expect(index).toBe(open)
      const { text, partial_json } = delta as { text?: string; partial_json?: string }
      blocks[index]!.text += text ?? partial_json
    }
    if (type === 'content_block_stop') {
      expect(index).toBe(open)
      open = undefined
    }
  }
  return blocks
}

describe('a completion as a message', () => {
  it('has text, calls, and the usage without what came from the provider’s cache', () => {
    expect(
      completion({ content: 'Hi', tool_calls: [call('f', '{"a":1}', 'c1'), call('g', '')] }),
    ).toMatchObject({
      id: 'msg_1',
      content: [
        { type: 'text', text: 'Hi' },
        { type: 'tool_use', id: 'c1', name: 'f', input: { a: 1 } },
        { type: 'tool_use', id: 'toolu_1_1', name: 'g', input: {} },
      ],
      stop_reason: 'tool_use',
      usage: {
        input_tokens: 40,
        output_tokens: 7,
        cache_read_input_tokens: 60,
        cache_creation_input_tokens: 0,
      },
    })
  })

  it.each([
    ['stop', {}, { stop_reason: 'end_turn', stop_sequence: null }],
    ['length', {}, { stop_reason: 'max_tokens' }],
    ['content_filter', {}, { stop_reason: 'refusal', stop_details: { type: 'refusal', explanation: null } }],
    ['stop', { stop_reason: 'END' }, { stop_reason: 'stop_sequence', stop_sequence: 'END' }],
    ['stop', { stop_reason: 128_001 }, { stop_reason: 'end_turn' }],
  ])('%s %j', (finish_reason, more, expected) => {
    const end = { finish_reason, ...more }
    expect(completion({ content: 'Hi' }, end)).toMatchObject(expected)
    expect(streamed([{ content: 'Hi' }], end).at(-2)).toMatchObject({ delta: expected })
  })

  it('a refusal is its text', () => {
    const expected = { stop_reason: 'refusal', stop_details: { explanation: 'No.' } }
    const message = completion({ content: null, refusal: 'No.' })
    expect(message).toMatchObject({ content: [{ text: 'No.' }], ...expected })
    const events = streamed([{ refusal: 'N' }, { refusal: 'o.' }])
    expect(added(events)).toMatchObject([{ type: 'text', text: 'No.' }])
    expect(events.at(-2)).toMatchObject({ delta: expected })
  })

  it('estimates what the provider did not count', () => {
    const { usage } = completion({ content: 'x'.repeat(40) }, {}, {})
    expect(usage.input_tokens).toBeGreaterThan(3)
    expect(usage.output_tokens).toBe(10)
    expect(streamed([{ content: 'x'.repeat(40) }], undefined, {}).at(-2)!.usage).toEqual(usage)
  })

  it('a call that is not JSON is an error, but one that was cut off is left out', () => {
    const message = { content: 'Hi', tool_calls: [call('f', '{"a":')] }
    expect(() => completion(message)).toThrow(/the tool f with what is not JSON/)
    expect(completion(message, { finish_reason: 'length' })).toMatchObject({
      content: [{ type: 'text' }],
      stop_reason: 'max_tokens',
    })
  })
})

describe('chunks as events', () => {
  const part = (index: number | undefined, text: string, head: object = {}) => ({
    tool_calls: [
      { index, ...head, function: { ...('id' in head && { name: `f${index}` }), arguments: text } },
    ],
  })

  it('text, then calls one after another', () => {
    const events = streamed([
      { role: 'assistant', content: '' },
      { content: 'I ' },
      { content: 'look.' },
      part(0, '', { id: 'c0' }),
      part(0, '{"a"'),
      part(0, ':1}'),
      part(1, '{}', { id: 'c1' }),
    ])
    expect(events.map(({ type }) => type)).toEqual([
      ...['message_start', 'content_block_start', 'ping', 'content_block_delta', 'content_block_delta'],
      ...['content_block_stop', 'content_block_start', 'content_block_delta', 'content_block_delta'],
      ...['content_block_stop', 'content_block_start', 'content_block_delta', 'content_block_stop'],
      ...['message_delta', 'message_stop'],
    ])
    expect(added(events)).toMatchObject([
      { type: 'text', text: 'I look.' },
      { type: 'tool_use', id: 'c0', name: 'f0', text: '{"a":1}' },
      { type: 'tool_use', id: 'c1', name: 'f1', text: '{}' },
    ])
    expect(events.at(-2)).toMatchObject({ delta: { stop_reason: 'tool_use' } })
  })

  it('calls that are interleaved, with text between them', () => {
    const blocks = added(
      streamed([
        part(0, '{"a":', { id: 'c0' }),
        part(1, '{"b":', { id: 'c1' }),
        { content: 'one ' },
        part(0, '1}'),
        { content: 'two' },
        part(1, '2}'),
      ]),
    )
    expect(blocks).toMatchObject([
      { id: 'c0', text: '{"a":1}' },
      { id: 'c1', text: '{"b":2}' },
      { type: 'text', text: 'one two' },
    ])
  })

  it('calls without an index or an id', () => {
    expect(
      added(
        streamed([
          part(undefined, '{}', { id: 'a' }),
          part(undefined, '{"b":', { id: 'b' }),
          part(undefined, '1}'),
        ]),
      ),
    ).toMatchObject([
      { id: 'a', text: '{}' },
      { id: 'b', text: '{"b":1}' },
    ])
    expect(added(streamed([part(0, '{}', { id: '' })]))).toMatchObject([{ id: 'toolu_1_0', text: '{}' }])
  })

  it('an answer without any text has no blocks', () => {
    expect(streamed([{ role: 'assistant' }]).map(({ type }) => type)).toEqual([
      'message_start',
      'message_delta',
      'message_stop',
    ])
  })
})
