import { Ratelimit } from '@upstash/ratelimit'
import { HubError } from '../errors.ts'
import type { Redis, ScriptCall } from '../ports/redis.ts'
import type { Replies } from '../send.ts'
import { createScriptCollector } from './script-collector.ts'

type LimitAlgorithm = 'sliding_window' | 'fixed_window' | 'token_bucket'

/** As an admin writes it on a key or a tenant. */
export interface LimitSetting {
  on: 'requests' | 'tokens'
  limit: number
  window_seconds: number
  /** Of request limits; token limits are buckets. */
  algorithm?: LimitAlgorithm
}

/** A limit and whose it is. */
export interface Limit extends LimitSetting {
  /** Shown in `RateLimit` headers, e.g. `key-requests-60`. */
  name: string
  /** Redis key prefix and identifier; the identifier's braces keep its keys in one slot. */
  prefix: string
  identifier: string
}

export interface LimitResult {
  limit: Limit
  success: boolean
  remaining: number
  /** Milliseconds since the epoch. */
  reset: number
}

export interface LimitCheck {
  /** To be sent in the caller's own wave. */
  calls: ScriptCall[]
  /** Reads the replies to `calls`. A limit that could not be asked is left out: limits fail open. */
  settle(replies: Replies): Promise<LimitResult[]>
}

/** Rate limits by @upstash/ratelimit, in waves of ours. */
export function createLimits(redis: Redis) {
  const collector = createScriptCollector()
  const limiters = new WeakMap<Limit, Ratelimit>()

  const learned = collector.learn(
    [
      Ratelimit.slidingWindow(1, '1 s'),
      Ratelimit.fixedWindow(1, '1 s'),
      Ratelimit.tokenBucket(1, '1 s', 1),
    ].flatMap((algorithm) => [
      () => createLimiter('', algorithm).limit(''),
      () => createLimiter('', algorithm).getRemaining(''),
    ]),
  )

  function limiterOf(limit: Limit): Ratelimit {
    const known = limiters.get(limit)
    if (known) return known
    const limiter = createLimiter(limit.prefix, algorithmOf(limit))
    limiters.set(limit, limiter)
    return limiter
  }

  function createLimiter(prefix: string, limiter: ReturnType<typeof Ratelimit.slidingWindow>): Ratelimit {
    return new Ratelimit({
      redis: collector.redis as never,
      prefix,
      limiter,
      timeout: 0, // the wave has its deadline
      ephemeralCache: false,
      enableTelemetry: false,
    })
  }

  const limits = {
    async prepare(wanted: readonly Limit[], rate = 1): Promise<LimitCheck> {
      await learned
      const { calls, results, resolve } = collector.collect(() =>
        wanted.map((limit) => limiterOf(limit).limit(limit.identifier, { rate })),
      )
      return {
        calls,
        async settle(replies) {
          resolve(replies)
          const settled = await Promise.allSettled(results)
          return settled.flatMap((result, i) => {
            if (result.status === 'rejected') return []
            const { success, remaining, reset } = result.value
            return [{ limit: wanted[i]!, success, remaining, reset }]
          })
        },
      }
    },

    /** `prepare` and `settle` in a wave of its own. */
    async check(wanted: readonly Limit[], rate = 1, timeoutMs?: number): Promise<LimitResult[]> {
      if (wanted.length === 0) return []
      const check = await limits.prepare(wanted, rate)
      return check.settle(await redis.wave(check.calls, { timeoutMs }).catch((error: Error) => error))
    },

    /** What is left of each, taking nothing; null where it could not be asked. One wave. */
    async remaining(asked: readonly Limit[], timeoutMs?: number): Promise<(number | null)[]> {
      if (asked.length === 0) return []
      await learned
      const { calls, results, resolve } = collector.collect(() =>
        asked.map((limit) => limiterOf(limit).getRemaining(limit.identifier)),
      )
      resolve(await redis.wave(calls, { timeoutMs }).catch((error: Error) => error))
      const settled = await Promise.allSettled(results)
      return settled.map((result) => (result.status === 'fulfilled' ? result.value.remaining : null))
    },

    /** Gives back what limits took for a call that another one refused. */
    async giveBack(results: readonly LimitResult[], rate = 1): Promise<void> {
      const taken = results.filter(({ success }) => success).map(({ limit }) => limit)
      await limits.check(taken, -rate)
    },
  }
  return limits
}

export type Limits = ReturnType<typeof createLimits>

function algorithmOf({ on, algorithm = 'sliding_window', limit, window_seconds }: Limit) {
  const window = `${window_seconds} s` as const
  // A window counts a reservation that it refuses, so tokens are taken from a bucket.
  if (on === 'tokens' || algorithm === 'token_bucket') return Ratelimit.tokenBucket(limit, window, limit)
  return algorithm === 'fixed_window'
    ? Ratelimit.fixedWindow(limit, window)
    : Ratelimit.slidingWindow(limit, window)
}

/** Throws 429 when a limit refused. */
export function refuseOverLimit(results: readonly LimitResult[], nowMs: number): void {
  const over = results.filter(({ success }) => !success)
  if (over.length === 0) return
  const worst = over.reduce((a, b) => (a.reset > b.reset ? a : b))
  const { limit, on, window_seconds } = worst.limit
  throw new HubError({
    code: 'rate_limit_exceeded',
    status: 429,
    message: `Over the limit of ${limit} ${on} in ${window_seconds} s (${worst.limit.name}). Try again after Retry-After.`,
    retryAfterSeconds: (worst.reset - nowMs) / 1000,
    headers: rateLimitHeaders(results, nowMs),
    personal: true,
  })
}

/** `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers). */
export function rateLimitHeaders(results: readonly LimitResult[], nowMs: number): Record<string, string> {
  if (results.length === 0) return {}
  const policies = results.map(({ limit }) => `"${limit.name}";q=${limit.limit};w=${limit.window_seconds}`)
  const states = results.map(({ limit, remaining, reset }) => {
    const seconds = Math.max(0, Math.ceil((reset - nowMs) / 1000))
    return `"${limit.name}";r=${remaining};t=${seconds}`
  })
  return { 'RateLimit-Policy': policies.join(', '), RateLimit: states.join(', ') }
}
