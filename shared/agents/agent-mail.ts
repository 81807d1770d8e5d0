import type { NewEvent } from '../events/intake.ts'
import type { InboxMessage } from './agent.ts'
import { type Agents, unknownAgent } from './agents.ts'

export interface AgentMailOptions {
  agents: Pick<Agents, 'receive'>
  /** A runtime that does not live on works on it now. */
  onSent(defer: (work: Promise<unknown>) => void): void
}

/** What others send to agents: people, webhooks, schedules, streams. */
export function createAgentMail({ agents, onSent }: AgentMailOptions) {
  const mail = {
    /** Resolves once Redis has it: whether it is new. Errors: 404 `agent_not_found`, 429 `inbox_full`. */
    async send(
      tenant: string,
      agent: string,
      message: InboxMessage,
      defer: (work: Promise<unknown>) => void,
    ): Promise<boolean> {
      const received = await agents.receive(tenant, agent, message)
      if (received === 'missing') throw unknownAgent(agent)
      onSent(defer)
      return received === 'new'
    },

    /** An event; the same source and id are one message. */
    sendEvent(
      tenant: string,
      agent: string,
      { id, source, type, data }: Pick<NewEvent, 'id' | 'source' | 'type' | 'data'>,
      defer: (work: Promise<unknown>) => void,
    ): Promise<boolean> {
      const from = source ?? '/'
      const message: InboxMessage = {
        id: `${from} ${id}`,
        type: 'event',
        from,
        event_type: type,
        data: data ?? null,
      }
      return mail.send(tenant, agent, message, defer)
    },
  }
  return mail
}

export type AgentMail = ReturnType<typeof createAgentMail>
