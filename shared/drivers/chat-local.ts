import { HubError } from '../errors.ts'
import type { Chat, ChatRequest } from '../ports/chat.ts'
import { answerFromSources } from './local-answer.ts'
import { type ToolCall, textOf, toToolCall } from './local-tools.ts'
import { minimalJson } from './minimal-json.ts'

const models = ['local', 'echo']
const free = { input: 0, cached: 0, output: 0 }
/** The same request gives the same bytes on any day, so the day is fixed: 2026-01-01. */
const created = 1_767_225_600

/**
 * The model that needs no key and no network, for first steps and tests: it repeats what it was told, calls the tools that
 * `@tool name {json}` lines of the instructions ask for, quotes the best sentences where it is given sources, and answers the
 * same request with the same bytes.
 * `local/echo` repeats the last user message and nothing else.
 */
export function createChatLocal(): Chat {
  return {
    resolve(model) {
      if (models.includes(model)) return { provider: 'local', model, scope: 'local', price: free }
      throw new HubError({
        status: 404,
        code: 'model_not_found',
        message: `There is no model local/${model}; there are ${models.map((known) => `local/${known}`).join(' and ')}.`,
        param: 'model',
      })
    },
    call: ({ model }, request, { signal }) => call(model, request, signal),
    models: () => models.map((model) => ({ id: `local/${model}`, provider: 'local', price: free })),
  }
}

async function* call(model: string, request: ChatRequest, signal: AbortSignal): AsyncGenerator<string, void> {
  signal.throwIfAborted()
  if (typeof request.n === 'number' && request.n > 1) throw onlyOne()
  const id = hash(JSON.stringify({ ...request, model, stream: undefined, stream_options: undefined }))
  const toolCall = model === 'echo' ? undefined : toToolCall(request, id)
  const pieces = toolCall ? [] : toPieces(model === 'echo' ? lastOf(request, 'user') : compose(request))
  const limit = request.max_completion_tokens ?? request.max_tokens
  const said = typeof limit === 'number' ? pieces.slice(0, limit) : pieces
  const reason = toolCall ? 'tool_calls' : said.length < pieces.length ? 'length' : 'stop'
  const usage = toUsage(request, toolCall ? toPieces(toolCall.function.arguments).length + 8 : said.length)

  if (!request.stream) {
    const message = { role: 'assistant', content: toolCall ? null : said.join(''), refusal: null }
    yield JSON.stringify({
      id: `chatcmpl-local-${id}`,
      object: 'chat.completion',
      created,
      model,
      choices: [
        {
          index: 0,
          message: toolCall ? { ...message, tool_calls: [toolCall] } : message,
          logprobs: null,
          finish_reason: reason,
        },
      ],
      usage,
    })
    return
  }

  const head = { id: `chatcmpl-local-${id}`, object: 'chat.completion.chunk', created, model }
  const chunk = (delta: object, finish: string | null = null) =>
    JSON.stringify({
      ...head,
      choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
      usage: null,
    })
  yield chunk({ role: 'assistant', content: toolCall ? null : '', refusal: null })
  for (const delta of toolCall ? toToolDeltas(toolCall) : said.map((content) => ({ content }))) {
    signal.throwIfAborted()
    yield chunk(delta)
  }
  yield chunk({}, reason)
  // Unasked too, as the other drivers ask for it: the hub counts tokens of every stream.
  yield JSON.stringify({ ...head, choices: [], usage })
}

function compose(request: ChatRequest): string {
  const format = request.response_format as { type?: string; json_schema?: { schema?: unknown } } | undefined
  const said = lastOf(request, 'user')
  if (format?.type === 'json_schema') return JSON.stringify(minimalJson(format.json_schema?.schema))
  if (format?.type === 'json_object') return JSON.stringify({ answer: said })
  const quoted = answerFromSources(said)
  if (quoted !== undefined) return quoted
  const results = toolResults(request)
  const told = results.length > 0 ? `The tools answered: ${results.join('; ')}. ` : ''
  return (
    "I am redis-ai-hub's local model: I only repeat. " +
    'For real answers set OPENAI_API_KEY, or the key of another provider, and name a model of it. ' +
    `${told}You said: ${said}`
  )
}

/** What came back since the user spoke last. */
function toolResults({ messages }: ChatRequest): string[] {
  const list = messages as readonly { role?: string; content?: unknown }[]
  const from = list.findLastIndex(({ role }) => role === 'user')
  return list.slice(from + 1).flatMap(({ role, content }) => (role === 'tool' ? [textOf(content)] : []))
}

function lastOf({ messages }: ChatRequest, wanted: string): string {
  const list = messages as readonly { role?: string; content?: unknown }[]
  return textOf(list.findLast(({ role }) => role === wanted)?.content)
}

/** Words with the space before them, long ones in parts: a piece is a chunk of the stream and counts as a token. */
function toPieces(text: string): string[] {
  return text.match(/\s*\S{1,24}|\s+/gu) ?? []
}

function toToolDeltas({ id, type, function: { name, arguments: text } }: ToolCall): object[] {
  const first = { tool_calls: [{ index: 0, id, type, function: { name, arguments: '' } }] }
  return [
    first,
    ...toPieces(text).map((part) => ({ tool_calls: [{ index: 0, function: { arguments: part } }] })),
  ]
}

function toUsage({ messages, tools }: ChatRequest, completion: number) {
  const prompt = toPieces(JSON.stringify([messages, tools ?? []])).length + 3
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: 0 },
  }
}

/** FNV-1a (RFC 9923), twice with different starts: an id, not a fingerprint. */
function hash(text: string): string {
  let one = 0x811c9dc5
  let two = 0x9e3779b9
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    one = Math.imul(one ^ unit, 0x01000193)
    two = Math.imul(two ^ unit, 0x01000193)
  }
  return [one, two].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('')
}

function onlyOne() {
  return new HubError({
    status: 400,
    code: 'unsupported_value',
    message: 'The local model gives one choice: leave n out, or name a model of a provider.',
    param: 'n',
  })
}
