import { TASK_KEPT_MS, TASK_TENANTS_KEY, taskKeys } from '../../keys.ts'
import type { Command, Redis, Reply, ScriptCall } from '../../ports/redis.ts'
import {
  addTaskScript,
  assignTasksScript,
  claimDueScript,
  endAttemptScript,
  enlistExecutorScript,
  keepTaskScript,
  pruneTasksScript,
  replaceFieldScript,
} from '../../scripts.generated.ts'
import { send } from '../../send.ts'
import type { TaskRef } from '../agent.ts'
import type { NewTask, TaskStatus } from './task.ts'
import { MOST_EXECUTORS, MOST_WAITING } from './task-errors.ts'
import type { TaskEnd, TaskRecord } from './task-record.ts'

/** A task that was just given to an executor. */
export interface Assigned {
  ref: TaskRef
  executor: string
  task: NewTask
  /** Unix ms: then somebody looks after it; the end of a lease. */
  untilMs: number
}

/** For whom tasks are wanted: idle executors, one from outside that asks, or one that is named by tasks and not enlisted. */
export type Wanting =
  | { for: 'idle' }
  | { for: 'claim'; executor: string; topics?: readonly string[]; leaseMs: number }
  | { for: 'direct'; executor: string }

export interface AttemptEnd {
  ref: TaskRef
  how: 'done' | 'failed' | 'lost' | 'undone' | 'untaken'
  /** Told if the task is over by this. */
  end: TaskEnd
  /** Only who has a lease may say so. */
  leased?: boolean
}

