import type { EventHandlers } from '../shared/events/handlers.ts'
import type { Deps } from './deps.ts'

/**
 * A team's own handlers of events and jobs, by the name that a stream's or a job's `handler.type` chooses them with. This is the one
 * place where they are registered, for every runtime; what they need of the hub comes in as `deps`. `shared/events/handlers.ts` says what
 * a handler is: it may get an event twice, its result counts once; what it throws is tried again.
 *
 * @example
 * count: {
 *   settings: z.strictObject({ field: z.string() }),
 *   batch: 100,
 *   handle: async (events, { field }) => events.map(({ event }) => ({ result: { [field]: event.type } })),
 * },
 */
export const ownHandlers = (_deps: OwnHandlerDeps): EventHandlers => ({})

export type OwnHandlerDeps = Pick<
  Deps,
  'redis' | 'clock' | 'outgoing' | 'documents' | 'indexes' | 'search' | 'log'
>
