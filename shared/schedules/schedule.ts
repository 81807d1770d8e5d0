/** What `PUT /v1/schedules/{name}` takes. */
export interface Schedule {
  /** Five fields; in `time_zone`, UTC by default. */
  cron?: string
  /** IANA's name. */
  time_zone?: string
  /** Instead of `cron`. */
  every_seconds?: number
  source: EventSource | PullSource
  /** Where what was pulled goes. */
  target?: Target
  enabled: boolean
}

export type Target = { stream: string } | { index: string }

/** Sends one event each time: to a stream or an agent. */
export interface EventSource {
  type: 'event'
  stream?: string
  agent?: string
  /** Of the event; `hub.schedule` by default. */
  event_type?: string
  data?: unknown
}

export type PullSource = HttpJsonSource | RssSource | S3Source

interface CommonSource {
  /** Allows plain HTTP and addresses that are not public. */
  allow_private?: boolean
  /** Of one answer; 5 MiB by default. */
  max_bytes?: number
  /** Pages that one run reads; 20 by default. */
  max_pages?: number
  /** For one whole answer; 20 by default. */
  timeout_seconds?: number
  /** Of the events; `hub.pulled.<type>` by default. */
  event_type?: string
}

interface HttpSource extends CommonSource {
  url: string
  headers?: Record<string, string>
}

export interface HttpJsonSource extends HttpSource {
  type: 'http-json'
  /** Dotted path to the list; by default the body is the list. */
  items?: string
  /** Dotted paths in an item. Without an id it is a hash of the item. */
  id?: string
  time?: string
  /** What an index takes as the document's text; `text` by default. */
  text?: string
  /** Dotted path in the body to what leads to the next page; without it a `Link` header does. */
  next?: string
  /** Query parameter for what `next` found; without it that is a URL. */
  next_parameter?: string
  /** Asks for what is newer: the greatest value at `path` of all items so far is sent as the query parameter. */
  since?: { parameter: string; path: string }
}

export interface RssSource extends HttpSource {
  type: 'rss'
}

export interface S3Source extends CommonSource {
  type: 's3'
  /** Origin of the service; AWS's of the region by default. The bucket follows as the first part of the path. */
  endpoint?: string
  region?: string
  bucket: string
  prefix?: string
  access_key_id?: string
  secret_access_key?: string
  session_token?: string
  /** `changes`: every object that is new or has another ETag. `append`: only keys that sort after all earlier ones. */
  listing?: 'changes' | 'append'
  /** Puts the text of text objects up to so many bytes into the event. */
  fetch_content?: number
}

/** How a run went. */
export interface LastRun {
  /** For when it was planned, and when it began and ended: RFC 3339. */
  planned: string
  started: string
  finished: string
  status: 'ok' | 'failed'
  /** Of the target: taken in, and known already. */
  accepted: number
  duplicates: number
  /** What the target does not take, and will not: the first one says why. */
  refused: number
  first_refusal?: { id: string; message: string }
  /** There is more to read: it goes on at once. */
  more?: boolean
  error?: { code: string; message: string }
}

/** A schedule as it is shown. */
export interface ShownSchedule extends Schedule {
  name: string
  created_at: string
  updated_at: string
  /** RFC 3339; null where it is off. While it runs: when another one takes over if its runner is dead. */
  next_run: string | null
  last_run: LastRun | null
  last_error: { code: string; message: string; at: string } | null
  consecutive_failures: number
}

/** A schedule as Redis holds it. */
export interface StoredSchedule extends Schedule {
  /** Of this one, and of no other one that had its name. */
  made: string
  /** Whose it is: it runs in the name of that key. */
  key_id: string | null
  /** Headers and keys of the source that must not be read, as `Secrets` seals them. */
  sealed?: string
  created_at: string
  updated_at: string
}

/** What came of the runs, of the schedule that was `made` so. */
export interface ScheduleState {
  made: string
  failures: number
  last: LastRun
  last_error?: ShownSchedule['last_error']
}
