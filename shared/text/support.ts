import { type Span, sentencesOf } from './sentences.ts'
import { termsOf } from './terms.ts'

/** What a word is worth: one that stands in few of the texts says more about each. */
export type Weigh = (term: string) => number

/** The different words of a text. */
export const vocabularyOf = (text: string) => new Set(Array.from(termsOf(text), ({ term }) => term))

/** Of a question: without the words that ask. All of them where it has no others. */
export function subjectsOf(question: string): Set<string> {
  const all = vocabularyOf(question)
  const subjects = all.difference(ASKING)
  return subjects.size > 0 ? subjects : all
}

/** Inverse document frequency, as BM25 has it, over the vocabularies of these texts. */
export function weighOver(texts: readonly ReadonlySet<string>[]): Weigh {
  const counts = new Map<string, number>()
  for (const terms of texts) for (const term of terms) counts.set(term, (counts.get(term) ?? 0) + 1)
  return (term) => {
    const count = counts.get(term) ?? 0
    return Math.log(1 + (texts.length - count + 0.5) / (count + 0.5))
  }
}

/** How much of what is wanted, by weight, texts of these vocabularies have together: 0 to 1. */
export function coverageOf(
  wanted: ReadonlySet<string>,
  held: readonly ReadonlySet<string>[],
  weigh: Weigh = () => 1,
): number {
  let all = 0
  let covered = 0
  for (const term of wanted) {
    const weight = weigh(term)
    all += weight
    if (held.some((terms) => terms.has(term))) covered += weight
  }
  return all === 0 ? 0 : covered / all
}

/** A sentence of a text, and its words. */
export interface Sentence extends Span {
  terms: ReadonlySet<string>
}

export const readSentences = (text: string): Sentence[] =>
  sentencesOf(text).map(({ start, end }) => ({ start, end, terms: vocabularyOf(text.slice(start, end)) }))

export interface Support extends Span {
  /** Part of the claim's words, by weight, that the span holds: 0 to 1. */
  score: number
}

/** A claim may be drawn from so many sentences that stand together. */
const LONGEST = 3

/**
 * The part of a text that says most of a claim: its very words where they stand there, else up to three sentences.
 * Undefined where nothing of it is there.
 */
export function supportOf(
  claim: string,
  { text, sentences }: { text: string; sentences: readonly Sentence[] },
  weigh: Weigh,
): Support | undefined {
  const verbatim = findVerbatim(claim, text)
  if (verbatim) return { ...verbatim, score: 1 }
  const wanted = vocabularyOf(claim)
  let best: (Support & { worth: number }) | undefined
  for (let first = 0; first < sentences.length; first++) {
    for (let last = first; last < Math.min(first + LONGEST, sentences.length); last++) {
      const { start } = sentences[first]!
      const { end } = sentences[last]!
      const held = sentences.slice(first, last + 1).map(({ terms }) => terms)
      const score = coverageOf(wanted, held, weigh)
      // One sentence more must say a good part more.
      const worth = score - (last - first) * 0.15
      if (score > 0 && (!best || worth > best.worth)) best = { start, end, score, worth }
    }
  }
  return best && { start: best.start, end: best.end, score: best.score }
}

const ASKING = vocabularyOf(
  'what which who whom whose when where why how do does did can could should would may might must has have had ' +
    'i me my we us our you your please tell explain describe any some there about mean happen difference between',
)

/** The claim's words in a row, whatever white space is between them. */
function findVerbatim(claim: string, text: string): Span | undefined {
  const words = claim
    .trim()
    .replace(/[.!?]+$/, '')
    .split(/\s+/)
  if (words.length < 3 || words.length > 500) return undefined
  const pattern = words.map((word) => RegExp.escape(word)).join('\\s+')
  const match = new RegExp(`${pattern}[.!?]?`).exec(text)
  return match ? { start: match.index, end: match.index + match[0].length } : undefined
}
