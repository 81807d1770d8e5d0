import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { CacheRoom } from '../cache-room.ts'
import type { Patience } from '../completions/patience.ts'
import { newId } from '../ids.ts'
import { HTTP_CACHE_KEPT_SECONDS, HTTP_CACHE_LONGEST_SECONDS, httpCacheKey } from '../keys.ts'
import type { Command, Redis, Reply } from '../ports/redis.ts'
import type { Replies } from '../send.ts'
import {
  decodeResponse,
  encodeResponse,
  type StoredResponse,
  toPolicy,
  toPolicyRequest,
} from './http-entry.ts'

/** Raise it when the meaning of an entry or of its hash changes. */
const VERSION = 'v1'

/** What the responses of one URL vary by. A new generation leaves the old ones behind. */
interface Variation {
  vary: string[]
  generation: string
}

export interface HttpCacheLookup {
  /** To go along in the request's own wave. */
  calls: Command[]
  /** Undefined where there is none; `away` when Redis did not say. A second wave only for a variation not known here. */
  read(replies: Replies, patience: Patience): Promise<StoredResponse | 'away' | undefined>
  /** Writes it, in a wave of its own: to be deferred. */
  write(stored: StoredResponse, headers: Headers): Promise<void>
}

const SLOW = { timeoutMs: 2_000 }

/** Responses in Redis: one key a URL, or one that names the headers it varies by and one a variant. */
export function createHttpCache({ redis, room }: { redis: Redis; room: CacheRoom }) {
  /** What the last look found, so that a URL that varies costs one wave too. */
  const variations = new LRUCache<string, Variation>({ max: 10_000 })

  return {
    /** `scope`: what the response depends on besides its headers. */
    lookup(tenant: string, scope: string, request: Headers): HttpCacheLookup {
      const base = baseKey(tenant, scope)
      const variantKey = ({ vary, generation }: Variation) =>
        httpCacheKey(
          tenant,
          sha256(JSON.stringify([scope, generation, vary.map((name) => request.get(name))])),
        )
      const expected = variations.get(base)
      let variation: Variation | undefined

      return {
        calls: [['GET', base], ...(expected ? [['GET', variantKey(expected)] as const] : [])],

        async read(replies, patience) {
          if (replies instanceof Error || replies[0] instanceof Error) return 'away'
          const found = parse(replies[0])
          if (!found) variations.delete(base)
          if (!found || 'policy' in found) return found && decodeResponse(found)
          variation = found
          variations.set(base, found)
          let text = replies[1]
          if (found.generation !== expected?.generation) {
            const get = ['GET', variantKey(found)] as const
            const late = await patience
              .wait((timeoutMs) => redis.wave([get], { timeoutMs }))
              .catch(() => undefined)
            if (!late) return 'away'
            text = late[0]
          }
          const variant = parse(text)
          return variant && 'policy' in variant ? decodeResponse(variant) : undefined
        },

        async write(stored, headers) {
          await room.look()
          const seconds = keptSeconds(stored, headers)
          if (seconds <= 0 || !room.free()) return
          const text = encodeResponse(stored)
          const vary = varyOf(headers)
          if (vary.length === 0) return save([['SET', base, text, 'EX', seconds]])
          const same = variation?.vary.join() === vary.join()
          const next = same && variation ? variation : { vary, generation: newId() }
          variations.set(base, next)
          await save([
            ['SET', base, JSON.stringify(next), 'EX', HTTP_CACHE_LONGEST_SECONDS],
            ['SET', variantKey(next), text, 'EX', seconds],
          ])
        },
      }
    },

    /** After an unsafe method: every variant is unreachable from here on. */
    async invalidate(tenant: string, scope: string, patience: Patience): Promise<void> {
      const unlink = ['UNLINK', baseKey(tenant, scope)] as const
      await patience.wait((timeoutMs) => redis.wave([unlink], { timeoutMs })).catch(() => {}) // its lifetime bounds the harm
    },
  }

  async function save(commands: Command[]) {
    const failed = (await redis.wave(commands, SLOW)).find((reply) => reply instanceof Error)
    if (failed) throw failed
  }
}

export type HttpCache = ReturnType<typeof createHttpCache>

/** The stored form of a response to a GET, or undefined where RFC 9111, or prudence, forbids to store it. */
export function toStorable(request: Headers, authorized: boolean, status: number, headers: Headers) {
  if (headers.has('set-cookie') || varyOf(headers).includes('*')) return undefined
  const policy = toPolicy(toPolicyRequest(request, authorized), status, headers)
  const worth = keptSeconds({ policy }, headers) > 0
  return policy.storable() && worth ? policy : undefined
}

/**
 * Reads a body on to its reader and keeps a copy: whole, or undefined when it was cut, left, or longer than `maxBytes`.
 */
export function copying(body: ReadableStream<Uint8Array>, maxBytes: number) {
  const { promise: copy, resolve } = Promise.withResolvers<Uint8Array<ArrayBuffer> | undefined>()
  const reader = body.getReader()
  let chunks: Uint8Array[] | undefined = []
  let size = 0
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read()
          if (done) {
            resolve(chunks && new Uint8Array(Buffer.concat(chunks)))
            return controller.close()
          }
          size += value.length
          if (size <= maxBytes) chunks?.push(value)
          else chunks = undefined
          controller.enqueue(value)
        } catch (error) {
          resolve(undefined)
          controller.error(error)
        }
      },
      cancel(reason) {
        resolve(undefined)
        return reader.cancel(reason)
      },
    },
    { highWaterMark: 0 },
  )
  return { stream, copy }
}

const baseKey = (tenant: string, scope: string) => httpCacheKey(tenant, sha256(`${VERSION}\n${scope}`))

const varyOf = (headers: Headers) =>
  (headers.get('vary') ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean)
    .sort()

function keptSeconds({ policy }: Pick<StoredResponse, 'policy'>, headers: Headers): number {
  const canBeValidated = headers.has('etag') || headers.has('last-modified')
  const seconds = Math.ceil(policy.timeToLive() / 1000) + (canBeValidated ? HTTP_CACHE_KEPT_SECONDS : 0)
  return Math.min(seconds, HTTP_CACHE_LONGEST_SECONDS)
}

/** What is not ours, or broken, is a miss. */
function parse(text: Reply | undefined): Variation | { policy: object; body: string } | undefined {
  try {
    return typeof text === 'string' ? JSON.parse(text) : undefined
  } catch {
    return undefined
  }
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
