import type { Context } from 'hono'
import { z } from 'zod'
import { HubError } from '../shared/errors.ts'
import { decodeText } from '../shared/retrieval/extract-text.ts'
import { checked, parseJson } from './http.ts'

const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\b/i
const NDJSON_TYPE = /^application\/(x-ndjson|ndjson|jsonl|x-jsonlines)\b/i
const MOST = 1_000

/** A JSON array of 1 to 1,000 items, or one a line; blank lines do no harm. Errors have the path `rows[3].at` where `name` is `rows`. */
export async function readItems<Item extends z.ZodType>(
  c: Context,
  name: string,
  item: Item,
): Promise<z.output<Item>[]> {
  const type = c.req.header('content-type') ?? ''
  const isLines = NDJSON_TYPE.test(type)
  if (!isLines && !JSON_TYPE.test(type)) throw wrongType(type)
  const text = decodeText(new Uint8Array(await c.req.arrayBuffer()))
  const items = isLines
    ? text
        .split('\n')
        .filter((line) => line.trim() !== '')
        .map((line, i) => parseJson(line, `${name}[${i}]`))
    : parseJson(text)
  if (!Array.isArray(items))
    throw new HubError({
      code: 'invalid_value',
      status: 400,
      message: `body: must be an array of ${name}, or one a line as application/x-ndjson.`,
      param: 'body',
    })
  if (items.length > MOST)
    throw new HubError({
      code: 'batch_too_large',
      status: 413,
      message: `${name}: ${items.length} at once, and ${MOST} may be. Send them in parts.`,
      param: name,
    })
  return checked(z.object({ [name]: z.array(item).min(1) }), { [name]: items })[name] as z.output<Item>[]
}

const wrongType = (type: string) =>
  new HubError({
    code: 'unsupported_media_type',
    status: 415,
    message: `Content-Type is ${type ? `\`${type}\`` : 'missing'}. Send application/json or application/x-ndjson.`,
  })
