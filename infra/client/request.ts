import { fromResponse, HubRequestError } from './hub-request-error.ts'
import { ONCE, type Routes } from './routes.generated.ts'
import { sleep } from './sleep.ts'

export type Route = keyof Routes

export interface CallSettings {
  /** Of the whole call with its repetitions; default 30,000. */
  timeoutMs?: number
  signal?: AbortSignal
  headers?: Record<string, string>
  /** Most repetitions; default 4. 0: none. */
  retries?: number
  /** The caller knows that the call may be repeated. By default: GET, PUT, DELETE, and what has an `Idempotency-Key`. */
  idempotent?: boolean
  /** In place of a made one, for routes that honour it: the same one also in another process is the same call. */
  idempotencyKey?: string
}

/** A call without its types. */
export interface Request extends CallSettings {
  path?: Record<string, string>
  query?: Record<string, unknown>
  /** Sent as JSON. */
  body?: unknown
  /** Sent as it is. */
  raw?: BodyInit
  contentType?: string
}

export interface SenderOptions {
  /** Such as `https://hub.example.com`. */
  baseUrl: string
  /** A hub key; none for what tokens open. */
  key?: string
  /** The runtime's own by default. */
  fetch?: typeof globalThis.fetch
  /** Default deadline of a call. */
  timeoutMs?: number
}

const BUSY = [429, 502, 503, 504]
const FIRST_WAIT_MS = 200
const LONGEST_WAIT_MS = 10_000

/** Sends calls; repeats what may be repeated while the hub is busy or away, until the deadline. */
export function createSender({
  baseUrl,
  key,
  fetch = globalThis.fetch,
  timeoutMs: usual = 30_000,
}: SenderOptions) {
  const base = baseUrl.replace(/\/+$/, '')
  if (!URL.canParse(base)) throw new TypeError(`baseUrl: ${baseUrl} is no URL.`)

  /** Resolves with the head of a good answer; `read` is under the deadline too. Throws `HubRequestError`, or the signal's reason. */
  return async function send<T>(
    route: Route,
    request: Request,
    read: (response: Response) => Promise<T> | T,
  ): Promise<T> {
    const { timeoutMs = usual, retries = 4, signal } = request
    const until = performance.now() + timeoutMs
    const { url, init, mayRepeat } = prepare(route, request)
    for (let attempt = 0; ; attempt++) {
      // Not AbortSignal.timeout: it would end a stream that is read on after this.
      const deadline = new AbortController()
      const timer = setTimeout(() => deadline.abort(), Math.max(0, until - performance.now()))
      let failure: HubRequestError
      try {
        const ends = signal ? AbortSignal.any([signal, deadline.signal]) : deadline.signal
        const response = await fetch(url, { ...init, signal: ends })
        if (response.ok) return await read(response)
        failure = await fromResponse(response)
      } catch (cause) {
        if (signal?.aborted) throw signal.reason
        failure = deadline.signal.aborted ? expired(route, timeoutMs) : unreachable(base, cause)
      } finally {
        clearTimeout(timer)
      }
      const { status, retryAfterMs = 0 } = failure
      // 429 was refused before anything was done; of any other failure nobody knows.
      const passes = status === 429 || (mayRepeat && (status === 0 || BUSY.includes(status)))
      const wait = Math.max(retryAfterMs, backOff(attempt))
      if (!passes || attempt >= retries || performance.now() + wait >= until) throw failure
      await sleep(wait, signal)
    }
  }

  function prepare(route: Route, request: Request) {
    const { path = {}, query = {}, body, raw, contentType, headers, idempotent, idempotencyKey } = request
    const [method = '', template = ''] = route.split(' ')
    const url = new URL(
      base + template.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(path[name] ?? '')),
    )
    for (const [name, value] of Object.entries(query)) append(url.searchParams, name, value)
    const once = ONCE.includes(route) ? (idempotencyKey ?? newKey()) : idempotencyKey
    const type = raw === undefined ? 'application/json' : contentType
    const init: RequestInit = {
      method,
      headers: {
        ...(key !== undefined && { authorization: `Bearer ${key}` }),
        ...((body !== undefined || raw !== undefined) && type !== undefined && { 'content-type': type }),
        ...(once !== undefined && { 'idempotency-key': once }),
        ...headers,
      },
      body: raw ?? (body === undefined ? undefined : JSON.stringify(body)),
      ...(raw instanceof ReadableStream && { duplex: 'half' }),
    }
    const repeatable = idempotent ?? (once !== undefined || ['GET', 'PUT', 'DELETE'].includes(method))
    return { url, init, mayRepeat: repeatable && !(raw instanceof ReadableStream) }
  }
}

export type Send = ReturnType<typeof createSender>

export const readJson = <T>(response: Response) => response.json() as Promise<T>

/** Doubles each time, and spreads: those who failed together do not come back together. */
export const backOff = (attempt: number, firstMs = FIRST_WAIT_MS) =>
  Math.min(firstMs * 2 ** attempt, LONGEST_WAIT_MS) * (0.5 + Math.random() / 2)

/** Not `crypto.randomUUID`: pages without HTTPS have none. */
export const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join(
    '',
  )

function append(params: URLSearchParams, name: string, value: unknown) {
  if (value === undefined) return
  if (Array.isArray(value)) for (const one of value) params.append(name, String(one))
  else if (typeof value === 'object' && value !== null)
    for (const [key, one] of Object.entries(value)) append(params, `${name}[${key}]`, one)
  else params.append(name, String(value))
}

const expired = (route: string, timeoutMs: number) =>
  new HubRequestError(`${route}: no answer within ${timeoutMs} ms. What it was to do may be done.`, {
    code: 'timeout',
  })

function unreachable(base: string, cause: unknown) {
  const { message, cause: reason } = cause as Error & { cause?: Error }
  const text = reason?.message || message
  return new HubRequestError(`There is no hub at ${base} (${text}).`, { code: 'unreachable', cause })
}
