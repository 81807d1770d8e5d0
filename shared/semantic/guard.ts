import { LINKING, NEGATIONS } from './vocabulary.ts'
import { readWording, type Word, type Wording } from './wording.ts'

/** `different` where something is said that changes the answer; `unsure` where the words do not tell. */
export type Verdict = 'same' | 'different' | 'unsure'

export interface GuardOptions {
  /** Whether a word, as it is written, is one of the language: what tells a slip of the keyboard from another word. */
  isWord?(word: string): boolean
}

/**
 * May the answer to `a` be served for `b`? `same` where the same words stand in the same phrases and the same is asked of
 * them, whatever politeness, spelling, voice and order of phrases.
 */
export function judge(a: string, b: string, options: GuardOptions = {}): Verdict {
  const left = readWording(a)
  const right = readWording(respelled(b, a, options))
  if (isPast(left, right) || isPast(right, left)) return 'different'
  const one = abbreviated(left.phrases, right.phrases)
  const other = abbreviated(right.phrases, one)
  const alike = variants(one).some((a) => variants(other).some((b) => samePhrases(a, b)))
  if (!alike) return conflict(one.flat(), other.flat()) ? 'different' : 'unsure'
  return asksAlike(left, right) ? 'same' : 'unsure'
}

const isPast = (a: Wording, b: Wording) =>
  a.tense === 'past' && (b.tense === 'present' || b.tense === 'future')

/** A request asks by no word of its own: `find the capital of Chile` is `what is …`, but `cancel it` is not `can I cancel it`. */
const REQUESTED = new Set([undefined, 'what', 'who', 'where'])

function asksAlike(a: Wording, b: Wording): boolean {
  const requested = (!a.asks && REQUESTED.has(b.asks)) || (!b.asks && REQUESTED.has(a.asks))
  const asks = a.asks === b.asks || requested
  const tense = a.tense === b.tense || a.tense === 'any' || b.tense === 'any'
  return asks && tense && a.modality === b.modality
}

/** Numbers, negations and named things that only one of them has; or the same words in other places: a direction. */
function conflict(a: Word[], b: Word[]): boolean {
  const only = (left: Word[], right: Word[]) =>
    left.filter(({ form }) => !right.some((word) => word.form === form))
  const extra = [...only(a, b), ...only(b, a)]
  if (extra.length === 0) return true
  return extra.some(({ form, named }) => named || /\d/.test(form)) || negations(a) !== negations(b)
}

const negations = (words: Word[]) => words.filter(({ form }) => NEGATIONS.has(form)).length

type Phrases = Word[][]

/** Every phrase of one stands in the other, word by word in order; the phrases themselves may stand in any order. */
function samePhrases(a: Phrases, b: Phrases): boolean {
  const left = [...b]
  for (const phrase of a) {
    const at = left.findIndex((other) => samePhrase(phrase, other))
    if (at < 0) return false
    left.splice(at, 1)
  }
  return left.length === 0
}

const samePhrase = (a: Word[], b: Word[]) =>
  a.length === b.length && a.every((word, i) => sameWord(word, b[i]!))

/** Turkey is not turkey, where both writers care for capital letters. */
const sameWord = (a: Word, b: Word) => a.form === b.form && (a.named ?? b.named) === (b.named ?? a.named)

/** `a deployment in Kubernetes` may read `a Kubernetes deployment`. */
function variants(phrases: Phrases): Phrases[] {
  const folded: Phrases = []
  for (const phrase of phrases) {
    const [link, ...rest] = phrase
    const before = folded.at(-1)
    if (before && link && LINKING.has(link.form) && rest.length > 0 && rest.length <= 3)
      before.splice(-1, 0, ...rest)
    else folded.push([...phrase])
  }
  return (folded.length < phrases.length ? [phrases, folded] : [phrases]).map(sortedPairs)
}

/** `84 and 126` is `126 and 84`. */
function sortedPairs(phrases: Phrases): Phrases {
  const sorted = phrases.map((phrase) => [...phrase])
  for (const [i, phrase] of sorted.entries()) {
    const before = sorted[i - 1]
    const size = phrase.length - 1
    if (
      !before ||
      (phrase[0]!.form !== 'and' && phrase[0]!.form !== 'or') ||
      size === 0 ||
      before.length < size
    )
      continue
    const text = (words: Word[]) => words.map(({ form }) => form).join(' ')
    const first = before.slice(-size)
    if (text(first) <= text(phrase.slice(1))) continue
    before.splice(-size, size, ...phrase.slice(1))
    phrase.splice(1, size, ...first)
  }
  return sorted
}

