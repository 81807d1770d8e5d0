import { HubError } from '../errors.ts'
import type { Provider } from './providers.ts'

/** What the caller did: told as the provider told it. */
const ofTheCaller = new Set([400, 404, 409, 413, 422])
const overloaded = new Set([503, 529])

/** The public error for an HTTP status and body of a provider. `now` is for a `Retry-After` that is a date. */
export function toProviderError(
  provider: Provider,
  answer: { status: number; headers?: Headers; body: string; now: number },
): HubError {
  const { status, body } = answer
  const { name } = provider
  const said = read(provider, body)
  const cause = new Error(`${name} answered ${status}: ${said.message ?? '(no message)'}`)
  const retryAfterSeconds = answer.headers && retryAfter(answer.headers, answer.now)

  if (status === 401 || status === 403) {
    return new HubError({
      status: 502,
      code: 'provider_authentication_failed',
      message: `${name} refused the hub's credential: check ${provider.keyVariable ?? 'its key_env in HUB_PROVIDERS'}.`,
      cause,
    })
  }
  if (ofTheCaller.has(status) || status === 429) {
    const fallback = status === 429 ? 'rate_limit_exceeded' : 'provider_rejected'
    return new HubError({
      status,
      code: said.code ?? said.type ?? fallback,
      type: said.type,
      param: said.param,
      message: said.message ?? `${name} answered ${status}.`,
      retryAfterSeconds: status === 429 ? retryAfterSeconds : undefined,
      cause,
    })
  }
  return new HubError({
    status: overloaded.has(status) ? 503 : 502,
    code: 'provider_error',
    message: `${name} failed with ${status}${said.message ? `: ${said.message}` : '.'}`,
    retryAfterSeconds: overloaded.has(status) ? retryAfterSeconds : undefined,
    cause,
  })
}

/** The public error for an error object that came with status 200 or inside a stream. */
export function toLateError(provider: Provider, body: string, now: number): HubError {
  const { status } = read(provider, body)
  return toProviderError(provider, { status: status ?? 502, body, now })
}

interface Said {
  message?: string
  type?: string
  code?: string
  param?: string
  status?: number
}

/**
 * OpenAI's envelope, and what others send in its place: `{error: "…"}`, `[{error}]` (Google), `{message, type, code}`
 * (Mistral, vLLM), `{detail}`. A page of HTML says nothing.
 */
function read({ key }: Provider, body: string): Said {
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch {
    return {}
  }
  const outer = toRecord(Array.isArray(parsed) ? parsed[0] : parsed)
  const error = typeof outer.error === 'string' ? { message: outer.error } : toRecord(outer.error ?? outer)
  const detail = error.message ?? outer.message ?? outer.detail
  const message = typeof detail === 'string' || detail === undefined ? detail : JSON.stringify(detail)
  const status = Number(error.code)
  return {
    message: (key ? message?.replaceAll(key, '***') : message)?.slice(0, 2000),
    type: toText(error.type),
    code: toText(error.code) ?? toText(error.status),
    param: toText(error.param),
    status: status >= 400 && status < 600 ? status : undefined,
  }
}

/** Seconds, from `retry-after-ms` or from seconds or a date in `Retry-After` (RFC 9110, 10.2.3). */
function retryAfter(headers: Headers, now: number): number | undefined {
  const milliseconds = Number(headers.get('retry-after-ms') ?? Number.NaN)
  const value = headers.get('retry-after') ?? ''
  const seconds = milliseconds >= 0 ? milliseconds / 1000 : value === '' ? Number.NaN : Number(value)
  const wait = Number.isNaN(seconds) ? (Date.parse(value) - now) / 1000 : seconds
  return Number.isFinite(wait) ? wait : undefined
}

function toRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function toText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
