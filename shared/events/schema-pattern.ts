import { HubError } from '../errors.ts'

/** Characters of a text that a caller's regular expression is asked about. */
export const MOST_MATCHED = 256

const MOST_CHARACTERS = 256
/** Ways to match a text of that length: three repetitions that may share it in any way. */
const MOST_WAYS = MOST_MATCHED ** 3

/**
 * Throws 400 where a regular expression is none or may take long. Backtracking tries at most the product of what each repetition and
 * choice leaves open; a repetition of what is itself open multiplies without bound and is refused, as are look-around and
 * back-references.
 */
export function checkPattern(source: unknown, param: string): void {
  const refuse = (why: string) => {
    throw invalid(param, why)
  }
  if (typeof source !== 'string') throw invalid(param, 'must be a regular expression')
  if (source.length > MOST_CHARACTERS) refuse(`must be at most ${MOST_CHARACTERS} characters`)
  try {
    new RegExp(source, 'u')
  } catch (error) {
    refuse((error as Error).message)
  }
  // Classes, and characters that are escaped, say nothing of how often.
  const plain = source.replace(/\\[pPu]\{[^}]*\}/g, 'x')
  if (/\\[1-9]|\\k</.test(plain.replace(/\\\\/g, ''))) refuse('must not refer back to a group')
  const bare = plain.replace(/\\./gs, 'x').replace(/\[[^\]]*\]/g, 'x')
  if (/\(\?(?:[=!]|<[=!])/.test(bare)) refuse('must not look ahead or behind')

  let ways = bare.startsWith('^') && !bare.includes('|') ? 1 : MOST_MATCHED
  const open: boolean[] = []
  let isOpen = false
  for (const [token] of bare.matchAll(
    /\((?:\?(?::|<[^>]*>))?|\)?(?:[*+]|\{\d+(?:,\d*)?\})\??|\)?\?\??|\)|\|/g,
  )) {
    if (token.startsWith('(')) {
      open.push(isOpen)
      isOpen = false
      continue
    }
    const repeat = repetition(token)
    if (token.startsWith(')')) {
      if (isOpen && repeat.most > 1) refuse('must not repeat a group that holds a repetition or a choice')
      isOpen ||= repeat.open > 1
      isOpen = (open.pop() ?? false) || isOpen
    } else isOpen ||= token === '|' || repeat.open > 1
    ways *= token === '|' ? 2 : repeat.open
  }
  if (ways > MOST_WAYS) refuse('may take too long: use fewer repetitions, and begin it with ^')
}

/** How often at most, and between how many numbers of times there is to choose. */
function repetition(token: string): { most: number; open: number } {
  const [, least, comma, most] = /\{(\d+)(,?)(\d*)\}/.exec(token) ?? []
  if (least !== undefined) {
    const end = comma ? (most ? Number(most) : MOST_MATCHED) : Number(least)
    return { most: end, open: Math.max(1, end - Number(least) + 1) }
  }
  if (/[*+]/.test(token)) return { most: MOST_MATCHED, open: MOST_MATCHED }
  return token.includes('?') ? { most: 1, open: 2 } : { most: 1, open: 1 }
}

const invalid = (param: string, what: string) =>
  new HubError({ code: 'invalid_schema', status: 400, message: `${param}: ${what}.`, param })
