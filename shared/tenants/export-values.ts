import type { CallOptions, Command, Redis, Reply } from '../ports/redis.ts'

/** Text, or bytes that are no UTF-8. */
type Exported = string | { base64: string }

export interface ExportedPart {
  /**
   * By the key's type: text of a `string`; object of a `hash`; array of a `list` or `set`; `[member, score]` of a `zset`; `{id, fields}` of a
   * `stream`; `{element, vector, attributes}` of a `vectorset`.
   */
  value?: unknown
  /** Why there is none. */
  left_out?: string
}

type Read = (command: Command) => Promise<Reply>

/** About so many bytes a line. */
const PAGE_BYTES = 512 * 1024
const MOST_ELEMENTS = 500
/** Vector sets list their elements all at once. */
const MOST_VECTORS = 200_000

/** Keys that take no more than this are read whole, many in one wave. */
const WHOLE_BYTES = 16 * 1024

/** How a small key is read at once. */
const WHOLE: Record<string, (key: string) => Command> = {
  string: (key) => ['GET', key],
  hash: (key) => ['HGETALL', key],
  list: (key) => ['LRANGE', key, 0, -1],
  set: (key) => ['SMEMBERS', key],
  zset: (key) => ['ZRANGE', key, 0, -1, 'WITHSCORES'],
  stream: (key) => ['XRANGE', key, '-', '+'],
}

const SHAPES = {
  string: toText,
  hash: (flat: Reply) =>
    Object.fromEntries(pairs(flat).map(([name, value]) => [toName(name), toText(value)])),
  list: (all: Reply) => (all as Reply[]).map(toText),
  set: (all: Reply) => (all as Reply[]).map(toText),
  zset: (flat: Reply) => pairs(flat).map(([member, score]) => [toText(member), Number(toName(score))]),
  stream: (entries: Reply) =>
    (entries as [Reply, Reply][]).map(([id, flat]) => ({ id: toName(id), fields: SHAPES.hash(flat) })),
}

export interface KeyToRead {
  key: string
  /** As TYPE says. */
  type: string
  /** About what it takes; null where nobody knows. */
  bytes: number | null
}

/** What each key holds, nothing of one that is gone; undefined of those that are to be read in parts. One wave. */
export async function readWhole(
  redis: Redis,
  keys: readonly KeyToRead[],
  options: CallOptions,
): Promise<(ExportedPart[] | undefined)[]> {
  const isSmall = ({ type, bytes }: KeyToRead) => type in WHOLE && bytes !== null && bytes <= WHOLE_BYTES
  const small = keys.filter(isSmall)
  const replies = await redis.wave(
    small.map(({ key, type }) => WHOLE[type]!(key)),
    { ...options, bytes: true },
  )
  const parts = new Map(
    small.map(({ key, type }, i) => {
      const reply = replies[i]
      if (reply instanceof Error) throw reply
      const isGone = reply === null || (Array.isArray(reply) && reply.length === 0 && type !== 'stream')
      return [key, isGone ? [] : [{ value: SHAPES[type as keyof typeof SHAPES](reply as Reply) }]]
    }),
  )
  return keys.map(({ key }) => parts.get(key))
}

/** What a key holds, in parts of bounded size. */
export async function* readParts(
  redis: Redis,
  { key, type, bytes }: KeyToRead,
  options: CallOptions,
): AsyncGenerator<ExportedPart> {
  const read: Read = async (command) => {
    const [reply] = await redis.wave([command], { ...options, bytes: true })
    if (reply instanceof Error) throw reply
    return reply as Reply
  }
  const reader = READERS[type]
  if (reader) yield* reader(read, key, bytes)
  else yield { left_out: `the hub writes no keys of type ${type}` }
}

const READERS: Record<
  string,
  (read: Read, key: string, bytes: number | null) => AsyncGenerator<ExportedPart>
