import type { InboxMessage, TaskRef } from '../agent.ts'

export interface NewTask {
  /** The same id is the same task. */
  id: string
  /** Text, or JSON. */
  input: unknown
  /** The executor that is to do it; without it any that is idle and takes its topic. */
  to?: string
  topic?: string
  /** Whose inbox its result goes to. */
  planner?: string
}

/** `waiting` for an executor, `assigned` to one, or over. */
export type TaskStatus = 'waiting' | 'assigned' | 'done' | 'failed'

export interface Task extends NewTask {
  status: TaskStatus
  /** Of the attempt that runs or was the last. */
  attempt: number
  executor?: string
  output?: unknown
  error?: string
  /** RFC 3339. */
  created_at: string
  updated_at: string
}

export interface TaskOutcome {
  task: TaskRef
  executor: string
  status: 'done' | 'failed'
  output: unknown
}

/**
 * Tasks that planners give away and executors do: each is claimed by one, its result goes back to its planner, and it is given to
 * another one when its executor is gone.
 */
export interface Tasks {
  /** Keeps it, tells `agent:tasks`, and gives it to an idle executor where there is one. May be repeated. */
  add(tenant: string, task: NewTask): Promise<void>
  get(tenant: string, id: string): Promise<Task>
  /** An executor that takes tasks, as its settings are now; `undefined` topics: any. */
  enlist(tenant: string, executor: string, topics: readonly string[] | undefined): Promise<void>
  /** An executor that was deleted, or takes tasks no more: what it had in hand goes to another. */
  dismiss(tenant: string, executor: string): Promise<void>
  /**
   * Ends an attempt: LPUSH to the planner's results, message to its inbox, event on `agent:events`; the executor is idle again. One that is
   * not the running attempt any more changes nothing. May be repeated.
   */
  finish(tenant: string, outcome: TaskOutcome): Promise<void>
  /** Gives out what waits, and takes back what an executor does not work on any more. */
  sweep(untilMs: number): Promise<number>
}

/** What tasks ask of agents. */
export interface TaskAgents {
  /** Puts a message into an inbox and sees to it that the agent takes it up. False: there is no such agent. */
  deliver(tenant: string, agent: string, message: InboxMessage): Promise<boolean>
  /** Whether it has this attempt in hand or in its inbox. */
  hasTask(tenant: string, agent: string, task: TaskRef): Promise<boolean>
}