/** Scripts decide, and each decision is whole: what must follow it is due, and followed up by whoever looks. */
export function createTaskStore({ redis, lookMs }: { redis: Redis; lookMs: number }) {
  async function wave(calls: readonly (Command | ScriptCall)[]): Promise<Reply[]> {
    const replies = await redis.wave(calls, PATIENT)
    for (const reply of replies) if (reply instanceof Error) throw reply
    return replies
  }

  function assignCall(tenant: string, most: number, wanting: Wanting): ScriptCall {
    const { tasks, index, due, executors, idle } = taskKeys(tenant)
    const keys = [tasks, index, due, executors, idle]
    if (wanting.for === 'idle') return { script: assignTasksScript, keys, args: [most, lookMs, '', '', ''] }
    const topics = wanting.for === 'claim' && wanting.topics ? JSON.stringify(wanting.topics) : ''
    const untilMs = wanting.for === 'claim' ? wanting.leaseMs : lookMs
    return {
      script: assignTasksScript,
      keys,
      args: [most, untilMs, wanting.for, wanting.executor, topics],
    }
  }

  const store = {
    /** `other`: the id is another task's. `full`: too many wait. */
    async add(tenant: string, task: NewTask): Promise<'new' | 'known' | 'other' | 'full'> {
      const { tasks, index, due } = taskKeys(tenant)
      const offers = task.to === undefined ? ['any', `topic:${task.topic ?? ''}`] : [`to:${task.to}`]
      const [, reply] = await wave([
        ['SADD', TASK_TENANTS_KEY, tenant],
        {
          script: addTaskScript,
          keys: [tasks, index, due],
          args: [task.id, bodyOf(task), JSON.stringify(offers), lookMs, MOST_WAITING],
        },
      ])
      return reply as 'new' | 'known' | 'other' | 'full'
    },

    /** `enlisted`: who claims is an agent of the hub, which is given its tasks. */
    async assign(tenant: string, most: number, wanting: Wanting): Promise<Assigned[] | 'enlisted'> {
      const reply = await send(redis, assignCall(tenant, most, wanting), PATIENT)
      return reply === 'enlisted' ? reply : toAssigned(reply)
    },

    /** The task's status where this made it; `again`: it ended so before. */
    async end(tenant: string, { planner }: NewTask, { ref, how, end, leased }: AttemptEnd) {
      const { tasks, index, due, executors, idle, results } = taskKeys(tenant)
      const call = {
        script: endAttemptScript,
        keys: [tasks, index, due, executors, idle, results(planner ?? '')],
        args: [
          ...[ref.id, ref.attempt, how, JSON.stringify(end), MOST_ATTEMPTS, lookMs, leased ? 1 : ''],
          ...[planner === undefined ? 0 : MOST_RESULTS, TASK_KEPT_MS],
        ],
      }
      return (await send(redis, call, PATIENT)) as TaskStatus | 'again' | 'late' | 'unknown'
    },

    /** Says when somebody looks after what is in this state, or that nobody needs to. An assigned one's lease is renewed. Resolves with Unix ms. */
    async keep(tenant: string, { id, attempt }: TaskRef, status: TaskStatus, afterMs?: number) {
      const { tasks, due } = taskKeys(tenant)
      const args = [id, status, attempt, afterMs === undefined ? '' : Math.ceil(afterMs)]
      const reply = await send(redis, { script: keepTaskScript, keys: [tasks, due], args }, PATIENT)
      return reply as number | 'late' | 'unknown'
    },

    /** That this attempt is to be had was told to `agent:tasks`. */
    async told(tenant: string, { id, attempt }: TaskRef): Promise<void> {
      const args = [`new:${id}`, String(attempt), '']
      await send(redis, { script: replaceFieldScript, keys: [taskKeys(tenant).tasks], args }, PATIENT)
    },

    /** False: there are as many as may be. */
    async enlist(tenant: string, executor: string, topics: readonly string[] | undefined): Promise<boolean> {
      const { executors, idle } = taskKeys(tenant)
      const args = [executor, topics === undefined ? '' : JSON.stringify(topics), MOST_EXECUTORS]
      const [, reply] = await wave([
        ['SADD', TASK_TENANTS_KEY, tenant],
        { script: enlistExecutorScript, keys: [executors, idle], args },
      ])
      return reply === 1
    },

    /** Resolves with the id of the task that it had in hand. */
    async dismiss(tenant: string, executor: string): Promise<string | undefined> {
      const { executors, idle } = taskKeys(tenant)
      const [text] = await wave([
        ['HGET', executors, executor],
        ['HDEL', executors, executor],
        ['ZREM', idle, executor],
      ])
      return text === null ? undefined : JSON.parse(text as string).task
    },

    async read(tenant: string, ids: readonly string[]): Promise<(TaskRecord | undefined)[]> {
      if (ids.length === 0) return []
      const fields = ids.flatMap((id) => [`body:${id}`, `state:${id}`, `end:${id}`, `new:${id}`])
      const found = await send(redis, ['HMGET', taskKeys(tenant).tasks, ...fields], PATIENT)
      return ids.map((_, i) => toRecord((found as (string | null)[]).slice(4 * i, 4 * i + 4)))
    },

    /** The newest first. */
    async list(tenant: string, statuses: readonly TaskStatus[], limit: number): Promise<TaskRecord[]> {
      const { index } = taskKeys(tenant)
      const pages = await wave(
        statuses.map((status) => [
          ...(['ZRANGE', index, `(${status}!`, `[${status} `] as const),
          ...(['BYLEX', 'REV', 'LIMIT', 0, limit] as const),
        ]),
      )
      const places = pages.flatMap((page, i) =>
        (page as string[]).map((member) => member.slice(statuses[i]!.length + 1)),
      )
      const ids = places.toSorted((a, b) => (a < b ? 1 : -1)).map((place) => place.slice(NUMBER_LENGTH + 1))
      const records = await store.read(tenant, [...new Set(ids)].slice(0, limit))
      return records.filter((one) => one !== undefined && statuses.includes(one.state.status)) as TaskRecord[]
    },

    async tenants(): Promise<string[]> {
      return (await send(redis, ['SMEMBERS', TASK_TENANTS_KEY], PATIENT)) as string[]
    },

    /** What is due with some tenants, which nobody else gets for a while, and what idle executors are given. Forgets what is old. */
    async look(tenants: readonly string[], most: number) {
      const replies = await wave(
        tenants.flatMap((tenant) => {
          const { tasks, index, due } = taskKeys(tenant)
          return [
            { script: claimDueScript, keys: [due], args: [most, lookMs] },
            assignCall(tenant, most, { for: 'idle' }),
            {
              script: pruneTasksScript,
              keys: [tasks, index, due],
              args: [MOST_ENDED, TASK_KEPT_MS, most],
            },
          ]
        }),
      )
      return tenants.map((tenant, i) => ({
        tenant,
        due: replies[3 * i] as string[],
        assigned: toAssigned(replies[3 * i + 1]),
      }))
    },
  }
  return store
}

export type TaskStore = ReturnType<typeof createTaskStore>

export const MOST_ATTEMPTS = 5
/** Tasks that are over, of a tenant; results, of a planner. */
const MOST_ENDED = 10_000
const MOST_RESULTS = 1_000
const PATIENT = { timeoutMs: 5_000 }
/** Digits before an id in the index. */
const NUMBER_LENGTH = 15

/** Always the same text of the same task. */
const bodyOf = ({ id, input, to, topic, planner }: NewTask) =>
  JSON.stringify({ id, input, to, topic, planner })

function toRecord([body, state, end, untold]: (string | null)[]): TaskRecord | undefined {
  if (!body || !state) return undefined
  return {
    task: JSON.parse(body),
    state: JSON.parse(state),
    ...(end && { end: JSON.parse(end) }),
    ...(untold && { untold: Number(untold) }),
  }
}

const toAssigned = (reply: Reply | undefined) =>
  (reply as [string, number, string, string, number][]).map(
    ([id, attempt, executor, body, untilMs]): Assigned => ({
      ...{ ref: { id, attempt }, executor, untilMs },
      task: JSON.parse(body),
    }),
  )
