import { hash } from 'node:crypto'
import { createBell } from '../bell.ts'
import { RedisUnavailableError } from '../errors.ts'
import { newId } from '../ids.ts'
import { LOCK_QUEUE_TTL_MS, lockKeys, NAME } from '../keys.ts'
import type { Redis, Subscription } from '../ports/redis.ts'
import {
  acquireLockScript,
  readLockScript,
  releaseLockScript,
  renewLockScript,
} from '../scripts.generated.ts'
import { send } from '../send.ts'
import * as errors from './lock-errors.ts'

/** What a holder has: until then nobody else, and a number that no earlier holder has or had. */
export interface Lease {
  token: number
  /** Unix ms, by the clock of Redis. */
  expiresAt: number
}

export interface Wanted {
  ttlMs: number
  /** 0 by default: now or not at all. */
  waitMs?: number
  /** `key:<id>` or `local`. */
  by: string
  /** What the holder calls itself. */
  owner?: string
  /** An operation id: acquiring again with it is one acquisition, until its lease is over or it is released. */
  once?: string
  /** Ends the wait, and what was acquired is released. */
  signal?: AbortSignal
  /** Where nobody waits until the queue was left. */
  defer?(work: Promise<unknown>): void
}

export interface LocksOptions {
  redis: Redis
  /** Redis calls that one acquisition may make. Default: any number. */
  callBudget?: number
}

const SLOW_MS = 2_000
/** Who waits asks again at least so often, also when nothing wakes it: a holder may die, and so may who is next. */
const POLL_MS = 1_000
/** Whose turn it is, where nothing wakes it: this at first, then ever more rarely. */
const FIRST_POLL_MS = 50
/** Who did not ask for so long is no longer waited for. The longer, the longer a lock stays free for one that died; who is only late goes to the end. */
const ALIVE_MS = POLL_MS + 500
const LEAVE_MS = 1_500
/** Of a budget: who calls, leaving, and a little more. */
const CALLS_KEPT = 6

