import type { Deps } from '../functions/deps.ts'
import { table } from '../functions/index.ts'
import packageJson from '../package.json' with { type: 'json' }
import type { CompletionRecord, Observe } from '../shared/completions/completion-record.ts'
import type { HubKeys } from '../shared/hub-keys.ts'
import { DEFAULT_TENANT } from '../shared/keys.ts'
import type { Limits } from '../shared/metering/limits.ts'
import type { Tally } from '../shared/metering/tally.ts'
import { createAgentParts } from '../shared/overview/agent-parts.ts'
import { createMoneyParts } from '../shared/overview/money-parts.ts'
import { createOverview, type OverviewOptions } from '../shared/overview/overview.ts'
import { createTrafficParts } from '../shared/overview/traffic-parts.ts'
import { createWorkParts } from '../shared/overview/work-parts.ts'
import type { Clock } from '../shared/ports/clock.ts'
import type { Redis } from '../shared/ports/redis.ts'
import { createRequestLog, type RequestLog } from '../shared/request-log/request-log.ts'
import { createRequestLogWriter } from '../shared/request-log/request-log-writer.ts'
import { createTraffic, type Traffic } from '../shared/traffic/traffic.ts'
import { eachMinute } from './each-minute.ts'
import type { Env } from './env.ts'
import type { Rim } from './wire.ts'

interface Observed {
  redis: Redis
  tally: Tally
  env: Env
  rim: Rim
  clock: Clock
}

/** What is kept of completions, behind them; others may join the `observers`. */
export function wireObservers({ redis, tally, env, rim, clock }: Observed) {
  const { log, tallyDelayMs: delayMs } = rim
  const traffic = createTraffic({ redis, tally, clock })
  const keptDays = env.HUB_REQUEST_LOG_DAYS
  const callBudget = rim.countsCalls ? env.HUB_REDIS_CALLS - CALLS_BESIDE : undefined
  const requestLog = createRequestLog({ redis, clock, keptDays, callBudget })
  const observers: Observe[] = [traffic.observe]
  if (env.HUB_REQUEST_LOG === 'on') {
    const most = env.HUB_REQUEST_LOG_MOST
    const withContent = env.HUB_REQUEST_LOG_CONTENT === 'on'
    observers.push(
      createRequestLogWriter({ redis, clock, delayMs, keptDays, most, withContent, log }).observe,
    )
  }

  /** What one of them throws is the operator's to read: the completion is over. */
  function observe(record: CompletionRecord): Promise<void> | undefined {
    const work = observers.flatMap((one) => {
      try {
        return one(record) ?? []
      } catch (cause) {
        log.error({ msg: 'A completion was not recorded', cause })
        return []
      }
    })
    return work.length > 0 ? Promise.all(work).then(() => {}) : undefined
  }

  return { observe, observers, traffic, requestLog }
}

/** The caller's key, and what is recorded of this request itself. */
const CALLS_BESIDE = 5
/** Clients come back for the next one. */
const LONGEST_MS = 10 * 60_000

interface Wired
  extends Pick<Deps, 'usage' | 'budgets' | 'breakers' | 'streams' | 'queues' | 'schedules' | 'alertRules'>,
    Pick<Deps, 'models'> {
  redis: Redis
  hubKeys: HubKeys
  limits: Limits
  traffic: Traffic
  requestLog: RequestLog
  env: Env
  rim: Rim
  clock: Clock
}

/** What people look at. */
export function wireFace(wired: Wired) {
  const { redis, hubKeys, requestLog, env, rim, clock } = wired
  const { log } = rim
  const functions = env.FUNCTIONS ?? Object.keys(table)
  const has = (...names: string[]) => names.some((name) => functions.includes(name))
  const { traffic, models } = createTrafficParts(wired)
  const { usage, limits, breakers } = createMoneyParts(wired)
  const { streams, queues, schedules } = createWorkParts(wired)
  const { agents, alerts } = createAgentParts(wired)
  const parts: OverviewOptions['parts'] = {
    ...(has('cache-complete', 'ask', 'agent-step') && { traffic }),
    ...(has('usage') && { usage }),
    ...(has('keys') && { limits }),
    ...(has('platform') && { breakers }),
    ...(has('ingest-event') && { streams, queues, schedules, alerts }),
    ...(has('agent-step') && { agents }),
    ...(has('infer') && { models }),
  }
  const overview = createOverview({
    ...{ redis, parts, functions, clock, log, version: packageJson.version },
    tenants: () => hubKeys.tenants(),
    shares: rim.sharesRequests,
    following: {
      everyMs: rim.countsCalls ? 10_000 : 2_000,
      // One costs about as many calls as a Worker's request may make.
      mostReads: rim.countsCalls ? 1 : Number.POSITIVE_INFINITY,
      longestMs: Math.min(LONGEST_MS, rim.longestStreamMs ?? LONGEST_MS),
    },
  })

  /** Entries of the request log that are too old go, also of tenants that send nothing any more. */
  async function trim() {
    const tenants = new Set([DEFAULT_TENANT, ...(await hubKeys.tenants())])
    await requestLog.trim([...tenants])
  }
  const failed = (cause: unknown) => log.error({ msg: 'The request log was not trimmed', cause })

  return {
    deps: { overview, requestLog } satisfies Partial<Deps>,
    /** Until the signal aborts; where the runtime lives on between requests. */
    async run(signal: AbortSignal): Promise<void> {
      let minutes = 0
      await eachMinute(async () => {
        if (minutes++ % 60 === 0) await trim().catch(failed)
      }, signal)
    },
    /** What the schedule does where it does not. */
    drain: () => trim().catch(failed),
  }
}
