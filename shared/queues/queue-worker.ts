import { createBell } from '../bell.ts'
import { toFailure } from '../events/failure.ts'
import type { HandlerSecrets } from '../events/handler-secrets.ts'
import type { EventHandlers, Handled, HandledEvent } from '../events/handlers.ts'
import type { EventResult, Results } from '../events/results.ts'
import { queueKeys } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis, ScriptCall } from '../ports/redis.ts'
import { keepJobsScript, settleJobsScript, takeJobsScript } from '../scripts.generated.ts'
import { send } from '../send.ts'
import type { GroupLog } from '../streams/group-worker.ts'
import { consumed } from '../telemetry/trace-context.ts'
import { jobResultId, type QueueJobBody } from './queues.ts'

export interface QueueWorkerOptions {
  redis: Redis
  handlers: EventHandlers
  handlerSecrets: HandlerSecrets
  results: Results
  /** A worker that said nothing for so long is dead: its jobs come back. */
  leaseMs: number
  /** Jobs in hand at the same time. Default 64. */
  capacity?: number
  clock: Clock
  log: GroupLog
}

export interface WorkOptions {
  /** `performance.now()`: nothing begins after it, and what runs then is given back. Undefined: until the signal. */
  until?: number
  /** Takings, where the runtime counts calls. */
  rounds?: number
  signal: AbortSignal
}

interface Job {
  id: string
  attempt: number
  body: QueueJobBody
}

type Verb = 'done' | 'retry' | 'release' | 'dead'
interface Settled {
  job: Job
  verb: Verb
  waitMs?: number
  cause?: string
}

/**
 * Works on one queue at a time. Taking a job moves it from the list to the leased ones in one script: it is never only in a worker's
 * hands. Jobs come at least once, results once.
 */
