/** What the hub refused, or why it was not reached. */
export class HubRequestError extends Error {
  override name = 'HubRequestError'
  /** The hub's own, such as `lock_held`; else `unreachable`, `timeout`, `stream_silent`. */
  readonly code: string
  /** HTTP status; 0 where there is no answer. */
  readonly status: number
  /** Path of what was wrong, e.g. `documents[3].text`. */
  readonly param: string | undefined
  /** Finds the request in the hub's log. */
  readonly requestId: string | undefined
  /** When to ask again, where the hub said it. */
  readonly retryAfterMs: number | undefined

  constructor(message: string, about: Partial<HubRequestError> & { code: string }) {
    super(message, { cause: about.cause })
    this.code = about.code
    this.status = about.status ?? 0
    this.param = about.param
    this.requestId = about.requestId
    this.retryAfterMs = about.retryAfterMs
  }

  /** Whether the same may succeed later: busy, or away. Whether it is safe to repeat is another question. */
  get mayPass(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500
  }
}

/** OpenAI's envelope, as every route has it and the last event of a stream. */
export interface Envelope {
  error?: { message?: string; code?: string; type?: string; param?: string | null }
}

/** Reads the body. */
export async function fromResponse(response: Response): Promise<HubRequestError> {
  const text = await response.text().catch(() => '')
  const { error = {} } = parse(text)
  const after = Number(response.headers.get('retry-after') ?? Number.NaN)
  return new HubRequestError(error.message ?? `The hub answered ${response.status}.`, {
    code: error.code ?? `http_${response.status}`,
    status: response.status,
    param: error.param ?? undefined,
    requestId: response.headers.get('x-request-id') ?? undefined,
    retryAfterMs: Number.isFinite(after) ? after * 1000 : undefined,
  })
}

function parse(text: string): Envelope {
  try {
    return JSON.parse(text) ?? {}
  } catch {
    return {} // of a proxy in between
  }
}
