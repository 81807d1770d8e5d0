import { setTimeout as sleep } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { RedisTimeoutError } from './errors.ts'
import { newId } from './ids.ts'
import { BREAKERS_KEY, breakerKey } from './keys.ts'
import { createOutcomeWindow, type OutcomeWindow } from './outcome-window.ts'
import type { Clock } from './ports/clock.ts'
import type { Command, Redis, Reply, ScriptCall } from './ports/redis.ts'
import { breakerScript } from './scripts.generated.ts'
import { type Replies, send } from './send.ts'

export interface BreakerPolicy {
  /** Part of the calls, 0 to 1, whose failure opens it … */
  failureRate: number
  /** … once there were so many calls … */
  minCalls: number
  /** … within this time. */
  windowMs: number
  openMs: number
  /** A probe that did not end by then is taken for dead: another one may go out. */
  probeMs: number
}

/** Which breaker: of a target that all tenants share (no tenant), or of a tenant's own. */
export interface BreakerName {
  tenant: string
  name: string
}

/** `rejected`: it answered, the call was wrong. `released`: it shows nothing of the target. */
export type Outcome = 'ok' | 'failed' | 'rejected' | 'released'

export interface Permit {
  /** The call is over, its stream too. Returns the work that records it, to be deferred. */
  end(outcome: Outcome): Promise<void> | undefined
}

export interface BreakerStatus extends BreakerName {
  state: 'closed' | 'open' | 'half-open'
  /** Until it changes by itself: milliseconds; 0 where it does not. */
  leftMs: number
  succeeded: number
  failed: number
  /** Set over the API. */
  manual: boolean
}

/** A question that rides in somebody else's wave. */
export interface Look {
  calls: ScriptCall[]
  /** Reads the replies to `calls`. */
  settle(replies: Replies): void
}

export type BreakerSetting = 'open' | 'closed' | 'auto'

export interface BreakersOptions {
  redis: Redis
  policy: BreakerPolicy
  /** How long successes may be collected before they are written; failures are written at once. */
  delayMs: number
  /** Of the list alone: whatever lasts is measured by Redis, or here by `now`. */
  clock: Clock
  /** Monotonic milliseconds; a clock on the wall may jump. */
  now?: () => number
}

/** What this process knows of a breaker. */
interface Known extends BreakerName {
  key: string
  state: 'closed' | 'open' | 'half-open'
  /** Monotonic. */
  until: number
  /** Redis did not answer, and this process tries the target. */
  probing: boolean
  /** Monotonic: since when it does not answer. */
  silentSince?: number
  window: OutcomeWindow
  unsent: { succeeded: number; failed: number }
}

const LISTED_MS = 24 * 3_600_000
const LISTED = 1_000
const SLOW = { timeoutMs: 2_000 }
/** A probe is asked for by a request that has waited on Redis before. */
const ASK_MS = 150
/** When to ask again while Redis does not say. */
const ALONE_MS = 500

/**
 * Breakers that all instances share: the script of one key decides, this process remembers what it said. Without Redis
 * they fail open, and what this process counts itself decides.
 */
