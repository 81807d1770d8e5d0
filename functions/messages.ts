import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { readCacheDirectives } from '../shared/completions/cache-directives.ts'
import { toChunks } from '../shared/completions/completion-chunks.ts'
import type { Completed } from '../shared/completions/completions.ts'
import { readCompleted } from '../shared/completions/read-completed.ts'
import { toHubError } from '../shared/errors.ts'
import { createMessageEvents, type MessageEvent } from '../shared/messages/message-events.ts'
import { toMessagesFailure } from '../shared/messages/messages-failure.ts'
import { toChatRequest } from '../shared/messages/to-chat-request.ts'
import { toMessage } from '../shared/messages/to-message.ts'
import { estimateInput } from '../shared/metering/token-usage.ts'
import type { ChatRequest } from '../shared/ports/chat.ts'
import { headersOf, renderEvents } from './completion-reply.ts'
import type { App, Deps } from './deps.ts'
import { admitted, anyKeyHeader, claimed, json, replies } from './http.ts'
import { CountRequest, Message, MessagesRequest } from './messages-body.ts'

/** Anthropic's messages, over the same completions as OpenAI's shape: one cache, the same limits, routes and usage. */
export function messages({ complete, admission }: Pick<Deps, 'complete' | 'admission'>) {
  return new Hono<App>()
    .post(
      '/v1/messages',
      describeRoute({
        summary: 'Complete a chat in Anthropic’s shape, from the cache where it can be',
        responses: replies(200, 'The message, or SSE', Message),
      }),
      named,
      claimed(admission, anyKeyHeader),
      json(MessagesRequest, { remember: true }),
      async (c) => {
        const request = toChatRequest(c.req.valid('json'))
        const directives = readCacheDirectives((name) => c.req.header(name))
        const { claim, requestId } = c.var
        const call = { claim, request, directives, defer: c.env.defer, requestId }
        const completed = await complete({ ...call, endpoint: 'messages' })
        if (request.stream) return renderMessageEvents(c, completed, request)
        const response = await readCompleted(completed, c.req.raw.signal)
        return c.json(toMessage(response, request), 200, headersOf(completed, 'application/json'))
      },
    )
    .post(
      '/v1/messages/count_tokens',
      describeRoute({
        summary: 'Estimate the tokens of a request in Anthropic’s shape',
        responses: replies(200, 'Some 10 % off for text', z.object({ input_tokens: z.int() })),
      }),
      named,
      admitted(admission, 'cache-complete', anyKeyHeader),
      json(CountRequest),
      async (c) => c.json({ input_tokens: estimateInput(toChatRequest(c.req.valid('json'))) }),
    )
}

/** Anthropic's clients tell it to whom asks for help. */
const named: MiddlewareHandler<App> = (c, next) => {
  c.header('request-id', c.var.requestId)
  return next()
}

function renderMessageEvents(c: Context<App>, completed: Completed, request: ChatRequest) {
  const events = createMessageEvents(request)
  const read = async function* (signal: AbortSignal) {
    for await (const chunk of chunksOf(completed, signal)) {
      const made = [...events.push(chunk)].map(toText).join('')
      if (made) yield made
    }
    yield [...events.end()].map(toText).join('')
  }
  return renderEvents(c, headersOf(completed, 'text/event-stream; charset=utf-8'), read, (error) =>
    toText(toMessagesFailure(toHubError(error), c.var.requestId)),
  )
}

async function* chunksOf(completed: Completed, signal: AbortSignal): AsyncGenerator<string> {
  if (completed.kind === 'hit') return yield* toChunks(completed.entry.response, { includeUsage: true })
  for await (const { form, data } of completed.answer.read({ signal })) {
    if (form === 'chunk') yield data
    else yield* toChunks(data, { includeUsage: true })
  }
}

const toText = (event: MessageEvent) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`
