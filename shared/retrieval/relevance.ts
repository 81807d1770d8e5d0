import { coverageOf, subjectsOf, vocabularyOf } from '../text/support.ts'
import type { Turn } from './ask-prompt.ts'
import type { SearchResult } from './search.ts'

/**
 * Found with the embedded model on questions about the README files of six packages, and on questions about none of them: the
 * best chunk held 0.67 of the words of all but two of the former and at most 0.5 of the latter; similarity alone went
 * up to 0.67 for what was only alike in kind.
 */
const ENOUGH_WORDS = 0.6
const ENOUGH_SIMILARITY = 0.7
const ENOUGH_TOGETHER = { words: 0.2, similarity: 0.45 }

/**
 * Whether a chunk can hold the answer: it has most of the question's words, or is very near to it, or something of both.
 * The caller's own least similarity goes before this.
 */
export function isRelevant(
  { chunk, similarity = 0 }: SearchResult,
  question: string,
  history: readonly Turn[],
  minScore?: number,
): boolean {
  if (minScore !== undefined) return true // search has seen to it
  const before = history.findLast(({ role }) => role === 'user')
  const asked = before ? [question, `${question} ${before.content}`] : [question]
  const held = [vocabularyOf(chunk.text)]
  const words = Math.max(...asked.map((text) => coverageOf(subjectsOf(text), held)))
  return (
    words >= ENOUGH_WORDS ||
    similarity >= ENOUGH_SIMILARITY ||
    (words >= ENOUGH_TOGETHER.words && similarity >= ENOUGH_TOGETHER.similarity)
  )
}
