import { HubError } from '../errors.ts'
import { newId } from '../ids.ts'
import { agentIdsKey, agentKeys } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis } from '../ports/redis.ts'
import { deleteAgentScript, deliverMessageScript, putAgentScript } from '../scripts.generated.ts'
import { send } from '../send.ts'
import { traceparentNow } from '../telemetry/trace-context.ts'
import type {
  AgentSettings,
  AgentState,
  AgentStatus,
  InboxMessage,
  ShownWaiting,
  StepRecord,
  TaskRef,
} from './agent.ts'
import {
  type AgentRecord,
  readAgent,
  readInbox,
  readSteps,
  type StreamReply,
  showWaiting,
} from './agent-record.ts'
import type { Due } from './due.ts'
import type { Tasks } from './tasks/task.ts'
import type { Tools } from './tools/tool.ts'

/** An agent as it is shown: without secrets. */
export interface ShownAgent extends AgentSettings, Pick<AgentState, 'task' | 'error'> {
  id: string
  status: AgentStatus
  /** Rises with each step and each PUT. */
  version: number
  steps: number
  waiting?: ShownWaiting
  /** Of the run: what its limits are about. */
  run?: { steps: number; tokens: number; cost: number; started_at: string }
  created_at: string
  updated_at: string
}

export interface AgentsOptions {
  redis: Redis
  tools: Pick<Tools, 'seal' | 'hide'>
  tasks: Pick<Tasks, 'enlist' | 'dismiss'>
  /** Forgets what a deleted agent remembered. */
  forgetAll(tenant: string, agent: string): Promise<void>
  due: Due
  clock: Clock
}

const TOMBSTONE_MS = 7 * 86_400_000
/** How long a message is known by its id. */
const SEEN_MS = 86_400_000
/** Messages that an inbox holds. */
const MOST_MESSAGES = 1_000
const SLOW = { timeoutMs: 2_000 }
const IN_ORDER = { ...SLOW, ordered: true }

