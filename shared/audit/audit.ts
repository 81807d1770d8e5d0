import { HubError } from '../errors.ts'
import { AUDIT_STREAM, auditOutcomesKey } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis } from '../ports/redis.ts'
import { send } from '../send.ts'

/** What an admin is about to do. No bodies and no secrets. */
export interface Act {
  /** Null: not with a hub key. */
  keyId: string | null
  /** Whom it concerns. */
  tenant: string
  /** Method and route: `DELETE /v1/keys/{id}`. */
  action: string
  params: Readonly<Record<string, string>>
  requestId: string
  /** Address that the connection came from, where the rim sees it. */
  client: string | null
}

export interface RecordedAct extends Omit<Act, 'keyId'> {
  /** Later acts have higher ones. */
  id: string
  /** Unix ms */
  at: number
  /** `key:<id>`, `admin`, or `local` where no key is needed. */
  actor: string
  /** HTTP status of the answer; null: it is not known how it went. */
  status: number | null
}

export interface ActFilter {
  /** Unix ms; `to` is not included. */
  from?: number
  to?: number
  tenant?: string
  actor?: string
  /** A part of it. */
  action?: string
}

export interface AuditOptions {
  redis: Redis
  clock: Clock
  /** Who acts without a hub key. */
  owner: 'admin' | 'local'
  keptDays: number
  /** Most calls to Redis that one reading may make, where the runtime bounds them. */
  callBudget?: number
}

const DAY_MS = 86_400_000
const SCANNED = 1_000
const SLOW = { timeoutMs: 2_000 }

/** Administrative acts, each written before it happens and its outcome after it. */
export function createAudit({ redis, clock, owner, keptDays, callBudget = 1_000 }: AuditOptions) {
  const oldest = () => Math.max(0, clock.now() - keptDays * DAY_MS)

  /** Acts before `before`, newest first, and how each went. */
  async function read(from: number, before: string) {
    const range = ['XREVRANGE', AUDIT_STREAM, before, String(from), 'COUNT', SCANNED] as const
    const entries = (await send(redis, range, SLOW)) as [id: string, fields: string[]][]
    const byDay = Map.groupBy(entries, ([id]) => dayOf(timeOf(id)))
    const days = [...byDay]
    const replies = await redis.wave(
      days.map(([day, acts]) => ['HMGET', auditOutcomesKey(day), ...acts.map(([id]) => id)] as const),
      SLOW,
    )
    const outcomes = new Map<string, string>()
    for (const [i, [, acts]] of days.entries()) {
      const reply = replies[i]
      if (reply instanceof Error) throw reply
      for (const [j, text] of (reply as (string | null)[]).entries())
        if (text) outcomes.set(acts[j]![0], text)
    }
    const acts = entries.map(([id, [, text]]): RecordedAct => {
      const outcome = outcomes.get(id)
      return { id, at: timeOf(id), status: null, ...JSON.parse(text!), ...(outcome && JSON.parse(outcome)) }
    })
    return { acts, calls: 1 + days.length }
  }

  return {
    /** Resolves with the act's id. Throws 503 `audit_unavailable`: then nothing may be done. */
    async begin({ keyId, ...act }: Act): Promise<string> {
      const text = JSON.stringify({ actor: keyId === null ? owner : `key:${keyId}`, ...act })
      try {
        return (await send(
          redis,
          ['XADD', AUDIT_STREAM, 'MINID', '=', String(oldest()), '*', 'act', text],
          SLOW,
        )) as string
      } catch (cause) {
        throw unavailable(cause)
      }
    },

    /** How it went; whom it concerned, where that turned out only then. */
    async end(id: string, outcome: { status: number; tenant?: string }): Promise<void> {
      const key = auditOutcomesKey(dayOf(timeOf(id)))
      const replies = await redis.wave(
        [
          ['HSET', key, id, JSON.stringify(outcome)],
          ['PEXPIRE', key, (keptDays + 1) * DAY_MS],
        ],
        SLOW,
      )
      for (const reply of replies) if (reply instanceof Error) throw reply
    },

    /** The newest first. `next`: where older ones begin; null: there are none. A page may be shorter than its limit and have a next one. */
    async page(
      { from = 0, to, tenant, actor, action }: ActFilter,
      { limit, before }: { limit: number; before?: string },
    ): Promise<{ data: RecordedAct[]; next: string | null }> {
      const matches = (act: RecordedAct) =>
        (tenant === undefined || act.tenant === tenant) &&
        (actor === undefined || act.actor === actor) &&
        (action === undefined || act.action.includes(action))
      const start = Math.max(from, oldest())
      let place = before === undefined ? (to === undefined ? '+' : String(Math.max(0, to - 1))) : `(${before}`
      const data: RecordedAct[] = []
      // A page of many days asks for as many outcomes.
      for (let made = 0; made < callBudget - 2; ) {
        const { acts, calls } = await read(start, place)
        made += calls
        for (const act of acts.filter(matches)) {
          if (data.length === limit) return { data, next: data.at(-1)!.id }
          data.push(act)
        }
        if (acts.length < SCANNED) return { data, next: null }
        place = `(${acts.at(-1)!.id}`
      }
      return { data, next: place.slice(1) }
    },
  }
}

export type Audit = ReturnType<typeof createAudit>

const timeOf = (id: string) => Number(id.slice(0, id.indexOf('-')))

const dayOf = (ms: number) => new Date(ms).toISOString().slice(0, 10)

const unavailable = (cause: unknown) =>
  new HubError({
    code: 'audit_unavailable',
    status: 503,
    message: 'The audit log cannot be written, so nothing was done. Try again soon.',
    retryAfterSeconds: 1,
    cause,
  })
