import { HubError } from '../errors.ts'
import type { ChatRequest } from '../ports/chat.ts'
import { minimalJson } from './minimal-json.ts'

export interface ToolCall {
  id: string
  type: 'function'
  function: { name: string; arguments: string }
}

interface Message {
  role?: string
  content?: unknown
  tool_calls?: { function?: { name?: string } }[]
}

/**
 * The tool that the local model calls next, if any: the one that `tool_choice` names, else that of the next `@tool` line
 * of the instructions, or of an agent's task. One a turn.
 */
export function toToolCall(request: ChatRequest, id: string): ToolCall | undefined {
  const tools = toolsOf(request)
  const choice = request.tool_choice as string | { function?: { name?: string } } | null | undefined
  if (tools.size === 0 || choice === 'none') return undefined

  const lines = uncalledLines(request.messages).filter(({ name }) => tools.has(name))
  const named = typeof choice === 'object' ? choice?.function?.name : undefined
  if (named !== undefined && !tools.has(named)) throw notGiven(named)
  const wanted = named ?? (choice === 'required' ? (lines[0]?.name ?? [...tools.keys()][0]) : lines[0]?.name)
  if (wanted === undefined) return undefined

  const line = lines.find(({ name }) => name === wanted)
  const text = line?.text ?? JSON.stringify(minimalJson(tools.get(wanted)))
  return { id: `call_${id}`, type: 'function', function: { name: wanted, arguments: text } }
}

/** Text of a message whose content is a string or parts. */
export function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content.map((part: { text?: unknown }) => (typeof part?.text === 'string' ? part.text : '')).join('')
}

function toolsOf({ tools }: ChatRequest): Map<string, unknown> {
  const list = (Array.isArray(tools) ? tools : []) as { function?: { name?: string; parameters?: unknown } }[]
  return new Map(list.flatMap(({ function: tool }) => (tool?.name ? [[tool.name, tool.parameters]] : [])))
}

/** The n-th line of a name is called when the messages hold n calls of that name. */
function uncalledLines(messages: readonly Message[]): { name: string; text: string }[] {
  const called = new Map<string, number>()
  for (const { tool_calls: calls } of messages) {
    for (const { function: tool } of calls ?? []) {
      if (tool?.name) called.set(tool.name, (called.get(tool.name) ?? 0) + 1)
    }
  }
  const instructions = messages.filter(
    ({ role, content }) => role === 'system' || role === 'developer' || TASK.test(textOf(content)),
  )
  const lines = instructions.flatMap(({ content }) => [
    ...textOf(content).matchAll(/^[ \t]*@tool[ \t]+(\S+)(?:[ \t]+(\S.*?))?[ \t\r]*$/gm),
  ])
  return lines.flatMap(([, name = '', text = '{}']) => {
    const left = called.get(name) ?? 0
    called.set(name, left - 1)
    return left > 0 ? [] : [{ name, text }]
  })
}

/** An agent's task, as the hub tells it: what it says is to be done. */
const TASK = /^Task \S+ from agent:\S+:\n/

function notGiven(name: string) {
  return new HubError({
    status: 400,
    code: 'invalid_value',
    message: `tool_choice names "${name}", which is not among tools.`,
    param: 'tool_choice.function.name',
  })
}
