import { setTimeout as sleep } from 'node:timers/promises'
import { RedisTimeoutError } from '../errors.ts'
import { newId } from '../ids.ts'
import { BREAKERS_KEY } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Command, Redis, Reply, ScriptCall } from '../ports/redis.ts'
import { breakerScript } from '../scripts.generated.ts'
import { type Replies, send } from '../send.ts'
import {
  type BreakerName,
  type BreakerPolicy,
  type BreakerStatus,
  createBreakerMemory,
  type KnownBreaker,
} from './breaker-memory.ts'

/** `rejected`: it answered, the call was wrong. `released`: it shows nothing of the target. */
export type Outcome = 'ok' | 'failed' | 'rejected' | 'released'

export interface Permit {
  /** The call is over, its stream too. Returns the work that records it, to be deferred. */
  end(outcome: Outcome): Promise<void> | undefined
}

/** A question that rides in somebody else's wave. */
export interface Look {
  calls: ScriptCall[]
  /** Reads the replies to `calls`. */
  settle(replies: Replies): void
}

export interface BreakersOptions {
  redis: Redis
  policy: BreakerPolicy
  /** How long successes may be collected before they are written; failures are written at once. */
  delayMs: number
  /** Of the list alone: whatever lasts is measured by Redis's clock, or here by `now`. */
  clock: Clock
  /** Monotonic milliseconds; a clock on the wall may jump. */
  now?: () => number
}

const LISTED_MS = 24 * 3_600_000
const LISTED = 1_000
const SLOW = { timeoutMs: 2_000 }
/** A probe is asked for by a request that has waited on Redis before. */
const ASK_MS = 150
/** When to ask again while Redis does not say. */
const SILENT_MS = 500
/** A delayed write whose runtime was ended is given up after this. */
const LOST_MS = 5_000

/**
 * Breakers that all instances share: the script of one key decides, this process remembers what it said. Without Redis
 * they fail open, and what this process counts itself decides.
 */
