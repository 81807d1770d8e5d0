import { HubError } from '../errors.ts'
import { requestLogKey } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Command, Redis } from '../ports/redis.ts'
import { send } from '../send.ts'
import { type LogEntry, type LogFilter, matches, readEntry } from './entry.ts'

export interface RequestLogOptions {
  redis: Redis
  clock: Clock
  keptDays: number
  /** Most calls to Redis that one reading may make, where the runtime bounds them. */
  callBudget?: number
}

const DAY_MS = 86_400_000
const SLOW = { timeoutMs: 5_000 }
/** One entry may have 32 Ki characters of content. */
const BATCH = 200
/** Entries and characters that one reading looks at. */
const MOST_ENTRIES = 5_000
const MOST_SIZE = 16 * 1024 * 1024
/** Ids tell when an entry was written: soon after its request ended, which began before that; and clocks differ. */
const LATE_MS = 10 * 60_000
const SKEW_MS = 60_000

/** Reads a tenant's request log, one stream; `request-log-writer.ts` fills it. */
export function createRequestLog({ redis, clock, keptDays, callBudget = 100 }: RequestLogOptions) {
  const oldest = () => Math.max(0, clock.now() - keptDays * DAY_MS)

  return {
    /** The newest first. `nextCursor`: where older ones begin; null: there are none. A page may be shorter than its limit and have a next one. */
    async page(
      tenant: string,
      filter: LogFilter,
      { limit, cursor }: { limit: number; cursor?: string },
    ): Promise<{ data: LogEntry[]; nextCursor: string | null }> {
      if (cursor !== undefined && !ENTRY_ID.test(cursor)) throw badCursor()
      const { from = 0, to } = filter
      const start = String(Math.max(oldest(), from - SKEW_MS))
      let place = to === undefined ? '+' : String(Math.max(0, to + LATE_MS))
      if (cursor !== undefined && (to === undefined || Number(cursor.split('-')[0]) <= Number(place))) {
        place = `(${cursor}`
      }
      const data: LogEntry[] = []
      let [looked, size, calls] = [0, 0, 0]
      do {
        const range = ['XREVRANGE', requestLogKey(tenant), place, start, 'COUNT', BATCH] as const
        const entries = (await send(redis, range, SLOW)) as [string, string[]][]
        calls++
        for (const entry of entries) {
          const read = readEntry(entry)
          if (read && matches(read, filter)) data.push(read)
          size += entry[1].reduce((sum, text) => sum + text.length, 0)
          place = `(${entry[0]}`
          if (data.length === limit) return { data, nextCursor: entry[0] }
        }
        looked += entries.length
        if (entries.length < BATCH) return { data, nextCursor: null }
      } while (looked < MOST_ENTRIES && size < MOST_SIZE && calls < callBudget)
      return { data, nextCursor: place.slice(1) }
    },

    /** Throws 404. */
    async get(tenant: string, id: string): Promise<LogEntry> {
      const range = ['XRANGE', requestLogKey(tenant), id, id] as const
      const found = ENTRY_ID.test(id) ? ((await send(redis, range, SLOW)) as [string, string[]][]) : []
      const entry = found[0] && readEntry(found[0])
      if (!entry || Number(id.split('-')[0]) < oldest()) throw unknownRequest(id)
      return entry
    },

    /** Removes what is too old, of tenants whose requests do not come any more. May be repeated. */
    async trim(tenants: readonly string[]): Promise<void> {
      const calls = tenants.map((tenant) => trimCall(tenant, oldest()))
      for (let i = 0; i < calls.length; i += BATCH) await redis.wave(calls.slice(i, i + BATCH), SLOW)
    },
  }
}

export type RequestLog = ReturnType<typeof createRequestLog>

/** `before`: Unix ms. Exact, so nothing is kept longer because few others came. */
const trimCall = (tenant: string, before: number): Command => [
  'XTRIM',
  requestLogKey(tenant),
  'MINID',
  '=',
  String(before),
]

const ENTRY_ID = /^\d{1,16}-\d{1,16}$/

const badCursor = () =>
  new HubError({
    code: 'invalid_value',
    status: 400,
    message: 'cursor: must be `next_cursor` of a page.',
    param: 'cursor',
  })

const unknownRequest = (id: string) =>
  new HubError({
    code: 'request_not_found',
    status: 404,
    message: `The log has no request ${id}. It may be too old, or the log is off.`,
    param: 'id',
  })