const WORD = /\p{L}+/gu

/** `text` with the words of `known` where a slip of the keyboard is all that differs. */
function respelled(text: string, known: string, options: GuardOptions): string {
  if (!options.isWord) return text
  const words = (all: string) => [...all.matchAll(WORD)].map(([word]) => word)
  const lower = (all: string[]) => new Set(all.map((word) => word.toLowerCase()))
  const [here, there] = [lower(words(text)), lower(words(known))]
  const free = words(known).filter((word) => !here.has(word.toLowerCase()))
  return text.replace(WORD, (word, at: number) => {
    if (there.has(word.toLowerCase())) return word
    const named = /^\p{Lu}/u.test(word) && at > 0
    const meant = free.findIndex((other) => isSlip(other, word, named, options.isWord!))
    if (meant < 0) return word
    const [other] = free.splice(meant, 1) // each word is meant once
    return /^\p{Ll}/u.test(word) ? other!.toLowerCase() : other!
  })
}

/** `phrases` with words in a row that stand in `other` as an abbreviation replaced by it. */
function abbreviated(phrases: Phrases, other: Phrases): Phrases {
  const have = new Set(phrases.flat().map(({ form }) => form))
  const short = other
    .flat()
    .filter(({ form, text }) => !have.has(form) && (/^\p{Lu}{2,6}s?$/u.test(text) || NUMERONYM.test(text)))
  return short.reduce(
    (sum, word) =>
      sum.map((phrase) => {
        const at = phrase.findIndex((_, i) => lengthMeant(word.text, phrase.slice(i)) > 0)
        return at < 0 ? phrase : phrase.toSpliced(at, lengthMeant(word.text, phrase.slice(at)), word)
      }),
    phrases,
  )
}

/** `k8s`: first letter, how many between, last letter. */
const NUMERONYM = /^(\p{L})(\d{1,2})(\p{L})$/u

/** How many of these words the abbreviation means; 0 where it means others. */
function lengthMeant(short: string, words: Word[]): number {
  const [, first, between, last] = NUMERONYM.exec(short.toLowerCase()) ?? []
  if (first) {
    const word = words[0]!.text.toLowerCase()
    return word.startsWith(first) && word.endsWith(last!) && word.length === Number(between) + 2 ? 1 : 0
  }
  const initials = [...short.replace(/s$/, '').toLowerCase()]
  return initials.every((letter, i) => words[i]?.text.toLowerCase().startsWith(letter)) ? initials.length : 0
}

/**
 * One of them is no word, and they are a slip apart: one letter missing, doubled, wrong or swapped with the next (two in a
 * long word). Of two words that no dictionary knows, or of a name, only swapped letters are a slip.
 */
function isSlip(a: string, b: string, named: boolean, isWord: (word: string) => boolean): boolean {
  const [x, y] = [a.toLowerCase(), b.toLowerCase()]
  const [knowsX, knowsY] = [isWord(a) || isWord(x), isWord(b) || isWord(y)]
  if (Math.max(x.length, y.length) < 3 || (knowsX && knowsY)) return false
  const distance = editDistance(x, y)
  if (named || (!knowsX && !knowsY) || Math.max(x.length, y.length) < 4)
    return distance === 1 && letters(x) === letters(y)
  return distance <= (Math.min(x.length, y.length) >= 7 ? 2 : 1)
}

const letters = (word: string) => [...word].sort().join('')

/** Optimal string alignment: insertions, deletions, substitutions, and swaps of neighbours (Damerau 1964). */
function editDistance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) => [i, ...Array<number>(b.length).fill(0)])
  for (let j = 1; j <= b.length; j++) rows[0]![j] = j
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const [row, above] = [rows[i]!, rows[i - 1]!]
      row[j] = Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + Number(a[i - 1] !== b[j - 1]))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        row[j] = Math.min(row[j]!, rows[i - 2]![j - 2]! + 1)
    }
  }
  return rows[a.length]![b.length]!
}