/** Locks of all tenants, first come, first served. A lease's clock is Redis's; who outlives it is told by nobody, so resources check tokens (`Fence`). */
export function createLocks({ redis, callBudget = Number.POSITIVE_INFINITY }: LocksOptions) {
  const locks = {
    /**
     * Takes a lock, at the latest after `waitMs`.
     *
     * Errors: 409 `lock_held`; 422 `idempotency_mismatch`; 400 for the name; `RedisUnavailableError`; the signal's reason. After any of them the
     * caller holds nothing, but with `once`: then asking again with it tells.
     */
    async acquire(tenant: string, name: string, wanted: Wanted): Promise<Lease> {
      const { once, signal, defer } = wanted
      checkName(name)
      const operation = once === undefined ? newId() : hash('sha256', once)
      try {
        const lease = await untilFree(tenant, name, operation, wanted)
        signal?.throwIfAborted()
        return lease
      } catch (error) {
        // With `once` somebody else may wait for the same, or hold it already: then its time ends it.
        if (once === undefined && !errors.isHeld(error)) {
          const leaving = leave(tenant, name, operation)
          if (defer) defer(leaving)
          else await leaving
        }
        throw error
      }
    },

    /** The lease ends so long from now. Throws 412 `lock_lost` when it is over, though nobody has taken the lock since. */
    async renew(tenant: string, name: string, token: number, ttlMs: number): Promise<Lease> {
      const { lock, fence } = lockKeys(tenant, checkName(name))
      const call = { script: renewLockScript, keys: [lock, fence], args: [String(token), ttlMs] }
      const reply = (await send(redis, call, { timeoutMs: SLOW_MS })) as Outcome
      if (reply[0] === 'yours') return { token: reply[1], expiresAt: reply[2] }
      throw errors.lost(name, token, readHeld(reply[1] as string), reply[2] as number)
    },

    /** It is free. Releasing again is no error. Throws 412 `lock_lost` when somebody had it after this token. */
    async release(tenant: string, name: string, token: number): Promise<void> {
      const call = releaseCall(tenant, checkName(name), { token })
      const reply = (await send(redis, call, { timeoutMs: SLOW_MS })) as Outcome
      if (reply[0] !== 'free')
        throw errors.lost(name, token, readHeld(reply[1] as string), reply[2] as number)
    },

    /** Who holds it, the highest token ever given, and how many wait. A lock that nobody ever took is free. */
    async read(tenant: string, name: string) {
      const { lock, fence, alive } = lockKeys(tenant, checkName(name))
      const call = { script: readLockScript, keys: [lock, fence, alive], args: [] }
      const reply = await send(redis, call, { timeoutMs: SLOW_MS })
      const [text, expiresAt, highest, waiting] = reply as [string, number, number, number]
      const holder = readHeld(text)
      return {
        held: holder && { ...holder, expiresAt },
        highest: highest === 0 ? undefined : highest,
        waiting,
      }
    },
  }
  return locks

  async function untilFree(tenant: string, name: string, operation: string, wanted: Wanted): Promise<Lease> {
    const { ttlMs, waitMs = 0, by, owner, signal } = wanted
    const { lock, fence, waiting, alive, freed } = lockKeys(tenant, name)
    const asked = JSON.stringify({ by, owner, ttlMs })
    const until = performance.now() + waitMs
    const ask = async (isLast: boolean) => {
      const back = isLast ? 0 : ALIVE_MS
      return (await send(
        redis,
        {
          script: acquireLockScript,
          keys: [lock, fence, waiting, alive],
          args: [operation, ttlMs, asked, back, LOCK_QUEUE_TTL_MS],
        },
        { timeoutMs: SLOW_MS, signal },
      )) as Outcome
    }
    const bell = createBell()
    const wake = (turn: string) => turn === operation && bell.ring()
    let subscription: Subscription | undefined
    let listens = redis.wakeUps === 'poll'
    let pause = FIRST_POLL_MS
    try {
      for (let calls = callBudget - CALLS_KEPT; ; ) {
        const isLast = performance.now() >= until || --calls <= 0
        const reply = await ask(isLast).catch((error: unknown) => {
          if (isLast || !(error instanceof RedisUnavailableError)) throw error
          return undefined // it has time to come back
        })
        if (reply?.[0] === 'yours') return { token: reply[1], expiresAt: reply[2] }
        if (reply?.[0] === 'mismatch') throw errors.otherRequest()
        const [, held = '', leftMs = 0, before = 0] = reply ?? []
        if (isLast) throw errors.held(name, readHeld(held as string), leftMs as number)
        if (!listens) {
          listens = true
          subscription = await redis.subscribe(freed, wake, { signal }).catch(() => undefined) // then it polls
          signal?.throwIfAborted()
          continue // it may have been freed meanwhile
        }
        const isNext = before === 0
        pause = isNext && !subscription ? Math.min(pause * 1.5, POLL_MS) : POLL_MS
        const ends = isNext && held !== '' ? (leftMs as number) + 1 : Number.POSITIVE_INFINITY
        const spread = isNext ? 1 : 1 - 0.3 * Math.random() // those who wait do not all ask at the same time
        await bell.sleep(Math.max(0, Math.min(pause * spread, ends, until - performance.now())), signal)
        signal?.throwIfAborted()
      }
    } finally {
      void subscription?.close().catch(() => {})
    }
  }

  /** Of an acquisition that nobody wants any more, whatever became of it. What Redis does not hear of, the lease's time ends. */
  async function leave(tenant: string, name: string, operation: string) {
    for (const until = performance.now() + LEAVE_MS; performance.now() < until; ) {
      try {
        const timeoutMs = Math.max(1, until - performance.now())
        return await send(redis, releaseCall(tenant, name, { operation }), { timeoutMs })
      } catch {
        await createBell().sleep(250)
      }
    }
  }
}

export type Locks = ReturnType<typeof createLocks>

type Outcome =
  | ['yours', token: number, expiresAt: number]
  | ['busy', held: string, leftMs: number, before: number]
  | ['mismatch']
  | ['lost', held: string, highest: number]
  | ['free']

function releaseCall(
  tenant: string,
  name: string,
  { token, operation = '' }: { token?: number; operation?: string },
) {
  const { lock, fence, waiting, alive, freed } = lockKeys(tenant, name)
  const args = [token === undefined ? '' : String(token), operation, freed]
  return { script: releaseLockScript, keys: [lock, fence, waiting, alive], args }
}

/** `<token> <operation> <what was asked>`, or nothing. */
function readHeld(text: string): errors.Held | undefined {
  const [, token, asked] = /^(\d+) \S+ (.*)$/s.exec(text) ?? []
  if (asked === undefined) return undefined
  const { by, owner } = JSON.parse(asked) as { by: string; owner?: string }
  return { token: Number(token), by, owner }
}

function checkName(name: string): string {
  if (NAME.test(name)) return name
  throw errors.badName()
}
