import type { OpenAI } from 'openai'
import { HubError } from '../errors.ts'
import type { Chat, ChatRequest, ChatTarget } from '../ports/chat.ts'
import type { Clock } from '../ports/clock.ts'
import {
  badResponse,
  checkCallable,
  createOpenAIClient,
  scopeOf,
  toAbortError,
  toCallError,
} from './openai-client.ts'
import { createEventReader, readText } from './provider-body.ts'
import { toLateError } from './provider-error.ts'
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
  { fetch, silenceMs = 60_000, clock = Date }: ChatOpenAIOptions = {},
): Chat {
  const { name, missing } = provider
  let client: OpenAI | undefined
  let scope: string | undefined

  async function* answer(body: object, streamed: boolean, silence: Silence, caller: AbortSignal) {
    let streaming = false
    let complete = false
    try {
      client ??= await createOpenAIClient(provider, { fetch, silenceMs, clock })
      silence.expect()
      const response = await client.post('/chat/completions', { body, signal: silence.signal }).asResponse()
      const isEvents = response.headers.get('content-type')?.startsWith('text/event-stream') ?? streamed
      if (!streamed || !isEvents) {
        const text = await readText(response, { maxBytes, silence })
        complete = true
        checkCompletion(text)
        if (streamed) throw badResponse(name, 'answered without a stream')
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
      throw toCallError(error, { name, silence, silenceMs }, streaming ? interrupted : undefined)
    } finally {
      silence.close()
      if (!complete) silence.leave()
    }
  }

  function checkCompletion(text: string) {
    let value: { choices?: unknown; error?: unknown } | null
    try {
      value = JSON.parse(text)
    } catch (cause) {
      throw badResponse(name, 'answered what is not JSON', cause)
    }
    if (Array.isArray(value?.choices)) return
    if (value?.error) throw toLateError(provider, text, clock.now())
    throw badResponse(name, 'answered without choices')
  }

  /** Inside a JSON string the quotes would be escaped, so only a key or a value can match. */
  function checkChunk(data: string) {
    if (data.includes('"error"')) {
      let value: { error?: unknown } | undefined
      try {
        value = JSON.parse(data)
      } catch (cause) {
        throw badResponse(name, 'sent a chunk that is not JSON', cause)
      }
      if (value?.error) throw toLateError(provider, data, clock.now())
    } else if (!/^\s*\{/.test(data)) {
      throw badResponse(name, 'sent a chunk that is not a JSON object')
    }
  }

  const interrupted = (cause?: unknown) =>
    new HubError({ status: 502, code: 'stream_interrupted', message: `${name} broke off its answer.`, cause })

  return {
    resolve(model) {
      checkCallable(provider, model)
      scope ??= scopeOf(provider)
      return { provider: name, model, scope, price: priceOf(provider, model) }
    },
    call(target, request, { signal }) {
      const streamed = request.stream === true
      const body = toBody(target, request, streamed, provider)
      const silence = createSilence(silenceMs, signal)
      return leavable(answer(body, streamed, silence, signal), silence)
    },
    models() {
      if (missing.length > 0) return []
      return [...provider.models].map(([model, price]) => ({ id: `${name}/${model}`, provider: name, price }))
    },
  }
}

/** `prompt` is the hub's own field; without a stream `stream_options` is an error at OpenAI. */
function toBody(
  target: ChatTarget,
  { max_completion_tokens: bound, ...request }: ChatRequest,
  streamed: boolean,
  { streamUsage, boundField }: Provider,
): object {
  const options =
    streamed && streamUsage ? { ...(request.stream_options as object), include_usage: true } : undefined
  return {
    [boundField ?? 'max_completion_tokens']: bound,
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
