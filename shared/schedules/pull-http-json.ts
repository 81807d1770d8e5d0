import { HubError } from '../errors.ts'
import { valueAt } from '../events/value-at.ts'
import { decodeText } from '../retrieval/extract-text.ts'
import { getIfChanged, validatorsOf } from './conditional.ts'
import type { SourceAnswer } from './fetch-source.ts'
import { boundedId, type Cursor, type Pull, type PulledItem, shortHash, TOGETHER, toTime } from './pulled.ts'
import type { HttpJsonSource } from './schedule.ts'

/** What it keeps: where a list that is not read to its end goes on, and what was newest when the end was reached. */
interface JsonCursor extends Cursor {
  /** URL of the next page. */
  next?: string
  since?: string | number
  /** The greatest so far of a list that is still being read. */
  newest?: string | number
}

/**
 * A list over HTTP, page after page. What is asked for by `since` moves on only at the end of a list: pages may come in any order.
 * An ETag holds for a list of one page only: behind a first page that has not changed others may have.
 */
export const pullHttpJson: Pull<HttpJsonSource> = async function* (source, given, context) {
  const cursor = given as JsonCursor
  const first = firstPage(source, cursor)
  let url = cursor.next === undefined ? first : new URL(cursor.next)
  let newest = cursor.next === undefined ? cursor.since : cursor.newest
  const visited = new Set<string>()
  for (;;) {
    const isResumed = visited.size === 0 && cursor.next !== undefined
    let answer: SourceAnswer
    try {
      answer = await getIfChanged(url, cursor, context, 'application/json')
    } catch (error) {
      if (!isResumed || !isAnswer(error)) throw error
      url = first // what led to a page does not hold for ever: the list is read anew
      answer = await getIfChanged(url, cursor, context, 'application/json')
    }
    visited.add(url.href)
    if (answer.status === 304) return
    const body = parse(answer.bytes, url)
    const list = source.items === undefined ? body : valueAt(body, source.items)
    if (!Array.isArray(list)) {
      const where = source.items === undefined ? 'The body' : `\`${source.items}\``
      throw failed(`${where} is no list in the answer of ${url.host}. \`items\` is the path to it.`)
    }
    const items = list.map((item) => toItem(item, source, context.forIndex))
    if (source.since)
      newest = list.reduce((most, item) => greater(most, valueAt(item, source.since!.path)), newest)
    const next = nextPage(source, body, first, url, answer.headers.get('link'))
    if (!next) {
      const isWhole = visited.size === 1 && cursor.next === undefined
      const validators = isWhole ? validatorsOf(url, answer) : undefined
      yield { items, cursor: { validators, since: newest }, more: false, together: TOGETHER }
      return
    }
    if (visited.has(next.href))
      throw failed(`${url.host} leads from page to page without an end: again to ${next.href}.`)
    yield { items, cursor: { next: next.href, since: cursor.since, newest }, more: true, together: TOGETHER }
    url = next
  }
}

function firstPage(source: HttpJsonSource, { since }: JsonCursor): URL {
  const url = new URL(source.url)
  if (source.since && since !== undefined) url.searchParams.set(source.since.parameter, String(since))
  return url
}

/** By what the body says, or by a `Link` header (RFC 8288). It must not lead the source's headers elsewhere. */
function nextPage(
  source: HttpJsonSource,
  body: unknown,
  first: URL,
  url: URL,
  link: string | null,
): URL | undefined {
  const found = source.next === undefined ? linkedNext(link) : valueAt(body, source.next)
  if (found === undefined || found === null || found === '' || found === false) return undefined
  if (typeof found !== 'string' && typeof found !== 'number')
    throw failed(`\`${source.next}\` is neither a text nor a number.`)
  if (source.next !== undefined && source.next_parameter !== undefined) {
    const next = new URL(first)
    next.searchParams.set(source.next_parameter, String(found))
    return next
  }
  const next = URL.parse(String(found), url)
  if (next?.origin === url.origin) return next
  throw failed(`The next page is not at ${url.origin}: ${String(found).slice(0, 200)}`)
}

const linkedNext = (link: string | null) =>
  /<([^>]*)>(?:\s*;\s*(?!rel=)[^,;]*)*\s*;\s*rel="?(?:[^",;]*\s)?next[\s",;]?/i.exec(link ?? '')?.[1]

function toItem(item: unknown, source: HttpJsonSource, forIndex: boolean): PulledItem {
  const content = JSON.stringify(item)
  const named = valueAt(item, source.id ?? 'id')
  const isNamed = (typeof named === 'string' && named !== '') || typeof named === 'number'
  return {
    id: isNamed ? boundedId(String(named)) : shortHash(content),
    mark: forIndex ? shortHash(content) : '',
    time: source.time === undefined ? undefined : toTime(valueAt(item, source.time)),
    data: async () => item,
    async document() {
      const path = source.text ?? 'text'
      const text = valueAt(item, path)
      if (typeof text !== 'string') throw noText(path)
      return { text, metadata: metadataOf(item as Record<string, unknown>, path) }
    },
  }
}

/** What else the item says: values, and lists of them. */
function metadataOf(item: Record<string, unknown>, textPath: string) {
  const isPlain = (value: unknown) => typeof value !== 'object' || value === null
  const kept = Object.entries(item).filter(
    ([name, value]) =>
      name !== textPath && (isPlain(value) || (Array.isArray(value) && value.every(isPlain))),
  )
  return Object.fromEntries(kept)
}

/** Numbers as numbers, all else by its characters: so RFC 3339 sorts by time. */
function greater(most: string | number | undefined, value: unknown): string | number | undefined {
  if (typeof value !== 'string' && typeof value !== 'number') return most
  return most === undefined || value > most ? value : most
}

function parse(bytes: Uint8Array, url: URL): unknown {
  try {
    return JSON.parse(decodeText(bytes))
  } catch (cause) {
    throw failed(`${url.host} sent no JSON: ${(cause as Error).message.slice(0, 200)}`)
  }
}

const isAnswer = (error: unknown) =>
  error instanceof HubError && (error.code === 'source_failed' || error.code === 'source_not_found')

const failed = (message: string) => new HubError({ code: 'source_failed', status: 502, message })

const noText = (path: string) =>
  new HubError({
    code: 'no_text',
    status: 422,
    message: `The item has no text at \`${path}\`. \`text\` is the path to it.`,
  })