export function createQueueWorker(options: QueueWorkerOptions) {
  const { redis, handlers, handlerSecrets, results, leaseMs, capacity = 64, clock, log } = options

  async function take(tenant: string, queue: string, most: number) {
    const { waiting, leased, jobs } = queueKeys(tenant, queue)
    const call: ScriptCall = {
      script: takeJobsScript,
      keys: [waiting, leased, jobs],
      args: [leaseMs, most],
    }
    const [taken, dueMs] = (await send(redis, call, PATIENT)) as [[string, string, number][], number]
    return {
      taken: taken.map(([id, body, attempt]): Job => ({ id, attempt, body: JSON.parse(body) })),
      dueMs: dueMs < 0 ? Number.POSITIVE_INFINITY : dueMs,
    }
  }

  async function settle(tenant: string, queue: string, all: readonly Settled[]) {
    if (all.length === 0) return
    const { leased, jobs, dead } = queueKeys(tenant, queue)
    const at = new Date(clock.now()).toISOString()
    const args = all.flatMap(({ job: { id, attempt }, verb, waitMs = 0, cause }) => {
      const letter = verb === 'dead' ? JSON.stringify({ id, cause, attempts: attempt, at }) : ''
      return [id, attempt, verb, Math.round(waitMs), letter]
    })
    await send(redis, { script: settleJobsScript, keys: [leased, jobs, dead], args }, PATIENT)
  }

  /** Jobs of one handler and settings: their outcomes, their results. */
  async function handle(tenant: string, queue: string, jobs: readonly Job[], signal: AbortSignal) {
    const { type } = jobs[0]!.body.handler
    const handler = Object.hasOwn(handlers, type) ? handlers[type] : undefined
    let settings: unknown
    try {
      if (!handler) throw new Error(`This hub does not have the handler \`${type}\``)
      const { type: _, ...own } = handlerSecrets.open(tenant, jobs[0]!.body.handler)
      settings = handler.settings.parse(own)
    } catch (cause) {
      log.error({ msg: 'Jobs wait: nobody can work on them', tenant, queue, handler: type, cause })
      return jobs.map((job): Settled => ({ job, verb: 'release', waitMs: UNKNOWN_MS }))
    }
    const again = jobs.filter(({ attempt }) => attempt > 1).map(({ id }) => jobResultId(queue, id))
    const found = again.length > 0 ? await results.find(tenant, again) : undefined
    const outcomes: Settled[] = []
    const told: EventResult[] = []
    const fresh: Job[] = []
    const toResult = ({ id, attempt }: Job, status: EventResult['status']) => ({
      ...{ id: jobResultId(queue, id), stream: queue, event_id: id, status },
      ...{ at: new Date(clock.now()).toISOString(), attempts: attempt },
    })
    const bury = (job: Job, cause: string) => {
      log.error({ msg: 'A job is given up', tenant, queue, id: job.id, attempts: job.attempt, cause })
      told.push({ ...toResult(job, 'failed'), error: { message: cause } })
      outcomes.push({ job, verb: 'dead', cause })
    }
    for (const job of jobs) {
      const known = found?.get(jobResultId(queue, job.id))
      if (known?.status === 'done') {
        told.push(known)
        outcomes.push({ job, verb: 'done' })
      } else if (job.attempt > attemptsOf(job)) bury(job, 'Its workers died while they worked on it')
      else fresh.push(job)
    }
    const handled = await work()
    for (const [i, job] of fresh.entries()) {
      const how = handled[i] ?? { failed: 'The handler said nothing about it' }
      if (!('failed' in how)) {
        told.push({ ...toResult(job, 'done'), result: how.result ?? null })
        outcomes.push({ job, verb: 'done' })
      } else if (how.permanent || job.attempt >= attemptsOf(job)) bury(job, describe(how.failed))
      else outcomes.push({ job, verb: 'retry', waitMs: Math.max(backOff(job), how.retryAfterMs ?? 0) })
    }
    await results.write(tenant, told, { ttlSeconds: RESULT_SECONDS })
    return outcomes

    async function work(): Promise<readonly Handled[]> {
      if (fresh.length === 0) return []
      try {
        const events = fresh.map((job) => toEvent(queue, job))
        return await handler!.handle(events, settings, { tenant, stream: queue, signal })
      } catch (error) {
        signal.throwIfAborted()
        return fresh.map(() => toFailure(error))
      }
    }
  }

  return {
    /** Until the queue is empty or the time is up. `dueMs`: when something that is leased now comes back at the latest. */
    async work(
      tenant: string,
      queue: string,
      { until, rounds = Number.POSITIVE_INFINITY, signal }: WorkOptions,
    ) {
      const bell = createBell()
      const leftMs = until === undefined ? undefined : Math.ceil(Math.max(0, until - performance.now()))
      const over = leftMs === undefined ? signal : AbortSignal.any([signal, AbortSignal.timeout(leftMs)])
      const inHand = new Map<string, Job>()
      const running = new Set<Promise<void>>()
      let settled = 0

      async function run(jobs: readonly Job[]) {
        let outcomes: Settled[]
        try {
          const traceparents = jobs.map(({ body }) => body.traceparent)
          outcomes = await consumed({ tenant, destination: queue, traceparents }, () =>
            handle(tenant, queue, jobs, over),
          )
        } catch (cause) {
          if (!over.aborted) log.error({ msg: 'Jobs come back: they have no results', tenant, queue, cause })
          outcomes = jobs.map((job) =>
            over.aborted ? { job, verb: 'release' } : { job, verb: 'retry', waitMs: backOff(job) },
          )
        }
        try {
          await settle(tenant, queue, outcomes)
          settled += outcomes.filter(({ verb }) => verb === 'done' || verb === 'dead').length
        } catch (cause) {
          log.error({
            msg: 'Jobs come back when their lease is over: they could not be settled',
            tenant,
            queue,
            cause,
          })
        }
        for (const { id } of jobs) inHand.delete(id)
        bell.ring()
      }

      const { leased, jobs: bodies } = queueKeys(tenant, queue)
      const keeping = setInterval(() => {
        if (inHand.size === 0) return
        const args = [leaseMs, ...[...inHand.values()].flatMap(({ id, attempt }) => [id, attempt])]
        send(redis, { script: keepJobsScript, keys: [leased, bodies], args }, PATIENT).catch((cause) =>
          log.error({ msg: 'Leases could not be renewed', tenant, queue, cause }),
        )
      }, leaseMs / 3)
      let dueMs = Number.POSITIVE_INFINITY
      try {
        for (let round = 0; round < rounds && !over.aborted; ) {
          if (capacity - inHand.size < capacity / 2) {
            await bell.sleep(1_000, over)
            continue
          }
          const look = await take(tenant, queue, capacity - inHand.size)
          dueMs = look.dueMs
          if (look.taken.length === 0 && inHand.size === 0) break
          if (look.taken.length === 0) {
            await bell.sleep(Math.min(1_000, Math.max(5, dueMs)), over)
            continue
          }
          round++
          for (const job of look.taken) inHand.set(job.id, job)
          for (const part of partsOf(look.taken)) {
            const one: Promise<void> = run(part).finally(() => running.delete(one))
            running.add(one)
          }
        }
      } finally {
        while (running.size > 0) await Promise.all(running)
        clearInterval(keeping)
      }
      return { settled, dueMs }
    },
  }

  function partsOf(jobs: readonly Job[]): Job[][] {
    const byHandler = Map.groupBy(jobs, ({ body }) => JSON.stringify(body.handler))
    return [...byHandler.values()].flatMap((group) => {
      // One that failed before goes alone, so that it fails no others.
      const alone = group.filter(({ attempt }) => attempt > 1).map((job) => [job])
      const fresh = group.filter(({ attempt }) => attempt === 1)
      const { batch = jobs.length } = handlers[group[0]!.body.handler.type] ?? {}
      const parts = Array.from({ length: Math.ceil(fresh.length / batch) }, (_, i) =>
        fresh.slice(i * batch, (i + 1) * batch),
      )
      return [...parts, ...alone]
    })
  }
}

export type QueueWorker = ReturnType<typeof createQueueWorker>

const PATIENT = { timeoutMs: 5_000 }
const RESULT_SECONDS = 86_400
/** Until a job is looked at again whose handler is not here. */
const UNKNOWN_MS = 60_000

const attemptsOf = ({ body }: Job) => body.retry?.attempts ?? 8

function backOff({ body, attempt }: Job): number {
  const { first_seconds = 1, longest_seconds = 300 } = body.retry ?? {}
  return Math.min(first_seconds * 2 ** (attempt - 1), longest_seconds) * 1_000 * (0.5 + Math.random() / 2)
}

const toEvent = (queue: string, { id, attempt, body }: Job): HandledEvent => ({
  event: {
    ...{ specversion: '1.0', id, source: `/v1/queues/${queue}`, type: 'job', time: body.at },
    data: body.data ?? null,
  },
  resultId: jobResultId(queue, id),
  attempt,
})

function describe(cause: unknown): string {
  const text = cause instanceof Error ? cause.message || cause.name : String(cause)
  return text.slice(0, 1_000)
}
