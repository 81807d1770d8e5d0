import { hash } from 'node:crypto'

/** What is said where the sources do not hold the answer. */
export const NOT_FOUND = 'This is not in these documents.'

/**
 * Numbered sources in a prompt. Their tags end in a fence made of the texts themselves, so no text can hold the tag that would
 * close it, and the same texts make the same prompt.
 *
 * @example <sources-0f3c…>
 * <source-0f3c… n="1">
 * text
 * </source-0f3c…>
 * </sources-0f3c…>
 */
export function toSourceBlocks(texts: readonly string[]): { fence: string; blocks: string } {
  const fence = fenceOf(texts)
  const blocks = texts.map((text, i) => `<source-${fence} n="${i + 1}">\n${text}\n</source-${fence}>\n`)
  return { fence, blocks: `<sources-${fence}>\n${blocks.join('')}</sources-${fence}>` }
}

/** The texts of source blocks that a prompt begins with, and what comes after them. */
export function readSourceBlocks(prompt: string): { texts: string[]; rest: string } | undefined {
  const fence = /^<sources-([0-9a-f]{16})>\n/.exec(prompt)?.[1]
  if (!fence) return undefined
  const end = prompt.indexOf(`</sources-${fence}>`)
  const inside = end < 0 ? '' : prompt.slice(0, end)
  const block = new RegExp(`<source-${fence} n="\\d+">\\n([\\s\\S]*?)\\n</source-${fence}>`, 'g')
  const texts = Array.from(inside.matchAll(block), ([, text]) => text!)
  if (fenceOf(texts) !== fence) return undefined
  return { texts, rest: prompt.slice(end + `</sources-${fence}>`.length).trim() }
}

/** 64 bits of a hash over all texts: to hold it, a text would have to hold its own hash. */
const fenceOf = (texts: readonly string[]) => hash('sha256', JSON.stringify(texts)).slice(0, 16)
