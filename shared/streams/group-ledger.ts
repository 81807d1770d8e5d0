import { RedisReplyError } from '../errors.ts'
import { streamKeys } from '../keys.ts'
import type { CallOptions, Command, Redis, Reply, ScriptCall } from '../ports/redis.ts'
import {
  claimEntriesScript,
  failEntriesScript,
  keepEntriesScript,
  leaseGroupScript,
  leaveGroupScript,
  trimStreamScript,
} from '../scripts.generated.ts'

/** An entry as this consumer got it. */
export interface Delivery {
  id: string
  fields: Record<string, string>
  /** How many attempts failed before. */
  failures: number
  /** How many consumers died while they had it in hand. */
  takeovers: number
}

export interface Failure {
  id: string
  /** Until the next attempt; undefined for the dead letters. */
  waitMs: number | undefined
  cause: string
}

export interface GroupLedgerOptions {
  redis: Redis
  stream: string
  group: string
  consumer: string
}

/**
 * What one consumer asks Redis, and tells it, about its group.
 *
 * A failed entry waits in the pending list of a consumer of its own, `WAITING`, which never reads; its idle time is set such that it
 * reaches `HORIZON_MS` when the entry is due. So what waits survives every consumer, blocks no neighbour, and is found without a
 * look at what is being worked on.
 */
export function createGroupLedger({ redis, stream, group, consumer }: GroupLedgerOptions) {
  const { dead, failures, lease } = streamKeys(stream, group)

  async function ask(calls: readonly (Command | ScriptCall)[], options: CallOptions = PATIENT, from = redis) {
    for (const isLast of [false, true]) {
      const replies = await from.wave(calls, options)
      const error = replies.find((reply) => reply instanceof Error)
      if (!error) return replies
      // Never made, or gone with a flushed or restored Redis. Whatever else the wave did may be done twice.
      if (isLast || (error as RedisReplyError).code !== 'NOGROUP') throw error
      await create()
    }
    throw new Error('unreachable')
  }

  async function create() {
    const [reply] = await redis.wave([['XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM']], PATIENT)
    if (reply instanceof RedisReplyError && reply.code !== 'BUSYGROUP') throw reply
  }

  const claimCall = (idleMs: number, most: number): ScriptCall => ({
    script: claimEntriesScript,
    keys: [stream, failures],
    args: [group, consumer, WAITING, HORIZON_MS, idleMs, most],
  })

  const trimCalls = (before: number): ScriptCall[] =>
    before > 0 ? [{ script: trimStreamScript, keys: [stream], args: [`${Math.floor(before) + 1}-0`] }] : []

  return {
    create,

    /** New entries, oldest first. With `blockMs` it waits for the first one: give it a connection that nobody else uses. */
    async read(from: Redis, most: number, blockMs?: number, signal?: AbortSignal): Promise<Delivery[]> {
      const block = blockMs === undefined ? [] : ['BLOCK', blockMs]
      const options = { timeoutMs: (blockMs ?? 0) + PATIENT.timeoutMs, signal }
      const [reply] = await ask(
        [['XREADGROUP', 'GROUP', group, consumer, 'COUNT', most, ...block, 'STREAMS', stream, '>']],
        options,
        from,
      )
      return toDeliveries(reply)
    },

    /** Entries that were given to this consumer and not yet settled: also those whose reply was lost. */
    async given(most: number): Promise<Delivery[]> {
      const [reply] = await ask([
        ['XREADGROUP', 'GROUP', group, consumer, 'COUNT', most, 'STREAMS', stream, '0'],
      ])
      const entries = entriesOf(reply).filter(([, fields]) => fields !== null)
      if (entries.length === 0) return []
      const [counts] = await ask([['HMGET', failures, ...entries.map(([id]) => id)]])
      return entries.map((entry, at) => toDelivery(entry, Number((counts as Reply[])[at] ?? 0)))
    },

    /** Entries that are due again, or that a consumer silent for `idleMs` leaves behind. */
    async claim(idleMs: number, most: number): Promise<Delivery[]> {
      const [reply] = await ask([claimCall(idleMs, most)])
      return toClaimed(reply)
    },

    /** Both in one wave. */
    async claimAndRead(idleMs: number, most: number): Promise<Delivery[]> {
      const read: Command = ['XREADGROUP', 'GROUP', group, consumer, 'COUNT', most, 'STREAMS', stream, '>']
      const [claimed, fresh] = await ask([claimCall(idleMs, most), read])
      return [...toClaimed(claimed), ...toDeliveries(fresh)]
    },

    /** Entries that wait for their next attempt, due or not. */
    async waiting(): Promise<Delivery[]> {
      const [pending] = await ask([['XPENDING', stream, group, '-', '+', MOST_WAITING, WAITING]])
      const ids = (pending as Reply[][]).map(([id]) => id as string)
      if (ids.length === 0) return []
      const found = await ask(ids.map((id): Command => ['XRANGE', stream, id, id]))
      return found.flatMap((reply) => (reply as Entry[]).map((entry) => toDelivery(entry)))
    },

    /** Done with `done`, failed with `failed`: one wave. May be repeated. */
    async settle(done: readonly Delivery[], failed: readonly Failure[], at: string): Promise<void> {
      const calls: (Command | ScriptCall)[] = []
      const retried = done.filter((entry) => entry.failures > 0)
      if (retried.length > 0) calls.push(['HDEL', failures, ...retried.map(({ id }) => id)])
      if (done.length > 0) calls.push(['XACK', stream, group, ...done.map(({ id }) => id)])
      if (failed.length > 0) {
        const args = failed.flatMap(({ id, waitMs, cause }) => [
          id,
          waitMs === undefined ? -1 : Math.min(Math.max(0, Math.round(waitMs)), HORIZON_MS),
          cause,
        ])
        calls.push({
          script: failEntriesScript,
          keys: [stream, failures, dead],
          args: [group, consumer, WAITING, HORIZON_MS, at, ...args],
        })
      }
      if (calls.length > 0) await ask(calls)
    },

    /** Says that they are still worked on. Returns ids of those that another consumer has taken over. */
    async keep(ids: readonly string[]): Promise<string[]> {
      const args = [group, consumer, ...ids]
      const [lost] = await ask([{ script: keepEntriesScript, keys: [stream], args }])
      return lost as string[]
    },

    /** Leaves what it holds to the others, at once, and trims. */
    async leave(before: number): Promise<void> {
      const args = [group, consumer, WAITING, HORIZON_MS]
      await ask([{ script: leaveGroupScript, keys: [stream], args }, ...trimCalls(before)])
    },

    /** Removes entries from before then (Unix ms; 0: none) that every group is done with. */
    async trim(before: number): Promise<void> {
      await ask(trimCalls(before))
    },

    /** Whether this consumer may work alone for the next `ms`. */
    takeLease: (ms: number) => askLease(ms),
    /** False, and it is kept, when another one asked for it meanwhile; unless `always`. */
    giveLease: ({ always = false } = {}) => askLease(always ? -1 : 0),
  }

  async function askLease(ms: number): Promise<boolean> {
    const [held] = await ask([{ script: leaseGroupScript, keys: [lease], args: [consumer, ms] }])
    return held === 1
  }
}

