import type { CompletionRequest } from '../completions/completion-look.ts'
import { HubError } from '../errors.ts'
import type { PromptReference } from '../prompts/prompts.ts'
import type { FunctionTool, KeptItem, Part, ResponseRequest } from './response-schema.ts'

/**
 * The chat completion that answers a request: the same for what asks the same, so that they share a cache entry.
 *
 * @param earlier the conversation that the request goes on from
 * @param input the request's own items, references resolved
 */
export function toCompletionRequest(
  request: ResponseRequest,
  earlier: readonly KeptItem[],
  input: readonly KeptItem[],
): CompletionRequest {
  const { instructions, store, previous_response_id, metadata, truncation, include, ...own } = request
  const { background, conversation, max_tool_calls, stream_options, ...others } = own
  const { tools, tool_choice, parallel_tool_calls, text, reasoning, prompt, input: _, ...more } = others
  const { max_output_tokens: most, top_logprobs, ...fields } = more
  const choice = typeof tool_choice === 'object' ? tool_choice : undefined
  const allowed = choice?.type === 'allowed_tools' ? choice.tools.map(({ name }) => name) : undefined
  const given = (tools ?? []).filter(
    (tool): tool is FunctionTool => tool.type === 'function' && (!allowed || allowed.includes(tool.name)),
  )
  const format = text?.format
  const logprobs = (top_logprobs ?? 0) > 0 || include?.includes('message.output_text.logprobs')
  const messages = [
    ...(instructions ? [{ role: 'system', content: instructions }] : []),
    ...toMessages(earlier, input),
  ]
  return withoutNothing({
    ...fields,
    model: request.model,
    messages: messages.length > 0 || !prompt ? messages : undefined,
    prompt: prompt ? toPrompt(prompt) : undefined,
    max_completion_tokens: most,
    tools: given.length > 0 ? given.map(toTool) : undefined,
    tool_choice: given.length > 0 ? (choice ? toToolChoice(choice) : tool_choice) : undefined,
    parallel_tool_calls: given.length > 0 ? parallel_tool_calls : undefined,
    response_format: format && format.type !== 'text' ? toResponseFormat(format) : undefined,
    verbosity: text?.verbosity,
    reasoning_effort: reasoning?.effort,
    ...(logprobs && { logprobs, top_logprobs }),
  }) as CompletionRequest
}

interface AssistantMessage {
  role: 'assistant'
  content: unknown
  tool_calls?: object[]
}

/** Chat completions hold a turn's text and calls in one message, and want no output of a call that nobody made. */
function toMessages(earlier: readonly KeptItem[], input: readonly KeptItem[]): object[] {
  const messages: object[] = []
  const called = new Set<string>()
  const assistant = (): AssistantMessage => {
    const last = messages.at(-1) as AssistantMessage | undefined
    if (last?.role === 'assistant') return last
    const message: AssistantMessage = { role: 'assistant', content: null }
    messages.push(message)
    return message
  }
  for (const [at, item] of [...earlier, ...input].entries()) {
    if (item.type === 'message') {
      const content = toContent(item.content)
      const last = messages.at(-1) as AssistantMessage | undefined
      if (item.role !== 'assistant') messages.push({ role: item.role, content })
      else if (last?.role === 'assistant' && last.content === null) last.content = content
      else messages.push({ role: 'assistant', content })
    } else if (item.type === 'function_call') {
      const { call_id: id, name, arguments: text } = item
      const message = assistant()
      message.tool_calls ??= []
      message.tool_calls.push({ id, type: 'function', function: { name, arguments: text } })
      called.add(id)
    } else if (item.type === 'function_call_output') {
      if (!called.has(item.call_id)) throw uncalled(item.call_id, at - earlier.length)
      const content = typeof item.output === 'string' ? item.output : toContent(item.output)
      messages.push({ role: 'tool', tool_call_id: item.call_id, content })
    }
  }
  return messages
}

function toContent(parts: readonly Part[]): unknown {
  const [first, second] = parts
  if (!first) return ''
  return !second && 'text' in first ? first.text : parts.map(toContentPart)
}

function toContentPart(part: Part): object {
  switch (part.type) {
    case 'input_text':
    case 'output_text':
      return { type: 'text', text: part.text }
    case 'input_image':
      return { type: 'image_url', image_url: withoutNothing({ url: part.image_url, detail: part.detail }) }
    case 'input_file': {
      const { file_data, filename, file_id } = part
      return { type: 'file', file: withoutNothing({ file_data, filename, file_id }) }
    }
    default:
      return part
  }
}

function toTool({ name, description, parameters, strict }: FunctionTool) {
  return { type: 'function', function: withoutNothing({ name, description, parameters, strict }) }
}

function toToolChoice(choice: Exclude<ResponseRequest['tool_choice'], string | null | undefined>) {
  if (choice.type === 'allowed_tools') return choice.mode
  if (choice.type === 'file_search') return undefined // files are searched anyway
  return { type: 'function', function: { name: choice.name } }
}

function toResponseFormat({ type, ...schema }: { type: string }) {
  return type === 'json_schema' ? { type, json_schema: withoutNothing(schema) } : { type }
}

/** OpenAI's variables may be content parts. */
function toPrompt({ id, version, variables }: NonNullable<ResponseRequest['prompt']>): PromptReference {
  const number = typeof version === 'number' || /^\d+$/.test(version ?? '') ? Number(version) : undefined
  const values = Object.entries(variables ?? {}).map(([name, value]) => {
    const part = value as { type?: string; text?: unknown } | null
    return [name, part?.type === 'input_text' ? part.text : value]
  })
  return {
    id,
    ...(number === undefined ? typeof version === 'string' && { label: version } : { version: number }),
    variables: Object.fromEntries(values),
  }
}

const withoutNothing = (fields: object) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null))

function uncalled(callId: string, at: number) {
  return new HubError({
    code: 'invalid_value',
    status: 400,
    message: `No function call has the call_id ${callId}: send the function_call before its output, or continue with previous_response_id.`,
    param: `input[${at}].call_id`,
  })
}
