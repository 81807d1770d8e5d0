/** One argument of a command. Bytes are sent as they are; a driver that cannot (REST) refuses what is not UTF-8. */
export type Argument = string | number | Uint8Array

export type Command = readonly [name: string, ...args: Argument[]]

/** A Lua script as `shared/scripts` holds it: called by SHA-1, sent whole when the server does not know it yet. */
export interface Script {
  name: string
  sha: string
  keyCount: number
  source: string
}

export interface ScriptCall {
  script: Script
  /** `script.keyCount` of them, all in one Cluster slot. */
  keys: readonly string[]
  args: readonly Argument[]
}

/** An error that the server replied, e.g. code `WRONGTYPE`. In a wave it is a value: one bad command hides no other reply. */
export interface ErrorReply extends Error {
  readonly code: string
}

/**
 * RESP2 shapes from every driver; every string is a `Uint8Array` when the call asked for `bytes`. An integer beyond 2^53
 * is an `ErrorReply`, not a rounded number.
 */
export type Reply = string | number | null | Uint8Array | ErrorReply | Reply[]

export interface CallOptions {
  /**
   * Ends the wait, not the command: a write that timed out has an unknown outcome. Milliseconds, default 250.
   */
  timeoutMs?: number
  /** Ends the wait at once; a command not yet written to the socket is withdrawn. */
  signal?: AbortSignal
  /** Every string comes back as `Uint8Array`, a status like `OK` too. */
  bytes?: boolean
  /** A replica may answer, as things were a moment ago: for reads whose caller said so. Default false: only the primary. */
  stale?: boolean
  /** On Cluster, commands without a key of their own (`SCAN`, `INFO`, `CLIENT ID`) go to the node that holds this key; else to any. */
  near?: string
  /**
   * On Cluster, a call goes out only when those before it that lie on other nodes were answered: for waves whose first call promises
   * that somebody looks after what the next one begins. Elsewhere they come in order anyway.
   */
  ordered?: boolean
}

export interface Subscription {
  close(): Promise<void>
}

/**
 * The port to Redis.
 *
 * Errors: `RedisTimeoutError` past the deadline; `RedisUnavailableError` when there is no connection, it broke, or the HTTP
 * request failed; `TypeError` for bytes that a REST driver cannot send; the signal's reason.
 */
export interface Redis {
  /**
   * Sends every call together and waits once. Not atomic; on Cluster it may touch several nodes. Replies come in the
   * calls' order, error replies as values.
   *
   * @example const [hit, record] = await redis.wave([['GET', key], ['HGET', 'keys', id]])
   */
  wave(calls: readonly (Command | ScriptCall)[], options?: CallOptions): Promise<Reply[]>
  /** Listens on its own connection; `timeoutMs` bounds its opening. Messages sent while it reconnects are lost: streams are truth, this is the wake-up. */
  subscribe(
    channel: string,
    onMessage: (message: string) => void,
    options?: Pick<CallOptions, 'timeoutMs' | 'signal'>,
  ): Promise<Subscription>
  /** For each primary a key that lies there, to be used as `near`; one where there is one server. */
  nodes(options?: Pick<CallOptions, 'timeoutMs' | 'signal'>): Promise<string[]>
  /** `push`: a subscription costs one shared connection. `poll`: it costs an HTTP request each, so followers poll. */
  readonly wakeUps: 'push' | 'poll'
  /** Whether it carries bytes that are not UTF-8. */
  readonly binary: boolean
  close(): Promise<void>
}
