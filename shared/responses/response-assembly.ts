import type { HubError } from '../errors.ts'
import { type FileCitation, type Found, fileCitations } from './file-search.ts'
import type { FileSearchCall, KeptItem, ResponseRequest } from './response-schema.ts'

// biome-ignore lint/suspicious/noExplicitAny: a provider's JSON, read leniently
type Json = any

interface OutputMessage {
  type: 'message'
  id: string
  role: 'assistant'
  status: string
  content: OutputPart[]
}
type OutputPart =
  | { type: 'output_text'; text: string; annotations: FileCitation[]; logprobs: unknown[] }
  | { type: 'refusal'; refusal: string }
type OutputCall = Extract<KeptItem, { type: 'function_call' }> & { id: string }
type OutputItem = OutputMessage | OutputCall | (FileSearchCall & { id: string })

/** OpenAI's `response`. */
export interface ResponseObject {
  id: string
  object: 'response'
  status: 'in_progress' | 'completed' | 'incomplete' | 'failed'
  completed_at: number | null
  model: string
  output: OutputItem[]
  incomplete_details: { reason: string } | null
  error: { code: string; message: string } | null
  usage: object | null
  /** Whether it can be continued. */
  store: boolean
  [field: string]: unknown
}

/** One event: its fields are live and must be serialised at once. */
export type Tell = (type: string, fields: object) => void

/** A response that has not begun: what was asked, as OpenAI says it back. */
export function toResponse(id: string, request: ResponseRequest, nowMs: number): ResponseObject {
  const { instructions = null, max_output_tokens = null, metadata, previous_response_id = null } = request
  const { tools, tool_choice, text, reasoning, temperature = null, top_p = null, user, prompt } = request
  return {
    id,
    object: 'response',
    created_at: Math.floor(nowMs / 1000),
    status: 'in_progress',
    background: false,
    completed_at: null,
    error: null,
    incomplete_details: null,
    instructions,
    max_output_tokens,
    metadata: metadata ?? {},
    model: request.model,
    output: [],
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    previous_response_id,
    prompt: prompt ?? null,
    reasoning: { effort: reasoning?.effort ?? null, summary: null },
    store: request.store ?? true,
    temperature,
    text: { format: { type: 'text' }, ...text },
    tool_choice: tool_choice ?? 'auto',
    tools: (tools ?? []).map((tool) =>
      tool.type === 'function' ? { parameters: null, strict: null, ...tool } : tool,
    ),
    top_p,
    truncation: 'disabled',
    usage: null,
    user: user ?? null,
  }
}

/**
 * Fills in a response from the chunks of a chat completion, and tells each step in the order of OpenAI's events; the last one
 * (`response.completed` or `response.incomplete`) is its caller's to tell.
 *
 * @param found what files said, which comes first and is cited
 */
