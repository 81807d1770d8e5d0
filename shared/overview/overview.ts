import { RedisUnavailableError, toHubError } from '../errors.ts'
import { DEFAULT_TENANT, TENANTS_KEY } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis } from '../ports/redis.ts'
import { createRecall } from '../recall.ts'
import type { OverviewAsk, Part, Snapshot } from './snapshot.ts'

export interface OverviewOptions {
  redis: Redis
  /** Those whose function is deployed. */
  parts: { [Name in Part]?: (ask: OverviewAsk) => Promise<Snapshot[Name]> }
  tenants(): Promise<string[]>
  version: string
  functions: readonly string[]
  /** Whether what one request reads may serve another that waits for it. */
  shares: boolean
  following: Following
  clock: Clock
  log: Record<'error', (line: Record<string, unknown>) => void>
}

/** How it is followed: how often it is read, how many times and how long at most. */
interface Following {
  everyMs: number
  mostReads: number
  longestMs: number
}

/** What moves with each request is read anew each time; what is large, or changes seldom, less often. */
const FRESH_MS = 1_500
const SELDOM_MS = 8_000
const OFTEN: readonly string[] = ['traffic', 'streams', 'queues', 'breakers', 'redis', 'tenants']
/** Of those that have something in common, the window is one. */
const WINDOWED: readonly string[] = ['traffic', 'models'] satisfies Part[]

/** What the hub does now, for people: read by part, each at most once in a while however many look. */
export function createOverview(options: OverviewOptions) {
  const { redis, parts, tenants, version, functions, shares, following, clock, log } = options
  const names = Object.keys(parts) as Part[]
  const started = performance.now()
  const often = createRecall<unknown>({ freshMs: FRESH_MS, staleMs: 0, maxSize: 1_000 })
  const seldom = createRecall<unknown>({ freshMs: SELDOM_MS, staleMs: 0, maxSize: 1_000 })
  const running = new Map<string, Promise<unknown>>()

  /** One read for all that want the same. */
  function once<T>(name: string, key: string, read: () => Promise<T>): Promise<T> {
    const known = OFTEN.includes(name) ? often : seldom
    const begin = () => known.get(key, read) as Promise<T>
    if (!shares) return begin()
    const now = (running.get(key) as Promise<T> | undefined) ?? begin().finally(() => running.delete(key))
    running.set(key, now)
    return now
  }

  async function readPart(name: Part, ask: OverviewAsk) {
    const { tenant, isAdmin, minutes } = ask
    const key = JSON.stringify([name, tenant, isAdmin, WINDOWED.includes(name) ? minutes : 0])
    try {
      return { name, value: await once<unknown>(name, key, () => parts[name]!(ask)) }
    } catch (cause) {
      const { code, message } = toHubError(cause)
      if (!(cause instanceof RedisUnavailableError)) log.error({ msg: 'Overview', part: name, cause })
      return { name, value: null, error: { part: name, code, message } }
    }
  }

  async function redisState(): Promise<'ok' | 'degraded'> {
    const replies = await redis.wave([['EXISTS', TENANTS_KEY]], { timeoutMs: 1_000 }).catch(() => [])
    return typeof replies[0] === 'number' ? 'ok' : 'degraded'
  }

  return {
    following,

    /** Never rejects: a part that fails is null, and `errors` says why. */
    async read(ask: OverviewAsk): Promise<Snapshot> {
      const { tenant, minutes, isAdmin } = ask
      const [state, known, ...read] = await Promise.all([
        once('redis', 'redis', redisState),
        isAdmin ? once('tenants', 'tenants', tenants).catch(() => []) : null,
        ...names.map((name) => readPart(name, ask)),
      ])
      const now = clock.now()
      return {
        at: new Date(now).toISOString(),
        tenant,
        tenants: known && [...new Set([DEFAULT_TENANT, ...known])],
        window: {
          minutes,
          from: new Date((Math.floor(now / 60_000) - minutes + 1) * 60_000).toISOString(),
          to: new Date(now).toISOString(),
        },
        instance: {
          ...{ version, redis: state, functions: [...functions] },
          uptime_seconds: Math.round((performance.now() - started) / 1000),
        },
        ...Object.fromEntries(read.map(({ name, value }) => [name, value])),
        errors: read.flatMap(({ error }) => (error ? [error] : [])),
      }
    },
  }
}

export type Overview = ReturnType<typeof createOverview>
