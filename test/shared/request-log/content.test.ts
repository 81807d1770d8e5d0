import { describe, expect, it } from 'vitest'
import type { CompletionRecord } from '../../../shared/completions/completion-record.ts'
import { contentOf, MOST_CHARACTERS } from '../../../shared/request-log/content.ts'

const logged = (messages: object[], response?: string) =>
  contentOf({ request: { model: 'm', messages }, response } as unknown as CompletionRecord)

const said = (content: unknown) => [{ role: 'user', content }]

describe('content of the request log', () => {
  it('is what was asked and answered', () => {
    const message = { role: 'assistant', content: 'Hello.' }
    const content = logged(said('Hi'), JSON.stringify({ id: 'x', choices: [{ index: 0, message }] }))
    expect(JSON.parse(content.messages)).toEqual(said('Hi'))
    expect(JSON.parse(content.answer!)).toEqual([message])
    expect(content).toMatchObject({ messages_cut: false, answer_cut: false })
  })

  it('has no answer where this call did not see the whole of it', () => {
    expect(logged(said('Hi')).answer).toBeNull()
  })

  it('has the reference to a stored prompt where there are no messages', () => {
    const request = { model: 'm', prompt: { id: 'greet' } }
    expect(contentOf({ request } as unknown as CompletionRecord).messages).toBe('{"id":"greet"}')
  })

  it('is cut to a bound, and says so; no character is cut in two', () => {
    const { messages, messages_cut } = logged(said('😀'.repeat(MOST_CHARACTERS)))
    expect(messages_cut).toBe(true)
    expect(messages.length).toBeLessThanOrEqual(MOST_CHARACTERS)
    expect(messages.isWellFormed()).toBe(true)
    const answer = logged(
      said('Hi'),
      JSON.stringify({ choices: [{ message: { content: 'x '.repeat(20_000) } }] }),
    )
    expect(answer).toMatchObject({ messages_cut: false, answer_cut: true })
  })

  it('has neither images nor files', () => {
    const bytes = Buffer.from('a picture'.repeat(200)).toString('base64')
    const { messages } = logged(
      said([
        { type: 'text', text: `see data:image/gif;base64,R0lGOD== there` },
        { type: 'image_url', image_url: { url: `data:image/png;base64,${bytes}` } },
        { type: 'file', file: { file_data: `data:application/pdf;name=a.pdf;base64,${bytes}` } },
        { type: 'input_audio', input_audio: { data: bytes, format: 'wav' } },
      ]),
    )
    expect(messages).not.toContain(bytes.slice(0, 40))
    expect(messages).not.toContain('R0lGOD')
    const parts = JSON.parse(messages)[0].content
    expect(parts[0].text).toMatch(/^see \[\d+ characters of image\/gif\] there$/)
    expect(parts[1].image_url.url).toMatch(/^\[\d+ characters of image\/png\]$/)
    expect(parts[2].file.file_data).toMatch(/^\[\d+ characters of application\/pdf\]$/)
    expect(parts[3].input_audio.data).toMatch(/^\[\d+ characters of base64\]$/)
  })

  it.each([
    'sk-proj-abcdefghijklmnopqrstuvwx',
    'hub_0123456789abcdef_AAAAAAAAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBBBBBBB_acme',
    'ghp_abcdefghijklmnopqrstuvwxyz0123456789',
    'AKIAIOSFODNN7EXAMPLEKEY1',
    'Bearer abcdefghijklmnop.qrstuvwxyz',
  ])('has no key of a service: %s', (key) => {
    expect(JSON.parse(logged(said(`It is ${key}, I think.`)).messages)[0].content).toBe(
      'It is [a key], I think.',
    )
  })

  it('leaves ordinary text as it is', () => {
    const text = 'Why does sk-learn say "Bearer of news"? '.repeat(20)
    expect(JSON.parse(logged(said(text)).messages)[0].content).toBe(text)
  })
})
