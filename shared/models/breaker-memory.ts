import { LRUCache } from 'lru-cache'
import { breakerKey } from '../keys.ts'
import type { Reply } from '../ports/redis.ts'
import { createOutcomeWindow, type OutcomeWindow } from './outcome-window.ts'

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

/** Which breaker: of a target that all tenants share (the default tenant's), or of a tenant's own. */
export interface BreakerName {
  tenant: string
  name: string
}

export interface BreakerStatus extends BreakerName {
  state: 'closed' | 'open' | 'half-open'
  /** Until it changes by itself: milliseconds; 0 where it does not. */
  leftMs: number
  /** Calls in its window. */
  succeeded: number
  failed: number
  /** Set over the API. */
  manual: boolean
}

/** What this process knows of a breaker; every time is monotonic. */
export interface KnownBreaker extends BreakerName {
  key: string
  state: BreakerStatus['state']
  /** Number of the last question whose answer was taken, and of the last one asked. */
  answered: number
  asked: number
  until: number
  manual: boolean
  /** Since when Redis does not answer about it. */
  silentSince?: number
  /** This process probes it by itself. */
  alone: boolean
  window: OutcomeWindow
  unsent: { succeeded: number; failed: number }
}

/** What this process knows of breakers: what Redis said last, and what it counted itself for when Redis says nothing. */
export function createBreakerMemory(
  { failureRate, minCalls, windowMs, openMs }: BreakerPolicy,
  now: () => number,
) {
  const known = new LRUCache<string, KnownBreaker>({ max: 10_000 })

  return {
    find({ tenant, name }: BreakerName): KnownBreaker {
      const key = breakerKey(tenant, name)
      const found = known.get(key)
      if (found) return found
      const made: KnownBreaker = {
        ...{ tenant, name, key, state: 'closed', until: 0, manual: false, alone: false },
        ...{ asked: 0, answered: 0 },
        ...{ window: createOutcomeWindow(windowMs, now), unsent: { succeeded: 0, failed: 0 } },
      }
      known.set(key, made)
      return made
    },

    /** Takes Redis's answer to question `number` over what was known, unless a later one was answered; nothing when it said none. */
    adopt(breaker: KnownBreaker, number: number, reply: Reply | undefined): BreakerStatus | undefined {
      if (!Array.isArray(reply)) return undefined
      const [state, leftMs, succeeded, failed, manual] = reply as [KnownBreaker['state'], ...number[]]
      const { tenant, name } = breaker
      const isManual = manual === 1
      if (number > breaker.answered) {
        const forGood = state === 'open' && leftMs === 0
        const until = forGood ? Number.POSITIVE_INFINITY : now() + leftMs!
        Object.assign(breaker, { answered: number, state, until, manual: isManual, silentSince: undefined })
      }
      return {
        tenant,
        name,
        state,
        leftMs: leftMs!,
        succeeded: succeeded!,
        failed: failed!,
        manual: isManual,
      }
    },

    count(breaker: KnownBreaker, outcome: 'ok' | 'failed') {
      breaker.window.add(outcome)
      breaker.unsent[outcome === 'ok' ? 'succeeded' : 'failed'] += 1
    },

    /** Redis did not take the counts: those of this process decide. */
    decide(breaker: KnownBreaker) {
      if (breaker.state !== 'closed' || breaker.manual) return
      const { succeeded, failed } = breaker.window.sum()
      const calls = succeeded + failed
      if (failed === 0 || calls < minCalls || failed / calls < failureRate) return
      breaker.state = 'open'
      breaker.until = now() + openMs
    },

    /** What a probe found; Redis may have the last word after it. */
    conclude(breaker: KnownBreaker, outcome: 'ok' | 'failed' | 'released') {
      breaker.alone = false
      breaker.window.clear()
      if (outcome === 'ok') breaker.state = 'closed'
      else breaker.until = outcome === 'failed' ? now() + openMs : now()
    },
  }
}
