import { agentStep } from './agent-step.ts'
import { ask } from './ask.ts'
import { cacheComplete } from './cache-complete.ts'
import { embed } from './embed.ts'
import { face } from './face.ts'
import { features } from './features.ts'
import { gateway } from './gateway.ts'
import { infer } from './infer.ts'
import { ingestEvent } from './ingest-event.ts'
import { keys } from './keys.ts'
import { modelRoutes } from './model-routes.ts'
import { platform } from './platform.ts'
import { prompts } from './prompts.ts'
import { realtime } from './realtime.ts'
import { search } from './search.ts'
import { sessions } from './sessions.ts'
import { usage } from './usage.ts'

/** Every function that can be deployed, by the name that `FUNCTIONS` picks it with. */
export const table = {
  'cache-complete': cacheComplete,
  embed,
  search,
  ask,
  'agent-step': agentStep,
  'ingest-event': ingestEvent,
  infer,
  features,
  keys,
  'model-routes': modelRoutes,
  sessions,
  platform,
  prompts,
  usage,
  realtime,
  face,
  gateway,
}
