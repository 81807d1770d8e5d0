import type { HubEvent } from './event.ts'

/** What a sender gives; the hub fills in what is missing. */
export type NewEvent = Partial<HubEvent> & { [extension: string]: unknown }

export interface Accepted {
  accepted: number
  /** Seen before, by source and id: not stored again. */
  duplicates: number
  /** In the order that they came in. */
  events: { id: string; result_id: string }[]
}

export interface Intake {
  /**
   * Stores all of them or none: one wave. Resolves once Redis has them, and wakes who works on the stream.
   *
   * Errors: 400 `invalid_event`, 422 `schema_violation` with the path in `param`, 413, 429 `stream_full` with `Retry-After`, 503.
   */
  accept(
    tenant: string,
    stream: string,
    events: readonly NewEvent[],
    defer: (work: Promise<unknown>) => void,
  ): Promise<Accepted>
}
