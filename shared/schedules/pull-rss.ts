import { HubError } from '../errors.ts'
import { decodeText } from '../retrieval/extract-text.ts'
import { htmlToText } from '../text/html-text.ts'
import { childOf, childrenOf, readXml, textOf, type XmlElement } from '../text/xml.ts'
import { getIfChanged, validatorsOf } from './conditional.ts'
import { boundedId, type Pull, type PulledItem, shortHash, TOGETHER, toTime } from './pulled.ts'
import type { RssSource } from './schedule.ts'

/** An entry of a feed, as the event holds it. Absent what the feed does not say. */
interface FeedEntry {
  id: string
  title?: string
  link?: string
  published?: string
  updated?: string
  author?: string
  categories?: string[]
  /** HTML or text, as it is in the feed. */
  summary?: string
  content?: string
  enclosures?: { url: string; type?: string }[]
}

const ACCEPT =
  'application/atom+xml, application/rss+xml, application/rdf+xml;q=0.9, application/xml;q=0.8, */*;q=0.1'

/** RSS 0.9x, 1.0 and 2.0 and Atom 1.0: one page. An index gets a changed entry again, a stream each entry once. */
export const pullRss: Pull<RssSource> = async function* (source, cursor, context) {
  const url = new URL(source.url)
  const answer = await getIfChanged(url, cursor, context, ACCEPT)
  if (answer.status === 304) return
  const entries = readFeed(decodeXml(answer.bytes, answer.headers.get('content-type') ?? ''), answer.url)
  const items = entries.map((entry): PulledItem => {
    return {
      id: boundedId(entry.id),
      mark: context.forIndex ? shortHash(JSON.stringify(entry)) : '',
      time: entry.published ?? entry.updated,
      data: async () => entry,
      document: async () => toDocument(entry),
    }
  })
  yield { items, cursor: { validators: validatorsOf(url, answer) }, more: false, together: TOGETHER }
}

/** Oldest first where the feed has the newest first, as most do. Throws 422 for what is no feed. */
function readFeed(text: string, base: URL): FeedEntry[] {
  const root = readXml(text)
  const kind = root.name.replace(/^.*:/, '').toLowerCase()
  let entries: FeedEntry[]
  if (kind === 'feed') entries = childrenOf(root, 'entry').map((entry) => fromAtom(entry, base))
  else if (kind === 'rdf') entries = childrenOf(root, 'item').map((item) => fromRss(item, base))
  else if (kind === 'rss')
    entries = childrenOf(childOf(root, 'channel') ?? root, 'item').map((item) => fromRss(item, base))
  else
    throw new HubError({
      code: 'invalid_feed',
      status: 422,
      message: `This is no feed: it begins with \`${root.name}\`.`,
    })
  const unique = new Map(entries.reverse().map((entry) => [entry.id, entry]))
  return [...unique.values()]
}

function fromRss(item: XmlElement, base: URL): FeedEntry {
  const guid = textOf(item, 'guid')
  const link = textOf(item, 'link') ?? (guid && URL.canParse(guid) ? guid : undefined)
  return entryOf(item, {
    id: guid ?? item.attributes['rdf:about'] ?? link ?? '',
    title: textOf(item, 'title'),
    link: resolved(link, base),
    published: toTime(textOf(item, 'pubDate') ?? textOf(item, 'dc:date')),
    updated: toTime(textOf(item, 'atom:updated')),
    author: textOf(item, 'author') ?? textOf(item, 'dc:creator'),
    categories: childrenOf(item, 'category').map(({ text }) => text.trim()),
    summary: textOf(item, 'description'),
    content: textOf(item, 'content:encoded'),
    enclosures: childrenOf(item, 'enclosure').map(({ attributes: { url = '', type } }) => ({ url, type })),
  })
}

function fromAtom(entry: XmlElement, base: URL): FeedEntry {
  const links = childrenOf(entry, 'link').map(({ attributes }) => attributes)
  const link = links.find(({ rel = 'alternate' }) => rel === 'alternate')?.href
  const author = childOf(entry, 'author')
  return entryOf(entry, {
    id: textOf(entry, 'id') ?? link ?? '',
    title: atomText(childOf(entry, 'title')),
    link: resolved(link, base),
    published: toTime(textOf(entry, 'published')),
    updated: toTime(textOf(entry, 'updated')),
    author: author && (textOf(author, 'name') ?? textOf(author, 'email')),
    categories: childrenOf(entry, 'category').map(({ attributes: { term = '' } }) => term),
    summary: atomText(childOf(entry, 'summary')),
    content: atomText(childOf(entry, 'content')),
    enclosures: links.flatMap(({ rel, href = '', type }) =>
      rel === 'enclosure' ? [{ url: href, type }] : [],
    ),
  })
}

/** Only what is there. Without any id it is what it says that tells it from others. */
function entryOf(element: XmlElement, entry: FeedEntry): FeedEntry {
  const isEmpty = (value: unknown) =>
    value === undefined || value === '' || (Array.isArray(value) && value.length === 0)
  const set = Object.fromEntries(Object.entries(entry).filter(([, value]) => !isEmpty(value)))
  return { ...set, id: entry.id || shortHash(element.inner) }
}

/** Markup that stands in the feed itself is taken as it stands there (RFC 4287, 3.1.1.3). */
const atomText = (element?: XmlElement): string | undefined =>
  (element?.attributes.type === 'xhtml' ? element.inner : element?.text)?.trim() || undefined

const resolved = (link: string | undefined, base: URL) =>
  link ? (URL.parse(link, base)?.href ?? link) : undefined

function toDocument({ title, summary, content, link, published, updated, author, categories }: FeedEntry) {
  const body = htmlToText(content ?? summary ?? '')
  const text = [title && `# ${htmlToText(title)}`, body].filter(Boolean).join('\n\n')
  return { text, metadata: { title, link, published, updated, author, categories } }
}

/** The encoding is what HTTP says, else what the document says, else UTF-8 (RFC 7303). */
function decodeXml(bytes: Uint8Array, contentType: string): string {
  const told = /;\s*charset="?([^";\s]+)/i.exec(contentType)?.[1]
  if (told) return decodeText(bytes, told)
  const bom =
    bytes[0] === 0xff && bytes[1] === 0xfe
      ? 'utf-16le'
      : bytes[0] === 0xfe && bytes[1] === 0xff
        ? 'utf-16be'
        : undefined
  const head = new TextDecoder('latin1').decode(bytes.subarray(0, 200))
  return decodeText(bytes, bom ?? /^\s*<\?xml[^>]*\sencoding=["']([\w.-]+)["']/.exec(head)?.[1])
}
