import {
  ADVERBIAL,
  AUXILIARY,
  BE,
  CONJUNCTIONS,
  DETERMINERS,
  LINKS,
  PARTICIPLES,
  TIMES,
} from './vocabulary.ts'
import type { Token } from './wording.ts'

/** Parts with a verb of their own. */
export function toClauses(tokens: Token[]): Token[][] {
  const clauses: Token[][] = [[]]
  for (const token of tokens) {
    if ((token.apart || CONJUNCTIONS.has(token.lower)) && clauses.at(-1)!.length > 0) clauses.push([])
    clauses.at(-1)!.push(token)
  }
  return clauses
}

/** Words that stand anywhere in their clause: `not` of the verb, adverbs, times. */
export function adverbsFirst(tokens: Token[]): Token[] {
  const floats = ({ lower }: Token, i: number) =>
    (lower === 'not' && AUXILIARY.has(tokens[i - 1]?.lower ?? '')) ||
    TIMES.has(lower) ||
    /^\p{L}{3,}ly$/u.test(lower)
  const start = tokens[0] && CONJUNCTIONS.has(tokens[0].lower) ? 1 : 0
  const moving = tokens.filter((token, i) => i >= start && floats(token, i))
  return [
    ...tokens.slice(0, start),
    ...moving,
    ...tokens.slice(start).filter((token) => !moving.includes(token)),
  ]
}

/** `Which language do they speak` reads as `they speak which language`. */
export function objectLast(tokens: Token[]): Token[] {
  const asking = tokens.findIndex(({ lower }) => lower === 'what' || lower === 'which')
  const auxiliary = tokens.findIndex(({ lower }, i) => i > asking && AUXILIARY.has(lower) && !BE.has(lower))
  const asked = tokens.slice(asking, auxiliary)
  if (asking < 0 || auxiliary < asking + 2 || asked.some(({ lower }) => LINKS.has(lower) || BE.has(lower)))
    return tokens
  const end = tokens.findIndex(({ lower }, i) => i > auxiliary && LINKS.has(lower))
  const verb = tokens.slice(auxiliary, end < 0 ? undefined : end)
  // Without somebody who does it there is no object: `which language can help`.
  if (verb.length < 3) return tokens
  return [...tokens.slice(0, asking), ...verb, ...asked, ...(end < 0 ? [] : tokens.slice(end))]
}

/** `How is gnocchi made by Italians` reads as `How Italians made gnocchi`: who does it goes before, what it is done to after. */
export function toActive(tokens: Token[]): Token[] {
  const be = tokens.findIndex(({ lower }) => BE.has(lower))
  const verb = be < 0 ? -1 : tokens.findIndex(({ lower }, i) => i > be && isParticiple(lower))
  if (verb < 0 || tokens.slice(be + 1, verb).some(({ lower }) => LINKS.has(lower))) return tokens
  const start = tokens.findIndex(({ lower }) => !ADVERBIAL.has(lower) && !CONJUNCTIONS.has(lower))
  const asked = tokens.slice(0, start)
  const subject = [...tokens.slice(start, Math.max(be, start)), ...tokens.slice(be + 1, verb)]
  const rest = tokens.slice(verb + 1)
  const by =
    tokens[0]!.lower === 'by' ? -1 : rest.findIndex(({ lower }, i) => lower === 'by' && isAgent(rest[i + 1]))
  const end = by < 0 ? -1 : rest.findIndex(({ lower }, i) => i > by && LINKS.has(lower))
  const agent = by < 0 ? [] : rest.slice(by + 1, end < 0 ? undefined : end)
  const after = by < 0 ? rest : [...rest.slice(0, by), ...(end < 0 ? [] : rest.slice(end))]
  const patient = subject[0]?.lower === 'by' ? subject.slice(1) : subject
  return [...asked, tokens[be]!, ...agent, tokens[verb]!, ...patient, ...after]
}

/** Not `by bank transfer`, `by three hours`. */
const isAgent = (token: Token | undefined) =>
  token !== undefined && (token.named || DETERMINERS.has(token.lower) || /^\p{L}+s$/u.test(token.lower))

const isParticiple = (word: string) => (word.length > 4 && word.endsWith('ed')) || PARTICIPLES.has(word)
