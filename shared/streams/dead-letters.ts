import { streamKeys } from '../keys.ts'
import type { Redis, Reply } from '../ports/redis.ts'
import { replayDeadScript } from '../scripts.generated.ts'
import { send } from '../send.ts'

export interface DeadLetter {
  /** Its own, by which it is replayed. */
  id: string
  /** Of the entry that it was. */
  entryId: string
  group: string
  cause: string
  attempts: number
  /** RFC 3339 */
  at: string
  /** As they were. */
  fields: Record<string, string>
}

/** What a stream's groups gave up, oldest first. */
export function createDeadLetters({ redis, stream }: { redis: Redis; stream: string }) {
  const { dead } = streamKeys(stream, '')
  return {
    /** Those after the id `after`, up to the id `last`. */
    async list({
      after,
      last = '+',
      limit,
    }: {
      after?: string
      last?: string
      limit: number
    }): Promise<DeadLetter[]> {
      const from = after === undefined ? '-' : `(${after}`
      const reply = await send(redis, ['XRANGE', dead, from, last, 'COUNT', limit], PATIENT)
      return (reply as [string, Reply[]][]).map(([id, flat]) => toDeadLetter(id, flat as string[]))
    },
    /** Id of the newest one. */
    async newest(): Promise<string | undefined> {
      const reply = await send(redis, ['XREVRANGE', dead, '+', '-', 'COUNT', 1], PATIENT)
      return (reply as [string, Reply[]][])[0]?.[0]
    },
    /** Back into the stream, to be tried anew, by every group. Returns the ids of those that were there. */
    async replay(ids: readonly string[]): Promise<string[]> {
      if (ids.length === 0) return []
      const call = { script: replayDeadScript, keys: [stream, dead], args: ids }
      return ((await send(redis, call, PATIENT)) as [string, string][]).map(([id]) => id)
    },
    async delete(ids: readonly string[]): Promise<void> {
      if (ids.length > 0) await send(redis, ['XDEL', dead, ...ids], PATIENT)
    },
  }
}

export type DeadLetters = ReturnType<typeof createDeadLetters>

const PATIENT = { timeoutMs: 2_000 }

function toDeadLetter(id: string, flat: string[]): DeadLetter {
  const pairs = flat.flatMap((name, i) => (i % 2 ? [] : [[name, flat[i + 1]!] as const]))
  const about = Object.fromEntries(pairs.filter(([name]) => name.startsWith('dead:')))
  return {
    ...{ id, entryId: about['dead:id']!, group: about['dead:group']!, cause: about['dead:cause']! },
    ...{ attempts: Number(about['dead:attempts']), at: about['dead:at']! },
    fields: Object.fromEntries(pairs.filter(([name]) => !name.startsWith('dead:'))),
  }
}
