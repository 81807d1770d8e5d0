import { HubError } from '../errors.ts'
import { estimateInput, readTokenUsage } from '../metering/token-usage.ts'
import type { ChatRequest } from '../ports/chat.ts'

type StopReason = 'end_turn' | 'max_tokens' | 'stop_sequence' | 'tool_use' | 'refusal'

type MessageBlock =
  | { type: 'text'; text: string; citations: null }
  | { type: 'tool_use'; id: string; name: string; input: unknown }

export interface MessageUsage {
  input_tokens: number
  output_tokens: number
  cache_creation_input_tokens: number
  cache_read_input_tokens: number
}

/** Anthropic's message. */
export interface Message {
  id: string
  type: 'message'
  role: 'assistant'
  model: string
  content: MessageBlock[]
  stop_reason: StopReason | null
  stop_sequence: string | null
  stop_details: { type: 'refusal'; category: null; explanation: string | null } | null
  usage: MessageUsage
}

/** A choice of a `chat.completion`, or what its chunks said at their end. */
export interface Ending {
  finish_reason?: string | null
  /** vLLM's: the text that ended it. */
  stop_reason?: unknown
}

// biome-ignore lint/suspicious/noExplicitAny: a provider's JSON, read leniently
type Json = any

/** A `chat.completion` as Anthropic's message: its first choice. Throws 502 where a tool's arguments are not JSON. */
export function toMessage(response: string, request: ChatRequest): Message {
  const { id, model, choices, usage }: Json = JSON.parse(response)
  const choice = choices[0] ?? {}
  const { content, refusal, tool_calls: calls = [] } = choice.message ?? {}
  const said = [content, refusal].filter((text) => typeof text === 'string').join('')
  const head = toHead(id, model)
  const cutOff = choice.finish_reason === 'length'
  const uses = calls.flatMap((call: Json, i: number) => {
    const { id, name } = toolNameOf(call, head.id, i)
    const input = inputOf(call.function?.arguments, name, cutOff)
    return input === undefined ? [] : [{ type: 'tool_use' as const, id, name, input }]
  })
  const told = [said, ...calls.map((call: Json) => call.function?.arguments ?? '')].join('')
  return {
    ...head,
    content: [...(said ? [{ type: 'text' as const, text: said, citations: null }] : []), ...uses],
    ...toStop(choice, request, { called: uses.length > 0, refusal: refusal ?? undefined }),
    usage: toUsage(usage, request, told.length),
  }
}

/** What a message begins with. */
export function toHead(id: string, model: string): Message {
  return {
    id: `msg_${id.replace(/^(chatcmpl-|msg_)/, '') || crypto.randomUUID()}`,
    type: 'message',
    role: 'assistant',
    model,
    content: [],
    ...{ stop_reason: null, stop_sequence: null, stop_details: null },
    usage: {
      ...{ input_tokens: 0, output_tokens: 0 },
      ...{ cache_creation_input_tokens: 0, cache_read_input_tokens: 0 },
    },
  }
}

/** Some providers give their calls no id, and the result has to name one. */
export function toolNameOf(
  { id, function: tool }: { id?: string; function?: { name?: string } },
  message: string,
  index: number,
) {
  return { id: id || `toolu_${message.slice('msg_'.length)}_${index}`, name: tool?.name ?? '' }
}

/** Which of several stop sequences ended it, or whether one did, OpenAI's shape does not tell. */
export function toStop(
  { finish_reason: finish, stop_reason: text }: Ending,
  request: ChatRequest,
  { called, refusal }: { called: boolean; refusal?: string },
): Pick<Message, 'stop_reason' | 'stop_sequence' | 'stop_details'> {
  const none = { stop_sequence: null, stop_details: null }
  if (finish === 'content_filter' || refusal !== undefined) {
    const stop_details = { type: 'refusal' as const, category: null, explanation: refusal ?? null }
    return { ...none, stop_reason: 'refusal', stop_details }
  }
  if (finish === 'length') return { ...none, stop_reason: 'max_tokens' }
  if (called) return { ...none, stop_reason: 'tool_use' }
  if (typeof text === 'string' && (request.stop as string[] | undefined)?.includes(text)) {
    return { ...none, stop_reason: 'stop_sequence', stop_sequence: text }
  }
  return { ...none, stop_reason: 'end_turn' }
}

/** Of English, roughly. */
const CHARACTERS_A_TOKEN = 4

/** As the provider counted it, else by estimate. `characters`: what the model said. */
export function toUsage(usage: unknown, request: ChatRequest, characters: number): MessageUsage {
  const counted = readTokenUsage(usage)
  return {
    input_tokens: counted?.input ?? estimateInput(request),
    output_tokens: counted?.output ?? Math.ceil(characters / CHARACTERS_A_TOKEN),
    cache_creation_input_tokens: counted?.cacheWrite ?? 0,
    cache_read_input_tokens: counted?.cachedRead ?? 0,
  }
}

/** Nothing for a call that was cut off with the answer. */
function inputOf(text: string | undefined, name: string, cutOff: boolean): unknown {
  if (!text?.trim()) return {}
  try {
    return JSON.parse(text)
  } catch (cause) {
    if (cutOff) return undefined
    const message = `The model called the tool ${name} with what is not JSON. Ask again.`
    throw new HubError({ code: 'provider_bad_response', status: 502, message, cause })
  }
}
