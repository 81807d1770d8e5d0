import { context, propagation, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import type { Chat } from '../../shared/ports/chat.ts'
import type { Embedder } from '../../shared/ports/embedder.ts'
import type { Outgoing } from '../../shared/ports/outgoing.ts'
import { errorType, inSpan, TRACER } from '../../shared/telemetry/trace-context.ts'
import { createAnswerReader, inputMessages } from './gen-ai.ts'

/** A span for each call of a model, by the semantic conventions of GenAI; what was said only where `captureContent` asks for it. */
export function createTracedChat(captureContent: boolean) {
  const tracer = trace.getTracer(TRACER)
  const made = new WeakMap<Chat, Chat>()

  /** The same for the same one: who compares them still can. */
  return function traced(chat: Chat): Chat {
    const known = made.get(chat)
    if (known) return known
    const one: Chat = { ...chat, call }
    made.set(chat, one)
    return one

    function call(...[target, request, options]: Parameters<Chat['call']>): AsyncIterableIterator<string> {
      const span = tracer.startSpan(`chat ${target.model}`, {
        kind: SpanKind.CLIENT,
        attributes: {
          'gen_ai.operation.name': 'chat',
          'gen_ai.provider.name': target.provider,
          'gen_ai.request.model': target.model,
          ...(request.stream && { 'gen_ai.request.stream': true }),
          ...numbersOf(request),
          ...(captureContent && { 'gen_ai.input.messages': inputMessages(request.messages) }),
        },
      })
      const within = trace.setSpan(context.active(), span)
      const pieces = context.with(within, () => chat.call(target, request, options))[Symbol.asyncIterator]()
      const reader = createAnswerReader(span, request.stream === true, captureContent)
      const end = createEnd(span, reader.end)
      return {
        [Symbol.asyncIterator]() {
          return this
        },
        async next() {
          try {
            const piece = await context.with(within, () => pieces.next())
            if (piece.done) end()
            else reader.read(piece.value)
            return piece
          } catch (error) {
            end(error)
            throw error
          }
        },
        async return() {
          end()
          await pieces.return?.()
          return { done: true, value: undefined }
        },
      }
    }
  }
}

/** A span for each call of an embedding model. */
export function tracedEmbedder(embedder: Embedder): Embedder {
  return {
    ...embedder,
    embed(target, inputs, options) {
      const attributes = {
        'gen_ai.operation.name': 'embeddings',
        'gen_ai.provider.name': target.provider,
        'gen_ai.request.model': target.model,
        'hub.embeddings.inputs': inputs.length,
      }
      return inSpan(`embeddings ${target.model}`, { kind: SpanKind.CLIENT, attributes }, async () => {
        const embedded = await embedder.embed(target, inputs, options)
        const { tokens, vectors } = embedded
        trace.getActiveSpan()?.setAttributes({
          ...(tokens !== undefined && { 'gen_ai.usage.input_tokens': tokens }),
          'gen_ai.embeddings.dimension.count': vectors[0]?.length ?? 0,
        })
        return embedded
      })
    },
  }
}

/**
 * A span for each call to an upstream, a handler, a webhook or a tool, which is told of the trace by `traceparent`. Of the URL it shows the
 * server alone: paths of webhooks are secrets.
 */
export function tracedOutgoing(outgoing: Outgoing): Outgoing {
  return {
    ...outgoing,
    async send(request) {
      if (!trace.getActiveSpan()) return outgoing.send(request)
      const { method, url } = request
      const attributes = {
        'http.request.method': method,
        'server.address': url.hostname,
        'server.port': Number(url.port) || (url.protocol === 'https:' ? 443 : 80),
        'url.scheme': url.protocol.slice(0, -1),
      }
      return inSpan(method, { kind: SpanKind.CLIENT, attributes }, async () => {
        const headers = new Headers(request.headers)
        propagation.inject(context.active(), headers, { set: (into, name, value) => into.set(name, value) })
        const response = await outgoing.send({ ...request, headers })
        const span = trace.getActiveSpan()
        span?.setAttribute('http.response.status_code', response.status)
        if (response.status >= 400) {
          span?.setAttribute('error.type', String(response.status)).setStatus({ code: SpanStatusCode.ERROR })
        }
        return response
      })
    },
  }
}

/** Ends it once. */
function createEnd(span: Span, before: () => void) {
  let isOver = false
  return (error?: unknown) => {
    if (isOver) return
    isOver = true
    before()
    if (error) span.setAttribute('error.type', errorType(error)).setStatus({ code: SpanStatusCode.ERROR })
    span.end()
  }
}

const NUMBERS = ['temperature', 'top_p', 'max_tokens', 'seed', 'frequency_penalty', 'presence_penalty']

const numbersOf = (request: Record<string, unknown>) =>
  Object.fromEntries(
    NUMBERS.flatMap((name) =>
      typeof request[name] === 'number' ? [[`gen_ai.request.${name}`, request[name]]] : [],
    ),
  )
