import { stemmer } from 'stemmer'
import { adverbsFirst, objectLast, toActive, toClauses } from './clauses.ts'
import { expand, withoutFrames } from './frames.ts'
import {
  ADVERBIAL,
  ASKING,
  AUXILIARY,
  BASE_FORM,
  CLIPPED,
  FUTURE,
  IGNORED,
  LINKS,
  MODALITY,
  NEGATIONS,
  NUMBERS,
  PAST,
  PRESENT,
  UNITS,
  YES_OR_NO,
} from './vocabulary.ts'

/** What a prompt asks, taken apart so that two of them can be compared. English; other languages come out word by word. */
export interface Wording {
  /** Phrases in the order of the text; a preposition or conjunction begins a new one. */
  phrases: Word[][]
  /** `what`, `how many`, …; `whether`, `can` or `will` for yes or no; absent where nothing is asked by such a word. */
  asks?: string
  tense: 'past' | 'present' | 'future' | 'any'
  /** `should`, `must`; absent where nothing of that kind is said. */
  modality?: string
}

export interface Word {
  /** Without case and the ends of inflection: what is compared. */
  form: string
  /** As written. */
  text: string
  /** Whether it begins with a capital letter; absent where that tells nothing, as at the beginning of a sentence. */
  named?: boolean
}

/** Takes away politeness and framing; keeps everything that can change the answer. */
export function readWording(prompt: string): Wording {
  // Who begins without a capital letter writes names without one.
  const careful = /^\P{L}*\p{Lu}/u.test(prompt)
  const sentences = splitSentences(withoutFrames(expand(prompt))).map((one) => toTokens(one, careful))
  const words = sentences.flat().map(({ lower }) => lower)
  return {
    phrases: sentences
      .flatMap(toClauses)
      .flatMap((clause) => toPhrases(toActive(objectLast(adverbsFirst(clause))))),
    asks: askedBy(words),
    tense: tenseOf(words),
    modality: words.find((word) => MODALITY.has(word)),
  }
}

export interface Token {
  text: string
  lower: string
  named?: boolean
  /** A comma or the like stands before it. */
  apart: boolean
}
/** Code and quoted strings are one word each, so no full stop in them ends a sentence. */
const TOKEN =
  /`[^`]+`|"[^"]+"|\p{L}[\p{L}\p{M}]*(?:[+#]+|(?:[./:_'’&-]?[\p{L}\p{M}\p{N}]+)*)|[-−]?\p{N}[\p{L}\p{N}]*(?:[.,:/_-]?[\p{L}\p{N}]+)*|'(?:m|re|ve|ll|d|s)\b|[<>=%$€£+*^~@#&|\\]+|[,;:()–—]|[.!?]+(?=\s|$)/gu

function splitSentences(text: string): string[] {
  const sentences = ['']
  for (const [token] of text.matchAll(TOKEN)) {
    if (/^[.!?]+$/.test(token)) sentences.push('')
    else sentences[sentences.length - 1] += ` ${token}`
  }
  return sentences.map((sentence) => sentence.trim()).filter(Boolean)
}

function toTokens(sentence: string, careful: boolean): Token[] {
  const tokens: Token[] = []
  let apart = false
  for (const [text] of sentence.matchAll(TOKEN)) {
    if (/^[,;:()–—]$/.test(text)) {
      apart = true
      continue
    }
    // What joins two words; but not in a number, a path or a name with digits.
    const parts = /^[\p{L}\p{M}]+(?:-[\p{L}\p{M}]+)+$/u.test(text) ? text.split('-') : [text]
    for (const part of parts) {
      const inside = tokens.length > 0 && part !== 'I'
      const capital = /^\p{Lu}/u.test(part)
      const named = inside && (capital || careful) ? capital : undefined
      tokens.push({ text: part, lower: part.toLowerCase(), named, apart })
      apart = false
    }
  }
  return tokens
}

function toPhrases(tokens: Token[]): Word[][] {
  const phrases: Word[][] = [[]]
  const asking = tokens.find(({ lower }) => ASKING.has(lower))
  for (const [i, token] of tokens.entries()) {
    const { lower, named } = token
    const pronoun =
      lower === 'one' &&
      ['do', 'does', 'can', 'could', 'should', 'would', 'must', 'may'].includes(tokens[i - 1]?.lower ?? '')
    const isLink = LINKS.has(lower)
    const last = phrases.at(-1)!
    // `After how many days does …`: what stands before the verb was a phrase of its own.
    const [first, final] = [last[0]?.text.toLowerCase() ?? '', last.at(-1)?.text.toLowerCase() ?? '']
    const fronted = AUXILIARY.has(lower) && LINKS.has(first) && !NEGATIONS.has(first)
    const asks = ADVERBIAL.has(lower) && !LINKS.has(final)
    if ((isLink || fronted || asks) && last.length > 0) phrases.push([])
    if (pronoun || token === asking || IGNORED.has(lower) || MODALITY.has(lower)) continue
    phrases.at(-1)!.push({ form: formOf(token), text: token.text, named })
  }
  return phrases.filter((phrase) => phrase.length > 0)
}

const NUMBER = /^[-−]?\d/

function formOf(token: Token | undefined): string {
  const { text = '', lower = '' } = token ?? {}
  if (/^[`"]/.test(text)) return text
  const number = NUMBERS.get(lower)
  if (number) return number
  if (NUMBER.test(lower)) return lower.replace('−', '-').replace(/,(?=\d{3}(?!\d))/g, '')
  const plain = lower.replace(/['’]s?$/, '')
  return UNITS.get(lower) ?? stemmer(american(BASE_FORM.get(plain) ?? CLIPPED.get(plain) ?? plain))
}

/** Spellings that differ by country. */
const american = (word: string) =>
  word
    .replace(/(?<=\w{2})our(?=s?$|ed$|ing$|able$)/, 'or')
    .replace(/(?<=\w{3})is(?=e[sdr]?$|ing$|ation$)/, 'iz')
    .replace(/(?<=[cntb])re(?=s?$)/, 'er')

function askedBy(words: string[]): string | undefined {
  const at = words.findIndex((word) => ASKING.has(word))
  if (at < 0) return YES_OR_NO.get(words[0] ?? '')
  const word = words[at]!
  if (word === 'whom') return 'who'
  if (word === 'which') return 'what'
  const next = words[at + 1] ?? ''
  return word === 'how' && /^(many|much|long|far|fast|often|old|big|tall|high|deep|large)$/.test(next)
    ? `how ${next}`
    : word
}

function tenseOf(words: string[]): Wording['tense'] {
  if (words.some((word) => PAST.has(word))) return 'past'
  if (words.some((word) => FUTURE.has(word) || word === "'ll")) return 'future'
  if (words.some((word) => PRESENT.has(word))) return 'present'
  return 'any'
}
