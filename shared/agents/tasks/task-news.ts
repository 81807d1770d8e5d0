import type { Realtime } from '../../realtime/realtime.ts'
import type { InboxMessage } from '../agent.ts'
import type { TaskAgents } from './task.ts'
import type { TaskEnd, TaskRecord } from './task-record.ts'
import type { Assigned } from './task-store.ts'

/** Of an input or output as JSON: a longer one is left out of messages, and read with the task. */
const MOST_TOLD_BYTES = 32 * 1024

/** What the channels and the inboxes hear of tasks. Each may be told again: it is there once. */
export function createTaskNews({ realtime, agents }: { realtime: Realtime; agents: TaskAgents }) {
  return {
    /** `agent:tasks`: one is to be had, for the first time or after so many attempts. */
    async waits(tenant: string, { task, state }: TaskRecord, attempt: number): Promise<void> {
      const { id, input, ...more } = task
      await realtime.publish(tenant, 'agent:tasks', {
        type: 'task',
        data: { task: id, attempt, ...more, ...told({ input }) },
        once: `task/${id}/${state.created}/${attempt}`,
      })
    },

    /** `agent:events`, and the inbox of its planner where that is an agent. */
    async ended(tenant: string, { task, state }: TaskRecord, end: TaskEnd): Promise<void> {
      const { output, ...more } = end
      const { topic, planner } = task
      const message: InboxMessage = {
        ...{ id: task.id, type: 'task-result', task: { id: task.id, attempt: end.attempt } },
        ...(end.executor !== undefined && { from: `agent:${end.executor}` }),
        data: { task: task.id, status: end.status, output, ...(end.error && { error: end.error }) },
      }
      await Promise.all([
        realtime.publish(tenant, 'agent:events', {
          type: `task.${end.status}`,
          data: { ...more, topic, planner, ...told({ output }) },
          once: `task/${task.id}/${state.created}/ended`,
        }),
        planner !== undefined && agents.deliver(tenant, planner, message),
      ])
    },

    /** The inbox of its executor. False: there is no such agent. */
    assigned: (tenant: string, { ref, executor, task: { planner, input } }: Assigned): Promise<boolean> =>
      agents.deliver(tenant, executor, {
        ...{ id: `${ref.id}/${ref.attempt}`, type: 'task', task: ref, data: input },
        ...(planner !== undefined && { from: `agent:${planner}` }),
      }),
  }
}

function told<T extends Record<string, unknown>>(field: T): Partial<T> {
  return Buffer.byteLength(JSON.stringify(Object.values(field))) > MOST_TOLD_BYTES ? {} : field
}
