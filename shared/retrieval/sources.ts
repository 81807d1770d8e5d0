import type { CountTokens } from '../ports/chat.ts'
import type { ChunkRef } from '../ports/vectors.ts'
import { vocabularyOf } from '../text/support.ts'
import type { SearchResult } from './search.ts'

/** What goes into a prompt under one number: a part of one document. */
export interface Source {
  documentId: string
  text: string
  /** Where the text begins in the stored document, in UTF-16 units. */
  start: number
  /** What it was made of. */
  chunks: ChunkRef[]
}

/** Two texts that share so much of their words say the same. */
const SAME = 0.9

/**
 * The best results within a budget of tokens, best first: chunks that overlap are one source, what says the same as a
 * better one is left out. A best chunk that is larger than the budget alone is cut.
 */
export async function toSources(
  results: readonly SearchResult[],
  maxTokens: number,
  countTokens: CountTokens,
): Promise<Source[]> {
  let sources: Source[] = []
  let left = maxTokens
  for (const { chunk } of results) {
    const { documentId, version, n, text, start } = chunk
    const neighbours = sources.filter((source) => touches(source, chunk))
    if (neighbours.length === 0 && sources.some((source) => sayTheSame(source.text, text))) continue
    const tokens = await countTokens(text)
    if (tokens > left && sources.length > 0) continue
    const fitting = tokens > left ? cut(text, left / tokens) : text
    left -= Math.min(tokens, left)
    const source = { documentId, text: fitting, start, chunks: [{ documentId, version, n }] }
    const [better, ...others] = neighbours
    if (!better) {
      sources.push(source)
      continue
    }
    const whole = neighbours.reduce(join, source)
    sources = sources.map((one) => (one === better ? whole : one)).filter((one) => !others.includes(one))
  }
  return sources
}

function touches(source: Source, { documentId, version, start, end }: SearchResult['chunk']): boolean {
  const same = source.documentId === documentId && source.chunks[0]!.version === version
  return same && start <= source.start + source.text.length && source.start <= end
}

function join(a: Source, b: Source): Source {
  const [first, second] = a.start <= b.start ? [a, b] : [b, a]
  const rest = second.text.slice(Math.max(0, first.start + first.text.length - second.start))
  return { ...first, text: first.text + rest, chunks: [...a.chunks, ...b.chunks] }
}

function sayTheSame(a: string, b: string): boolean {
  const [one, other] = [vocabularyOf(a), vocabularyOf(b)]
  const shared = one.intersection(other).size
  return shared > 0 && shared / (one.size + other.size - shared) >= SAME
}

/** A beginning that does not end in half a character. */
const cut = (text: string, part: number) =>
  text.slice(0, Math.floor(text.length * part)).replace(/[\ud800-\udbff]$/, '')
