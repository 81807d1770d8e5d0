import { RedisReplyError } from '../../shared/errors.ts'
import type { Reply } from '../../shared/ports/redis.ts'

/** What `result` holds in JSON. Nested errors have no form in Upstash's protocol; here they are `{"error":"…"}`. */
type Json = string | number | null | { error: string } | Json[]

export type Item = { result: Json } | { error: string }

/** One reply, read as bytes, as `{"result":…}` or `{"error":…}`. */
export function toItem(reply: Reply, base64: boolean): Item {
  if (reply instanceof RedisReplyError) return { error: reply.message }
  // Upstash leaves this one word as it is; no base64 text has two letters.
  if (reply instanceof Uint8Array && reply.length === 2 && reply[0] === 79 && reply[1] === 75)
    return { result: 'OK' }
  return { result: toJson(reply, base64) }
}

function toJson(reply: Reply, base64: boolean): Json {
  if (reply instanceof Uint8Array) {
    return Buffer.from(reply.buffer, reply.byteOffset, reply.byteLength).toString(base64 ? 'base64' : 'utf8')
  }
  if (Array.isArray(reply)) return reply.map((item) => toJson(item, base64))
  if (reply instanceof Error) return { error: reply.message }
  return reply
}
