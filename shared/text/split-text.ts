import { type Span, sentencesOf } from './sentences.ts'

export interface SplitOptions {
  /** Most characters of a part. */
  size: number
  /** About how many characters of one part the next one repeats; at most a third of `size`. */
  overlap: number
}

/** Raised when the same text would be split at other places. */
export const SPLITTER_VERSION = 1

/**
 * Splits text into parts that end where a reader would pause: before a heading, else after a paragraph, a sentence, a line, a
 * word, and at worst between two visible characters; each as late in the part as it goes. Parts neither begin nor end in
 * white space, and all that is no white space is in one. A part that begins with a heading repeats nothing.
 *
 * Linear: only the end of a part is looked at, whatever the length of a line.
 *
 * @example splitText('One. Two.', { size: 5, overlap: 0 }) // [{ start: 0, end: 4 }, { start: 5, end: 9 }]
 */
export function splitText(text: string, { size, overlap }: SplitOptions): Span[] {
  const parts: Span[] = []
  let start = skipSpace(text, 0)
  while (start < text.length) {
    const { end, isSection } = findEnd(text, start, size)
    parts.push({ start, end: trimEnd(text, start, end) })
    const next = skipSpace(text, end)
    if (next >= text.length) break
    start = isSection || overlap === 0 ? next : findOverlap(text, start, next, overlap)
  }
  return parts
}

/** From a third of the part on: a border before it would make small parts. */
const EARLIEST = 1 / 3

const HEADING = /\n(?=#{1,6}[ \t])/g
const PARAGRAPH = /\n[ \t]*\r?\n/g
const LINE = /\n/g

/** From the most to the least welcome: the last such border of a window that lies at `limit` or before. */
const BORDERS: ((window: string, limit: number) => number)[] = [
  (window, limit) => lastMatchEnd(window, HEADING, limit),
  (window, limit) => lastMatchEnd(window, PARAGRAPH, limit),
  (window, limit) => sentencesOf(window).findLast(({ start }) => start <= limit)?.start ?? 0,
  (window, limit) => lastMatchEnd(window, LINE, limit),
  (window, limit) => lastSegmentStart(window, words, limit),
]

function findEnd(text: string, start: number, size: number): { end: number; isSection: boolean } {
  if (text.length - start <= size) return { end: text.length, isSection: false }
  // Some characters more: what straddles the end is seen whole.
  const window = text.slice(start, start + size + 64)
  const earliest = Math.floor(size * EARLIEST)
  for (const [rank, lastBorder] of BORDERS.entries()) {
    const at = lastBorder(window, size)
    if (at > earliest) return { end: start + at, isSection: rank === 0 }
  }
  // One visible character may be longer than a part: then it is cut, but never inside of a surrogate pair.
  const at = lastSegmentStart(window, graphemes, size)
  return { end: start + (at > 0 ? at : wholeCharacters(text, start, size)), isSection: false }
}

/** The first sentence, else the first word, that begins within the last `overlap` characters before `next`. */
function findOverlap(text: string, start: number, next: number, overlap: number): number {
  const from = Math.max(start + 1, next - overlap)
  // Some characters before it, so that it shows whether a sentence really begins there.
  const context = Math.max(start, from - 50)
  const tail = text.slice(context, next)
  const sentence = sentencesOf(tail).find((span) => context + span.start >= from)
  if (sentence) return context + sentence.start
  for (const { index, isWordLike } of words.segment(tail)) {
    if (isWordLike && context + index >= from) return context + index
  }
  return next
}

const words = new Intl.Segmenter('en', { granularity: 'word' })
const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })

function lastMatchEnd(window: string, border: RegExp, limit: number): number {
  let last = 0
  for (const { 0: found, index } of window.matchAll(border)) {
    if (index + found.length <= limit) last = index + found.length
  }
  return last
}

/** Where the last segment begins that does not begin behind `limit`; the first one does not count. */
function lastSegmentStart(window: string, segmenter: Intl.Segmenter, limit: number): number {
  let last = 0
  for (const { index, segment } of segmenter.segment(window)) {
    // A word is not parted from the full stop behind it.
    if (index <= limit && !(segmenter === words && /^[\p{P}\p{S}]/u.test(segment))) last = index
  }
  return last
}

function wholeCharacters(text: string, start: number, size: number): number {
  const isSplitPair = /[\ud800-\udbff]/.test(text[start + size - 1]!)
  return isSplitPair ? Math.max(size - 1, 2) : size
}

function skipSpace(text: string, at: number): number {
  const space = /\S/g
  space.lastIndex = at
  return space.exec(text)?.index ?? text.length
}

function trimEnd(text: string, start: number, end: number): number {
  let at = end
  while (at > start && /\s/.test(text[at - 1]!)) at--
  return at
}
