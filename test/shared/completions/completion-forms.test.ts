import { describe, expect, it } from 'vitest'
import { fromChunks, isUsageChunk, toChunks } from '../../../shared/completions/completion-chunks.ts'
import { decodeEntry, encodeEntry } from '../../../shared/completions/completion-entry.ts'
import { completionHash } from '../../../shared/completions/completion-hash.ts'
import { completionKeys } from '../../../shared/keys.ts'
import type { ChatTarget } from '../../../shared/ports/chat.ts'

const target: ChatTarget = { provider: 'openai', model: 'gpt-4o', scope: 'credential-1' }
const request = { model: 'gpt-4o', messages: [{ role: 'user', content: 'hi' }], temperature: 0 }

describe('chunks and completions are two forms of one answer', () => {
  const completion = {
    id: 'c1',
    object: 'chat.completion',
    created: 1,
    model: 'm',
    system_fingerprint: 'fp',
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: 'Grüße 👋',
          reasoning_content: 'because',
          tool_calls: [
            { id: 't1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } },
            { id: 't2', type: 'function', function: { name: 'g', arguments: '{}' } },
          ],
        },
        logprobs: { content: [{ token: 'Gr', logprob: -0.1 }] },
        finish_reason: 'tool_calls',
      },
      { index: 1, message: { role: 'assistant', content: 'two' }, logprobs: null, finish_reason: 'stop' },
    ],
    usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
  }

  it('a completion survives the way to chunks and back', () => {
    expect(JSON.parse(fromChunks(toChunks(JSON.stringify(completion), { includeUsage: true })))).toEqual(
      completion,
    )
  })

  it('real deltas add up: split text, split tool arguments, repeated roles, two choices interleaved', () => {
    const chunks = [
      { choices: [{ index: 0, delta: { role: 'assistant', content: '' } }] },
      { choices: [{ index: 1, delta: { role: 'assistant', content: 'tw' } }] },
      {
        choices: [
          {
            index: 0,
            delta: {
              role: 'assistant',
              tool_calls: [{ index: 1, id: 't2', type: 'function', function: { name: 'g', arguments: '{' } }],
            },
          },
        ],
      },
      {
        choices: [
          {
            index: 0,
            delta: {
              tool_calls: [
                { index: 0, id: 't1', type: 'function', function: { name: 'f', arguments: '{"a"' } },
              ],
            },
          },
        ],
      },
      { choices: [{ index: 0, delta: { tool_calls: [{ index: 0, function: { arguments: ':1}' } }] } }] },
      { choices: [{ index: 0, delta: { tool_calls: [{ index: 1, function: { arguments: '}' } }] } }] },
      { choices: [{ index: 1, delta: { content: 'o' }, finish_reason: 'stop' }] },
      { choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] },
      { choices: [], usage: { total_tokens: 3 } },
    ].map((chunk) =>
      JSON.stringify({ id: 'c1', object: 'chat.completion.chunk', created: 1, model: 'm', ...chunk }),
    )
    const whole = JSON.parse(fromChunks(chunks))
    expect(whole.object).toBe('chat.completion')
    expect(whole.choices[0].message.tool_calls).toEqual(completion.choices[0]!.message.tool_calls)
    expect(whole.choices[1].message.content).toBe('two')
    expect(whole.usage).toEqual({ total_tokens: 3 })
  })

  it('knows the chunk that only carries usage', () => {
    expect(isUsageChunk('{"choices":[],"usage":{"total_tokens":1}}')).toBe(true)
    expect(isUsageChunk('{"choices":[{"index":0,"delta":{"content":"\\"usage\\":{"}}],"usage":null}')).toBe(
      false,
    )
  })
})

describe('an entry', () => {
  const entry = {
    model: 'openai/m","response":',
    timestamp: 1_700_000_000,
    ttlSeconds: 3600,
    tokens: 7,
    cost: 0.0001,
    response: '{ "choices" : [],\n"x":",\\"response\\":" }',
  }

  it('gives back the stored bytes exactly, with the field names that the mission draws', () => {
    const text = encodeEntry(entry)
    expect(decodeEntry(text)).toEqual(entry)
    expect(Object.keys(JSON.parse(text))).toEqual(['model', 'timestamp', 'ttl', 'tokens', 'cost', 'response'])
  })

  it.each(['', '{}', 'null', '{"a":1,"response":', `${encodeEntry(entry).slice(0, -3)}`])(
    '%j is not one: a miss',
    (text) => {
      expect(decodeEntry(text)).toBeUndefined()
    },
  )
})

describe('the cache key', () => {
  const hash = (more: object = {}, other: Partial<ChatTarget> = {}) =>
    completionHash({ ...target, ...other }, { ...request, ...more } as typeof request)

  it('is the same for bodies that differ in key order or in fields that cannot change the answer', () => {
    const reordered = { temperature: 0, messages: [{ content: 'hi', role: 'user' }], model: 'openai/gpt-4o' }
    expect(completionHash(target, reordered)).toBe(hash())
    expect(
      hash({ user: 'u', metadata: { a: 'b' }, stream: true, stream_options: { include_usage: true } }),
    ).toBe(hash())
  })

  it.each([
    ['another message', { messages: [{ role: 'user', content: 'hi ' }] }, {}],
    ['another role', { messages: [{ role: 'system', content: 'hi' }] }, {}],
    ['another parameter', { temperature: 0.1 }, {}],
    ['an unknown parameter', { top_k: 5 }, {}],
    ['another model', {}, { model: 'gpt-4o-mini' }],
    ['another provider', {}, { provider: 'azure' }],
    ['another credential', {}, { scope: 'credential-2' }],
  ])('differs for %s', (_, more, other) => {
    expect(hash(more, other)).not.toBe(hash())
  })

  it('takes any text, half an emoji too, and tells keys like __proto__ apart', () => {
    expect(hash({ messages: [{ role: 'user', content: '\ud83d' }] })).not.toBe(hash())
    expect(hash(JSON.parse('{"extra":{"__proto__":1}}'))).not.toBe(hash(JSON.parse('{"extra":{}}')))
    expect(hash({ extra: { b: [1, { d: 1, c: 2 }], a: null } })).toBe(
      hash({ extra: { a: null, b: [1, { c: 2, d: 1 }] } }),
    )
  })

  it('holds the tenant: two tenants never share an entry', () => {
    expect(completionKeys('acme', 'h').entry).toBe('t:acme:llm:cache:h')
    expect(completionKeys('default', 'h').entry).toBe('llm:cache:h')
  })
})
