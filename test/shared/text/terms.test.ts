import { describe, expect, test } from 'vitest'
import { termsOf } from '../../../shared/text/terms.ts'

const terms = (text: string) => Array.from(termsOf(text), ({ term }) => term)

describe('terms', () => {
  test.each([
    ['forms of a word are one', 'Running runs run', ['run', 'run', 'run']],
    ['words that say nothing are left out', 'The cat is in the hat', ['cat', 'hat']],
    [
      'punctuation parts words',
      'rocket-launcher, (a) {b|c} "d"\\e',
      ['rocket', 'launcher', 'b', 'c', 'd', 'e'],
    ],
    ['letters beside digits stay one word', 'HTTP2 v1.2 42', ['http2', 'v1', '2', '42']],
    ['an apostrophe within is kept, a genitive is not', "don't the dog's dog’s", ["don't", 'dog', 'dog']],
    ['other alphabets are kept whole', 'Zürich naïve Ёлка ÇA', ['zürich', 'naïve', 'ёлка', 'ça']],
    ['composed and decomposed are the same', 'e\u0301t\u00e9', ['\u00e9t\u00e9']],
    ['wide forms are the narrow ones', 'Ｒｅｄｉｓ ﬁle', ['redi', 'file']],
    ['signs are no words', '🚀 ** -- \u0000 ", . $', []],
    ['nothing is no word', '', []],
  ])('%s', (_, text, expected) => {
    expect(terms(text)).toEqual(expected)
  })

  test('languages without spaces are cut into words', () => {
    expect(terms('東京は日本の首都です')).toEqual(expect.arrayContaining(['東京', '日本', '首都']))
  })

  test('a blob is cut short, alike wherever it stands', () => {
    const blob = `${'x9'.repeat(40)}tail`
    expect(terms(blob)).toEqual([blob.slice(0, 64)])
    expect(terms(`see ${blob}!`)).toEqual(['see', blob.slice(0, 64)])
  })

  test('each tells where it stands', () => {
    const text = '😀 The Runners’ “Höhle” 東京都庁'
    const found = [...termsOf(text)].map(({ start, end }) => text.slice(start, end))
    expect(found.slice(0, 2)).toEqual(['Runners', 'Höhle'])
    expect(found.slice(2).join('')).toBe('東京都庁')
  })

  test('a long text of one letter takes no longer than its length', () => {
    expect(terms('a\u0301'.repeat(200_000))).toHaveLength(1)
    expect(terms("'".repeat(200_000))).toEqual([])
  })
})
