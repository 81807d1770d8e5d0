import { createParser } from 'eventsource-parser'
import { type Envelope, HubRequestError } from './hub-request-error.ts'
import { backOff, type Request, type Route, type Send } from './request.ts'
import { sleep } from './sleep.ts'

export interface HubEvent {
  /** `message` where the hub names none. `gap`: what came in between is no longer kept. */
  type: string
  /** Of JSON what it says, else the text. */
  data: unknown
  /** What to go on after: `lastEventId` of another `follow`. */
  id: string | undefined
}

export interface FollowSettings {
  /** Ends it, without an error. */
  signal?: AbortSignal
  headers?: Record<string, string>
  /** What comes after that; what comes from now on by default. */
  lastEventId?: string
  /** In place of a key, for browsers: one of `POST /v1/realtime-tokens`, asked for at each connection. Undefined ends it: nobody is logged in. */
  token?: () => string | undefined | Promise<string | undefined>
  /** The hub says something every 15 s. After so long a silence the connection is taken for dead; default 45,000. */
  silenceMs?: number
  /** Told of each failure that another connection follows. */
  onError?: (error: HubRequestError) => void
}

/** What one connection leaves to the next. */
interface State {
  lastId: string | undefined
  /** As the hub says. */
  retryMs: number
}

/** Events of a stream, also past the end of a connection: the next one goes on where the last one ended, and nothing is missed. */
export async function* follow(
  send: Send,
  route: Route,
  request: Request & FollowSettings,
): AsyncGenerator<HubEvent, void, undefined> {
  const { signal, lastEventId, token, onError } = request
  const state: State = { lastId: lastEventId, retryMs: 1_000 }
  for (let failures = 0; !signal?.aborted; failures++) {
    try {
      const given = token && (await (async () => token())().catch(noToken))
      if (token && given === undefined) return
      const response = await send(route, connection(request, state.lastId, given), (response) => response)
      for await (const event of eventsOf(response, request, state)) {
        if (event.type === 'end') throw fromEnd(event.data)
        failures = 0
        yield event
      }
    } catch (error) {
      if (signal?.aborted) return
      if (
        !(error instanceof HubRequestError) ||
        !(error.mayPass || (token && error.code === 'token_expired'))
      )
        throw error
      onError?.(error)
    }
    // The hub spreads the first return itself.
    const wait = failures === 0 ? state.retryMs : Math.max(state.retryMs, backOff(failures))
    await sleep(wait, signal).catch(() => {})
  }
}

/** A browser asks another site's leave for headers of one's own: with a token there are none. */
function connection(request: Request & FollowSettings, lastId?: string, token?: string): Request {
  const { path, query, headers, timeoutMs, signal } = request
  const settings = { path, timeoutMs, signal, retries: 0 }
  if (token !== undefined) return { ...settings, query: { ...query, token, last_event_id: lastId } }
  const accept = { accept: 'text/event-stream', ...headers }
  return {
    ...settings,
    query,
    headers: lastId === undefined ? accept : { ...accept, 'last-event-id': lastId },
  }
}

/** Events of one reply, without another connection after it. */
export const readEvents = (response: Response, settings: FollowSettings = {}) =>
  eventsOf(response, settings, { lastId: undefined, retryMs: 0 })

/** Events of one connection. Throws `stream_silent`, or `unreachable` where it was cut. */
async function* eventsOf(
  { body, headers }: Response,
  { silenceMs = 45_000, signal }: FollowSettings,
  state: State,
): AsyncGenerator<HubEvent, void, undefined> {
  if (!body || !/^text\/event-stream\b/.test(headers.get('content-type') ?? ''))
    throw new TypeError('The reply is no stream of events.')
  const heard: HubEvent[] = []
  const parser = createParser({
    onId: (id) => {
      state.lastId = id
    },
    onRetry: (ms) => {
      state.retryMs = ms
    },
    onEvent: ({ event = 'message', data, id }) => heard.push({ type: event, data: parsed(data), id }),
  })
  const reader = body.getReader()
  const decoder = new TextDecoder()
  try {
    for (;;) {
      const { done, value } = await within(silenceMs, reader.read()).catch((cause) => {
        throw cause instanceof HubRequestError || signal?.aborted ? cause : cut(cause)
      })
      if (done) return
      parser.feed(decoder.decode(value, { stream: true }))
      yield* heard.splice(0)
    }
  } finally {
    reader.cancel().catch(() => {}) // over already, or left
  }
}

async function within<T>(ms: number, reading: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(silent(ms)), ms)
  })
  try {
    return await Promise.race([reading, silence])
  } finally {
    clearTimeout(timer)
  }
}

function parsed(data: string): unknown {
  try {
    return JSON.parse(data)
  } catch {
    return data
  }
}

const STATUS: Record<string, number> = { rate_limit_error: 429, server_error: 503 }

/** The hub's reason to end a stream; its type tells whether it passes. */
function fromEnd(data: unknown): HubRequestError {
  const { error } = Object(data) as Envelope
  const status = STATUS[error?.type ?? ''] ?? 400
  return new HubRequestError(error?.message ?? 'The hub ended the stream.', {
    ...{ code: error?.code ?? 'stream_ended', status, param: error?.param ?? undefined },
  })
}

const noToken = (cause: unknown): never => {
  throw new HubRequestError('There is no token to be had.', { code: 'no_token', cause })
}
const cut = (cause: unknown) => new HubRequestError('The stream was cut.', { code: 'unreachable', cause })
const silent = (ms: number) => new HubRequestError(`Nothing came for ${ms} ms.`, { code: 'stream_silent' })
