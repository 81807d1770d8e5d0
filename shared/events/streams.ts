/** What `PUT /v1/events/{stream}` takes: how a stream is kept and who works on it. */
export interface StreamSettings {
  /** Who works on it; without one events are only kept for those who read them. */
  handler?: HandlerSettings
  /** Dotted path into the event (`subject`, `data.customer.id`) whose value keeps order. */
  key?: string
  /** JSON Schema of `data`. */
  schema?: object
  /** Events that may wait, before intake answers 429. Default 100,000. */
  max_lag?: number
  /** How long events stay readable after they were worked on, seconds. Default 86,400; without a handler, since they came. */
  retention_seconds?: number
  /** How long results stay. Default 86,400. */
  result_ttl_seconds?: number
  /** For how long an event with the same source and id is a duplicate. Default 86,400. */
  dedupe_seconds?: number
  retry?: { attempts?: number; first_seconds?: number; longest_seconds?: number }
}

/** Names one of the table in `handlers.ts`; the other fields are that handler's own. */
export interface HandlerSettings {
  type: string
  [field: string]: unknown
}

/** A tenant's streams. A stream without settings is one with the defaults: events may be sent to any name. */
export interface Streams {
  /** Remembered for a second. */
  settings(tenant: string, stream: string): Promise<StreamSettings>
  put(tenant: string, stream: string, settings: StreamSettings): Promise<void>
  delete(tenant: string, stream: string): Promise<void>
  list(tenant: string): Promise<Record<string, StreamSettings>>
  /** Streams of all tenants that have a handler: what a runner works on. */
  handled(): Promise<{ tenant: string; stream: string }[]>
}