export type GroupLedger = ReturnType<typeof createGroupLedger>

type Entry = [id: string, fields: string[] | null]

/** Consumer that holds what waits for another attempt. */
const WAITING = 'waiting'

/** Longest wait for another attempt: a day. */
const HORIZON_MS = 86_400_000

const MOST_WAITING = 10_000

/** Nobody waits for an answer here. */
const PATIENT = { timeoutMs: 2_000 }

function toDelivery([id, flat]: Entry, failures = 0, takeovers = 0): Delivery {
  const pairs: [string, string][] = []
  for (let i = 0; flat && i < flat.length; i += 2) pairs.push([flat[i]!, flat[i + 1]!])
  return { id, fields: Object.fromEntries(pairs), failures, takeovers }
}

function entriesOf(reply: Reply | undefined): Entry[] {
  const [ofStream] = (reply ?? []) as [string, Entry[]][]
  return ofStream?.[1] ?? []
}

const toDeliveries = (reply: Reply | undefined) => entriesOf(reply).map((entry) => toDelivery(entry))

const toClaimed = (reply: Reply | undefined): Delivery[] =>
  (reply as unknown as [string, string[], number, number][])
    .map(([id, fields, deliveries, failures]) =>
      toDelivery([id, fields], failures, deliveries - 1 - failures),
    )
    .sort((a, b) => compareIds(a.id, b.id))

/** By time, then by number within the millisecond. */
export function compareIds(a: string, b: string): number {
  const [ams, aseq] = a.split('-').map(Number) as [number, number]
  const [bms, bseq] = b.split('-').map(Number) as [number, number]
  return ams - bms || aseq - bseq
}
