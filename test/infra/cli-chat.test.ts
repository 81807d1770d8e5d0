import { PassThrough } from 'node:stream'
import { expect, it } from 'vitest'
import type { Converse, Message } from '../../infra/cli/chat.ts'
import { chatOnTerminal } from '../../infra/cli/chat-terminal.ts'
import { HubRequestError } from '../../infra/client/hub-request-error.ts'
import { until } from '../support/hub.ts'

/** A terminal: raw keys in, text out. */
function open(converse: Converse) {
  const input = new PassThrough()
  const output = Object.assign(new PassThrough(), { isTTY: true, columns: 80 })
  let text = ''
  output.setEncoding('utf8').on('data', (part) => {
    text += part
  })
  const messages: Message[] = [{ role: 'system', content: 'Be kind.' }]
  const { signal } = new AbortController()
  const ended = chatOnTerminal({ converse, messages, model: 'local', signal, input, output })
  return {
    ended,
    /** Resolves when the terminal has shown it since. */
    async type(keys: string, expected: string) {
      const from = text.length
      input.write(keys)
      await until(expected, () => text.indexOf(expected, from) >= 0)
    },
  }
}

it('keeps what was said until /reset, and changes its model', async () => {
  const asked: [string, string[]][] = []
  const terminal = open(async (messages, model, onText) => {
    asked.push([model, messages.map(({ content }) => content)])
    onText('An answer')
    return { content: 'An answer', model, cacheStatus: 'redis-ai-hub; hit; ttl=9; detail=exact', ms: 12 }
  })
  await terminal.type('one\r', 'hit, exact · 12 ms · local')
  await terminal.type('two\r', '· local')
  await terminal.type('/reset\r', 'forgotten')
  await terminal.type('/model openai/other\r', 'from openai/other')
  await terminal.type('three\r', '· openai/other')
  await terminal.type('/what\r', '/exit')
  await terminal.type('/exit\r', '')
  expect(await terminal.ended).toBe(0)
  expect(asked).toEqual([
    ['local', ['Be kind.', 'one']],
    ['local', ['Be kind.', 'one', 'An answer', 'two']],
    ['openai/other', ['Be kind.', 'three']],
  ])
})

it('a failure is told, and does not end it', async () => {
  let calls = 0
  const terminal = open(async () => {
    calls++
    throw new HubRequestError('The provider is away.', { code: 'provider_error', status: 502 })
  })
  await terminal.type('one\r', 'The provider is away.')
  await terminal.type('two\r', 'The provider is away.')
  await terminal.type('\u0004', '')
  expect(await terminal.ended).toBe(0)
  expect(calls).toBe(2)
})

it('Ctrl-C stops an answer, which is not remembered, and ends at the prompt', async () => {
  const asked: number[] = []
  const terminal = open(async (messages, model, onText, signal) => {
    asked.push(messages.length)
    onText('It begins')
    if (asked.length === 1) await new Promise((_, reject) => signal!.addEventListener('abort', reject))
    return { content: 'It begins', model, cacheStatus: 'redis-ai-hub; fwd=miss; stored', ms: 1 }
  })
  await terminal.type('one\r', 'It begins')
  await terminal.type('\u0003', 'stopped')
  await terminal.type('two\r', 'miss · 1 ms')
  await terminal.type('\u0003', '')
  expect(await terminal.ended).toBe(130)
  expect(asked).toEqual([2, 2])
})
