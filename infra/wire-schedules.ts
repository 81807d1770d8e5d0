import type { Deps } from '../functions/deps.ts'
import type { Clock } from '../shared/ports/clock.ts'
import type { Outgoing } from '../shared/ports/outgoing.ts'
import type { Redis } from '../shared/ports/redis.ts'
import { createDeliver, type DeliverOptions } from '../shared/schedules/deliver.ts'
import { createFetchSource } from '../shared/schedules/fetch-source.ts'
import { pullHttpJson } from '../shared/schedules/pull-http-json.ts'
import { pullRss } from '../shared/schedules/pull-rss.ts'
import { createPullS3 } from '../shared/schedules/pull-s3.ts'
import { createRunPull } from '../shared/schedules/run-pull.ts'
import { createRunSchedule } from '../shared/schedules/run-schedule.ts'
import { createScheduleRunner } from '../shared/schedules/schedule-runner.ts'
import { createSchedules } from '../shared/schedules/schedules.ts'
import type { Secrets } from '../shared/secrets.ts'
import type { Env } from './env.ts'
import type { Rim } from './wire.ts'

interface Wired extends DeliverOptions, Pick<Deps, 'extractText'> {
  redis: Redis
  secrets: Secrets | undefined
  outgoing: Outgoing
  env: Env
  rim: Rim
  clock: Clock
}

/** What tenants want done at its time, and what runs it. */
export function wireSchedules({ redis, secrets, outgoing, extractText, env, rim, clock, ...into }: Wired) {
  const { drains, log } = rim
  const { deliver, accept, tell } = createDeliver(into)
  // A run costs some ten calls, and a part of what it brings five more.
  const most = rim.countsCalls ? Math.ceil(env.HUB_REDIS_CALLS / 20) : undefined
  const runPull = createRunPull({
    ...{ redis, clock, deliver, mostParts: most },
    fetchSource: createFetchSource({ outgoing, clock }),
    pulls: { 'http-json': pullHttpJson, rss: pullRss, s3: createPullS3({ extractText }) },
  })
  const scheduleRunner = createScheduleRunner({
    ...{ redis, clock, runSchedule: createRunSchedule({ secrets, accept, tell, runPull }) },
    leaseMs: env.HUB_CLAIM_SECONDS * 1_000,
    onError: (cause) => log.error({ msg: 'Schedules', cause }),
  })
  const schedules = createSchedules({ redis, secrets, clock, onChanged: scheduleRunner.wake })
  return {
    deps: { schedules, scheduleRunner } satisfies Partial<Deps>,
    /** Until the signal aborts; where the runtime lives on between requests. */
    run: scheduleRunner.run,
    /** What the platform's schedule does where it does not. */
    async drain(): Promise<void> {
      if (!drains) return
      const runs = await scheduleRunner.runDue({ untilMs: clock.now() + drains.scheduledMs, most })
      if (runs > 0) log.info({ msg: 'Schedules ran', runs })
    },
  }
}
