import type { NewTask, Task, TaskStatus } from './task.ts'

/** A task as Redis holds it. */
export interface TaskRecord {
  task: NewTask
  state: TaskState
  /** Once it is over. */
  end?: TaskEnd
  /** `agent:tasks` was not told yet that it is to be had, after so many attempts. */
  untold?: number
}

/** Its scripts write it. */
interface TaskState {
  status: TaskStatus
  /** Of the attempt that runs or was the last. */
  attempt: number
  executor?: string
  /** Of an executor outside: until when it has the task. Unix ms, as are the others. */
  lease?: number
  created: number
  updated: number
}

/** What planners are told, and what their lists of results hold. */
export interface TaskEnd {
  task: string
  status: 'done' | 'failed'
  attempt: number
  executor?: string
  output: unknown
  /** Why the hub itself says that it failed. */
  error?: string
}

/** The hub's own verdict. */
export const failureOf = ({ task, state }: TaskRecord, error: string): TaskEnd => ({
  ...{ task: task.id, status: 'failed', attempt: state.attempt, executor: state.executor },
  ...{ output: null, error },
})

export function toTask({ task, state, end }: TaskRecord): Task {
  const { status, attempt, executor, created, updated } = state
  return {
    ...{ ...task, status, attempt },
    ...(executor !== undefined && { executor }),
    ...(end && { output: end.output }),
    ...(end?.error && { error: end.error }),
    created_at: new Date(created).toISOString(),
    updated_at: new Date(updated).toISOString(),
  }
}
