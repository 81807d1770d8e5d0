import { Refusal } from './errors.ts'

export type Metadata = Record<string, unknown>
export type Passes = (metadata: Metadata | undefined) => boolean

type Literal = string | number
type Token = { kind: 'word' | 'number' | 'string' | 'sign'; text: string; at: number }

const TOKEN =
  /\s*(?:(?<word>[A-Za-z_][\w.[\]#-]*)|(?<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(?<string>'(?:[^']|'')*'|"(?:[^"]|"")*")|(?<sign><=|>=|!=|[=<>(),]))/y

/** Deeper parentheses would only serve to exhaust the stack. */
const DEEPEST = 1_000

/**
 * Upstash's metadata filters (https://upstash.com/docs/vector/features/filtering). What its page leaves open is decided thus:
 * a field that is missing or null passes `HAS NOT FIELD` alone, so `!=` and every `NOT …` want the field; `true` and
 * `false` are 1 and 0; a quote inside a string is written twice.
 *
 * @example toPredicate("genre = 'drama' AND year >= 2000")({ genre: 'drama', year: 2001 }) // true
 */
export function toPredicate(filter: string): Passes {
  const tokens = tokenize(filter)
  let next = 0
  let depth = 0

  const peek = () => tokens[next]
  const isWord = (word: string) => peek()?.kind === 'word' && peek()!.text.toUpperCase() === word
  const takeWord = (word: string) => isWord(word) && Boolean(++next)
  const takeSign = (sign: string) => peek()?.kind === 'sign' && peek()!.text === sign && Boolean(++next)

  function fail(wanted: string): never {
    const token = peek()
    const found = token ? `\`${token.text}\` at ${token.at}` : 'the end'
    throw new Refusal(400, `Invalid filter: expected ${wanted}, found ${found}`)
  }
  function must(taken: boolean, wanted: string) {
    if (!taken) fail(wanted)
  }

  function either(): Passes {
    const parts = [both()]
    while (takeWord('OR')) parts.push(both())
    return parts.length === 1 ? parts[0]! : (metadata) => parts.some((part) => part(metadata))
  }

  function both(): Passes {
    const parts = [term()]
    while (takeWord('AND')) parts.push(term())
    return parts.length === 1 ? parts[0]! : (metadata) => parts.every((part) => part(metadata))
  }

  function term(): Passes {
    if (takeSign('(')) {
      if (++depth > DEEPEST) throw new Refusal(400, 'Invalid filter: too many parentheses')
      const inner = either()
      must(takeSign(')'), '`)`')
      depth--
      return inner
    }
    if (takeWord('HAS')) {
      const negated = takeWord('NOT')
      must(takeWord('FIELD'), '`FIELD`')
      const read = field()
      return (metadata) => (read(metadata) === undefined) === negated
    }
    return comparison(field())
  }

  function field() {
    if (peek()?.kind !== 'word') fail('a field')
    return toReader(tokens[next++]!.text)
  }

  function comparison(read: (metadata: Metadata | undefined) => unknown): Passes {
    const test = (holds: (value: unknown) => boolean): Passes => {
      return (metadata) => {
        const value = read(metadata)
        return value !== undefined && holds(value)
      }
    }
    if (peek()?.kind === 'sign') {
      const sign = tokens[next]!.text
      if (sign === '=' || sign === '!=') {
        next++
        const wanted = literal()
        return test((value) => (toScalar(value) === wanted) === (sign === '='))
      }
      const compare = ORDER[sign]
      if (!compare) fail('an operator')
      next++
      const bound = literal()
      if (typeof bound !== 'number') throw new Refusal(400, `Invalid filter: ${sign} compares numbers`)
      return test((value) => typeof value === 'number' && compare(value, bound))
    }
    const negated = takeWord('NOT')
    if (takeWord('GLOB')) {
      const pattern = literal()
      if (typeof pattern !== 'string') throw new Refusal(400, 'Invalid filter: GLOB takes a string')
      const glob = toRegExp(pattern)
      return test((value) => typeof value === 'string' && glob.test(value) !== negated)
    }
    if (takeWord('IN')) {
      must(takeSign('('), '`(`')
      const wanted: unknown[] = [literal()]
      while (takeSign(',')) wanted.push(literal())
      must(takeSign(')'), '`)`')
      return test((value) => wanted.includes(toScalar(value)) !== negated)
    }
    if (takeWord('CONTAINS')) {
      const wanted = literal()
      return test((value) => Array.isArray(value) && value.map(toScalar).includes(wanted) !== negated)
    }
    return fail('an operator')
  }

  function literal(): Literal {
    if (takeWord('TRUE')) return 1
    if (takeWord('FALSE')) return 0
    const token = peek()
    if (token?.kind === 'number') {
      next++
      return Number(token.text)
    }
    if (token?.kind !== 'string') fail('a string, a number or a boolean')
    next++
    const quote = token.text[0]!
    return token.text.slice(1, -1).replaceAll(quote + quote, quote)
  }

  const passes = either()
  if (next < tokens.length) fail('`AND`, `OR` or the end')
  return passes
}

const ORDER: Record<string, ((value: number, bound: number) => boolean) | undefined> = {
  '<': (value, bound) => value < bound,
  '<=': (value, bound) => value <= bound,
  '>': (value, bound) => value > bound,
  '>=': (value, bound) => value >= bound,
}

function tokenize(filter: string): Token[] {
  const tokens: Token[] = []
  const text = filter.trimEnd()
  let at = 0
  while (at < text.length) {
    TOKEN.lastIndex = at
    const match = TOKEN.exec(text)
    if (!match) throw new Refusal(400, `Invalid filter: cannot read \`${text.slice(at, at + 20)}\` at ${at}`)
    const [kind, found] = Object.entries(match.groups!).find(([, part]) => part !== undefined)!
    tokens.push({ kind: kind as Token['kind'], text: found!, at })
    at = TOKEN.lastIndex
  }
  return tokens
}

/** `economy.industries[0].name`, `tags[#-1]`: undefined where there is nothing, or null. */
function toReader(path: string) {
  const steps: (string | { index: number; back: boolean })[] = []
  for (const [part, name, back, index, rest] of path.matchAll(/([^.[\]]+)|\[(#-)?(\d+)\]|(.)/gs)) {
    if (name !== undefined) steps.push(name)
    else if (index !== undefined) steps.push({ index: Number(index), back: back !== undefined })
    else if (rest !== '.') throw new Refusal(400, `Invalid filter: \`${path}\` is no field (at \`${part}\`)`)
  }
  return (metadata: Metadata | undefined): unknown => {
    let value: unknown = metadata
    for (const step of steps) {
      if (typeof step === 'string') {
        const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
        value = isObject && Object.hasOwn(value as object, step) ? (value as Metadata)[step] : undefined
      } else {
        value = Array.isArray(value) ? value[step.back ? value.length - step.index : step.index] : undefined
      }
    }
    return value ?? undefined
  }
}

const toScalar = (value: unknown) => (typeof value === 'boolean' ? Number(value) : value)

function toRegExp(glob: string) {
  const source = glob.replace(/\*+|\?|\[\^?\]?[^\]]*\]|./gsu, (part) => {
    if (part.startsWith('*')) return '.*'
    if (part === '?') return '.'
    if (part.length > 1 && part.startsWith('['))
      return `[${part.slice(1, -1).replace(/[\\\]]|\[|(?<!^)\^/g, '\\$&')}]`
    return part.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
  })
  try {
    return new RegExp(`^${source}$`, 'su')
  } catch {
    throw new Refusal(400, `Invalid filter: ${JSON.stringify(glob)} is no glob`)
  }
}