/** Agents of a tenant: their settings, what they know, and their inboxes. */
export function createAgents({ redis, tools, tasks, forgetAll, due, clock }: AgentsOptions) {
  const agents = {
    /** Errors: those of `Tools.seal`. */
    async put(
      tenant: string,
      id: string,
      settings: AgentSettings,
      keyId: string | null,
    ): Promise<ShownAgent> {
      const { agent } = agentKeys(tenant, id)
      const before = await find(tenant, id)
      const sealed = tools.seal(tenant, id, settings.tools ?? [], before?.settings.tools)
      const stored = JSON.stringify({ ...settings, tools: sealed })
      const args = [stored, newId(), keyId ?? '', new Date(clock.now()).toISOString()]
      // Due before it is there: whoever dies after this line, the list of executors is brought up to date.
      const replies = await redis.wave(
        [
          due.by(tenant, id, clock.now() + LIST_MS),
          { script: putAgentScript, keys: [agent], args },
          ['ZADD', agentIdsKey(tenant), 0, id],
        ],
        IN_ORDER,
      )
      for (const reply of replies) if (reply instanceof Error) throw reply
      const record = readAgent(replies[1] as string[])!
      await agents.list(tenant, id, record)
      return show(id, record)
    },

    /** Tells the list of executors what an agent is now. May be repeated. */
    async list(tenant: string, id: string, { settings }: AgentRecord): Promise<void> {
      if (settings.role === 'executor') await tasks.enlist(tenant, id, settings.topics)
      else await tasks.dismiss(tenant, id)
      await send(redis, ['HSET', agentKeys(tenant, id).agent, 'listed', 1], SLOW)
    },

    /** Throws 404. */
    async get(tenant: string, id: string): Promise<ShownAgent> {
      const record = await find(tenant, id)
      if (!record) throw unknownAgent(id)
      return show(id, record)
    },

    async exists(tenant: string, id: string): Promise<boolean> {
      const [made, deleted] = (await send(
        redis,
        ['HMGET', agentKeys(tenant, id).agent, 'made', 'deleted'],
        SLOW,
      )) as (string | null)[]
      return made !== null && deleted === null
    },

    /** By name, `limit` of them after `after`. */
    async page(tenant: string, { after, limit }: { after?: string; limit: number }) {
      const from = after === undefined ? '-' : `(${after}`
      const reply = await send(
        redis,
        ['ZRANGE', agentIdsKey(tenant), from, '+', 'BYLEX', 'LIMIT', 0, limit + 1],
        SLOW,
      )
      const ids = (reply as string[]).slice(0, limit)
      const flats = await redis.wave(
        ids.map((id) => ['HGETALL', agentKeys(tenant, id).agent]),
        SLOW,
      )
      const data = ids.flatMap((id, i) => {
        const record = readAgent(flats[i] as string[])
        return record ? [show(id, record)] : []
      })
      return { data, next: (reply as string[]).length > limit ? ids.at(-1)! : null }
    },

    /** Throws 404. */
    async delete(tenant: string, id: string): Promise<void> {
      const keys = agentKeys(tenant, id)
      const replies = await redis.wave(
        [
          due.by(tenant, id, clock.now() + LIST_MS),
          {
            script: deleteAgentScript,
            keys: [keys.agent, keys.memory, keys.steps, keys.inbox, keys.calls, keys.outbox],
            args: [TOMBSTONE_MS],
          },
        ],
        IN_ORDER,
      )
      for (const reply of replies) if (reply instanceof Error) throw reply
      if (replies[1] === 0) throw unknownAgent(id)
      await agents.tidy(tenant, id)
    },

    /** What a deleted agent leaves behind. May be repeated. */
    async tidy(tenant: string, id: string): Promise<void> {
      if (await agents.exists(tenant, id)) return // made anew meanwhile
      await tasks.dismiss(tenant, id)
      await forgetAll(tenant, id)
      await send(redis, ['ZREM', agentIdsKey(tenant), id], SLOW)
    },

    /** The journal, the oldest first; steps after `after`. */
    async steps(tenant: string, id: string, { after = 0, limit }: { after?: number; limit: number }) {
      if (!(await agents.exists(tenant, id))) throw unknownAgent(id)
      const { steps } = agentKeys(tenant, id)
      const data: StepRecord[] = []
      for (let from = '-'; data.length < limit; ) {
        const reply = (await send(redis, ['XRANGE', steps, from, '+', 'COUNT', limit], SLOW)) as StreamReply
        data.push(...readSteps(reply).filter(({ step }) => step > after))
        if (reply.length < limit) break
        from = `(${reply.at(-1)![0]}`
      }
      return data.slice(0, limit)
    },

    /** Into its inbox; whoever is free takes it up. Throws 429 `inbox_full`. */
    async receive(tenant: string, id: string, message: InboxMessage): Promise<'new' | 'known' | 'missing'> {
      const keys = agentKeys(tenant, id)
      const replies = await redis.wave(
        [
          due.atOnce(tenant, id),
          {
            script: deliverMessageScript,
            keys: [keys.agent, keys.inbox, keys.seen(message.id)],
            args: [JSON.stringify({ ...message, traceparent: traceparentNow() }), SEEN_MS, MOST_MESSAGES],
          },
        ],
        IN_ORDER,
      )
      for (const reply of replies) if (reply instanceof Error) throw reply
      if (replies[1] === -2) throw inboxFull(id)
      if (replies[1] === -1) return 'missing'
      await due.now(tenant, id)
      return replies[1] === 1 ? 'new' : 'known'
    },

    /** `receive`, for whoever sends it again until it is there. False: there is no such agent. */
    async deliver(tenant: string, id: string, message: InboxMessage): Promise<boolean> {
      return (await agents.receive(tenant, id, message)) !== 'missing'
    },

    /** In hand, in the inbox, or on its way back. */
    async hasTask(tenant: string, id: string, { id: task, attempt }: TaskRef): Promise<boolean> {
      const keys = agentKeys(tenant, id)
      const [fields, inbox, outbox] = await redis.wave(
        [
          ['HMGET', keys.agent, 'made', 'deleted', 'task'],
          ['XRANGE', keys.inbox, '-', '+'],
          ['XLEN', keys.outbox],
        ],
        SLOW,
      )
      for (const reply of [fields, inbox, outbox]) if (reply instanceof Error) throw reply
      const [made, deleted, inHand] = fields as (string | null)[]
      if ((outbox as number) > 0) return true
      if (made === null || deleted !== null) return false
      if (inHand === `${task}/${attempt}`) return true
      return readInbox(inbox as StreamReply).some(
        (one) => one.task?.id === task && one.task.attempt === attempt,
      )
    },
  }
  return agents

  async function find(tenant: string, id: string): Promise<AgentRecord | undefined> {
    return readAgent((await send(redis, ['HGETALL', agentKeys(tenant, id).agent], SLOW)) as string[])
  }

  function show(id: string, record: AgentRecord): ShownAgent {
    const { settings, status, version, steps, state } = record
    const { run, waiting, task, error } = state
    return {
      id,
      ...settings,
      tools: tools.hide(settings.tools ?? []),
      status: record.claimedUntil > clock.now() ? 'running' : status,
      ...{ version, steps },
      ...(run && { run: toRun(run) }),
      ...(waiting && { waiting: showWaiting(waiting) }),
      ...(task && { task }),
      ...(error && { error }),
      created_at: record.createdAt,
      updated_at: record.updatedAt,
    }
  }
}

export type Agents = ReturnType<typeof createAgents>

const toRun = ({ started, ...run }: NonNullable<AgentState['run']>) => ({
  ...run,
  started_at: new Date(started).toISOString(),
})

/** Until somebody looks whether what was begun was finished. */
const LIST_MS = 10_000

export const unknownAgent = (id: string) =>
  new HubError({
    code: 'agent_not_found',
    status: 404,
    message: `There is no agent \`${id}\`. PUT /v1/agents/${id} makes one.`,
  })

const inboxFull = (id: string) =>
  new HubError({
    code: 'inbox_full',
    status: 429,
    message: `The inbox of \`${id}\` holds ${MOST_MESSAGES} messages: it takes no more until the agent has read some.`,
    retryAfterSeconds: 5,
  })
