import { createHash } from 'node:crypto'
import type { OpenAI } from 'openai'
import { HubError } from '../errors.ts'
import type { Clock } from '../ports/clock.ts'
import { readText, TooLargeError } from './provider-body.ts'
import { toProviderError } from './provider-error.ts'
import type { Provider } from './providers.ts'
import type { Silence } from './silence.ts'

const maxErrorBytes = 64 * 1024

export interface OpenAIClientOptions {
  fetch?: typeof globalThis.fetch
  silenceMs: number
  clock: Clock
}

/**
 * The `openai` package, for one provider. It takes 100 ms to load, so the first call does it. Everything that it would
 * otherwise take from process.env is set: that belongs to OpenAI, not to each provider.
 *
 * Errors: a refusal is thrown with the `HubError` as its cause.
 */
export async function createOpenAIClient(
  provider: Provider,
  { fetch, silenceMs, clock }: OpenAIClientOptions,
): Promise<OpenAI> {
  const { AzureOpenAI, OpenAI } = await import('openai')
  const options = {
    baseURL: provider.baseUrl,
    apiKey: provider.key ?? 'none',
    adminAPIKey: null,
    organization: null,
    project: null,
    webhookSecret: null,
    defaultHeaders: { ...(provider.key ? {} : { Authorization: null }), ...provider.headers },
    maxRetries: 0,
    // Ours fires first.
    timeout: Math.min(2 ** 31 - 1, Math.ceil(silenceMs) * 2),
    logLevel: 'off' as const,
    fetch: checkedFetch,
  }
  return provider.dialect === 'azure'
    ? new AzureOpenAI({ ...options, apiVersion: provider.apiVersion })
    : new OpenAI(options)

  /** The package reads the body of a refusal without bound and loses shapes that are not OpenAI's. */
  async function checkedFetch(url: string | URL | Request, init?: RequestInit): Promise<Response> {
    const response = await (fetch ?? globalThis.fetch)(url, init)
    if (response.ok) return response
    const { status, headers } = response
    const body = await readText(response, { maxBytes: maxErrorBytes, cut: true })
    throw toProviderError(provider, { status, headers, body, now: clock.now() })
  }
}

/** Fingerprint of address and credential: what was bought with one is not served under another. */
export const scopeOf = ({ baseUrl, key }: Provider) =>
  createHash('sha256')
    .update(`${baseUrl}\n${key ?? ''}`)
    .digest('hex')
    .slice(0, 16)

/** Throws where the provider cannot be called, or no model of it was named. */
export function checkCallable({ name, missing }: Provider, model: string): void {
  if (missing.length > 0) {
    throw new HubError({
      status: 400,
      code: 'provider_not_configured',
      message: `${name} is not configured: set ${missing.join(' and ')}.`,
      param: 'model',
    })
  }
  if (model !== '') return
  throw new HubError({
    status: 404,
    code: 'model_not_found',
    message: `Name a model of ${name}, as in ${name}/<model>.`,
    param: 'model',
  })
}

/** The public error of a call that failed; `otherwise` for what is none of the provider's own refusals. */
export function toCallError(
  error: unknown,
  { name, silence, silenceMs }: { name: string; silence: Silence; silenceMs: number },
  otherwise = (cause: unknown) =>
    new HubError({ status: 502, code: 'provider_unreachable', message: `${name} cannot be reached.`, cause }),
): HubError {
  const cause = error instanceof Error && error.cause instanceof HubError ? error.cause : error
  if (cause instanceof HubError) return cause
  if (silence.ended === 'silent') {
    const message = `${name} was silent for ${silenceMs / 1000} s.`
    return new HubError({ status: 504, code: 'provider_timeout', message, cause })
  }
  return cause instanceof TooLargeError ? badResponse(name, `sent ${cause.message}`) : otherwise(cause)
}

/** The provider answered, but not what it should. */
export const badResponse = (name: string, what: string, cause?: unknown) =>
  new HubError({ status: 502, code: 'provider_bad_response', message: `${name} ${what}.`, cause })

export function toAbortError({ reason }: AbortSignal): Error {
  return reason instanceof Error ? reason : new DOMException('The caller aborted the call.', 'AbortError')
}
