import type { CountTokens } from '../../ports/chat.ts'
import type { ChatMessage } from '../agent.ts'

/** What of a message counts: its content, and the calls that it makes. */
export function textOf({ content, tool_calls = [] }: ChatMessage): string {
  const calls = tool_calls.map(({ function: { name, arguments: args } }) => `${name}(${args})`)
  return [content, ...calls].filter(Boolean).join('\n')
}

/** The message within so many tokens, where it is longer with a note in the middle. Equal messages come out equal. */
export async function shorten(
  message: ChatMessage,
  maxTokens: number,
  countTokens: CountTokens,
): Promise<ChatMessage> {
  // No token is shorter than a byte of UTF-8.
  if (3 * textOf(message).length <= maxTokens) return message
  let tokens = await countTokens(textOf(message))
  let shortened = message
  for (let part = maxTokens / tokens; tokens > maxTokens && part > 0.001; part *= 0.9) {
    shortened = cutBy(message, part)
    tokens = await countTokens(textOf(shortened))
  }
  return shortened
}

/** Messages that belong together, within so many tokens: the longest are cut, to the same length. */
export async function shortenAll(
  messages: readonly ChatMessage[],
  maxTokens: number,
  countTokens: CountTokens,
): Promise<ChatMessage[]> {
  const sizes = await Promise.all(messages.map((message) => countTokens(textOf(message))))
  if (sum(sizes) <= maxTokens) return [...messages]
  let most = Math.max(...sizes)
  while (most > 1 && sum(sizes.map((size) => Math.min(size, most))) > maxTokens) most = Math.floor(most * 0.9)
  return Promise.all(messages.map((message) => shorten(message, most, countTokens)))
}

function cutBy(message: ChatMessage, part: number): ChatMessage {
  const { content, tool_calls } = message
  return {
    ...message,
    content: content && cut(content, part),
    ...(tool_calls && {
      tool_calls: tool_calls.map((call) => {
        const { name, arguments: args } = call.function
        return { ...call, function: { name, arguments: cutArguments(args, part) } }
      }),
    }),
  }
}

/** Of a text the beginning and the end, where a question or a result mostly is. */
function cut(text: string, part: number): string {
  const note = (left: number) => `\n[… ${left} characters are left out here …]\n`
  const kept = Math.floor(text.length * part) - note(text.length).length
  const head = Math.max(0, Math.ceil(kept * 0.7))
  const tail = Math.max(0, kept - head)
  const end = tail > 0 ? text.slice(-tail) : ''
  const shortened = `${text.slice(0, head)}${note(text.length - head - tail)}${end}`.toWellFormed()
  return shortened.length < text.length ? shortened : text
}

/** They must stay JSON. */
const cutArguments = (args: string, part: number) =>
  args.length < 200 ? args : JSON.stringify({ left_out: cut(args, part / 2) })

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0)
