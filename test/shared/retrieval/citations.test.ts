import { describe, expect, it } from 'vitest'
import { citationsOf } from '../../../shared/retrieval/citations.ts'
import type { Source } from '../../../shared/retrieval/sources.ts'

const document =
  'Preface. The cache keeps an answer for one hour.\nA stored answer is dropped when a document\nthat it cites changes. 😀! Limits are counted per key.'
const source = (text: string, start = 0, documentId = 'a'): Source => ({
  documentId,
  text,
  start,
  chunks: [],
})
const whole = source(document)
const other = source('Locks have a fencing token. Every lock ends by itself.', 1_000, 'b')

const cite = (answer: string, sources = [whole, other]) => citationsOf(answer, sources)
const quotes = (answer: string) => cite(answer).citations.map(({ quote, source }) => [source, quote])

describe('citations', () => {
  it('are exact spans of the stored document, also of a part that begins in its middle', () => {
    const at = document.indexOf('A stored')
    const { citations } = cite('An answer goes when a cited document changes [1].', [
      source(document.slice(at), at),
    ])
    expect(citations).toHaveLength(1)
    const { quote, start, end, score, document_id } = citations[0]!
    expect(quote).toBe('A stored answer is dropped when a document\nthat it cites changes.')
    expect(document.slice(start, end)).toBe(quote)
    expect(document_id).toBe('a')
    expect(score).toBeGreaterThan(0.5)
  })

  it.each([
    ['before the full stop', 'Limits are counted per key [1].'],
    ['after it', 'Limits are counted per key. [1]'],
    ['in a list', '- Limits are counted per key [1, 2]\n- Other things'],
    ['in the middle', 'As [1] says, limits are counted per key.'],
  ])('are found for a marker %s', (_, answer) => {
    expect(quotes(answer)).toEqual([[1, 'Limits are counted per key.']])
  })

  it('the words of a source score 1, wherever its lines break', () => {
    const { citations } = cite('A stored answer is dropped when a document that it cites changes. [1]')
    expect(citations[0]).toMatchObject({
      score: 1,
      quote: 'A stored answer is dropped when a document\nthat it cites changes.',
    })
  })

  it('each statement has its own, each source its own', () => {
    expect(quotes('Answers are kept an hour [1]. Locks have a fencing token [2].')).toEqual([
      [1, 'The cache keeps an answer for one hour.'],
      [2, 'Locks have a fencing token.'],
    ])
    expect(cite('Locks have a fencing token [2].').citations[0]).toMatchObject({
      start: 1_000,
      document_id: 'b',
    })
  })

  it('a marker of no source, or of one that does not say it, is dropped', () => {
    expect(cite('Elephants never forget anything [2]. Limits are counted per key [1][7].')).toMatchObject({
      answer: 'Elephants never forget anything. Limits are counted per key [1].',
      citations: [{ source: 1 }],
    })
  })

  it('what only looks like a marker stays', () => {
    const answer = 'Use list[0] or [1](https://example.com) or [x].'
    expect(cite(answer)).toEqual({ answer, citations: [] })
  })

  it('the same span cited twice is one citation', () => {
    expect(cite('Limits are counted per key [1]. Per key limits are counted [1].').citations).toHaveLength(1)
  })
})
