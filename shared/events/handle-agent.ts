import { z } from 'zod'
import type { AgentMail } from '../agents/agent-mail.ts'
import { NAME } from '../keys.ts'
import { toFailure } from './failure.ts'
import type { EventHandler, Handled } from './handlers.ts'

export interface AgentHandlerOptions {
  agentMail: Pick<AgentMail, 'sendEvent'>
}

const AgentSettings = z.strictObject({
  agent: z.string().regex(NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -'),
})
type AgentSettings = z.output<typeof AgentSettings>

/** Sends each event to an agent, which takes it up in a step of its own. Result: `{agent}`; what comes of it is in the agent's journal. */
export function createAgentHandler({ agentMail }: AgentHandlerOptions): EventHandler<AgentSettings> {
  return {
    settings: AgentSettings,
    batch: 16,
    calls: 4,
    async handle(events, { agent }, { tenant }) {
      const deferred: Promise<unknown>[] = []
      try {
        return await Promise.all(
          events.map(async ({ event }): Promise<Handled> => {
            try {
              await agentMail.sendEvent(tenant, agent, event, (work) => void deferred.push(work))
              return { result: { agent } }
            } catch (error) {
              return toFailure(error)
            }
          }),
        )
      } finally {
        await Promise.allSettled(deferred)
      }
    },
  }
}
