import type { ChatRequest } from '../ports/chat.ts'
import {
  contentAt,
  type Part,
  partsOf,
  stringAt,
  toContent,
  toParts,
  toText,
  unsupported,
} from './content-parts.ts'
import type { Block, MessagesRequest } from './messages-request.ts'

/** Of requests that are asked again and again, the same object each time (see `json` in functions/http.ts). */
const known = new WeakMap<MessagesRequest, ChatRequest>()

/**
 * Anthropic's request in OpenAI's shape: what asks the same in both shapes shares one cache entry. Throws 400 with the path of what
 * cannot be said there.
 */
export function toChatRequest(asked: MessagesRequest): ChatRequest {
  const before = known.get(asked)
  if (before) return before
  refuseWhatRunsAtAnthropic(asked)
  const { system, messages, tool_choice: choice, output_config: output, stop_sequences: stop } = asked
  const request: ChatRequest = {
    model: asked.model,
    messages: [
      ...(system?.length ? [{ role: 'system', content: toText(system, 'system') }] : []),
      ...messages.flatMap(({ role, content }, i) => {
        const at = `messages[${i}].content`
        if (role === 'user') return userMessages(content, at)
        if (role === 'assistant') return assistantMessages(content, at)
        return [{ role, content: toText(content, at) }]
      }),
    ],
    max_completion_tokens: asked.max_tokens,
    temperature: asked.temperature ?? undefined,
    top_p: asked.top_p ?? undefined,
    top_k: asked.top_k ?? undefined,
    stop: stop?.length ? stop : undefined,
    tools: asked.tools?.length ? asked.tools.map(toTool) : undefined,
    tool_choice: choice ? toToolChoice(choice) : undefined,
    parallel_tool_calls: choice?.disable_parallel_tool_use ? false : undefined,
    user: asked.metadata?.user_id ?? undefined,
    reasoning_effort: output?.effort ?? undefined,
    response_format: output?.format
      ? { type: 'json_schema', json_schema: { name: 'answer', schema: output.format.schema, strict: true } }
      : undefined,
    stream: asked.stream ?? undefined,
  }
  known.set(asked, request)
  return request
}

/** Results go before what the user says with them: they have to follow the calls. */
function userMessages(content: MessagesRequest['messages'][number]['content'], at: string): object[] {
  if (typeof content === 'string') return [{ role: 'user', content }]
  const results: object[] = []
  const parts: Part[] = []
  for (const [i, block] of content.entries()) {
    const path = `${at}[${i}]`
    if (block.type !== 'tool_result') parts.push(...partsOf(block, path))
    else {
      const result = toolResult(block, path)
      results.push(result.message)
      parts.push(...result.others)
    }
  }
  return parts.length > 0 ? [...results, { role: 'user', content: toContent(parts) }] : results
}

/** A tool's message holds text; its images are shown by the user, after it. */
function toolResult(block: Block, at: string): { message: object; others: Part[] } {
  const id = stringAt(block.tool_use_id, `${at}.tool_use_id`)
  const parts =
    block.content == null ? [] : toParts(contentAt(block.content, `${at}.content`), `${at}.content`)
  const said = parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n')
  const others = parts.filter(({ type }) => type !== 'text')
  const content = block.is_error ? `The tool failed: ${said}` : said
  const named: Part[] = others.length > 0 ? [{ type: 'text', text: `Of the tool result ${id}:` }] : []
  return { message: { role: 'tool', tool_call_id: id, content }, others: [...named, ...others] }
}

function assistantMessages(content: MessagesRequest['messages'][number]['content'], at: string): object[] {
  if (typeof content === 'string') return [{ role: 'assistant', content }]
  const calls: object[] = []
  const texts: string[] = []
  for (const [i, block] of content.entries()) {
    const path = `${at}[${i}]`
    if (block.type === 'tool_use') calls.push(toolCall(block, path))
    else if (block.type === 'text' || block.type.endsWith('thinking')) {
      texts.push(...partsOf(block, path).map((part) => (part.type === 'text' ? part.text : '')))
    } else throw unsupported(`${path}: an assistant's blocks are text and tool_use`, `${path}.type`)
  }
  if (calls.length === 0 && texts.length === 0) return []
  const said = texts.length > 0 ? texts.join('') : null
  return [{ role: 'assistant', content: said, tool_calls: calls.length > 0 ? calls : undefined }]
}

const toolCall = ({ id, name, input = {} }: Block, at: string) => ({
  id: stringAt(id, `${at}.id`),
  type: 'function',
  function: { name: stringAt(name, `${at}.name`), arguments: JSON.stringify(input) },
})

function toTool(tool: NonNullable<MessagesRequest['tools']>[number], i: number) {
  const { type, name, description, input_schema: parameters, strict } = tool
  const at = `tools[${i}]`
  if (type && type !== 'custom') {
    const message = `${at}: \`${type}\` is a tool of Anthropic's own. The hub passes on tools that the caller runs: give it a name and an \`input_schema\`.`
    throw unsupported(message, `${at}.type`)
  }
  if (!parameters) throw unsupported(`${at}: is without \`input_schema\``, `${at}.input_schema`)
  const more = { description: description ?? undefined, parameters, strict: strict ?? undefined }
  return { type: 'function', function: { name: stringAt(name, `${at}.name`), ...more } }
}

function toToolChoice({ type, name }: NonNullable<MessagesRequest['tool_choice']>) {
  if (type === 'any') return 'required'
  if (type !== 'tool') return type
  return { type: 'function', function: { name: stringAt(name, 'tool_choice.name') } }
}

function refuseWhatRunsAtAnthropic({ mcp_servers, container }: MessagesRequest) {
  const refuse = (field: string) => {
    throw unsupported(`${field}: runs at Anthropic, and the hub calls models only. Leave it out.`, field)
  }
  if (mcp_servers?.length) refuse('mcp_servers')
  if (container != null) refuse('container')
}
