import { describe, expect, it } from 'vitest'
import type { MessagesRequest } from '../../../shared/messages/messages-request.ts'
import { toChatRequest } from '../../../shared/messages/to-chat-request.ts'

const translated = (messages: MessagesRequest['messages'], more: Partial<MessagesRequest> = {}) =>
  JSON.parse(JSON.stringify(toChatRequest({ model: 'm', max_tokens: 9, messages, ...more })))
const messagesOf = (...messages: MessagesRequest['messages']) => translated(messages).messages
const user = (...content: { type: string; [field: string]: unknown }[]) =>
  messagesOf({ role: 'user', content })
const text = (text: string) => ({ type: 'text', text })

describe('messages in OpenAI’s shape', () => {
  it('texts stay texts; one block of text is one', () => {
    expect(user(text('a'))).toEqual([{ role: 'user', content: 'a' }])
    expect(user(text('a'), text('b'))).toEqual([{ role: 'user', content: [text('a'), text('b')] }])
    const messages = messagesOf(
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'b' },
      { role: 'system', content: [text('c')] },
    )
    expect(messages).toEqual([
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'b' },
      { role: 'system', content: 'c' },
    ])
  })

  it('images by their bytes or their url', () => {
    const source = { type: 'base64', media_type: 'image/png', data: 'QQ==' }
    expect(
      user({ type: 'image', source }, { type: 'image', source: { type: 'url', url: 'https://x/y.png' } }),
    ).toEqual([
      {
        role: 'user',
        content: [
          { type: 'image_url', image_url: { url: 'data:image/png;base64,QQ==' } },
          { type: 'image_url', image_url: { url: 'https://x/y.png' } },
        ],
      },
    ])
  })

  it('documents as text, as blocks and as PDF, and results of searches', () => {
    const pdf = { type: 'base64', media_type: 'application/pdf', data: 'QQ==' }
    const [{ content }] = user(
      {
        type: 'document',
        source: { type: 'text', media_type: 'text/plain', data: 'one' },
        title: 'T',
        context: 'C',
      },
      { type: 'document', source: { type: 'content', content: [text('two')] } },
      { type: 'document', source: pdf, title: 'a.pdf' },
      { type: 'search_result', title: 'S', source: 'https://s', content: [text('three')] },
    )
    expect(content).toEqual([
      text('Document: T\nC'),
      text('one'),
      text('two'),
      { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,QQ==' } },
      text('Search result: S (https://s)\nthree'),
    ])
  })

  it('calls of tools, and their results before what the user says', () => {
    const use = { type: 'tool_use', id: 't1', name: 'f', input: { a: 1 } }
    const messages = messagesOf(
      {
        role: 'assistant',
        content: [{ type: 'thinking', thinking: '…', signature: 's' }, text('I look.'), use],
      },
      {
        role: 'user',
        content: [
          text('and then?'),
          { type: 'tool_result', tool_use_id: 't1', content: 'found' },
          { type: 'tool_result', tool_use_id: 't2', is_error: true, content: [text('no'), text('way')] },
          { type: 'tool_result', tool_use_id: 't3' },
        ],
      },
    )
    expect(messages).toEqual([
      {
        role: 'assistant',
        content: 'I look.',
        tool_calls: [{ id: 't1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } }],
      },
      { role: 'tool', tool_call_id: 't1', content: 'found' },
      { role: 'tool', tool_call_id: 't2', content: 'The tool failed: no\nway' },
      { role: 'tool', tool_call_id: 't3', content: '' },
      { role: 'user', content: 'and then?' },
    ])
  })

  it('an image that a tool gave is shown by the user', () => {
    const image = { type: 'image', source: { type: 'url', url: 'https://x/y.png' } }
    expect(user({ type: 'tool_result', tool_use_id: 't1', content: [text('look'), image] })).toEqual([
      { role: 'tool', tool_call_id: 't1', content: 'look' },
      {
        role: 'user',
        content: [
          text('Of the tool result t1:'),
          { type: 'image_url', image_url: { url: 'https://x/y.png' } },
        ],
      },
    ])
  })

  it('what was only thought is left out', () => {
    expect(
      messagesOf(
        { role: 'assistant', content: [{ type: 'redacted_thinking', data: 'x' }] },
        { role: 'user', content: 'a' },
      ),
    ).toEqual([{ role: 'user', content: 'a' }])
  })
})

it.each([
  [{ type: 'auto' }, 'auto'],
  [{ type: 'any' }, 'required'],
  [{ type: 'none' }, 'none'],
  [
    { type: 'tool', name: 'f' },
    { type: 'function', function: { name: 'f' } },
  ],
] as const)('the choice %j', (tool_choice, expected) => {
  const request = translated([{ role: 'user', content: 'a' }], { tool_choice })
  expect(request.tool_choice).toEqual(expected)
  expect(request.parallel_tool_calls).toBeUndefined()
})

it('the same request is translated once', () => {
  const request = { model: 'm', messages: [{ role: 'user' as const, content: 'a' }] }
  expect(toChatRequest(request)).toBe(toChatRequest(request))
})
