import { type Bell, createBell } from '../bell.ts'
import { HubError, toHubError } from '../errors.ts'
import { newId } from '../ids.ts'
import { SCHEDULES_DUE_KEY, SCHEDULES_RUNS_KEY, scheduleKeys, schedulesKey } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis } from '../ports/redis.ts'
import { claimSchedulesScript } from '../scripts.generated.ts'
import { send } from '../send.ts'
import { nextDue, retryDue } from './next-due.ts'
import { keepLease } from './run-lease.ts'
import type { RunSchedule } from './run-schedule.ts'
import type { LastRun, ScheduleState, StoredSchedule } from './schedule.ts'
import { memberOf, moveCall, must, stateOf, unknownSchedule } from './schedules.ts'

export interface ScheduleRunnerOptions {
  redis: Redis
  clock: Clock
  runSchedule: RunSchedule
  /** A runner that says nothing for so long is taken for dead. */
  leaseMs: number
  onError(cause: unknown): void
}

export interface RunDue {
  /** Starts none from then on, and ends what goes on between two parts: Unix ms. */
  untilMs: number
  signal?: AbortSignal
  /** Runs at most, where a runtime counts calls. */
  most?: number
}

interface Claim {
  tenant: string
  name: string
  run: string
  /** Unix ms */
  planned: number
}

/** Schedules that run at the same time on this instance: a slow source does not hold up the others. */
const LANES = 4
/** Of one run, where the runtime sets no earlier end. */
const RUN_MS = 60_000
/** What one answer of a source may take past the end. */
const GRACE_MS = 4_000
const LONGEST_SLEEP_MS = 60_000
const PAUSE_MS = 5_000
const TIMEOUT = { timeoutMs: 2_000 }

/**
 * Runs schedules when they are due: each time once across instances, as a script hands them out under a lease. A run that failed, or whose
 * runner died, is run again for the same time; times that nobody was there for are one run.
 */
