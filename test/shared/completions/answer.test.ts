import { describe, expect, it } from 'vitest'
import { ANSWER_LIMIT, createAnswer, type Piece } from '../../../shared/completions/answer.ts'
import { HubError } from '../../../shared/errors.ts'

const chunk = (delta: object, more: object = {}): Piece => ({
  form: 'chunk',
  data: JSON.stringify({ id: 'x', choices: [{ index: 0, delta, ...more }] }),
})
const text = (content: string) => chunk({ content })
const contentOf = (pieces: Piece[]) =>
  pieces.map(({ data }) => JSON.parse(data).choices[0]?.delta.content ?? '').join('')
const forever = new AbortController().signal

describe('an answer that is read while it is made', () => {
  it('gives every reader all pieces, whenever it came', async () => {
    const answer = createAnswer(() => {})
    const attempt = answer.begin()
    attempt.push(text('a'))
    const early = collect(answer.read({ signal: forever }))
    attempt.push(text('b'))
    const late = collect(answer.read({ signal: forever }))
    attempt.push(text('c'))
    attempt.end()
    answer.end()
    expect(contentOf(await early)).toBe('abc')
    expect(contentOf(await late)).toBe('abc')
  })

  it('tells when the last reader leaves before the end, also one that waits for a piece', async () => {
    let idle = 0
    const answer = createAnswer(() => idle++)
    const left = new AbortController()
    const reading = collect(answer.read({ signal: left.signal }))
    answer.begin().push(text('a'))
    await Promise.resolve()
    left.abort()
    await reading
    expect(idle).toBe(1)
    expect(answer.open).toBe(false)
  })

  it('goes on in a second attempt whose text begins with what was sent, cut at any place', async () => {
    const answer = createAnswer(() => {})
    const first = answer.begin()
    first.push(chunk({ role: 'assistant', content: '' }))
    first.push(text('The quick '))
    const reader = answer.read({ signal: forever })
    const got = [(await reader.next()).value as Piece, (await reader.next()).value as Piece]
    const second = answer.begin()
    for (const piece of [
      chunk({ role: 'assistant' }),
      text('The'),
      text(' quick br'),
      text('own fox'),
      chunk({}, { finish_reason: 'stop' }),
    ]) {
      second.push(piece)
    }
    second.end()
    answer.end()
    for await (const piece of reader) got.push(piece)
    expect(contentOf(got)).toBe('The quick brown fox')
    expect(got.at(-1)!.data).toContain('"finish_reason":"stop"')
  })

  it('goes on when the second attempt comes as one whole completion', async () => {
    const answer = createAnswer(() => {})
    answer.begin().push(text('The quick '))
    const reader = answer.read({ signal: forever })
    const got = [(await reader.next()).value as Piece]
    const second = answer.begin()
    const message = { role: 'assistant', content: 'The quick brown fox' }
    second.push({
      form: 'completion',
      data: JSON.stringify({ choices: [{ index: 0, message, finish_reason: 'stop' }] }),
    })
    second.end()
    answer.end()
    for await (const piece of reader) got.push(piece)
    expect(contentOf(got)).toBe('The quick brown fox')
    expect(got.at(-2)!.data).toContain('"finish_reason":"stop"')
  })

  it.each([
    ['another text', [text('The slow one')]],
    ['a shorter text', [text('The')]],
    ['a tool call', [chunk({ tool_calls: [{ index: 0, function: { name: 'f' } }] })]],
  ])('ends in stream_interrupted, never in a splice, when the second attempt is %s', async (_, pieces) => {
    const answer = createAnswer(() => {})
    answer.begin().push(text('The quick '))
    const reader = answer.read({ signal: forever })
    await reader.next()
    const second = answer.begin()
    pieces.forEach(second.push)
    second.end()
    answer.end()
    await expect(reader.next()).rejects.toMatchObject({ code: 'stream_interrupted' })
  })

  it('starts over for a reader that has sent nothing', async () => {
    const answer = createAnswer(() => {})
    answer.begin().push(text('The quick '))
    let seen: Piece[] = []
    const reading = (async () => {
      for await (const piece of answer.read({
        signal: forever,
        onRestart: () => {
          seen = []
        },
      }))
        seen.push(piece)
    })()
    await Promise.resolve()
    const second = answer.begin()
    second.push(text('Another '))
    second.push(text('answer'))
    second.end()
    answer.end()
    await reading
    expect(contentOf(seen)).toBe('Another answer')
  })

  it('holds no more than its limit: it closes to new readers, waits for slow ones and forgets what all have read', async () => {
    const answer = createAnswer(() => {})
    const attempt = answer.begin()
    const reader = answer.read({ signal: forever })
    const big = text('x'.repeat(ANSWER_LIMIT / 2))
    attempt.push(big)
    await reader.next()
    attempt.push(big)
    attempt.push(big)
    expect(answer.open).toBe(false)
    let room = false
    const waiting = answer.room().then(() => {
      room = true
    })
    await Promise.resolve()
    expect(room).toBe(false)
    await reader.next()
    await reader.next()
    await waiting
    attempt.push(text('end'))
    answer.end()
    expect(contentOf(await collect(reader))).toBe('end')
  })

  it('passes its failure on after the pieces that came', async () => {
    const answer = createAnswer(() => {})
    answer.begin().push(text('a'))
    answer.fail(new HubError({ code: 'gone', status: 502, message: 'gone' }))
    const reader = answer.read({ signal: forever })
    expect((await reader.next()).done).toBe(false)
    await expect(reader.next()).rejects.toThrow('gone')
  })
})

async function collect(pieces: AsyncIterable<Piece>): Promise<Piece[]> {
  const all: Piece[] = []
  for await (const piece of pieces) all.push(piece)
  return all
}
