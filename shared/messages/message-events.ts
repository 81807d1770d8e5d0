import type { ChatRequest } from '../ports/chat.ts'
import { type Ending, type Message, toHead, toolNameOf, toStop, toUsage } from './to-message.ts'

export type MessageEvent = { type: string; [field: string]: unknown }

/** A tool call as the chunks have told it so far. */
interface Call {
  slot: unknown
  id?: string
  function: { name: string; arguments: string }
}

// biome-ignore lint/suspicious/noExplicitAny: a provider's JSON, read leniently
type Json = any

/**
 * Anthropic's events of an answer in OpenAI's chunks. A block ends before the next begins there, and calls may be interleaved here:
 * what comes for another block while a call is open is held back to the end.
 *
 * @example const events = createMessageEvents(request); for (const chunk of chunks) yield* events.push(chunk); yield* events.end()
 */
export function createMessageEvents(request: ChatRequest) {
  let message: Message | undefined
  let open: { type: 'text' } | Call | undefined
  let index = -1
  let calls = 0
  const held: (Call | string)[] = []
  const ending: Ending = {}
  let refusal: string | undefined
  let usage: unknown
  let characters = 0

  return {
    /** @param text JSON of a `chat.completion.chunk` */
    *push(text: string): Generator<MessageEvent> {
      const chunk: Json = JSON.parse(text)
      usage = chunk.usage ?? usage
      if (!message) {
        message = toHead(chunk.id ?? '', chunk.model ?? request.model)
        yield { type: 'message_start', message }
      }
      const choice = (chunk.choices ?? []).find(({ index = 0 }) => index === 0)
      if (!choice) return
      const { content, refusal: refused, tool_calls: parts = [] } = choice.delta ?? {}
      if (typeof content === 'string' && content) yield* say(content)
      if (typeof refused === 'string' && refused) {
        refusal = (refusal ?? '') + refused
        yield* say(refused)
      }
      for (const part of parts) yield* call(part)
      ending.finish_reason = choice.finish_reason ?? ending.finish_reason
      ending.stop_reason = choice.stop_reason ?? ending.stop_reason
    },

    /** The rest, once all chunks have come. */
    *end(): Generator<MessageEvent> {
      yield* close()
      for (const block of held) {
        if (typeof block === 'string') {
          yield* begin({ type: 'text' })
          yield delta({ type: 'text_delta', text: block })
        } else {
          yield* begin(block)
          if (block.function.arguments) yield toolDelta(block.function.arguments)
        }
        yield* close()
      }
      const { stop_reason, stop_sequence, stop_details } = toStop(ending, request, {
        called: calls > 0,
        refusal,
      })
      yield {
        type: 'message_delta',
        delta: { stop_reason, stop_sequence, stop_details },
        usage: toUsage(usage, request, characters),
      }
      yield { type: 'message_stop' }
    },
  }

  function* say(text: string) {
    characters += text.length
    if (open && 'slot' in open) {
      if (typeof held.at(-1) === 'string') held.push(held.pop() + text)
      else held.push(text)
      return
    }
    if (!open) yield* begin({ type: 'text' })
    yield delta({ type: 'text_delta', text })
  }

  function* call({ index: slot, id, function: tool = {} }: Json) {
    characters += tool.arguments?.length ?? 0
    const current = open && 'slot' in open ? open : undefined
    const known = find(current, slot, id)
    if (known) {
      known.function.arguments += tool.arguments ?? ''
      if (known === current && tool.arguments) yield toolDelta(tool.arguments)
      return
    }
    const made: Call = { slot, id, function: { name: tool.name ?? '', arguments: tool.arguments ?? '' } }
    if (current) return void held.push(made)
    yield* close()
    yield* begin(made)
    if (tool.arguments) yield toolDelta(tool.arguments)
  }

  /** Whose part it is; without an index a part with an id begins a call, and any other goes on with the last. */
  function find(current: Call | undefined, slot: unknown, id?: string): Call | undefined {
    const all = [...(current ? [current] : []), ...held.filter((block) => typeof block !== 'string')]
    if (slot !== undefined) return all.find((one) => one.slot === slot)
    return id ? undefined : all.at(-1)
  }

  function* begin(block: NonNullable<typeof open>): Generator<MessageEvent> {
    open = block
    index += 1
    const content_block =
      'slot' in block
        ? { type: 'tool_use', ...toolNameOf(block, message?.id ?? 'msg_', calls++), input: {} }
        : { type: 'text', text: '', citations: null }
    yield { type: 'content_block_start', index, content_block }
    if (index === 0) yield { type: 'ping' }
  }

  function* close(): Generator<MessageEvent> {
    if (open) yield { type: 'content_block_stop', index }
    open = undefined
  }

  function delta(delta: object): MessageEvent {
    return { type: 'content_block_delta', index, delta }
  }

  function toolDelta(partial_json: string): MessageEvent {
    return delta({ type: 'input_json_delta', partial_json })
  }
}
