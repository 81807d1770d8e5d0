import { HubError } from '../../errors.ts'
import type { TaskRef } from '../agent.ts'

/** Of an input or an output, as JSON. */
const MOST_BYTES = 256 * 1024
export const MOST_WAITING = 100_000
export const MOST_EXECUTORS = 1_000

export const isTooLarge = (value: unknown) => Buffer.byteLength(JSON.stringify(value) ?? '') > MOST_BYTES

export const unknownTask = (id: string) =>
  new HubError({
    code: 'task_not_found',
    status: 404,
    message: `There is no task \`${id}\`. One that is over is kept for a week.`,
    param: 'id',
  })

export const lostTask = ({ id, attempt }: TaskRef) =>
  new HubError({
    code: 'task_lost',
    status: 409,
    message: `Attempt ${attempt} at the task \`${id}\` is not the one that is claimed and runs: its lease was over, or it never had one. Drop it, and claim another task.`,
    param: 'attempt',
  })

export const taskTooLarge = (param: string) =>
  new HubError({
    code: 'task_too_large',
    status: 413,
    message: `${param}: more than ${MOST_BYTES} bytes. Put it elsewhere, and say where it is.`,
    param,
  })

export const otherTask = (id: string) =>
  new HubError({
    code: 'idempotency_mismatch',
    status: 422,
    message: `There is another task \`${id}\` already. Send the same one, or another id.`,
    param: 'id',
  })

export const tooManyTasks = () =>
  new HubError({
    code: 'too_many_tasks',
    status: 429,
    message: `${MOST_WAITING} tasks wait for an executor already. Add executors, or wait.`,
    retryAfterSeconds: 5,
  })

export const tooManyExecutors = () =>
  new HubError({
    code: 'too_many_executors',
    status: 409,
    message: `There are ${MOST_EXECUTORS} executors already. Delete one first, or make this one a custom agent.`,
  })

export const enlistedExecutor = (executor: string) =>
  new HubError({
    code: 'executor_enlisted',
    status: 409,
    message: `\`${executor}\` is an agent of this hub, which is given its tasks. Claim under another name.`,
    param: 'executor',
  })

export const badTaskName = (param: string) =>
  new HubError({
    code: 'invalid_value',
    status: 400,
    message: `${param}: must be 1 to 64 of A-Z a-z 0-9 _ . -`,
    param,
  })
