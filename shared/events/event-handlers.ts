import { z } from 'zod'
import { type AgentHandlerOptions, createAgentHandler } from './handle-agent.ts'
import { createEmbedHandler, type EmbedHandlerOptions } from './handle-embed.ts'
import { createFeaturesHandler, type FeaturesHandlerOptions } from './handle-features.ts'
import { createForwardHandler, type ForwardHandlerOptions } from './handle-forward.ts'
import { createHttpHandler, type HttpHandlerOptions } from './handle-http.ts'
import { createInferHandler, type InferHandlerOptions } from './handle-infer.ts'
import type { EventHandler, EventHandlers } from './handlers.ts'

export interface EventHandlersOptions
  extends HttpHandlerOptions,
    EmbedHandlerOptions,
    FeaturesHandlerOptions,
    ForwardHandlerOptions,
    InferHandlerOptions,
    AgentHandlerOptions {
  /** A team's own, by name; one of the hub's names replaces the hub's. */
  own?: EventHandlers
}

/** The table of handlers that streams and queues choose from. */
export function createEventHandlers({ own, ...options }: EventHandlersOptions): EventHandlers {
  return {
    store,
    http: createHttpHandler(options) as EventHandler,
    embed: createEmbedHandler(options) as EventHandler,
    forward: createForwardHandler(options) as EventHandler,
    features: createFeaturesHandler(options) as EventHandler,
    infer: createInferHandler(options) as EventHandler,
    'agent-step': createAgentHandler(options) as EventHandler,
    ...own,
  }
}

/** The result is the event. */
const store: EventHandler = {
  settings: z.strictObject({}),
  batch: 250,
  handle: async (events) => events.map(({ event }) => ({ result: event })),
}
