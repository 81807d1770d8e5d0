import { costOf, readTokenUsage } from '../metering/token-usage.ts'
import type { ChatTarget } from '../ports/chat.ts'

/** A stored answer: mission's value structure, with the provider's own bytes last. */
export interface CompletionEntry {
  /** `provider/model` */
  model: string
  /** Unix seconds. */
  timestamp: number
  ttlSeconds: number
  /** Total tokens of the call that made it; 0 where the provider did not say. */
  tokens: number
  /** USD that the call cost: what a hit saves. */
  cost: number
  /** The `chat.completion` as JSON text, byte for byte what the provider sent (or what its chunks add up to). */
  response: string
}

/** What an answer cost whoever called the provider for it: what it saves the others. */
export type Paid = Pick<CompletionEntry, 'model' | 'tokens' | 'cost'>

const MARKER = ',"response":'

/**
 * `{"model","timestamp","ttl","tokens","cost","response":{…}}` with `response` last, so that a hit cuts the stored bytes out
 * without parsing or serialising them.
 */
export function encodeEntry(entry: CompletionEntry): string {
  const { model, timestamp, ttlSeconds: ttl, tokens, cost, response } = entry
  return `${JSON.stringify({ model, timestamp, ttl, tokens, cost }).slice(0, -1)}${MARKER}${response}}`
}

/** `undefined` for what is not an entry: a broken one is a miss. */
export function decodeEntry(text: string): CompletionEntry | undefined {
  // Inside a JSON string the quotes would be escaped: the first marker is the field itself.
  const at = text.indexOf(MARKER)
  if (at < 0 || !text.endsWith('}}')) return undefined
  try {
    const { model, timestamp, ttl, tokens, cost = 0 } = JSON.parse(`${text.slice(0, at)}}`)
    if (typeof timestamp !== 'number' || typeof ttl !== 'number') return undefined
    return { model, timestamp, ttlSeconds: ttl, tokens, cost, response: text.slice(at + MARKER.length, -1) }
  } catch {
    return undefined
  }
}

export function toEntry(
  target: ChatTarget,
  response: string,
  nowMs: number,
  ttlSeconds: number,
): CompletionEntry {
  const { usage } = JSON.parse(response)
  const tokens = readTokenUsage(usage)
  return {
    model: `${target.provider}/${target.model}`,
    timestamp: Math.floor(nowMs / 1000),
    ttlSeconds,
    tokens: usage?.total_tokens ?? 0,
    cost: tokens ? costOf(tokens, target.price) : 0,
    response,
  }
}
