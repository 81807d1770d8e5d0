import { hash } from 'node:crypto'
import { expand } from '../../semantic/frames.ts'
import { judge } from '../../semantic/guard.ts'
import { AUXILIARY, BASE_FORM, BE, MODALITY } from '../../semantic/vocabulary.ts'
import { sentencesOf } from '../../text/sentences.ts'
import type { NewMemory } from './memory.ts'
import { readTime, type StoredMemory } from './memory-entry.ts'

/** Characters of a memory. */
export const LONGEST_MEMORY = 2_000
/** Characters of its metadata as JSON. */
const MOST_METADATA = 4_000
/** Sentences of what was recalled that a new memory is compared with. */
const MOST_SENTENCES = 300

/** The memory without what tells when and by whom it is stored, or why there can be none. */
export function readNewMemory(
  memory: NewMemory,
): Pick<StoredMemory, 'text' | 'hash' | 'once' | 'origin' | 'metadata' | 'from' | 'until'> | string {
  const text = memory.text.toWellFormed().trim()
  if (text === '') return 'It is empty.'
  if (text.length > LONGEST_MEMORY)
    return `It has ${text.length} characters; a memory has ${LONGEST_MEMORY} at most. Keep the facts, one a memory.`
  const { origin, once, metadata = {} } = memory
  if (JSON.stringify(metadata).length > MOST_METADATA)
    return `Its metadata has more than ${MOST_METADATA} characters as JSON.`
  const [from, until] = [memory.valid_from, memory.valid_until].map((time) =>
    time === undefined ? undefined : (readTime(time) ?? Number.NaN),
  )
  if (Number.isNaN(from) || Number.isNaN(until))
    return 'valid_from and valid_until are times such as 2027-03-01T09:00:00Z, or dates.'
  if (from !== undefined && until !== undefined && until <= from) return 'It ends before it begins.'
  return { text, hash: hashOf(text), once, origin, metadata, from, until }
}

/** Of a text, whatever its white space and the stop at its end. Capital letters count: they tell Polish from polish. */
const hashOf = (text: string) =>
  hash(
    'sha256',
    text
      .normalize('NFKC')
      .replace(/\s+/g, ' ')
      .replace(/[\s.!]+$/, ''),
  ).slice(0, 32)

/**
 * Whether two memories say the same: what the guard of the semantic cache calls so, in the same person, mood and time. It compares
 * questions, for whose answer it is all one who asks, and politely or not. Similarity decides nothing: of pairs that differ
 * in a word (`before noon`, `after noon`) it was up to 0.997, of paraphrases down to 0.70.
 */
export function saysSame(a: string, b: string): boolean {
  const [one, other] = [expand(a), expand(b)]
  return judge(one, other) === 'same' && markingsOf(one) === markingsOf(other)
}

/** What was recalled, in sentences: the first ones where it is long. */
export function toSentences(recalled: readonly string[]): string[] {
  const sentences = new Set<string>()
  for (const text of recalled) {
    if (sentences.size >= MOST_SENTENCES) break
    const some = text.slice(0, 100 * MOST_SENTENCES).toWellFormed()
    if (some.length <= LONGEST_MEMORY) sentences.add(some.trim())
    for (const { start, end } of sentencesOf(some)) sentences.add(some.slice(start, end))
  }
  return [...sentences].filter(Boolean).slice(0, MOST_SENTENCES)
}

/** `repeats`: it says what was recalled. `near`: it uses no word of its own, so it does if it is near by its vector too. */
export function compareWithRecalled(text: string, recalled: string): 'repeats' | 'near' | 'other' {
  if (hashOf(text) === hashOf(recalled) || saysSame(text, recalled)) return 'repeats'
  const [own, known] = [new Set(wordsOf(text)), new Set(wordsOf(recalled))]
  const isNew = [...own].some((word) => !known.has(word)) || [...known.difference(own)].some(isCondition)
  return isNew || judge(expand(text), expand(recalled)) === 'different' ? 'other' : 'near'
}

const wordsOf = (text: string) =>
  (
    expand(text)
      .toLowerCase()
      .match(/[\p{L}\p{M}\p{N}]+/gu) ?? []
  ).filter((word) => !ARTICLES.has(word))

const ARTICLES = new Set(['a', 'an', 'the'])

/** What says less once it is left out: `only on Mondays` is not `on Mondays`. */
const isCondition = (word: string) =>
  /^(only|just|except|unless|if|when|while|until|till|since|before|after|almost|mostly|usually|sometimes|often|rarely)$/.test(
    word,
  )

/** Forms of one person. */
const PERSONS = new Map(
  Object.entries({ i: 'i me my mine', we: 'we us our ours', you: 'you your yours' }).flatMap(
    ([person, words]) => words.split(' ').map((word) => [word, person] as const),
  ),
)

/** Auxiliaries that say more than that something is so. */
const isMood = (word: string) =>
  MODALITY.has(word) || (AUXILIARY.has(word) && !/^(do|does|is|are|has|have)$/.test(word))

/** Who is spoken of, what may or must be, what is past, and whether it is asked: what the guard looks at less. */
function markingsOf(text: string): string {
  const marks = wordsOf(text).flatMap((word, i, words) => {
    const person = PERSONS.get(word)
    if (person) return person
    if (BE.has(words[i - 1] ?? '')) return isMood(word) ? word : [] // `is rotated` is not past
    const isPast = /^\p{L}{2,}ed$/u.test(word) || (BASE_FORM.has(word) && BASE_FORM.get(word) !== word)
    return isMood(word) || isPast ? word : []
  })
  return [...marks.sort(), /\?\s*$/.test(text)].join(' ')
}
