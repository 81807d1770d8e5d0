import { NOT_FOUND, readSourceBlocks } from '../text/source-blocks.ts'
import { coverageOf, readSentences, subjectsOf, weighOver } from '../text/support.ts'

/** A sentence that holds less of the question's words, by weight, says nothing about it. */
const LEAST = 0.25
/** One more must hold so much more of them. */
const LEAST_MORE = 0.15
const MOST_SENTENCES = 3
/** Longer ones are tables and code. */
const LONGEST_SENTENCE = 1_000
/** What is asked for by them is an answer's number: its sentence does not hold the word. */
const MEASURES = /\bhow (long|many|much|often|far|old|soon|big|large|fast)\b/gi
/** Characters of code and tables: of more than so many, a text is no prose. */
const MOST_SIGNS = 0.05

/**
 * The answer to a prompt that begins with source blocks (`shared/text/source-blocks.ts`): those sentences of the sources that
 * hold the question's rarer words, each with its source's number, in the order of their worth. Undefined for other prompts.
 */
export function answerFromSources(prompt: string): string | undefined {
  const read = readSourceBlocks(prompt)
  if (!read) return undefined
  const question = read.rest.replace(/^Question:\s*/, '')
  const sentences = read.texts.flatMap((text, i) =>
    readSentences(text)
      .map(({ start, end, terms }) => ({ n: i + 1, text: text.slice(start, end), terms }))
      .filter(({ text }) => text.length <= LONGEST_SENTENCE && !text.endsWith('?')),
  )
  const weigh = weighOver(sentences.map(({ terms }) => terms))
  const wanted = subjectsOf(question.replace(MEASURES, 'how'))
  const open = new Set(wanted)
  const total = [...wanted].reduce((sum, term) => sum + weigh(term), 0)
  const said: string[] = []
  while (said.length < MOST_SENTENCES && open.size > 0) {
    const part = [...open].reduce((sum, term) => sum + weigh(term), 0) / total
    let best: { worth: number; gain: number; sentence: (typeof sentences)[number] } | undefined
    for (const sentence of sentences) {
      const isPoor = saysLittle(sentence.text)
      if (isPoor && said.length > 0) continue
      const gain = coverageOf(open, [sentence.terms], weigh) * part
      // The better source comes first.
      const worth = gain * (isPoor ? 0.5 : 1) - sentence.n * 0.005
      if (gain > 0 && (!best || worth > best.worth)) best = { worth, gain, sentence }
    }
    if (!best || best.gain < (said.length === 0 ? LEAST : LEAST_MORE)) break
    const { n, text, terms } = best.sentence
    said.push(`${text.replace(/\s+/g, ' ')} [${n}]`)
    for (const term of terms) open.delete(term)
    sentences.splice(sentences.indexOf(best.sentence), 1)
  }
  return said.join(' ') || NOT_FOUND
}

/** A heading names the subject and says nothing of it; code and tables hold a question's words by the way. */
function saysLittle(text: string): boolean {
  const signs = text.match(/[{}[\]|$<>=\\"`/_]/g)?.length ?? 0
  return text.split(/\s+/).length < 5 || signs > text.length * MOST_SIGNS
}
