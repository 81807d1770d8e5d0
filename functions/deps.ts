import type { Admission, Caller, Claim } from '../shared/admission.ts'
import type { CompletionCache } from '../shared/completion-cache.ts'
import type { Completions } from '../shared/completions.ts'
import type { HubKeys } from '../shared/hub-keys.ts'
import type { Chat } from '../shared/ports/chat.ts'
import type { Clock } from '../shared/ports/clock.ts'
import type { Redis } from '../shared/ports/redis.ts'

/** What `infra/wire.ts` builds and every function picks from. */
export interface Deps {
  redis: Redis
  clock: Clock
  chat: Chat
  admission: Admission
  hubKeys: HubKeys
  complete: Completions
  completionCache: CompletionCache
  log: Log
  version: string
}

export interface Log {
  info(line: Record<string, unknown>): void
  error(line: Record<string, unknown>): void
}

/** Hono's types of every app here. */
export interface App {
  Bindings: {
    /** The rim keeps the runtime alive for it: waitUntil on Workers, finished before return on Lambda. */
    defer(work: Promise<unknown>): void
  }
  Variables: {
    requestId: string
    /** Set by `claimed`. */
    claim: Claim
    /** Set by `admitted`. */
    caller: Caller
  }
}
