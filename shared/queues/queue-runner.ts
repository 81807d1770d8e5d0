import { createBell } from '../bell.ts'
import { QUEUES_PUSHED } from '../keys.ts'
import type { Redis, Subscription } from '../ports/redis.ts'
import type { GroupLog } from '../streams/group-worker.ts'
import type { QueueWorker } from './queue-worker.ts'
import { type Queues, toQueue } from './queues.ts'

export interface QueueRunnerOptions {
  redis: Redis
  queues: Pick<Queues, 'all'>
  worker: QueueWorker
  /** At least so often every queue is looked at: for jobs of workers that died, and for wake-ups that were lost. */
  lookMs: number
  /** Takings of one drain, where the runtime counts calls. */
  rounds?: number
  log: GroupLog
}

/** Drives the worker over all queues. */
export function createQueueRunner({ redis, queues, worker, lookMs, rounds, log }: QueueRunnerOptions) {
  const bell = createBell()
  /** When each queue wants to be looked at, `performance.now()`; those that are being worked on are in `busy`. */
  const due = new Map<string, number>()
  const busy = new Map<string, Promise<void>>()

  function wake(tenant: string, queue: string) {
    due.set(`${tenant}/${queue}`, 0)
    bell.ring()
  }

  async function work(name: string, signal: AbortSignal) {
    const { tenant, queue } = toQueue(name)
    due.delete(name)
    let waitMs = lookMs
    try {
      const { dueMs } = await worker.work(tenant, queue, { signal })
      waitMs = Math.min(dueMs + 2, lookMs)
    } catch (cause) {
      if (!signal.aborted) log.error({ msg: 'A queue cannot be worked on', tenant, queue, cause })
      waitMs = 1_000
    }
    busy.delete(name)
    if (!due.has(name)) due.set(name, performance.now() + waitMs)
    bell.ring()
  }

  return {
    wake,

    /** Until the signal aborts. */
    async run(signal: AbortSignal): Promise<void> {
      let subscription: Subscription | undefined
      let looked = Number.NEGATIVE_INFINITY
      while (!signal.aborted) {
        if (performance.now() - looked >= lookMs) {
          looked = performance.now()
          try {
            if (redis.wakeUps === 'push') {
              const onPushed = (member: string) => wake(toQueue(member).tenant, toQueue(member).queue)
              subscription ??= await redis.subscribe(QUEUES_PUSHED, onPushed, { timeoutMs: 5_000, signal })
            }
            for (const { tenant, queue } of await queues.all()) {
              const name = `${tenant}/${queue}`
              if (!busy.has(name) && !due.has(name)) due.set(name, 0)
            }
          } catch (cause) {
            if (!signal.aborted) log.error({ msg: 'Queues cannot be listed', cause })
            looked = performance.now() - lookMs + 1_000
          }
        }
        const now = performance.now()
        for (const [name, at] of due) if (at <= now && !busy.has(name)) busy.set(name, work(name, signal))
        const times = [...due].filter(([name]) => !busy.has(name)).map(([, at]) => at)
        const next = Math.min(looked + lookMs, ...times)
        await bell.sleep(Math.max(0, next - performance.now()), signal)
      }
      await Promise.all(busy.values())
      await subscription?.close()
    },

    /** Works on one queue for so long. */
    async drain(tenant: string, queue: string, ms: number): Promise<number> {
      const signal = new AbortController().signal
      const { settled } = await worker.work(tenant, queue, { until: performance.now() + ms, rounds, signal })
      return settled
    },

    /** Works on all queues for so long. */
    async drainAll(ms: number): Promise<number> {
      const until = performance.now() + ms
      let settled = 0
      const all = await queues.all()
      const first = Math.floor(Math.random() * all.length)
      for (const { tenant, queue } of [...all.slice(first), ...all.slice(0, first)]) {
        if (performance.now() >= until) break
        const signal = new AbortController().signal
        settled += (await worker.work(tenant, queue, { until, rounds, signal })).settled
      }
      return settled
    },
  }
}
