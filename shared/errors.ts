import type { ErrorReply } from './ports/redis.ts'

export interface HubErrorOptions {
  /** OpenAI's machine-readable code, e.g. `model_not_found`. */
  code: string
  status: number
  /** What the caller reads. Names the thing and the way out; holds no secret. */
  message: string
  type?: string
  /** Path of the offending field, e.g. `messages[0].role`. */
  param?: string
  /** Seconds for `Retry-After`. */
  retryAfterSeconds?: number
  headers?: Record<string, string>
  /** It concerns this caller alone: who waits for the same answer is not refused with it. */
  personal?: boolean
  /** What the operator reads in the log. */
  cause?: unknown
}

/** An error with a public face: OpenAI's envelope and an HTTP status. */
export class HubError extends Error {
  override name = 'HubError'
  readonly code: string
  readonly status: number
  readonly type: string
  readonly param: string | null
  readonly headers: Record<string, string>
  /** Makes it again, in another process too. */
  readonly options: Omit<HubErrorOptions, 'cause'>

  constructor({ cause, ...options }: HubErrorOptions) {
    super(options.message, { cause })
    this.options = options
    this.code = options.code
    this.status = options.status
    this.type = options.type ?? typeOfStatus(options.status)
    this.param = options.param ?? null
    this.headers = { ...options.headers }
    if (options.retryAfterSeconds !== undefined) {
      this.headers['Retry-After'] = String(Math.max(1, Math.ceil(options.retryAfterSeconds)))
    }
  }

  toJSON() {
    return { error: { message: this.message, type: this.type, code: this.code, param: this.param } }
  }
}

/** Whatever was thrown, with a public face: what is not a `HubError` says no more than that it is the hub's own fault. */
export function toHubError(error: unknown, more: Pick<HubErrorOptions, 'personal'> = {}): HubError {
  if (error instanceof HubError) return error
  if (error instanceof RedisUnavailableError) {
    const message = 'Redis does not answer. Try again soon.'
    return new HubError({
      code: 'redis_unavailable',
      status: 503,
      message,
      retryAfterSeconds: 1,
      cause: error,
      ...more,
    })
  }
  const refusal = error instanceof RedisReplyError ? REFUSALS[error.code] : undefined
  if (refusal) {
    const message = `Redis ${refusal}. Try again when its operator has mended it.`
    return new HubError({
      code: 'redis_refuses',
      status: 503,
      message,
      retryAfterSeconds: 10,
      cause: error,
      ...more,
    })
  }
  return new HubError({
    code: 'internal_error',
    status: 500,
    message: 'Something failed inside the hub.',
    cause: error,
  })
}

/** Of a server that is there and takes no writes, or nothing yet: nothing was done. */
const REFUSALS: Record<string, string> = {
  OOM: 'is full and may evict nothing',
  MISCONF: 'cannot save to its disk, and takes no writes',
  NOREPLICAS: 'has too few replicas, and takes no writes',
  READONLY: 'is a replica, and takes no writes',
  LOADING: 'still loads its data',
}

/** Whether the same may succeed later: limits, servers that are away, and whatever nobody foresaw. */
export function mayPass(error: unknown): boolean {
  const { status } = toHubError(error)
  return status >= 500 || [408, 409, 425, 429].includes(status)
}

/** There is no connection to Redis, or it broke: a write that was on its way has an unknown outcome. */
export class RedisUnavailableError extends Error {
  override name = 'RedisUnavailableError'
}

/** The deadline passed first; the command may still run. */
export class RedisTimeoutError extends RedisUnavailableError {
  override name = 'RedisTimeoutError'
}

/** There was no connection to another server: nothing was sent, and all of it may be sent elsewhere. */
export class NeverSentError extends Error {
  override name = 'NeverSentError'
}

/** An error reply of the server. */
export class RedisReplyError extends Error implements ErrorReply {
  override name = 'RedisReplyError'
  /** First word of the reply where it is in capitals (`WRONGTYPE`, `NOSCRIPT`, …), else `ERR`. */
  readonly code: string

  constructor(message: string) {
    super(message)
    this.code = /^[A-Z][A-Z0-9_]+(?=\s|$)/.exec(message)?.[0] ?? 'ERR'
  }
}

function typeOfStatus(status: number): string {
  if (status === 401) return 'authentication_error'
  if (status === 403) return 'permission_error'
  if (status === 404) return 'not_found_error'
  if (status === 429) return 'rate_limit_error'
  return status < 500 ? 'invalid_request_error' : 'server_error'
}