export function createBreakers(options: BreakersOptions) {
  const { redis, policy, delayMs, clock, now = () => performance.now() } = options
  const { failureRate, minCalls, windowMs, openMs, probeMs } = policy
  const known = new LRUCache<string, Known>({ max: 10_000 })
  const unsent = new Set<Known>()
  let scheduled = false

  return {
    /** What to ask about them in a wave that goes out anyway. */
    look(names: readonly BreakerName[]): Look {
      const all = names.map(find)
      return {
        calls: all.map(({ key }) => callOf(key, 'look')),
        settle(replies) {
          if (!(replies instanceof Error)) all.forEach((breaker, i) => void adopt(breaker, replies[i]))
        },
      }
    },

    /** May a call go out? A number says no, and in how many milliseconds to ask again. */
    async admit(name: BreakerName): Promise<Permit | number> {
      const breaker = find(name)
      if (breaker.state === 'closed') return permit(breaker)
      const left = breaker.until - now()
      if (left > 0) return left
      return askForProbe(breaker)
    },

    async set(name: BreakerName, state: BreakerSetting, seconds = 0): Promise<BreakerStatus> {
      const breaker = find(name)
      const [reply] = await redis.wave(
        [callOf(breaker.key, 'set', state, seconds * 1000), listed(breaker)],
        SLOW,
      )
      return adopt(breaker, reply) ?? fail(reply)
    },

    async read(name: BreakerName): Promise<BreakerStatus> {
      const breaker = find(name)
      const [reply] = await redis.wave([callOf(breaker.key, 'look')], SLOW)
      return adopt(breaker, reply) ?? fail(reply)
    },

    /** Those that counted a failure or were set within a day, latest first. */
    async list(): Promise<BreakerStatus[]> {
      const members = (await send(redis, ['ZRANGE', BREAKERS_KEY, 0, LISTED - 1, 'REV'], SLOW)) as string[]
      const all = members.map((member) => {
        const [tenant = '', ...name] = member.split('/')
        return find({ tenant, name: name.join('/') })
      })
      if (all.length === 0) return []
      const replies = await redis.wave(
        all.map(({ key }) => callOf(key, 'look')),
        SLOW,
      )
      return all.flatMap((breaker, i) => adopt(breaker, replies[i]) ?? [])
    },
  }

  function find({ tenant, name }: BreakerName): Known {
    const key = breakerKey(tenant, name)
    const found = known.get(key)
    if (found) return found
    const window = createOutcomeWindow(windowMs, now)
    const made: Known = {
      ...{ tenant, name, key, window, state: 'closed', until: 0, probing: false },
      unsent: { succeeded: 0, failed: 0 },
    }
    known.set(key, made)
    return made
  }

  function callOf(key: string, ...op: (string | number)[]): ScriptCall {
    return {
      script: breakerScript,
      keys: [key],
      args: [windowMs, minCalls, failureRate, openMs, probeMs, ...op],
    }
  }

  function listed({ tenant, name }: BreakerName): Command {
    return ['ZADD', BREAKERS_KEY, clock.now(), `${tenant}/${name}`]
  }

  /** Takes Redis's word over what was known here; nothing when it said none. */
  function adopt(breaker: Known, reply: Reply | undefined): BreakerStatus | undefined {
    if (!Array.isArray(reply)) return undefined
    const [state, leftMs, succeeded, failed, manual] = reply as [
      Known['state'],
      number,
      number,
      number,
      number,
    ]
    breaker.silentSince = undefined
    breaker.state = state
    // Held open for good: as long as Redis does not say otherwise.
    breaker.until = state === 'open' && leftMs === 0 ? Number.POSITIVE_INFINITY : now() + leftMs
    const { tenant, name } = breaker
    return { tenant, name, state, leftMs, succeeded, failed, manual: manual === 1 }
  }

  async function askForProbe(breaker: Known): Promise<Permit | number> {
    const id = newId()
    const replies = await redis
      .wave([callOf(breaker.key, 'ask', id)], { timeoutMs: ASK_MS })
      .catch((error: Error) => error)
    const reply = replies instanceof Error ? replies : replies[0]
    if (!Array.isArray(reply)) return probeAlone(breaker, id, reply)
    if (reply[0] === 'probe') {
      breaker.until = now() + Number(reply[1])
      return probe(breaker, id)
    }
    adopt(breaker, reply)
    return breaker.state === 'closed' ? permit(breaker) : Math.max(1, breaker.until - now())
  }

  /** Redis does not say: one call of this process at a time. A late reply may have made another one the prober, so it is waited for. */
  function probeAlone(breaker: Known, id: string, reply: unknown): Permit | number {
    breaker.silentSince ??= now()
    const isLate = reply instanceof RedisTimeoutError && now() - breaker.silentSince < openMs
    if (isLate || breaker.probing) return ALONE_MS
    breaker.probing = true
    return probe(breaker, id)
  }

  function permit(breaker: Known): Permit {
    return {
      end(outcome) {
        if (outcome === 'ok' || outcome === 'failed') return count(breaker, outcome)
        return undefined
      },
    }
  }

  /** The one call that a half-open breaker lets out; its id fences off what comes too late. */
  function probe(breaker: Known, id: string): Permit {
    return {
      async end(outcome) {
        breaker.probing = false
        // That it was answered is what a probe is to find out.
        const found = outcome === 'rejected' ? 'ok' : outcome
        conclude(breaker, found)
        const call = callOf(breaker.key, 'end', id, found)
        const replies = await redis.wave([call, listed(breaker)], SLOW).catch(() => [])
        adopt(breaker, replies[0])
      },
    }
  }

  function conclude(breaker: Known, outcome: Outcome) {
    breaker.window.clear()
    if (outcome === 'ok') breaker.state = 'closed'
    else breaker.until = outcome === 'failed' ? now() + openMs : now()
  }

  function count(breaker: Known, outcome: 'ok' | 'failed'): Promise<void> | undefined {
    breaker.window.add(outcome)
    breaker.unsent[outcome === 'ok' ? 'succeeded' : 'failed'] += 1
    unsent.add(breaker)
    if (outcome === 'failed') return flush()
    if (scheduled) return undefined
    scheduled = true
    return flushLater()
  }

  async function flushLater() {
    if (delayMs > 0) await sleep(delayMs)
    scheduled = false
    await flush()
  }

  /** Sent once, never again: better to lose a count than to count a failure twice. */
  async function flush() {
    const taken = [...unsent].map((breaker) => ({ breaker, counts: breaker.unsent }))
    unsent.clear()
    for (const { breaker } of taken) breaker.unsent = { succeeded: 0, failed: 0 }
    if (taken.length === 0) return
    const counts = taken.map(({ breaker, counts: { succeeded, failed } }) =>
      callOf(breaker.key, 'count', succeeded, failed),
    )
    const failing = taken.filter(({ counts }) => counts.failed > 0).map(({ breaker }) => breaker)
    const index: Command[] = failing.map(listed)
    if (index.length > 0) index.push(['ZREMRANGEBYSCORE', BREAKERS_KEY, '-inf', clock.now() - LISTED_MS])
    const replies = await redis.wave([...counts, ...index], { timeoutMs: 1_000 }).catch(() => [])
    taken.forEach(({ breaker }, i) => {
      if (!adopt(breaker, replies[i])) decideAlone(breaker)
    })
  }

  function decideAlone(breaker: Known) {
    if (breaker.state !== 'closed') return
    const { succeeded, failed } = breaker.window.sum()
    const calls = succeeded + failed
    if (failed === 0 || calls < minCalls || failed / calls < failureRate) return
    breaker.state = 'open'
    breaker.until = now() + openMs
  }
}

export type Breakers = ReturnType<typeof createBreakers>

function fail(reply: Reply | undefined): never {
  throw reply instanceof Error ? reply : new Error('Redis does not know the breaker script')
}