export function assembleResponse(response: ResponseObject, tell: Tell = () => {}, found?: Found) {
  const { output } = response
  const own = response.id.replace('resp_', '')
  const calls = new Map<unknown, number>()
  let latest: unknown = 0
  let messageAt: number | undefined
  let begun = false
  let reason: string | undefined

  return {
    /** @param chunk JSON text of a `chat.completion.chunk` */
    push(chunk: string) {
      const { model, usage, choices = [], service_tier: tier } = JSON.parse(chunk) as Json
      if (model) response.model = model
      if (tier) response.service_tier = tier
      if (usage) response.usage = toUsage(usage)
      begin()
      const choice = choices.find(({ index = 0 }: Json) => index === 0)
      if (!choice) return
      const { content, refusal, tool_calls: toolCalls } = choice.delta ?? {}
      if (typeof content === 'string' && content !== '') addText(content, choice.logprobs?.content ?? [])
      if (typeof refusal === 'string' && refusal !== '') addRefusal(refusal)
      for (const call of toolCalls ?? []) addCall(call)
      reason = choice.finish_reason ?? reason
    },

    end(nowMs: number) {
      begin()
      if (output.every(({ type }) => type === 'file_search_call')) partAt('output_text')
      const cut = CUT[reason ?? '']
      const status = cut ? 'incomplete' : 'completed'
      for (const [output_index, item] of output.entries()) {
        if (item.type === 'file_search_call') continue
        item.status = status
        if (item.type === 'message') endMessage(item, output_index)
        else {
          const { name, arguments: text, id: item_id } = item
          tell('response.function_call_arguments.done', { item_id, output_index, name, arguments: text })
        }
        tell('response.output_item.done', { output_index, item })
      }
      response.status = status
      if (cut) response.incomplete_details = { reason: cut }
      else response.completed_at = Math.floor(nowMs / 1000)
    },

    /** It broke off. What has come is not the whole response. */
    fail({ code, status, message, param }: HubError) {
      tell('error', { code, message, param })
      for (const item of output) if (item.status === 'in_progress') item.status = 'incomplete'
      response.status = 'failed'
      response.error = { code: status === 429 ? 'rate_limit_exceeded' : 'server_error', message }
      tell('response.failed', { response })
    },
  }

  function begin() {
    if (begun) return
    begun = true
    tell('response.created', { response })
    tell('response.in_progress', { response })
    if (found) addSearch(found)
  }

  function addSearch({ call, shown }: Found) {
    const id = `fs_${own}_0`
    const output_index = add({ ...call, id, status: 'in_progress', results: null })
    for (const step of ['in_progress', 'searching', 'completed']) {
      tell(`response.file_search_call.${step}`, { item_id: id, output_index })
    }
    output[output_index] = { ...call, id, results: shown ? call.results : null }
    tell('response.output_item.done', { output_index, item: output[output_index] })
  }

  function addText(delta: string, logprobs: unknown[]) {
    const { part, ...place } = partAt('output_text')
    part.text += delta
    part.logprobs.push(...logprobs)
    tell('response.output_text.delta', { ...place, delta, logprobs })
  }

  function addRefusal(delta: string) {
    const { part, ...place } = partAt('refusal')
    part.refusal += delta
    tell('response.refusal.delta', { ...place, delta })
  }

  /** The message's part of this type, begun where there is none yet. */
  function partAt<Type extends OutputPart['type']>(type: Type) {
    if (messageAt === undefined) {
      const id = `msg_${own}_${output.length}`
      messageAt = add({ type: 'message', id, role: 'assistant', status: 'in_progress', content: [] })
    }
    const item = output[messageAt] as OutputMessage
    const place = (content_index: number) => ({ item_id: item.id, output_index: messageAt!, content_index })
    let at = item.content.findIndex((part) => part.type === type)
    if (at < 0) {
      at = item.content.length
      const part: OutputPart =
        type === 'refusal'
          ? { type, refusal: '' }
          : { type: 'output_text', text: '', annotations: [], logprobs: [] }
      tell('response.content_part.added', { ...place(at), part })
      item.content.push(part)
    }
    return { ...place(at), part: item.content[at] as Extract<OutputPart, { type: Type }> }
  }

  function addCall({ index, id, function: called }: Json) {
    const key = index ?? id ?? latest // some providers do not number them
    latest = key
    let output_index = calls.get(key)
    if (output_index === undefined) {
      const itemId = `fc_${own}_${output.length}`
      const call_id = id || `call_${own}_${output.length}`
      const name = called?.name ?? ''
      const status = 'in_progress'
      output_index = add({ type: 'function_call', id: itemId, call_id, name, arguments: '', status })
      calls.set(key, output_index)
    }
    const item = output[output_index] as Extract<OutputItem, { type: 'function_call' }>
    if (called?.name) item.name = called.name
    const delta = called?.arguments
    if (!delta) return
    item.arguments += delta
    tell('response.function_call_arguments.delta', { item_id: item.id, output_index, delta })
  }

  function add(item: OutputItem): number {
    const output_index = output.push(item) - 1
    tell('response.output_item.added', { output_index, item })
    return output_index
  }

  function endMessage({ id: item_id, content }: OutputMessage, output_index: number) {
    for (const [content_index, part] of content.entries()) {
      const place = { item_id, output_index, content_index }
      if (part.type === 'refusal') tell('response.refusal.done', { ...place, refusal: part.refusal })
      else {
        if (found) part.annotations = fileCitations(part.text, found)
        for (const [annotation_index, annotation] of part.annotations.entries()) {
          tell('response.output_text.annotation.added', { ...place, annotation_index, annotation })
        }
        tell('response.output_text.done', { ...place, text: part.text, logprobs: part.logprobs })
      }
      tell('response.content_part.done', { ...place, part })
    }
  }
}

/** Finish reasons of a chat completion that is not whole. */
const CUT: Record<string, string> = { length: 'max_output_tokens', content_filter: 'content_filter' }

function toUsage(usage: Json) {
  const { prompt_tokens: input = 0, completion_tokens: output = 0 } = usage
  const { cached_tokens = 0, cache_write_tokens = 0 } = usage.prompt_tokens_details ?? {}
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: cached_tokens ?? 0, cache_write_tokens: cache_write_tokens ?? 0 },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: usage.completion_tokens_details?.reasoning_tokens ?? 0 },
    total_tokens: usage.total_tokens ?? input + output,
  }
}
