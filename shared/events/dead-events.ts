import { HubError } from '../errors.ts'
import { eventKeys } from '../keys.ts'
import type { Redis } from '../ports/redis.ts'
import { createDeadLetters, type DeadLetter } from '../streams/dead-letters.ts'
import type { HubEvent } from './event.ts'
import type { IntakeOptions } from './intake.ts'
import { checkStreamName } from './streams.ts'

/** An event that its stream's handler gave up. */
interface DeadEvent {
  /** Of the dead letter: what a replay names. */
  id: string
  cause: string
  attempts: number
  /** RFC 3339 */
  at: string
  result_id: string | null
  /** Null where the entry held none. */
  event: HubEvent | null
}

/** All that is given must hold. */
export interface DeadFilter {
  /** A part of the cause. */
  cause?: string
  /** When it was given up, RFC 3339. */
  before?: string
  after?: string
  /** Of the event. */
  type?: string
}

/** Looked at in one call: 30 waves at most, so that a Worker can make them. */
const MOST_LOOKED_AT = 1_500
/** One may have 256 KiB. */
const PAGE = 100

export function createDeadEvents({
  redis,
  onAccepted,
}: { redis: Redis } & Pick<IntakeOptions, 'onAccepted'>) {
  const lettersOf = (tenant: string, stream: string) => {
    checkStreamName(stream)
    return createDeadLetters({ redis, stream: eventKeys(tenant, stream).events })
  }
  type Defer = Parameters<IntakeOptions['onAccepted']>[2]

  return {
    /** Oldest first; `next` is the `after` of the next page. */
    async list(tenant: string, stream: string, page: { after?: string; limit: number }) {
      if (page.after !== undefined) checkId(page.after, 'after')
      const letters = await lettersOf(tenant, stream).list(page)
      const next = letters.length === page.limit ? letters.at(-1)!.id : null
      return { data: letters.map(toDeadEvent), next }
    },

    /** Back into the stream, to be tried anew. Returns which; those that are gone are left out. */
    async replay(tenant: string, stream: string, ids: readonly string[], defer: Defer): Promise<string[]> {
      ids.forEach((id, i) => {
        checkId(id, `ids[${i}]`)
      })
      const replayed = await lettersOf(tenant, stream).replay(ids)
      if (replayed.length > 0) onAccepted(tenant, stream, defer)
      return replayed
    },

    /**
     * All of a kind, but none that dies again meanwhile. `next` where more may be left: the `after` of the next call.
     */
    async replayWhere(tenant: string, stream: string, filter: DeadFilter, defer: Defer, after?: string) {
      if (after !== undefined) checkId(after, 'after')
      const letters = lettersOf(tenant, stream)
      const last = await letters.newest()
      let cursor = after
      let replayed = 0
      for (let looked = 0; last !== undefined; looked += PAGE) {
        if (looked >= MOST_LOOKED_AT) return { replayed, next: cursor ?? null }
        const page = await letters.list({ after: cursor, last, limit: PAGE })
        const ids = page.filter((letter) => isOf(letter, filter)).map(({ id }) => id)
        replayed += (await letters.replay(ids)).length
        if (ids.length > 0) onAccepted(tenant, stream, defer)
        if (page.length < PAGE) break
        cursor = page.at(-1)!.id
      }
      return { replayed, next: null }
    },
  }
}

export type DeadEvents = ReturnType<typeof createDeadEvents>

function isOf(letter: DeadLetter, { cause, before, after, type }: DeadFilter): boolean {
  if (cause !== undefined && !letter.cause.includes(cause)) return false
  const at = Date.parse(letter.at)
  if (before !== undefined && at >= Date.parse(before)) return false
  if (after !== undefined && at <= Date.parse(after)) return false
  return type === undefined || eventOf(letter)?.type === type
}

const toDeadEvent = (letter: DeadLetter): DeadEvent => {
  const { id, cause, attempts, at, fields } = letter
  return { id, cause, attempts, at, result_id: fields.result ?? null, event: eventOf(letter) }
}

function eventOf({ fields }: DeadLetter): HubEvent | null {
  try {
    return JSON.parse(fields.event ?? 'null')
  } catch {
    return null
  }
}

function checkId(id: string, param: string) {
  if (/^\d{1,15}-\d{1,15}$/.test(id)) return
  const message = `${param}: must be the id of a dead letter, as 1767225600000-0.`
  throw new HubError({ code: 'invalid_value', status: 400, message, param })
}
