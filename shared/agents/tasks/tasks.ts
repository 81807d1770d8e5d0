import { HubError } from '../../errors.ts'
import { NAME, TASK_KEPT_MS } from '../../keys.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Redis } from '../../ports/redis.ts'
import type { Realtime } from '../../realtime/realtime.ts'
import type { TaskRef } from '../agent.ts'
import type { Task, TaskAgents, TaskOutcome, TaskStatus, Tasks } from './task.ts'
import { createTaskClaims, type TaskClaims } from './task-claims.ts'
import * as errors from './task-errors.ts'
import { createTaskNews } from './task-news.ts'
import { failureOf, type TaskEnd, type TaskRecord, toTask } from './task-record.ts'
import { type Assigned, type AttemptEnd, createTaskStore, MOST_ATTEMPTS, type Wanting } from './task-store.ts'

export interface TasksOptions {
  redis: Redis
  realtime: Realtime
  agents: TaskAgents
  clock: Clock
  /** After so long somebody looks whether what a decision asks for was done, and whether an executor still has its task. */
  lookMs?: number
  /** What could not be done now: a sweep does it. */
  onError(cause: unknown): void
}

/** Tasks, and what executors outside the hub do with them. */
export interface TaskBoard extends Tasks, TaskClaims {
  /** The newest first. */
  list(tenant: string, page: { status?: TaskStatus; limit: number }): Promise<Task[]>
}

/** Of one look at a tenant, and of one giving. */
const AT_ONCE = 100
/** Tenants that are looked at together. */
const TENANTS = 20
/** A task to somebody who was not there is offered again after so long, then after as long as it has waited. */
const AGAIN_MS = 60_000
const STATUSES: readonly TaskStatus[] = ['waiting', 'assigned', 'done', 'failed']

/**
 * A script decides what becomes of a task; channels and inboxes are told after that, by a sweep where whoever decided died. A task may be
 * done twice, by an executor that was taken for dead and by another one: what the late one says changes nothing.
 */
