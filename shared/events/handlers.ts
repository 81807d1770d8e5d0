import type { z } from 'zod'
import type { HubEvent } from './event.ts'

export interface HandledEvent {
  event: HubEvent
  /** Of the result that it gets. */
  resultId: string
  /** Of the stream entry, the same when it comes again: entries came in the order of their ids. A queue's job has none. */
  entryId?: string
  /** From 1. */
  attempt: number
}

export interface HandlerContext {
  tenant: string
  stream: string
  signal: AbortSignal
}

/** How it went with one event: its result (JSON), or why there is none. */
export type Handled = { result: unknown } | { failed: unknown; permanent?: boolean; retryAfterMs?: number }

/**
 * Works on events of one stream. An event may come more than once; its result counts once. What it throws is the failure of all.
 */
export interface EventHandler<Settings = unknown> {
  /** Of its own fields in `HandlerSettings`. */
  settings: z.ZodType<Settings>
  /** Names of settings that are secret: sealed where they are kept, never shown. */
  secrets?: readonly string[]
  /** Events that one call takes. */
  batch: number
  /** Calls at the same time, in each process. Default 4. */
  concurrency?: number
  /** What one call costs where a runtime counts calls to other servers, Redis included. Default 0. */
  calls?: number
  handle(
    events: readonly HandledEvent[],
    settings: Settings,
    context: HandlerContext,
  ): Promise<readonly Handled[]>
}

/** By the name that streams choose it with. */
export type EventHandlers = Record<string, EventHandler>
