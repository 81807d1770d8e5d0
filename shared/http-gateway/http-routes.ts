import type { Patience } from '../completions/patience.ts'
import { toHubError } from '../errors.ts'
import { ROUTES_KEY } from '../keys.ts'
import type { Command, Redis, Reply } from '../ports/redis.ts'
import { type Replies, send } from '../send.ts'
import { createRouteTable, type HttpRoute, type NamedHttpRoute, type RouteTable } from './http-route-table.ts'

/** What is written elsewhere holds here within this. */
const STALE_MS = 1_000
/** From here on it is asked for again, in a wave that goes out anyway: a busy instance never waits for its routes. */
const FRESH_MS = 500
const SLOW = { timeoutMs: 2_000 }

export interface HttpRoutesOptions {
  redis: Redis
  /** Monotonic milliseconds. */
  now?: () => number
}

/** The gateway's routes: one hash for the whole hub, and what this process knows of it. */
export function createHttpRoutes({ redis, now = () => performance.now() }: HttpRoutesOptions) {
  let table: RouteTable | undefined
  let text = ''
  /** When Redis was asked for what is known, or last in vain. */
  let knownAt = Number.NEGATIVE_INFINITY
  let askedAt = Number.NEGATIVE_INFINITY
  /** Raised by a write of our own: an answer to an earlier question must not undo it. */
  let edition = 0

  const routes = {
    /** Mostly without Redis. While it is away what was known serves on; throws 503 where nothing was. */
    async table(patience: Patience): Promise<RouteTable> {
      if (!table || now() - knownAt >= STALE_MS) {
        const { calls, settle } = ask()
        // A new instance can do nothing without its routes: it is worth a longer wait.
        const waves = table
          ? patience.wait((timeoutMs) => redis.wave(calls, { timeoutMs }))
          : redis.wave(calls, SLOW)
        const replies = await waves.catch((error: Error) => error)
        settle(replies)
        if (!table) throw toHubError(replies)
      }
      return table
    },

    /** To go along in a wave: nothing while the routes are fresh. */
    refresh: (): Refresh => (now() - askedAt < FRESH_MS ? { calls: [], settle() {} } : ask()),

    list: async (): Promise<NamedHttpRoute[]> => parse(await send(redis, ['HGETALL', ROUTES_KEY], SLOW)),

    async find(id: string): Promise<NamedHttpRoute | undefined> {
      const stored = await send(redis, ['HGET', ROUTES_KEY, id], SLOW)
      return typeof stored === 'string' ? { id, ...JSON.parse(stored) } : undefined
    },

    put: async (id: string, route: HttpRoute) =>
      void (await write(['HSET', ROUTES_KEY, id, JSON.stringify(route)])),

    /** False when there is no such route. */
    delete: async (id: string): Promise<boolean> => (await write(['HDEL', ROUTES_KEY, id])) === 1,
  }
  return routes

  function ask(): Refresh {
    const startedAt = now()
    const asked = edition
    askedAt = startedAt
    return {
      calls: [['HGETALL', ROUTES_KEY]],
      settle(replies) {
        if (asked !== edition || startedAt < knownAt) return
        if (replies instanceof Error || !Array.isArray(replies[0])) {
          knownAt = now() // nobody waits in vain again for a second
          return
        }
        const found = JSON.stringify(replies[0])
        if (found !== text || !table) table = createRouteTable(parse(replies[0]))
        text = found
        knownAt = Math.max(knownAt, startedAt)
      },
    }
  }

  /** Holds here at once. */
  async function write(command: Command): Promise<Reply> {
    try {
      return await send(redis, command, SLOW)
    } finally {
      edition++
      knownAt = Number.NEGATIVE_INFINITY
    }
  }
}

interface Refresh {
  calls: Command[]
  settle(replies: Replies): void
}

export type HttpRoutes = ReturnType<typeof createHttpRoutes>

function parse(flat: Reply): NamedHttpRoute[] {
  const texts = flat as string[]
  return Array.from({ length: texts.length / 2 }, (_, i) => ({
    id: texts[2 * i]!,
    ...JSON.parse(texts[2 * i + 1]!),
  }))
}
