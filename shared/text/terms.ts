import { stemmer } from 'stemmer'

/** A word of a text as search compares it, and where it stands: UTF-16 units, `end` is the first one after it. */
export interface Term {
  term: string
  start: number
  end: number
}

/**
 * The words of a text in lower case and stemmed (Porter, English), without stop words. Queries and documents are cut alike: who
 * changes this must write the indexes anew. Chinese, Japanese, Thai and other languages without spaces are cut by
 * dictionary where the runtime has one.
 *
 * @example [...termsOf('Running in Zürich')].map(({ term }) => term) // ['run', 'zürich']
 */
export function* termsOf(text: string): Generator<Term> {
  for (const { word, start, end } of wordsOf(text)) {
    const lower = word.normalize('NFKC').toLowerCase().replace(POSSESSIVE, '')
    if (STOP_WORDS.has(lower)) continue
    yield { term: (ASCII.test(lower) ? stemmer(lower) : lower).slice(0, LONGEST), start, end }
  }
}

/** Letters and digits with their marks; an apostrophe only within. */
const WORD = /[\p{L}\p{N}\p{M}]+(?:['’][\p{L}\p{M}]+)*/gu

const POSSESSIVE = /['’]s$/

const ASCII = /^[a-z']+$/

const UNSPACED = /[\p{sc=Han}\p{sc=Hira}\p{sc=Kana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmr}\p{sc=Mymr}]/u

/** What is longer is an encoded blob rather than a word. */
const LONGEST = 64

/** Those of Lucene's English analyser, which RediSearch took over. */
const STOP_WORDS = new Set(
  (
    'a an and are as at be but by for if in into is it no not of on or such that the their then there these they ' +
    'this to was will with'
  ).split(' '),
)

let segmenter: Intl.Segmenter | undefined

function* wordsOf(text: string) {
  for (const { 0: word, index } of text.matchAll(WORD)) {
    if (!UNSPACED.test(word)) {
      yield { word, start: index, end: index + word.length }
      continue
    }
    segmenter ??= new Intl.Segmenter(undefined, { granularity: 'word' })
    for (const part of segmenter.segment(word)) {
      const start = index + part.index
      yield { word: part.segment, start, end: start + part.segment.length }
    }
  }
}
