import { setTimeout as sleep } from 'node:timers/promises'
import { type HubEvent, readEvents } from '../client/events.ts'
import { fromResponse, HubRequestError } from '../client/hub-request-error.ts'
import { type CommandCall, numberOption, textOption, UsageError } from './command.ts'

export interface HubRequest {
  method?: string
  /** JSON, unless it is bytes, which go as they are. */
  body?: unknown
  headers?: Record<string, string>
  /** The deadline is that of the head: what follows is read as it comes. */
  stream?: boolean
  /** Besides Ctrl-C. */
  signal?: AbortSignal
}

const TIMEOUT_SECONDS = 300
/** Longest wait between two attempts. */
const LONGEST_WAIT_MS = 30_000
const ATTEMPTS = 8

/**
 * Speaks to a hub; waits and asks again where it is busy (429, 502, 503, 504) or was reached before, as often as `Retry-After` says
 * when. Throws `HubRequestError`.
 */
export function createHubClient(call: CommandCall) {
  const { signal } = call
  const base = baseOf(call)
  const key = keyOf(call)
  const timeoutMs = (numberOption(call, 'timeout') ?? TIMEOUT_SECONDS) * 1_000
  let reached = false

  async function send(path: string, request: HubRequest = {}): Promise<Response> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await attemptOnce(path, request)
      } catch (error) {
        if (!(error instanceof HubRequestError) || attempt >= ATTEMPTS) throw error
        const isAway = error.code === 'unreachable' && reached
        if (!isAway && ![429, 502, 503, 504].includes(error.status)) throw error
        const backOff = Math.min(500 * 2 ** (attempt - 1), LONGEST_WAIT_MS) * (0.5 + Math.random() / 2)
        const asked = Math.min(error.retryAfterMs ?? 0, LONGEST_WAIT_MS)
        await sleep(Math.max(backOff, asked), undefined, { signal })
      }
    }
  }

  async function attemptOnce(
    path: string,
    { method = 'GET', body, headers, stream, signal: own }: HubRequest,
  ) {
    const isBytes = body instanceof Uint8Array
    const deadline = new AbortController()
    const timer = setTimeout(() => deadline.abort(), timeoutMs)
    const left = own ? AbortSignal.any([signal, own]) : signal
    try {
      const response = await fetch(base + path, {
        method,
        signal: AbortSignal.any([left, deadline.signal]),
        headers: {
          ...(key && { authorization: `Bearer ${key}` }),
          ...(body !== undefined && !isBytes && { 'content-type': 'application/json' }),
          ...headers,
        },
        body: body === undefined ? undefined : isBytes ? (body as BodyInit) : JSON.stringify(body),
      })
      reached = true
      if (!response.ok) throw await fromResponse(response)
      // Read here, under the deadline.
      return stream || response.status === 204
        ? response
        : new Response(await response.arrayBuffer(), response)
    } catch (cause) {
      if (left.aborted || cause instanceof HubRequestError) throw cause
      if (deadline.signal.aborted)
        throw new HubRequestError(`${base} gave no answer within ${timeoutMs / 1_000} s.`, {
          code: 'timeout',
        })
      const reason = (cause as Error & { cause?: Error }).cause?.message || (cause as Error).message
      throw new HubRequestError(`There is no hub at ${base} (${reason}).`, { code: 'unreachable', cause })
    } finally {
      clearTimeout(timer)
    }
  }

  return {
    base,
    send,
    async json<T>(path: string, request?: HubRequest): Promise<T> {
      return (await send(path, request)).json() as Promise<T>
    },
    /** Of a streamed reply; an error event is thrown. */
    events: (response: Response) => throwing(readEvents(response, { signal, silenceMs: timeoutMs })),
  }
}

export type HubClient = ReturnType<typeof createHubClient>

export const keyOf = (call: CommandCall): string | undefined =>
  textOption(call, 'key') ?? (call.env.HUB_KEY || call.env.HUB_ADMIN_KEY || undefined)

/** Without a slash at its end. */
export function baseOf(call: CommandCall): string {
  const base = (textOption(call, 'url') ?? (call.env.HUB_URL || 'http://127.0.0.1:8787')).replace(/\/+$/, '')
  if (/^https?:$/.test(URL.parse(base)?.protocol ?? '')) return base
  throw new UsageError(`--url: ${base} is no URL. It looks like http://127.0.0.1:8787.`)
}

async function* throwing(events: AsyncGenerator<HubEvent>): AsyncGenerator<HubEvent> {
  for await (const event of events) {
    const { error } = Object(event.data) as { error?: { message: string; code: string; type?: string } }
    // The status went out before it failed.
    if (error) throw new HubRequestError(error.message, { code: error.code, status: 502 })
    yield event
  }
}

export interface IndexReply {
  dimensions: number
  embedding_model: string | null
}

/** Makes the index where it is missing; what is there stays as it is. */
export async function ensureIndex(
  hub: HubClient,
  name: string,
  settings: () => object,
): Promise<IndexReply & { created: boolean }> {
  const path = `/v1/indexes/${encodeURIComponent(name)}`
  try {
    return { ...(await hub.json<IndexReply>(path)), created: false }
  } catch (error) {
    if (!(error instanceof HubRequestError) || error.status !== 404) throw error
  }
  const body = settings()
  return { ...(await hub.json<IndexReply>(path, { method: 'PUT', body })), created: true }
}
