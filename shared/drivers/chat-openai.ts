import { createHash } from 'node:crypto'
import type { OpenAI } from 'openai'
import { HubError } from '../errors.ts'
import type { Chat, ChatRequest, ChatTarget } from '../ports/chat.ts'
import type { Clock } from '../ports/clock.ts'
import { createEventReader, readText, TooLargeError } from './provider-body.ts'
import { toLateError, toProviderError } from './provider-error.ts'
import type { Provider } from './providers.ts'
import { createSilence, type Silence } from './silence.ts'

export interface ChatOpenAIOptions {
  fetch?: typeof globalThis.fetch
  /** Longest wait for the first byte and between two; default 60,000 ms. */
  silenceMs?: number
  clock?: Clock
}

/** A broken provider must not fill our memory: bound of a body, and of one line of a stream. */
const maxBytes = 16 * 1024 * 1024
const maxErrorBytes = 64 * 1024

/**
 * One provider that speaks OpenAI's chat completions; `resolve` takes the provider's own name of the model. What it sends
 * is passed on as text: a chunk is parsed only when it may be an error.
 *
 * Errors of `call`: the provider's own 4xx; `provider_unreachable`, `provider_authentication_failed`, `provider_error`,
 * `provider_bad_response`, `stream_interrupted` (502); `provider_error` (503); `provider_timeout` (504).
 *
 * @example createChatOpenAI(provider).call(target, { model, messages }, { signal })
 */
export function createChatOpenAI(
  provider: Provider,
  { fetch: send, silenceMs = 60_000, clock = Date }: ChatOpenAIOptions = {},
): Chat {
  const { name, missing } = provider
  let client: OpenAI | undefined
  let scope: string | undefined

  /** The package reads the body of a refusal without bound and loses shapes that are not OpenAI's. */
  async function checkedFetch(url: string | URL | Request, init?: RequestInit): Promise<Response> {
    const response = await (send ?? globalThis.fetch)(url, init)
    if (response.ok) return response
    const { status, headers } = response
    const body = await readText(response, { maxBytes: maxErrorBytes, cut: true })
    throw toProviderError(provider, { status, headers, body, now: clock.now() })
  }

  async function* answer(body: object, streamed: boolean, silence: Silence, caller: AbortSignal) {
    let streaming = false
    let complete = false
    try {
      client ??= await createClient(provider, checkedFetch, silenceMs)
      silence.expect()
      const response = await client.post('/chat/completions', { body, signal: silence.signal }).asResponse()
      const isEvents = response.headers.get('content-type')?.startsWith('text/event-stream') ?? streamed
      if (!streamed || !isEvents) {
        const text = await readText(response, { maxBytes, silence })
        complete = true
        checkCompletion(text)
        if (streamed) throw badResponse('answered without a stream')
        yield text
        return
      }
      streaming = true
      const events = createEventReader(response, { maxChars: maxBytes, silence })
      for (let batch = await events.read(); batch; batch = await events.read()) {
        for (const data of batch) {
          checkChunk(data)
          yield data
          silence.signal.throwIfAborted()
        }
      }
      complete = events.complete
      if (!complete) throw interrupted()
    } catch (error) {
      if (silence.ended === 'left') return
      if (silence.ended === 'aborted') throw toAbortError(caller)
      throw explain(error, silence, streaming)
    } finally {
      silence.close()
      if (!complete) silence.leave()
    }
  }

  function explain(error: unknown, silence: Silence, streaming: boolean): HubError {
    const cause = error instanceof Error && error.cause instanceof HubError ? error.cause : error
    if (cause instanceof HubError) return cause
    if (silence.ended === 'silent') {
      const message = `${name} was silent for ${silenceMs / 1000} s.`
      return new HubError({ status: 504, code: 'provider_timeout', message, cause })
    }
    if (cause instanceof TooLargeError) return badResponse(`sent ${cause.message}`)
    if (streaming) return interrupted(cause)
    return new HubError({
      status: 502,
      code: 'provider_unreachable',
      message: `${name} cannot be reached.`,
      cause,
    })
  }

  function checkCompletion(text: string) {
    let value: { choices?: unknown; error?: unknown } | null
    try {
      value = JSON.parse(text)
    } catch (cause) {
      throw badResponse('answered what is not JSON', cause)
    }
    if (Array.isArray(value?.choices)) return
    if (value?.error) throw toLateError(provider, text, clock.now())
    throw badResponse('answered without choices')
  }

  /** Inside a JSON string the quotes would be escaped, so only a key or a value can match. */
  function checkChunk(data: string) {
    if (data.includes('"error"')) {
      let value: { error?: unknown } | undefined
      try {
        value = JSON.parse(data)
      } catch (cause) {
        throw badResponse('sent a chunk that is not JSON', cause)
      }
      if (value?.error) throw toLateError(provider, data, clock.now())
    } else if (!/^\s*\{/.test(data)) {
      throw badResponse('sent a chunk that is not a JSON object')
    }
  }

  const interrupted = (cause?: unknown) =>
    new HubError({ status: 502, code: 'stream_interrupted', message: `${name} broke off its answer.`, cause })
  const badResponse = (what: string, cause?: unknown) =>
    new HubError({ status: 502, code: 'provider_bad_response', message: `${name} ${what}.`, cause })

  return {
    resolve(model) {
      if (missing.length > 0) throw notConfigured(provider)
      if (model === '') throw noModel(name)
      scope ??= createHash('sha256')
        .update(`${provider.baseUrl}\n${provider.key ?? ''}`)
        .digest('hex')
        .slice(0, 16)
      return { provider: name, model, scope, price: priceOf(provider, model) }
    },
    call(target, request, { signal }) {
      const streamed = request.stream === true
      const body = toBody(target, request, streamed, provider.streamUsage)
      const silence = createSilence(silenceMs, signal)
      return leavable(answer(body, streamed, silence, signal), silence)
    },
    models() {
      if (missing.length > 0) return []
      return [...provider.models].map(([model, price]) => ({ id: `${name}/${model}`, provider: name, price }))
    },
  }
}

/**
 * The package takes 100 ms to load, so the first call does it. Everything that it would otherwise take from process.env is
 * set: that belongs to OpenAI, not to each provider.
 */
async function createClient(
  provider: Provider,
  fetch: typeof globalThis.fetch,
  silenceMs: number,
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
    fetch,
  }
  return provider.dialect === 'azure'
    ? new AzureOpenAI({ ...options, apiVersion: provider.apiVersion })
    : new OpenAI(options)
}