export function createTasks(options: TasksOptions): TaskBoard {
  const { redis, realtime, agents, clock, lookMs = 15_000, onError } = options
  const store = createTaskStore({ redis, lookMs })
  const news = createTaskNews({ realtime, agents })

  return {
    ...createTaskClaims({ redis, store, end }),

    async add(tenant, task) {
      for (const field of ['to', 'topic', 'planner'] as const) {
        if (task[field] !== undefined && !NAME.test(task[field])) throw errors.badTaskName(field)
      }
      if (errors.isTooLarge(task.input)) throw errors.taskTooLarge('input')
      const outcome = await store.add(tenant, task)
      if (outcome === 'other') throw errors.otherTask(task.id)
      if (outcome === 'full') throw errors.tooManyTasks()
      if (outcome === 'known') return
      await Promise.all([
        tell(tenant, task.id).catch(onError),
        task.to === undefined ? giveOut(tenant) : giveTo(tenant, task.to),
      ])
    },

    async get(tenant, id) {
      const [record] = await store.read(tenant, [id])
      if (!record) throw errors.unknownTask(id)
      return toTask(record)
    },

    list: async (tenant, { status, limit }) =>
      (await store.list(tenant, status ? [status] : STATUSES, limit)).map(toTask),

    async enlist(tenant, executor, topics) {
      if (!(await store.enlist(tenant, executor, topics))) throw errors.tooManyExecutors()
      await giveOut(tenant)
    },

    async dismiss(tenant, executor) {
      const id = await store.dismiss(tenant, executor)
      const [record] = id === undefined ? [] : await store.read(tenant, [id])
      if (record?.state.executor === executor) await takeBack(tenant, record, 'lost')
      await giveTo(tenant, executor) // what waits for it by name, if it is another kind of agent now
    },

    async finish(tenant, { task, status, output }) {
      await end(tenant, { ref: task, status, output })
    },

    async sweep(untilMs) {
      const all = await store.tenants()
      const first = Math.floor(Math.random() * all.length) // where time runs out, others come first next time
      const tenants = [...all.slice(first), ...all.slice(0, first)]
      let count = 0
      for (let i = 0; i < tenants.length; i += TENANTS) {
        let open = tenants.slice(i, i + TENANTS)
        while (open.length > 0 && clock.now() < untilMs) {
          const looks = await store.look(open, AT_ONCE)
          await Promise.all(
            looks.map(({ tenant, due, assigned }) => lookAfter(tenant, due, assigned).catch(onError)),
          )
          count += looks.reduce((sum, { due }) => sum + due.length, 0)
          open = looks.filter(({ due }) => due.length === AT_ONCE).map(({ tenant }) => tenant)
        }
      }
      return count
    },
  }

  /** Ends an attempt, as who had it in hand says. */
  async function end(
    tenant: string,
    { ref, status, output }: { ref: TaskRef } & Pick<TaskOutcome, 'status' | 'output'>,
    leased = false,
  ) {
    const [record] = await store.read(tenant, [ref.id])
    if (!record) return 'unknown'
    const said: TaskEnd = errors.isTooLarge(output)
      ? failureOf(record, errors.taskTooLarge('output').message)
      : { task: ref.id, status, attempt: ref.attempt, executor: record.state.executor, output }
    const outcome = await settle(tenant, record, { ref, how: said.status, end: said, leased })
    if (outcome === 'done' || outcome === 'failed') await giveOut(tenant)
    return outcome
  }

  /** Ends an attempt, as the hub itself sees it. */
  function takeBack(tenant: string, record: TaskRecord, how: 'lost' | 'undone' | 'untaken') {
    const why =
      how === 'untaken'
        ? `Nobody took it within ${TASK_KEPT_MS / 86_400_000} days.`
        : `Its executors were lost ${MOST_ATTEMPTS} times.`
    const ref = { id: record.task.id, attempt: record.state.attempt }
    return settle(tenant, record, { ref, how, end: failureOf(record, why) })
  }

  async function settle(tenant: string, { task }: TaskRecord, attemptEnd: AttemptEnd) {
    const outcome = await store.end(tenant, task, attemptEnd)
    if (!['again', 'late', 'unknown'].includes(outcome)) await tell(tenant, task.id).catch(onError)
    return outcome
  }

  /** Tells what is still to be told of a task, and says when it is to be looked after again. */
  async function tell(tenant: string, id: string) {
    const [record] = await store.read(tenant, [id])
    if (!record) return
    const { attempt, status } = record.state
    if (record.untold !== undefined) {
      await news.waits(tenant, record, record.untold)
      await store.told(tenant, { id, attempt: record.untold })
    }
    if (status === 'waiting') await store.keep(tenant, { id, attempt }, status, restMs(record))
    if (record.end) {
      await news.ended(tenant, record, record.end)
      await store.keep(tenant, { id, attempt }, status)
    }
  }

  /** Until nobody is idle, or nothing waits that they may take. A failure leaves it to a sweep. */
  async function giveOut(tenant: string, wanting: Wanting = { for: 'idle' }): Promise<void> {
    const most = wanting.for === 'idle' ? AT_ONCE : 1
    try {
      for (;;) {
        const assigned = await store.assign(tenant, most, wanting)
        if (assigned === 'enlisted' || assigned.length === 0) return
        const taken = await Promise.all(assigned.map((one) => hand(tenant, one)))
        // Another executor may take what one that is gone did not; nobody else takes what was for it alone.
        if (taken.includes('refused') || (wanting.for === 'direct' && taken.includes('gone'))) return
      }
    } catch (cause) {
      onError(cause)
    }
  }

  /** What was sent to one by name: to an idle executor, or to any other agent at once. */
  async function giveTo(tenant: string, executor: string): Promise<void> {
    await giveOut(tenant, { for: 'direct', executor })
    await giveOut(tenant)
  }

  async function hand(tenant: string, assigned: Assigned): Promise<'taken' | 'gone' | 'refused'> {
    const { ref, executor } = assigned
    let outcome: 'gone' | 'refused' = 'gone'
    try {
      if (await news.assigned(tenant, assigned)) return 'taken'
      await store.dismiss(tenant, executor)
    } catch (cause) {
      onError(cause)
      outcome = 'refused'
      // Whether it came is unknown: if it did not, a sweep takes the task back.
      if (!(cause instanceof HubError)) return outcome
    }
    const [record] = await store.read(tenant, [ref.id])
    if (record?.state.attempt === ref.attempt) await takeBack(tenant, record, 'undone')
    return outcome
  }

  async function lookAfter(tenant: string, due: readonly string[], assigned: readonly Assigned[]) {
    await Promise.all(assigned.map((one) => hand(tenant, one)))
    const records = await store.read(tenant, due)
    await Promise.all(due.map((id, i) => lookAfterOne(tenant, id, records[i]).catch(onError)))
    if (due.length === 0) return
    const wanted = records.flatMap((one) => (one?.state.status === 'waiting' ? [one.task.to] : []))
    for (const to of new Set(wanted)) if (to !== undefined) await giveTo(tenant, to)
    await giveOut(tenant)
  }

  async function lookAfterOne(tenant: string, id: string, record: TaskRecord | undefined) {
    if (!record) return void (await store.keep(tenant, { id, attempt: 0 }, 'waiting')) // it was forgotten
    const { status, attempt, lease, executor } = record.state
    if (status === 'assigned') {
      const inHand = lease === undefined && (await agents.hasTask(tenant, executor!, { id, attempt }))
      if (!inHand) return void (await takeBack(tenant, record, 'lost'))
    }
    const isUntaken = status === 'waiting' && clock.now() - record.state.created >= TASK_KEPT_MS
    if (isUntaken) return void (await takeBack(tenant, record, 'untaken'))
    await tell(tenant, id)
  }

  /** How long nobody needs to look after one that waits. */
  function restMs({ task, state }: TaskRecord): number {
    const age = clock.now() - state.created
    const left = Math.max(0, TASK_KEPT_MS - age)
    return task.to === undefined ? left : Math.min(left, Math.max(AGAIN_MS, age))
  }
}
