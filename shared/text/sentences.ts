/** A part of a text, in UTF-16 units; `end` is the first one after it. */
export interface Span {
  start: number
  end: number
}

const segmenter = new Intl.Segmenter(undefined, { granularity: 'sentence' })

/** What ends a sentence without a full stop: an empty line, and lines that begin a list item, a heading, a table row or a code fence. */
const BREAK = /(\n[ \t]*\n|\n(?=[ \t]*(?:[-*+>|#]|\d+[.)]|```|~~~)))/

/** What such a line begins with. */
const MARKER = /^(?:[-*+>|]|#+|\d+[.)]|```\w*|~~~\w*)\s+(?=\S)/

/**
 * Sentences of a text, of Markdown too, without the white space around them. A line break within a paragraph ends none: text is
 * wrapped.
 */
export function sentencesOf(text: string): Span[] {
  const spans: Span[] = []
  let at = 0
  for (const block of text.split(BREAK)) {
    // Unicode's rules end a sentence at each line break. The same length keeps the offsets.
    const line = block.replace(/[\r\n\u2028\u2029]/g, ' ')
    for (const { segment, index } of segmenter.segment(line)) {
      const trimmed = segment.trim()
      const said = trimmed.replace(MARKER, '')
      if (!/[\p{L}\p{N}]/u.test(said)) continue
      const start = at + index + segment.indexOf(trimmed) + trimmed.length - said.length
      spans.push({ start, end: start + said.length })
    }
    at += block.length
  }
  return spans
}
