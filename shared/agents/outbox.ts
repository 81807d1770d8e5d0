import { HubError, mayPass } from '../errors.ts'
import { agentKeys } from '../keys.ts'
import type { Redis } from '../ports/redis.ts'
import type { Realtime } from '../realtime/realtime.ts'
import { send } from '../send.ts'
import type { InboxMessage } from './agent.ts'
import { readEntries, type StreamReply } from './agent-record.ts'
import type { NewTask, TaskOutcome, Tasks } from './tasks/task.ts'

/** What a step has committed to send. Each is sent until it arrived, and arrives once: its id says so. */
export type OutboxMessage =
  | { kind: 'message'; to: string; message: InboxMessage }
  | { kind: 'task'; task: NewTask }
  | { kind: 'task-result'; outcome: TaskOutcome }
  | { kind: 'publish'; id: string; channel: string; type?: string; data: unknown }

export interface OutboxOptions {
  redis: Redis
  realtime: Realtime
  tasks: Pick<Tasks, 'add' | 'finish'>
  deliver(tenant: string, agent: string, message: InboxMessage): Promise<boolean>
  onRefused(line: { tenant: string; agent: string; kind: string; cause: unknown }): void
}

const BATCH = 100
const SLOW = { timeoutMs: 2_000 }

/** Sends what is in an agent's outbox, to each receiver in order. May run twice at the same time. */
export function createOutbox({ redis, realtime, tasks, deliver, onRefused }: OutboxOptions) {
  async function sendOne(tenant: string, one: OutboxMessage) {
    if (one.kind === 'publish') {
      const { id, channel, type, data } = one
      await realtime.publish(tenant, channel, { type, data, once: id })
    } else if (one.kind === 'task') await tasks.add(tenant, one.task)
    else if (one.kind === 'task-result') await tasks.finish(tenant, one.outcome)
    else if (!(await deliver(tenant, one.to, one.message))) throw unknownReceiver(one.to)
  }

  /** Until it is empty. Throws when something cannot be sent now; what can never be is dropped and told to the operator. */
  return async function relay(tenant: string, agent: string): Promise<void> {
    const { outbox } = agentKeys(tenant, agent)
    /** Who takes nothing now, and why. */
    const full = new Map<string, unknown>()
    for (let from = '-'; ; ) {
      const reply = (await send(redis, ['XRANGE', outbox, from, '+', 'COUNT', BATCH], SLOW)) as StreamReply
      for (const { id, value } of readEntries<OutboxMessage>(reply)) {
        from = `(${id}`
        const to = value.kind === 'message' ? value.to : undefined
        if (to !== undefined && full.has(to)) continue
        try {
          await sendOne(tenant, value)
        } catch (cause) {
          if (to !== undefined && cause instanceof HubError && mayPass(cause)) {
            full.set(to, cause)
            continue
          }
          if (mayPass(cause)) throw cause
          onRefused({ tenant, agent, kind: value.kind, cause })
        }
        await send(redis, ['XDEL', outbox, id], SLOW)
      }
      if (reply.length < BATCH) break
    }
    for (const cause of full.values()) throw cause
  }
}

export type Relay = ReturnType<typeof createOutbox>

const unknownReceiver = (agent: string) =>
  new HubError({
    code: 'agent_not_found',
    status: 404,
    message: `There is no agent \`${agent}\` to take a message.`,
  })
