import { z } from 'zod'
import { NAME } from '../keys.ts'
import { together } from './failure.ts'
import type { EventHandler } from './handlers.ts'
import type { Intake } from './intake.ts'

export interface ForwardHandlerOptions {
  intake: Pick<Intake, 'accept'>
}

const ForwardSettings = z.strictObject({
  stream: z.string().regex(NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -'),
})

/**
 * Sends each event on into another stream of the tenant. One that comes twice is a duplicate there, and so is one that comes back to
 * where it was: a circle of streams ends. Result: where it went, and its result there.
 */
export function createForwardHandler({
  intake,
}: ForwardHandlerOptions): EventHandler<z.output<typeof ForwardSettings>> {
  return {
    settings: ForwardSettings,
    batch: 100,
    calls: 4,
    async handle(events, { stream }, { tenant, signal }) {
      const deferred: Promise<unknown>[] = []
      const defer = (work: Promise<unknown>) => void deferred.push(work)
      try {
        return await together(events, signal, async (some) => {
          const sent = some.map(({ event }) => event)
          const accepted = await intake.accept(tenant, stream, sent, defer)
          return accepted.events.map(({ result_id }) => ({ result: { stream, result_id } }))
        })
      } finally {
        await Promise.allSettled(deferred)
      }
    },
  }
}