> = {
  async *string(read, key) {
    const length = (await read(['STRLEN', key])) as number
    if (length <= PAGE_BYTES) yield { value: toText(await read(['GET', key])) }
    else {
      for (let at = 0; at < length; at += PAGE_BYTES) {
        const bytes = (await read(['GETRANGE', key, at, at + PAGE_BYTES - 1])) as Uint8Array
        yield { value: { base64: Buffer.from(bytes).toString('base64') } }
      }
    }
  },

  async *hash(read, key, bytes) {
    const count = await pageOf(read, ['HLEN', key], bytes)
    for await (const flat of scanned(read, 'HSCAN', key, count)) yield { value: SHAPES.hash(flat) }
  },

  async *set(read, key, bytes) {
    const count = await pageOf(read, ['SCARD', key], bytes)
    for await (const flat of scanned(read, 'SSCAN', key, count)) yield { value: SHAPES.set(flat) }
  },

  async *zset(read, key, bytes) {
    const count = await pageOf(read, ['ZCARD', key], bytes)
    for await (const flat of scanned(read, 'ZSCAN', key, count)) yield { value: SHAPES.zset(flat) }
  },

  async *list(read, key, bytes) {
    const count = await pageOf(read, ['LLEN', key], bytes)
    for (let at = 0; ; at += count) {
      const some = (await read(['LRANGE', key, at, at + count - 1])) as Reply[]
      if (some.length > 0) yield { value: SHAPES.list(some) }
      if (some.length < count) return
    }
  },

  async *stream(read, key, bytes) {
    const count = await pageOf(read, ['XLEN', key], bytes)
    for (let after: string | undefined; ; ) {
      const from = after === undefined ? '-' : `(${after}`
      const value = SHAPES.stream(await read(['XRANGE', key, from, '+', 'COUNT', count]))
      if (value.length > 0 || after === undefined) yield { value }
      if (value.length < count) return
      after = value.at(-1)!.id
    }
  },

  async *vectorset(read, key) {
    const size = (await read(['VCARD', key])) as number
    if (size > MOST_VECTORS) {
      yield {
        left_out: `${size} vectors, whose names this Redis lists at once only: embed their texts again`,
      }
      return
    }
    const elements = (await read(['VRANDMEMBER', key, size])) as Uint8Array[]
    for (let at = 0; at < elements.length; at += VECTORS_A_LINE) {
      const value = await Promise.all(
        elements.slice(at, at + VECTORS_A_LINE).map(async (element) => {
          const [vector, attributes] = await Promise.all([
            read(['VEMB', key, element]),
            read(['VGETATTR', key, element]),
          ])
          return {
            element: toText(element),
            vector: ((vector ?? []) as Reply[]).map((number) => Number(toName(number))),
            attributes: attributes === null ? null : toText(attributes),
          }
        }),
      )
      yield { value }
    }
  },
}

const VECTORS_A_LINE = 50

/** Pages of about `PAGE_BYTES`, as far as one element is like another. */
async function pageOf(read: Read, size: Command, bytes: number | null): Promise<number> {
  if (bytes !== null && bytes <= PAGE_BYTES) return MOST_ELEMENTS
  const elements = (await read(size)) as number
  const each = (bytes ?? 0) / Math.max(1, elements) || PAGE_BYTES / 100
  return Math.max(1, Math.min(MOST_ELEMENTS, Math.floor(PAGE_BYTES / each)))
}

/** What is there all the time comes at least once. */
async function* scanned(read: Read, command: string, key: string, count: number): AsyncGenerator<Reply[]> {
  let cursor = '0'
  do {
    const [next, flat] = (await read([command, key, cursor, 'COUNT', count])) as [Reply, Reply[]]
    cursor = toName(next)
    if (flat.length > 0) yield flat
  } while (cursor !== '0')
}

function pairs(reply: Reply): [Reply, Reply][] {
  const flat = reply as Reply[]
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i]!, flat[2 * i + 1]!])
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function toText(reply: Reply): Exported {
  if (!(reply instanceof Uint8Array)) return String(reply ?? '')
  try {
    return utf8.decode(reply)
  } catch {
    return { base64: Buffer.from(reply).toString('base64') }
  }
}

/** Of a field; the hub's own are text. */
function toName(reply: Reply): string {
  const text = toText(reply)
  return typeof text === 'string' ? text : `base64:${text.base64}`
}
