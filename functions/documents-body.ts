import type { Context } from 'hono'
import { z } from 'zod'
import { HubError } from '../shared/errors.ts'
import { decodeText, type ExtractText, TEXT_TYPES } from '../shared/retrieval/extract-text.ts'
import { checked, parseJson } from './http.ts'

/** A document as it is sent; what its metadata and vector must be, the index says. */
const Whole = z.strictObject({
  text: z.string(),
  vector: z.array(z.number()).min(1).max(65_536).optional().describe('of the whole document, in one chunk'),
  metadata: z.record(z.string(), z.unknown()).optional(),
})

export const DocumentBody = Whole.extend({
  id: z.string().optional().describe('1 to 512 characters; a random one by default'),
})

export const DocumentsBody = z.array(DocumentBody).min(1).max(1_000)

const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\b/i
const NDJSON_TYPE = /^application\/(x-ndjson|ndjson|jsonl|x-jsonlines)\b/i

/** A JSON array of documents, or one document a line; blank lines do no harm. Errors have the path `documents[3].text`. */
export async function readDocuments(c: Context): Promise<z.output<typeof DocumentsBody>> {
  const type = c.req.header('content-type') ?? ''
  const isLines = NDJSON_TYPE.test(type)
  if (!isLines && !JSON_TYPE.test(type)) throw wrongType(type, ['application/json', 'application/x-ndjson'])
  const text = decodeText(new Uint8Array(await c.req.arrayBuffer()))
  const documents = isLines
    ? text
        .split('\n')
        .filter((line) => line.trim() !== '')
        .map((line, i) => parseJson(line, `documents[${i}]`))
    : parseJson(text)
  if (!Array.isArray(documents))
    throw new HubError({
      code: 'invalid_value',
      status: 400,
      message: 'body: must be an array of documents, or one document a line as application/x-ndjson.',
      param: 'body',
    })
  return checked(z.object({ documents: DocumentsBody }), { documents }).documents
}

/** One document: JSON, or the file itself, with its metadata in `x-hub-metadata` or `?metadata=`, as JSON. */
export async function readDocument(c: Context, extract: ExtractText): Promise<z.output<typeof Whole>> {
  const type = c.req.header('content-type') ?? ''
  const bytes = new Uint8Array(await c.req.arrayBuffer())
  if (JSON_TYPE.test(type)) return checked(Whole, parseJson(decodeText(bytes)))
  if (!TEXT_TYPES.some((one) => type.toLowerCase().startsWith(one)))
    throw wrongType(type, ['application/json', ...TEXT_TYPES])
  // Before the file is read, which takes longer.
  const metadata = metadataOf(c)
  return { text: await extract(type, bytes, { signal: c.req.raw.signal }), metadata }
}

function metadataOf(c: Context): Record<string, unknown> | undefined {
  const sent = c.req.header('x-hub-metadata') ?? c.req.query('metadata')
  if (sent === undefined) return undefined
  const metadata = parseJson(sent, 'metadata')
  return checked(z.object({ metadata: z.record(z.string(), z.unknown()) }), { metadata }).metadata
}

const wrongType = (type: string, wanted: readonly string[]) =>
  new HubError({
    code: 'unsupported_media_type',
    status: 415,
    message: `Content-Type is ${type ? `\`${type}\`` : 'missing'}. Send ${wanted.join(', ')}.`,
  })
