import { sentencesOf } from '../text/sentences.ts'
import { readSentences, supportOf, weighOver } from '../text/support.ts'
import type { Source } from './sources.ts'

/** A span of a stored document that a statement of the answer rests on. */
export interface Citation {
  document_id: string
  /** `document.text.slice(start, end)`, exactly. */
  quote: string
  /** UTF-16 offsets in the stored document's text. */
  start: number
  end: number
  /** Part of the statement's words, by weight, that the quote holds: 0 to 1. */
  score: number
  /** The number that marks it in the answer: `[source]`. */
  source: number
}

/** Below it a source does not say what it is cited for. */
const LEAST_SUPPORT = 0.3

/** `[1]`, `[1, 2]` and such in a row; not `list[1]`, not a link's text. */
const MARKERS = /(?:\s{1,9}|(?<![\p{L}\p{N}_\])]))(?:\[\d{1,3}(?:\s*,\s*\d{1,3})*\](?!\())+/gu

/**
 * The spans of the sources that the marked statements of an answer rest on, and the answer without the markers that rest on
 * nothing: of no source, or of one that does not say it.
 */
export function citationsOf(
  answer: string,
  sources: readonly Source[],
): { answer: string; citations: Citation[] } {
  const read = sources.map((source) => ({ ...source, sentences: readSentences(source.text) }))
  const weigh = weighOver(read.flatMap(({ sentences }) => sentences.map(({ terms }) => terms)))
  const citations = new Map<string, Citation>()
  let kept = ''
  let at = 0
  for (const match of answer.matchAll(MARKERS)) {
    const end = match.index + match[0].length
    kept += answer.slice(at, match.index)
    const claim = claimAt(answer.slice(at, match.index), answer.slice(end))
    const good: number[] = []
    for (const n of numbersOf(match[0])) {
      const source = read[n - 1]
      const support = source && supportOf(claim, source, weigh)
      if (!source || !support || support.score < LEAST_SUPPORT) continue
      good.push(n)
      const span = { start: source.start + support.start, end: source.start + support.end }
      const key = `${n} ${span.start} ${span.end}`
      const score = Math.round(support.score * 1000) / 1000
      const known = citations.get(key)
      if (known) known.score = Math.max(known.score, score)
      else {
        const quote = source.text.slice(support.start, support.end)
        citations.set(key, { document_id: source.documentId, quote, ...span, score, source: n })
      }
    }
    if (good.length > 0) kept += /^\s*/.exec(match[0])![0] + good.map((n) => `[${n}]`).join('')
    at = end
  }
  return { answer: kept + answer.slice(at), citations: [...citations.values()] }
}

/** The sentence that a marker stands in or after: the last one before it, with what follows where that is only a beginning. */
function claimAt(before: string, after: string): string {
  const last = sentencesOf(before).at(-1)
  const said = last ? before.slice(last.start) : ''
  if (said.split(/\s+/).length > 4) return said
  const [next] = sentencesOf(after.split(MARKERS)[0] ?? '')
  return next && next.start <= 2 ? `${said} ${after.slice(next.start, next.end)}`.trim() : said
}

const numbersOf = (markers: string) => new Set(Array.from(markers.matchAll(/\d+/g), ([n]) => Number(n)))
