import { createBell } from '../../bell.ts'
import { channelKeys } from '../../keys.ts'
import type { Redis } from '../../ports/redis.ts'
import type { TaskRef } from '../agent.ts'
import type { TaskOutcome } from './task.ts'
import { enlistedExecutor, isTooLarge, lostTask, taskTooLarge, unknownTask } from './task-errors.ts'
import type { Assigned, TaskStore } from './task-store.ts'

export interface TaskClaim {
  executor: string
  /** Any by default. */
  topics?: readonly string[]
  leaseMs: number
  /** For a task to come, where there is none. */
  waitMs: number
  signal: AbortSignal
}

/** For executors that are no agents of this hub: they ask for tasks, and keep them as long as they say that they work on them. */
export interface TaskClaims {
  /** The oldest that it may take, if there is one. Errors: 409 `executor_enlisted`. */
  claim(tenant: string, claim: TaskClaim): Promise<Assigned | undefined>
  /** Resolves with the end of the lease, Unix ms. Errors: 404 `task_not_found`, 409 `task_lost`. */
  renew(tenant: string, task: TaskRef, leaseMs: number): Promise<number>
  /** Ends an attempt that was claimed. May be repeated. Errors: 404 `task_not_found`, 409 `task_lost`, 413. */
  report(tenant: string, outcome: Omit<TaskOutcome, 'executor'>): Promise<void>
}

interface TaskClaimsOptions {
  redis: Redis
  store: TaskStore
  end(
    tenant: string,
    outcome: { ref: TaskRef } & Pick<TaskOutcome, 'status' | 'output'>,
    leased: boolean,
  ): Promise<string>
}

/** Between two looks where nothing wakes it up, growing. */
const FIRST_PAUSE_MS = 250
const LAST_PAUSE_MS = 4_000

export function createTaskClaims({ redis, store, end }: TaskClaimsOptions): TaskClaims {
  return {
    async claim(tenant, { executor, topics, leaseMs, waitMs, signal }) {
      const take = async () => {
        const taken = await store.assign(tenant, 1, { for: 'claim', executor, topics, leaseMs })
        if (taken === 'enlisted') throw enlistedExecutor(executor)
        return taken[0]
      }
      const until = performance.now() + waitMs
      const first = await take()
      if (first || waitMs === 0) return first
      const bell = createBell()
      const { channel } = channelKeys(tenant, 'agent:tasks')
      const subscription =
        redis.wakeUps === 'push'
          ? await redis.subscribe(channel, bell.ring, { signal }).catch(() => undefined) // then it polls
          : undefined
      try {
        for (let pause = FIRST_PAUSE_MS; !signal.aborted; pause = Math.min(2 * pause, LAST_PAUSE_MS)) {
          const taken = await take()
          const left = until - performance.now()
          if (taken || left <= 0) return taken
          await bell.sleep(Math.min(pause, left), signal)
        }
      } finally {
        void subscription?.close().catch(() => {})
      }
      return undefined
    },

    async renew(tenant, task, leaseMs) {
      const until = await store.keep(tenant, task, 'assigned', leaseMs)
      if (typeof until === 'number') return until
      throw until === 'late' ? lostTask(task) : unknownTask(task.id)
    },

    async report(tenant, { task, status, output }) {
      if (isTooLarge(output)) throw taskTooLarge('output')
      const outcome = await end(tenant, { ref: task, status, output }, true)
      if (outcome === 'late') throw lostTask(task)
      if (outcome === 'unknown') throw unknownTask(task.id)
    },
  }
}