/** `prompt` is the hub's own field; without a stream `stream_options` is an error at OpenAI. */
function toBody(target: ChatTarget, request: ChatRequest, streamed: boolean, streamUsage: boolean): object {
  const options =
    streamed && streamUsage ? { ...(request.stream_options as object), include_usage: true } : undefined
  return {
    ...request,
    model: target.model,
    prompt: undefined,
    stream: streamed || undefined,
    stream_options: options,
  }
}

/** `return()` of a bare generator waits for the pending `next()`; this one ends the provider's call first. */
function leavable(generator: AsyncGenerator<string, void>, silence: Silence): AsyncIterableIterator<string> {
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    next: () => generator.next(),
    return() {
      silence.leave()
      return generator.return()
    },
  }
}

/** A dated snapshot costs what its model costs, unless it has a price of its own. */
function priceOf({ models }: Provider, model: string) {
  return models.get(model) ?? models.get(model.replace(/-(\d{4}-\d{2}-\d{2}|\d{8})$/, ''))
}

function toAbortError({ reason }: AbortSignal): Error {
  return reason instanceof Error ? reason : new DOMException('The caller aborted the call.', 'AbortError')
}

function notConfigured({ name, missing }: Provider) {
  return new HubError({
    status: 400,
    code: 'provider_not_configured',
    message: `${name} is not configured: set ${missing.join(' and ')}.`,
    param: 'model',
  })
}

function noModel(name: string) {
  return new HubError({
    status: 404,
    code: 'model_not_found',
    message: `Name a model of ${name}, as in ${name}/<model>.`,
    param: 'model',
  })
}
