export interface RealtimeMessage {
  /** Stream id: what `Last-Event-ID` names. */
  id: string
  /** JSON. */
  data: string
  type?: string
}

/** Channels: a pub/sub channel for those who listen now, and the stream behind it for those who come later. */
export interface Realtime {
  /** XADD and PUBLISH in one script. Returns the message's id. */
  publish(tenant: string, channel: string, message: { data: unknown; type?: string }): Promise<string>
}
