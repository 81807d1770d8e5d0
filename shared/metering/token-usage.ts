import { estimateTokenCount } from 'tokenx'
import type { ChatRequest, Price } from '../ports/chat.ts'

/** What one call used, in tokens; the five add up without overlap but for `reasoning`, which is part of `output`. */
export interface TokenUsage {
  /** Neither read from nor written to the provider's own cache. */
  input: number
  cachedRead: number
  cacheWrite: number
  output: number
  reasoning: number
  /** The provider did not say; counted here. */
  estimated: boolean
}

// biome-ignore lint/suspicious/noExplicitAny: a provider's JSON, read leniently
type Json = any

const number = (value: unknown): number | undefined =>
  typeof value === 'number' && value >= 0 ? value : undefined

/**
 * Reads a provider's usage object: OpenAI's (chat and responses), Anthropic's, Cohere's, Google's. `undefined` where it is
 * none of them. Only Anthropic and Cohere count input without what came from the cache.
 *
 * Sources: platform.openai.com "usage", docs.anthropic.com "prompt caching", docs.cohere.com "chat v2", ai.google.dev "UsageMetadata".
 */
export function readTokenUsage(usage: Json): TokenUsage | undefined {
  if (typeof usage !== 'object' || usage === null) return undefined
  return (
    fromGoogle(usage.usageMetadata ?? usage) ?? fromCohere(usage) ?? fromOpenAI(usage) ?? fromAnthropic(usage)
  )
}

function fromOpenAI(usage: Json): TokenUsage | undefined {
  const isResponses = usage.input_tokens_details !== undefined
  const all = number(usage.prompt_tokens) ?? (isResponses ? number(usage.input_tokens) : undefined)
  if (all === undefined) return undefined
  const details = usage.prompt_tokens_details ?? usage.input_tokens_details
  const cachedRead =
    number(details?.cached_tokens) ??
    number(usage.prompt_cache_hit_tokens) ??
    number(usage.cache_read_input_tokens) ??
    0
  const cacheWrite = number(details?.cache_write_tokens) ?? number(usage.cache_creation_input_tokens) ?? 0
  const outputDetails = usage.completion_tokens_details ?? usage.output_tokens_details
  const output = number(usage.completion_tokens) ?? number(usage.output_tokens) ?? 0
  // Google's OpenAI-shaped usage counts thoughts in the total only.
  const thoughts = Math.max(0, (number(usage.total_tokens) ?? 0) - all - output)
  return {
    input: Math.max(0, all - cachedRead - cacheWrite),
    cachedRead,
    cacheWrite,
    output: output + thoughts,
    reasoning: (number(outputDetails?.reasoning_tokens) ?? 0) + thoughts,
    estimated: false,
  }
}

function fromAnthropic(usage: Json): TokenUsage | undefined {
  const input = number(usage.input_tokens)
  if (input === undefined) return undefined
  return {
    input,
    cachedRead: number(usage.cache_read_input_tokens) ?? 0,
    cacheWrite: number(usage.cache_creation_input_tokens) ?? 0,
    output: number(usage.output_tokens) ?? 0,
    reasoning: 0,
    estimated: false,
  }
}

/** Billed units are what Cohere charges; `tokens` counts its own preamble too. */
function fromCohere(usage: Json): TokenUsage | undefined {
  const billed = usage.billed_units ?? usage.tokens
  const input = number(billed?.input_tokens)
  if (input === undefined) return undefined
  return {
    input,
    cachedRead: number(usage.cached_tokens) ?? 0,
    cacheWrite: 0,
    output: number(billed.output_tokens) ?? 0,
    reasoning: 0,
    estimated: false,
  }
}

/** Thoughts are billed as output and counted beside the candidates. */
function fromGoogle(usage: Json): TokenUsage | undefined {
  const all = number(usage.promptTokenCount)
  if (all === undefined) return undefined
  const cachedRead = number(usage.cachedContentTokenCount) ?? 0
  const reasoning = number(usage.thoughtsTokenCount) ?? 0
  return {
    input: Math.max(0, all - cachedRead),
    cachedRead,
    cacheWrite: 0,
    output: (number(usage.candidatesTokenCount) ?? 0) + reasoning,
    reasoning,
    estimated: false,
  }
}

/** USD. What is read from the provider's cache and written to it has a price of its own. */
export function costOf(usage: TokenUsage, price: Price | undefined): number {
  if (!price) return 0
  const { input, cached, output, cache_write = input } = price
  const perMillion =
    usage.input * input + usage.cachedRead * cached + usage.cacheWrite * cache_write + usage.output * output
  return perMillion / 1e6
}

/** What to hold of a call whose output is not bounded by the caller: tokens. */
const UNBOUNDED_OUTPUT = 4_096

/**
 * What a call may use at most, before it is made: input by estimate with half again on top (the estimate is some 10 % off,
 * more for code and other scripts), output by the caller's bound.
 */
export function estimateAtMost(request: ChatRequest): TokenUsage {
  const { max_completion_tokens, max_tokens, n } = request
  const output = number(max_completion_tokens) ?? number(max_tokens) ?? UNBOUNDED_OUTPUT
  return {
    input: Math.ceil(1.5 * estimateInput(request)) + 16,
    cachedRead: 0,
    cacheWrite: 0,
    output: output * (number(n) ?? 1),
    reasoning: 0,
    estimated: true,
  }
}

/** What an image costs at most (docs.anthropic.com, "Vision"); elsewhere it is less. */
const IMAGE_TOKENS = 1_600
/** Of another file, roughly: its pages are read as text and as images. */
const BASE64_A_TOKEN = 20

/** Tokens of the input by estimate. Files that are part of it count by what is read of them, not by their bytes. */
export function estimateInput(request: ChatRequest): number {
  let files = 0
  const text = promptText(request).replace(/"data:[^"]{100,}"/g, (url) => {
    files += url.startsWith('"data:image/') ? IMAGE_TOKENS : Math.ceil(url.length / BASE64_A_TOKEN)
    return '""'
  })
  return estimateTokenCount(text) + files
}

/** What a model reads of a request, roughly. */
export function promptText({ messages, tools }: ChatRequest): string {
  return JSON.stringify(tools ? [messages, tools] : messages)
}
