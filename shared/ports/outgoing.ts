export interface OutgoingRequest {
  url: URL
  method: string
  /** As they are to be sent, without `Host`; `Content-Length` where the body's length is known. */
  headers: Headers
  body: ReadableStream<Uint8Array> | null
  /** Plain HTTP and addresses that are not public. */
  allowPrivate: boolean
  /** The caller left. */
  signal: AbortSignal
}

export interface OutgoingResponse {
  status: number
  headers: Headers
  /** Breaks, and never just ends, when the connection is cut or silent; leaving it ends the call. Null where none can be. */
  body: ReadableStream<Uint8Array> | null
  /** Length or chunks tell where the body ends. Without them a cut looks like an end. */
  framed: boolean
}

/** The port to other HTTP servers. Redirects are answers like any other. */
export interface Outgoing {
  /**
   * Resolves with the head of the answer.
   *
   * Errors: `HubError` `upstream_unreachable` (502; its cause is a `NeverSentError` where it is known that nothing was sent and the body
   * was not touched), `upstream_timeout` (504), `upstream_refused` (502), `client_closed`
   * (499).
   */
  send(request: OutgoingRequest): Promise<OutgoingResponse>
  /** Throws `upstream_refused` for a URL that needs no look-up to be refused: plain HTTP, a private address, a local name. */
  check(url: URL, allowPrivate: boolean): void
}
