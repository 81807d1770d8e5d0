import { completionHash } from '../completions/completion-hash.ts'
import type { ChatRequest, ChatTarget } from '../ports/chat.ts'

/** A call whose answer may be that of another one which asks the same. */
export interface SemanticQuestion {
  /** What the user asks: the last turn's text. */
  prompt: string
  /** SHA-256 of everything else that can change the answer: model, credential, parameters, all other messages. */
  scope: string
}

/** Longer prompts carry their own material; what they ask is a small part of it. */
const LONGEST_PROMPT = 2_000
/** OpenAI's, where the caller names none. */
const USUAL_TEMPERATURE = 1

/** Undefined for a call with tools, images, several answers, a higher temperature, or no question of the user at its end. */
export function semanticQuestion(
  target: ChatTarget,
  request: ChatRequest,
  maxTemperature: number,
): SemanticQuestion | undefined {
  const { messages, tools, functions, n, temperature } = request
  if (isFilled(tools) || isFilled(functions) || (typeof n === 'number' && n > 1)) return undefined
  if (typeof temperature === 'number' ? temperature > maxTemperature : USUAL_TEMPERATURE > maxTemperature)
    return undefined
  const last = messages.at(-1) as { role?: string; content?: unknown } | undefined
  if (last?.role !== 'user' || !messages.every(isText)) return undefined
  const prompt = textOf(last.content)?.trim()
  if (!prompt || prompt.length > LONGEST_PROMPT) return undefined
  const others = [...messages.slice(0, -1), { ...last, content: null }]
  return { prompt, scope: completionHash(target, { ...request, messages: others }) }
}

const isFilled = (list: unknown) => Array.isArray(list) && list.length > 0

function isText(message: object): boolean {
  const { content } = message as { content?: unknown }
  return content === null || content === undefined || textOf(content) !== undefined
}

/** Undefined where it holds more than text. */
function textOf(content: unknown): string | undefined {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return undefined
  const texts = content.map((part) => (part?.type === 'text' ? (part.text as string) : undefined))
  return texts.some((text) => typeof text !== 'string') ? undefined : texts.join('\n')
}
