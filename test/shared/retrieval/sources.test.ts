import { describe, expect, it } from 'vitest'
import type { SearchResult } from '../../../shared/retrieval/search.ts'
import { toSources } from '../../../shared/retrieval/sources.ts'

const document =
  'Redis keeps data in memory. It writes an append-only file. Replicas follow the primary server.'

function result(start: number, end: number, n: number, documentId = 'a', text = document): SearchResult {
  const chunk = { documentId, version: 1, n, text: text.slice(start, end), start, end, metadata: {} }
  return { chunk, score: 1 }
}
const perWord = async (text: string) => text.split(/\s+/).length

describe('the sources of a prompt', () => {
  it('chunks that overlap are one, where the better one stood, and still a span of the document', async () => {
    const other = 'Something else altogether, of another kind.'
    const results = [
      result(28, 58, 1),
      result(0, other.length, 0, 'b', other),
      result(0, 40, 0),
      result(50, 93, 2),
    ]
    const sources = await toSources(results, 1_000, perWord)
    expect(sources.map(({ documentId }) => documentId)).toEqual(['a', 'b'])
    expect(sources[0]).toMatchObject({ start: 0, text: document.slice(0, 93) })
    expect(sources[0]!.chunks.map(({ n }) => n).toSorted()).toEqual([0, 1, 2])
  })

  it('what says the same as a better one is left out', async () => {
    const copy = document.replace('. It', ' – it')
    const sources = await toSources([result(0, 200, 0), result(0, 200, 0, 'copy', copy)], 1_000, perWord)
    expect(sources.map(({ documentId }) => documentId)).toEqual(['a'])
  })

  it('stay within the budget; a smaller one may follow a larger one that does not fit', async () => {
    const texts = ['one two three four five', 'six seven eight nine ten eleven', 'twelve thirteen']
    const results = texts.map((text, i) => result(0, text.length, 0, `d${i}`, text))
    const sources = await toSources(results, 8, perWord)
    expect(sources.map(({ text }) => text)).toEqual([texts[0], texts[2]])
  })

  it('the best one is cut where it alone is too large, not within a character', async () => {
    const text = `${'word '.repeat(9)}w😀rd`
    for (let budget = 1; budget < 10; budget++) {
      const [source] = await toSources([result(0, text.length, 0, 'a', text)], budget, perWord)
      expect(text.startsWith(source!.text)).toBe(true)
      expect(source!.text.isWellFormed()).toBe(true)
      expect(source!.text.length).toBeLessThan(text.length)
    }
  })
})
