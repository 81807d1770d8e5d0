import { createHash, createHmac } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'

interface Entry {
  id: string
  title: string
  /** RFC 3339 */
  at: string
  html?: string
}

interface StoredObject {
  body: string
  etag: string
  lastModified: string
}

export const S3_KEYS = {
  access_key_id: 'AKIAEXAMPLE',
  secret_access_key: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
}

type Misbehaviour = (request: IncomingMessage, response: ServerResponse) => boolean

/**
 * A server of what schedules pull: `/rss`, `/atom` and `/items` with ETags, and the bucket `/bucket` as S3 serves it, which checks
 * Signature Version 4. `misbehave` may answer instead.
 *
 * @example const sources = await startSources(); sources.entries.push({ id: 'a', title: 'A', at: '2026-01-01T00:00:00Z' })
 */
export async function startSources({ pageSize = 1_000 } = {}) {
  const entries: Entry[] = []
  const items: Record<string, unknown>[] = []
  const objects = new Map<string, StoredObject>()
  const requests: { url: string; status: number; headers: IncomingMessage['headers'] }[] = []
  const sources = {
    ...{ entries, items, objects, requests, url: '' },
    misbehave: (() => false) as Misbehaviour,
    put(key: string, body: string) {
      const etag = createHash('md5').update(body).digest('hex')
      objects.set(key, { body, etag, lastModified: new Date().toISOString() })
    },
    statuses: () => requests.map(({ status }) => status),
    async close() {
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
    },
  }

  const server = createServer((request, response) => {
    response.on('close', () =>
      requests.push({ url: request.url!, status: response.statusCode, headers: request.headers }),
    )
    if (sources.misbehave(request, response)) return
    const url = new URL(request.url!, 'http://localhost')
    if (url.pathname === '/rss') return sendTagged(request, response, 'application/rss+xml', rss(entries))
    if (url.pathname === '/atom') return sendTagged(request, response, 'application/atom+xml', atom(entries))
    if (url.pathname === '/items') return sendItems(request, response, url)
    if (url.pathname.startsWith('/bucket')) return sendS3(request, response, url)
    response.writeHead(404).end()
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  sources.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return sources

  /** `?since=` leaves out what is not newer; a cursor in the body leads on, as text after which to continue. */
  function sendItems(request: IncomingMessage, response: ServerResponse, url: URL) {
    const since = Number(url.searchParams.get('since') ?? 0)
    const newer = items.filter(({ n }) => (n as number) > since)
    const start = Number(url.searchParams.get('cursor') ?? 0)
    const page = newer.slice(start, start + pageSize)
    const next = start + pageSize < newer.length ? String(start + pageSize) : null
    sendTagged(request, response, 'application/json', JSON.stringify({ data: { items: page }, next }))
  }

  function sendS3(request: IncomingMessage, response: ServerResponse, url: URL) {
    if (request.headers.authorization !== signatureOf(request, url)) {
      response.writeHead(403, { 'content-type': 'application/xml' })
      return response.end('<Error><Code>SignatureDoesNotMatch</Code></Error>')
    }
    if (url.pathname !== '/bucket') {
      const object = objects.get(decodeURIComponent(url.pathname.slice('/bucket/'.length)))
      if (!object) return response.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>')
      return response.writeHead(200, { etag: `"${object.etag}"` }).end(object.body)
    }
    const { prefix = '', 'start-after': after = '' } = Object.fromEntries(url.searchParams)
    const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort()
    const page = keys.slice(0, Math.min(pageSize, Number(url.searchParams.get('max-keys'))))
    const contents = page.map((key) => {
      const { body, etag, lastModified } = objects.get(key)!
      return `<Contents><Key>${encodeURIComponent(key)}</Key><LastModified>${lastModified}</LastModified><ETag>&quot;${etag}&quot;</ETag><Size>${Buffer.byteLength(body)}</Size><StorageClass>STANDARD</StorageClass></Contents>`
    })
    response.writeHead(200, { 'content-type': 'application/xml' })
    response.end(
      `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><EncodingType>url</EncodingType><KeyCount>${page.length}</KeyCount><IsTruncated>${page.length < keys.length}</IsTruncated>${contents.join('')}</ListBucketResult>`,
    )
  }
}

export type Sources = Awaited<ReturnType<typeof startSources>>

function sendTagged(request: IncomingMessage, response: ServerResponse, type: string, body: string) {
  const etag = `"${createHash('sha256').update(body).digest('hex').slice(0, 16)}"`
  if (request.headers['if-none-match'] === etag) return response.writeHead(304, { etag }).end()
  response.writeHead(200, { 'content-type': type, etag, 'content-encoding': 'gzip' }).end(gzipSync(body))
}

const escaped = (text: string) => text.replace(/[<>&]/g, (c) => `&#${c.charCodeAt(0)};`)

const rss = (entries: Entry[]) => `<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel><title>News</title>
${[...entries]
  .reverse()
  .map(
    ({ id, title, at, html = '' }) =>
      `<item><title>${escaped(title)}</title><link>https://example.com/${id}</link><guid isPermaLink="false">${id}</guid><pubDate>${new Date(at).toUTCString()}</pubDate><category>one</category><content:encoded><![CDATA[${html}]]></content:encoded></item>`,
  )
  .join('\n')}
</channel></rss>`

const atom = (entries: Entry[]) => `<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>News</title>
${entries
  .map(
    ({ id, title, at, html = '' }) =>
      `<entry><id>urn:${id}</id><title>${escaped(title)}</title><link rel="alternate" href="/${id}"/><updated>${at}</updated><author><name>Ann</name></author><content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">${html}</div></content></entry>`,
  )
  .join('\n')}
</feed>`

/** Signature Version 4 as its documentation describes it, over what arrived. */
function signatureOf(request: IncomingMessage, url: URL): string {
  const { headers } = request
  const [, signed = ''] = /SignedHeaders=([^,]+)/.exec(headers.authorization ?? '') ?? []
  const date = String(headers['x-amz-date'])
  const scope = `${date.slice(0, 8)}/eu-test-1/s3/aws4_request`
  const encode = (text: string) =>
    encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
  const path = url.pathname.split('/').map((part) => encode(decodeURIComponent(part)))
  const query = [...url.searchParams].map(([name, value]) => `${encode(name)}=${encode(value)}`).sort()
  const canonical = [
    ...[request.method, path.join('/'), query.join('&')],
    ...signed.split(';').map((name) => `${name}:${headers[name]}`),
    ...['', signed, headers['x-amz-content-sha256']],
  ].join('\n')
  const toSign = `AWS4-HMAC-SHA256\n${date}\n${scope}\n${createHash('sha256').update(canonical).digest('hex')}`
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
  const key = scope
    .split('/')
    .reduce<string | Buffer>((key, part) => hmac(key, part), `AWS4${S3_KEYS.secret_access_key}`)
  const signature = hmac(key, toSign).toString('hex')
  return `AWS4-HMAC-SHA256 Credential=${S3_KEYS.access_key_id}/${scope}, SignedHeaders=${signed}, Signature=${signature}`
}
