import { AwsV4Signer } from 'aws4fetch'
import { HubError } from '../errors.ts'
import type { ExtractText } from '../retrieval/extract-text.ts'
import { childOf, childrenOf, readXml, textOf, type XmlElement } from '../text/xml.ts'
import { type Cursor, type Pull, type PullContext, type PulledItem, shortHash, TOGETHER } from './pulled.ts'
import type { S3Source } from './schedule.ts'

/** The key after which the listing goes on, and how many objects a listing has shown so far. */
interface S3Cursor extends Cursor {
  after?: string
  count?: number
}

interface S3Object {
  bucket: string
  key: string
  etag: string
  size: number
  last_modified?: string
}

/** What is remembered of a bucket: some 100 bytes of Redis an object. */
const MOST_OBJECTS = 100_000
const MOST_DOCUMENT_BYTES = 10 * 1024 * 1024

/**
 * New and changed objects of a bucket, by ListObjectsV2. A listing goes on after the last key that it showed, as a continuation token
 * does not live for long.
 */
export function createPullS3({ extractText }: { extractText: ExtractText }): Pull<S3Source> {
  return async function* (source, given, context) {
    // Each document is held in memory meanwhile.
    const together = context.forIndex ? 4 : source.fetch_content ? 16 : TOGETHER
    const inOrder = source.listing === 'append'
    let { after, count = 0 } = given as S3Cursor
    for (;;) {
      const { objects, isTruncated } = await list(source, after, context)
      after = objects.at(-1)?.key ?? after
      count += objects.length
      if (!inOrder && count > MOST_OBJECTS) {
        const message = `The listing has more than ${MOST_OBJECTS} objects. Say \`listing: "append"\` where new keys sort last, or a \`prefix\`.`
        throw new HubError({ code: 'source_too_large', status: 413, message })
      }
      const items = objects
        .filter(({ key }) => !key.endsWith('/'))
        .map((object) => toItem(object, source, context))
      // From the end a listing of changes begins anew.
      const cursor = isTruncated || inOrder ? { after, count } : {}
      yield { items, cursor, more: isTruncated, together }
      if (!isTruncated) return
    }
  }

  function toItem(object: S3Object, source: S3Source, context: PullContext): PulledItem {
    const { key, etag, size, last_modified } = object
    const type = typeOf(key)
    return {
      id: context.forIndex ? documentId(key) : `${key}#${etag}`,
      mark: etag,
      time: last_modified,
      subject: key,
      async data() {
        const most = source.fetch_content ?? 0
        if (most === 0 || size > most || !type?.startsWith('text/')) return object
        const { bytes } = await get(source, key, context)
        return { ...object, content: await extractText('text/plain', bytes, { signal: context.signal }) }
      },
      async document() {
        if (!type) throw refused(`\`${key}\` is neither text, Markdown, HTML nor PDF by its name.`)
        if (size > MOST_DOCUMENT_BYTES)
          throw refused(`\`${key}\` is larger than ${MOST_DOCUMENT_BYTES} bytes.`)
        const { bytes } = await get(source, key, context)
        const text = await extractText(type, bytes, { signal: context.signal })
        return { text, metadata: { ...object } }
      },
    }
  }
}

async function list(source: S3Source, after: string | undefined, context: PullContext) {
  const url = addressOf(source)
  url.search = new URLSearchParams({
    'list-type': '2',
    'encoding-type': 'url',
    'max-keys': '1000',
    ...(source.prefix && { prefix: source.prefix }),
    ...(after !== undefined && { 'start-after': after }),
  }).toString()
  const { bytes } = await context.get(url, await signed(source, url, context.now))
  const root = readXml(new TextDecoder().decode(bytes))
  if (root.name !== 'ListBucketResult') {
    const message = `${url.host} did not answer as S3 does: with \`${root.name}\`, not \`ListBucketResult\`.`
    throw new HubError({ code: 'source_failed', status: 502, message })
  }
  // Not every service encodes keys though it was asked to.
  const decode =
    textOf(root, 'EncodingType') === 'url'
      ? (text: string) => decodeURIComponent(text.replaceAll('+', ' '))
      : (text: string) => text
  const objects = childrenOf(root, 'Contents').map((content) => toObject(content, source.bucket, decode))
  return { objects, isTruncated: textOf(root, 'IsTruncated') === 'true' && objects.length > 0 }
}

function toObject(content: XmlElement, bucket: string, decode: (text: string) => string): S3Object {
  return {
    bucket,
    key: decode(childOf(content, 'Key')?.text ?? ''),
    etag: (textOf(content, 'ETag') ?? '').replaceAll('"', ''),
    size: Number(textOf(content, 'Size') ?? 0),
    last_modified: textOf(content, 'LastModified'),
  }
}

async function get(source: S3Source, key: string, context: PullContext) {
  const url = addressOf(source)
  url.pathname += `/${key.split('/').map(encodeURIComponent).join('/')}`
  try {
    return await context.get(url, await signed(source, url, context.now))
  } catch (error) {
    if (error instanceof HubError && error.code === 'source_not_found') throw refused(`\`${key}\` is gone.`)
    throw error
  }
}

/** The bucket is part of the path, which every service understands. */
function addressOf({ endpoint, region = 'us-east-1', bucket }: S3Source): URL {
  const url = new URL(endpoint ?? `https://s3.${region}.amazonaws.com`)
  url.pathname = `${url.pathname.replace(/\/$/, '')}/${bucket}`
  return url
}

/** Signature Version 4; public buckets need none. */
async function signed(source: S3Source, url: URL, now: number): Promise<Headers> {
  const {
    access_key_id: accessKeyId,
    secret_access_key: secretAccessKey,
    session_token: sessionToken,
  } = source
  if (!accessKeyId || !secretAccessKey) return new Headers()
  const datetime = new Date(now).toISOString().replace(/[:-]|\.\d{3}/g, '')
  const credentials = { accessKeyId, secretAccessKey, sessionToken }
  const signer = new AwsV4Signer({
    ...credentials,
    ...{ method: 'GET', url: url.href, service: 's3', region: source.region ?? 'us-east-1', datetime },
  })
  const { headers } = await signer.sign()
  headers.delete('host') // whoever sends it sets it
  return headers
}

const TYPES: Record<string, string> = {
  ...{
    txt: 'text/plain',
    text: 'text/plain',
    log: 'text/plain',
    csv: 'text/plain',
    json: 'text/plain',
    ndjson: 'text/plain',
  },
  ...{
    md: 'text/markdown',
    markdown: 'text/markdown',
    html: 'text/html',
    htm: 'text/html',
    pdf: 'application/pdf',
  },
}

const typeOf = (key: string): string | undefined => TYPES[/\.([a-z]+)$/i.exec(key)?.[1]?.toLowerCase() ?? '']

/** A document's id has room for 512 characters. */
const documentId = (key: string) => (key.length <= 512 ? key : `${key.slice(0, 480)}#${shortHash(key)}`)

const refused = (message: string) => new HubError({ code: 'unsupported_media_type', status: 415, message })