export function createBreakers(options: BreakersOptions) {
  const { redis, policy, delayMs, clock, now = () => performance.now() } = options
  const memory = createBreakerMemory(policy, now)
  const unsent = new Set<KnownBreaker>()
  let writingUntil = Number.NEGATIVE_INFINITY

  return {
    /** What to ask about them in a wave that goes out anyway. */
    look(names: readonly BreakerName[]): Look {
      const looks = names.map((name) => ask(memory.find(name), 'look'))
      return {
        calls: looks.map(({ call }) => call),
        settle(replies) {
          if (!(replies instanceof Error)) looks.forEach(({ adopt }, i) => void adopt(replies[i]))
        },
      }
    },

    /** May a call go out? A number says no, and in how many milliseconds to ask again. */
    async admit(name: BreakerName): Promise<Permit | number> {
      const breaker = memory.find(name)
      if (breaker.state === 'closed') return permit(breaker)
      const left = breaker.until - now()
      return left > 0 ? left : askForProbe(breaker)
    },

    async read(name: BreakerName): Promise<BreakerStatus> {
      const { call, adopt } = ask(memory.find(name), 'look')
      return adopt(await send(redis, call, SLOW))!
    },

    /** For callers who remember nothing here: may one call go out? A probe is `id`'s, for `leftMs`. */
    async ask(name: BreakerName, id: string): Promise<BreakerStatus & { isProbe: boolean }> {
      const { call, adopt } = ask(memory.find(name), 'ask', id)
      const reply = await send(redis, call, SLOW)
      const [state, leftMs] = reply as [string, number]
      if (state !== 'probe') return { ...adopt(reply)!, isProbe: false }
      return {
        ...{ ...name, state: 'half-open', leftMs, succeeded: 0, failed: 0 },
        ...{ manual: false, isProbe: true },
      }
    },

    /** What they counted. Sent once: when this throws, it may have been counted. */
    async report(name: BreakerName, { succeeded = 0, failed = 0 }: { succeeded?: number; failed?: number }) {
      const { call, adopt } = ask(memory.find(name), 'count', succeeded, failed)
      const list = failed > 0 ? [listed(name)] : []
      return adopt(firstOf(await redis.wave([call, ...list], SLOW)))!
    },

    /** What their probe found. One that is over, or ended before, changes nothing. */
    async endProbe(name: BreakerName, id: string, outcome: 'ok' | 'failed' | 'released') {
      const { call, adopt } = ask(memory.find(name), 'end', id, outcome)
      return adopt(firstOf(await redis.wave([call], SLOW)))!
    },

    /** By hand; without `seconds` for good. */
    async set(name: BreakerName, state: 'open' | 'closed' | 'auto', seconds = 0): Promise<BreakerStatus> {
      const { call, adopt } = ask(memory.find(name), 'set', state, seconds * 1000)
      return adopt(firstOf(await redis.wave([call, listed(name)], SLOW)))!
    },

    /** Those that counted a failure or were set within a day, latest first. */
    async list(): Promise<BreakerStatus[]> {
      const members = await send(redis, ['ZRANGE', BREAKERS_KEY, 0, LISTED - 1, 'REV'], SLOW)
      const looks = (members as string[]).map((member) => {
        const slash = member.indexOf('/')
        return ask(memory.find({ tenant: member.slice(0, slash), name: member.slice(slash + 1) }), 'look')
      })
      const calls = looks.map(({ call }) => call)
      const replies = calls.length > 0 ? await redis.wave(calls, SLOW) : []
      return looks.flatMap(({ adopt }, i) => adopt(replies[i]) ?? [])
    },
  }

  /** A call of the script, and how to take its reply: in the order of the questions, not of the replies. */
  function ask(breaker: KnownBreaker, ...op: (string | number)[]) {
    const { windowMs, minCalls, failureRate, openMs, probeMs } = policy
    const number = ++breaker.asked
    const args = [windowMs, minCalls, failureRate, openMs, probeMs, ...op]
    const call: ScriptCall = { script: breakerScript, keys: [breaker.key], args }
    return { call, adopt: (reply: Reply | undefined) => memory.adopt(breaker, number, reply) }
  }

  function listed({ tenant, name }: BreakerName): Command {
    return ['ZADD', BREAKERS_KEY, clock.now(), `${tenant}/${name}`]
  }

  async function askForProbe(breaker: KnownBreaker): Promise<Permit | number> {
    const id = newId()
    const { call, adopt } = ask(breaker, 'ask', id)
    const replies = await redis.wave([call], { timeoutMs: ASK_MS }).catch((error: Error) => error)
    const reply = replies instanceof Error ? replies : replies[0]
    if (!Array.isArray(reply)) return probeAlone(breaker, id, reply)
    if (reply[0] === 'probe') {
      breaker.until = now() + Number(reply[1])
      return probe(breaker, id)
    }
    adopt(reply)
    return breaker.state === 'closed' ? permit(breaker) : Math.max(1, breaker.until - now())
  }

  /** Redis does not say: one call of this process at a time. One that is only late may have let another instance probe. */
  function probeAlone(breaker: KnownBreaker, id: string, reply: Reply | Error | undefined): Permit | number {
    breaker.silentSince ??= now()
    const isLate = reply instanceof RedisTimeoutError && now() - breaker.silentSince < policy.openMs
    if (isLate || breaker.alone) return SILENT_MS
    breaker.alone = true
    return probe(breaker, id)
  }

  function permit(breaker: KnownBreaker): Permit {
    return {
      end(outcome) {
        if (outcome !== 'ok' && outcome !== 'failed') return undefined
        memory.count(breaker, outcome)
        unsent.add(breaker)
        return outcome === 'failed' ? write() : writeLater()
      },
    }
  }

  /** The one call that a half-open breaker lets out; its id fences off what comes too late. */
  function probe(breaker: KnownBreaker, id: string): Permit {
    return {
      async end(outcome) {
        // That it was answered is what a probe is to find out.
        const found = outcome === 'rejected' ? 'ok' : outcome
        memory.conclude(breaker, found)
        const { call, adopt } = ask(breaker, 'end', id, found)
        const replies = await redis.wave([call, listed(breaker)], SLOW).catch(() => [])
        adopt(replies[0])
      },
    }
  }

  function writeLater(): Promise<void> | undefined {
    if (now() < writingUntil) return undefined
    writingUntil = now() + delayMs + LOST_MS
    return sleep(delayMs).then(() => {
      writingUntil = Number.NEGATIVE_INFINITY
      return write()
    })
  }

  /** Sent once, never again: better to lose a count than to count a failure twice. */
  async function write() {
    const taken = [...unsent].map((breaker) => {
      const { succeeded, failed } = breaker.unsent
      breaker.unsent = { succeeded: 0, failed: 0 }
      return { breaker, failed, ...ask(breaker, 'count', succeeded, failed) }
    })
    unsent.clear()
    if (taken.length === 0) return
    const counts = taken.map(({ call }) => call)
    const list: Command[] = taken.filter(({ failed }) => failed > 0).map(({ breaker }) => listed(breaker))
    if (list.length > 0) list.push(['ZREMRANGEBYSCORE', BREAKERS_KEY, '-inf', clock.now() - LISTED_MS])
    const replies = await redis.wave([...counts, ...list], { timeoutMs: 1_000 }).catch(() => [])
    taken.forEach(({ breaker, adopt }, i) => {
      if (!adopt(replies[i])) memory.decide(breaker)
    })
  }
}

/** Throws it where it is an error. */
function firstOf([reply]: readonly (Reply | Error)[]): Reply | undefined {
  if (reply instanceof Error) throw reply
  return reply
}

export type Breakers = ReturnType<typeof createBreakers>