export function createScheduleRunner({ redis, clock, runSchedule, leaseMs, onError }: ScheduleRunnerOptions) {
  /** Of the loop that lives on; a promise of one Worker request is not for another one to resolve. */
  let living: Bell | undefined

  /** Resolves with what was claimed, and in how many ms the next one is due. */
  async function claim(most: number, wanted = ''): Promise<{ claims: Claim[]; waitMs: number }> {
    const run = newId()
    const call = {
      script: claimSchedulesScript,
      keys: [SCHEDULES_DUE_KEY, SCHEDULES_RUNS_KEY],
      args: [run, most, leaseMs, wanted],
    }
    const [now, next, ...found] = (await send(redis, call, TIMEOUT)) as string[]
    const claims = Array.from({ length: found.length / 2 }, (_, i) => {
      const [tenant, name] = found[2 * i]!.split('/') as [string, string]
      return { tenant, name, run, planned: Number(found[2 * i + 1]) }
    })
    const waitMs = next === '' ? LONGEST_SLEEP_MS : Math.min(LONGEST_SLEEP_MS, Number(next) - Number(now))
    return { claims, waitMs: Math.max(0, waitMs) }
  }

  /** Its failure is the schedule's: it is written down and thrown to nobody. */
  async function run(
    { tenant, name, run: id, planned }: Claim,
    { untilMs, signal }: RunDue,
  ): Promise<LastRun | undefined> {
    const { schedule: key } = scheduleKeys(tenant, name)
    const [text, before] = must(
      await redis.wave(
        [
          ['HGET', schedulesKey(tenant), name],
          ['HGET', key, 'state'],
        ],
        TIMEOUT,
      ),
    )
    if (text === null) {
      await send(redis, moveCall(tenant, name, { run: id }), TIMEOUT)
      return undefined
    }
    const stored = JSON.parse(text as string) as StoredSchedule
    const state = stateOf(stored, before as string | null)
    const lease = keepLease({ redis, clock, leaseMs }, { tenant, name, run: id })
    const startedAt = clock.now()
    const endMs = Math.min(untilMs, startedAt + RUN_MS)
    const signals = [
      lease.signal,
      AbortSignal.timeout(endMs - startedAt + GRACE_MS),
      ...(signal ? [signal] : []),
    ]
    const last: LastRun = {
      ...{ planned: iso(planned), started: iso(startedAt), finished: '', status: 'ok' },
      ...{ accepted: 0, duplicates: 0, refused: 0 },
    }
    let askedMs = 0
    try {
      const call = {
        tenant,
        name,
        keyId: stored.key_id,
        planned,
        untilMs: endMs,
        signal: AbortSignal.any(signals),
      }
      if (await runSchedule(stored, call, last)) last.more = true
    } catch (error) {
      if (lease.signal.aborted) return undefined // whoever has it now runs it again
      if (signal?.aborted) {
        // This instance ends, and another one goes on at once.
        await send(redis, moveCall(tenant, name, { run: id, at: clock.now(), again: true }), TIMEOUT)
        return undefined
      }
      const { code, message, options } = timedOut(error) ?? toHubError(error)
      askedMs = (options.retryAfterSeconds ?? 0) * 1_000
      Object.assign(last, { status: 'failed', error: { code, message } })
      if (code === 'internal_error') onError(error)
    } finally {
      lease.end()
    }
    const now = clock.now()
    last.finished = iso(now)
    const failures = last.error ? (state?.failures ?? 0) + 1 : 0
    const at = last.error
      ? retryDue(stored, now, failures, askedMs)
      : last.more
        ? now
        : nextDue(stored, now, planned)
    const again = last.error !== undefined || last.more === true
    const moved = await send(
      redis,
      moveCall(tenant, name, { run: id, at: stored.enabled ? at : undefined, again }),
      TIMEOUT,
    )
    if (moved === 0) return undefined
    const last_error = last.error ? { ...last.error, at: last.finished } : (state?.last_error ?? null)
    const told: ScheduleState = { made: stored.made, failures, last, last_error }
    await send(redis, ['HSET', key, 'state', JSON.stringify(told)], TIMEOUT)
    return last
  }

  /** Until nothing is due, or for ever. */
  async function work(
    { untilMs, signal, most = Number.POSITIVE_INFINITY }: RunDue,
    lives: boolean,
  ): Promise<number> {
    const running = new Set<Promise<void>>()
    const bell = createBell()
    if (lives) living = bell
    let runs = 0
    let started = 0
    while (!signal?.aborted && clock.now() < untilMs) {
      let waitMs = LONGEST_SLEEP_MS
      const free = Math.min(LANES - running.size, most - started)
      if (free > 0) {
        try {
          const found = await claim(free)
          waitMs = found.waitMs
          started += found.claims.length
          for (const one of found.claims) {
            const over = run(one, { untilMs, signal })
              .then(() => void runs++, onError)
              .finally(() => {
                running.delete(over)
                bell.ring()
              })
            running.add(over)
          }
        } catch (error) {
          if (!lives) throw error
          if (!signal?.aborted) onError(error)
          waitMs = PAUSE_MS
        }
      }
      if (!lives && running.size === 0) break
      await bell.sleep(Math.min(waitMs, untilMs - clock.now()), signal)
    }
    await Promise.all(running)
    return runs
  }

  return {
    /** Until nothing is due or time is up; for runtimes that are woken by a schedule of theirs. Resolves with how many ran. */
    runDue: (options: RunDue): Promise<number> => work(options, false),

    /** Until the signal aborts. Asks Redis when the next one is due, and once a minute for those of other instances. */
    run: async (signal: AbortSignal): Promise<void> =>
      void (await work({ untilMs: Number.MAX_SAFE_INTEGER, signal }, true)),

    /** Something may be due earlier than it was. */
    wake: (): void => living?.ring(),

    /** One, now. Errors: 404 `schedule_not_found`, 409 `schedule_running`. */
    async runNow(tenant: string, name: string, options: RunDue): Promise<LastRun> {
      if ((await send(redis, ['HEXISTS', schedulesKey(tenant), name], TIMEOUT)) === 0)
        throw unknownSchedule(name)
      const { claims } = await claim(1, memberOf(tenant, name))
      const [one] = claims
      const message = `The schedule \`${name}\` is running, or was changed meanwhile. GET /v1/schedules/${name} shows it.`
      const busy = () => new HubError({ code: 'schedule_running', status: 409, message })
      if (!one) throw busy()
      const last = await run(one, options)
      if (!last) throw busy()
      return last
    },
  }
}

export type ScheduleRunner = ReturnType<typeof createScheduleRunner>

function timedOut(error: unknown): HubError | undefined {
  if (!(error instanceof Error) || error.name !== 'TimeoutError') return undefined
  const message = 'The run took too long. What was taken in stays; the next run goes on from there.'
  return new HubError({ code: 'schedule_timeout', status: 504, message, cause: error })
}

const iso = (ms: number) => new Date(ms).toISOString()
