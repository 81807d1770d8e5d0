/** A CloudEvent 1.0 (JSON format) as the hub keeps it; extension attributes lie beside the named ones. */
export interface HubEvent {
  specversion: '1.0'
  id: string
  source: string
  type: string
  /** RFC 3339; when the hub got it, where the sender does not say. */
  time: string
  subject?: string
  datacontenttype?: string
  dataschema?: string
  data?: unknown
  /** Instead of `data`, for bytes. */
  data_base64?: string
  [extension: string]: unknown
}

/** An entry of `events:<stream>`. */
export interface EventEntry {
  /** `HubEvent` as JSON. */
  event: string
  /** Of `result:<id>`: the same for the same source and id. */
  result: string
  /** Entries with the same key are handled one after the other. Absent: in any order. */
  key?: string
  /** W3C trace context: the event's own by CloudEvents' extension, else of the call that brought it. Absent: nobody traces it. */
  traceparent?: string
}
