import type { Span } from './sentences.ts'
import { termsOf } from './terms.ts'

/** As many as anybody marks. */
const MOST = 100

/** Words of a text whose stem stands in the query too. */
export function highlightsOf(text: string, query: string): Span[] {
  const wanted = new Set(Array.from(termsOf(query), ({ term }) => term))
  if (wanted.size === 0) return []
  const spans: Span[] = []
  for (const { term, start, end } of termsOf(text)) {
    if (!wanted.has(term)) continue
    spans.push({ start, end })
    if (spans.length === MOST) break
  }
  return spans
}
