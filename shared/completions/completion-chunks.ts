/** The two forms of one answer: a `chat.completion`, and the `chat.completion.chunk`s that add up to it. */

// biome-ignore lint/suspicious/noExplicitAny: a provider's JSON, read leniently
type Json = any

/**
 * Adds chunks up to the completion they stream, as JSON text.
 *
 * Text fields are concatenated, lists of things with an `index` are merged by it, other values replaced.
 */
export function fromChunks(chunks: readonly string[]): string {
  const completion: Json = { id: '', object: 'chat.completion', created: 0, model: '', choices: [] }
  const choices: Json[] = []
  for (const text of chunks) {
    const { choices: deltas = [], object: _, ...fields } = JSON.parse(text)
    for (const [name, value] of Object.entries(fields)) if (value !== null) completion[name] = value
    for (const { index = 0, delta, logprobs, finish_reason, ...others } of deltas) {
      choices[index] ??= {
        index,
        message: { role: 'assistant', content: null },
        logprobs: null,
        finish_reason: null,
      }
      const choice = choices[index]
      merge(choice.message, delta ?? {})
      if (logprobs) {
        choice.logprobs ??= {}
        merge(choice.logprobs, logprobs)
      }
      if (finish_reason) choice.finish_reason = finish_reason
      Object.assign(choice, others)
    }
  }
  completion.choices = choices.filter(Boolean)
  for (const { message } of completion.choices) {
    message.tool_calls = message.tool_calls?.filter(Boolean).map(({ index: _, ...call }: Json) => call)
  }
  return JSON.stringify(completion)
}

/** A completion as the chunks that a streaming caller expects; the last one carries `usage` when asked for. */
export function toChunks(response: string, { includeUsage = false } = {}): string[] {
  const { choices = [], usage, object: _, ...fields } = JSON.parse(response)
  const chunk = (part: object) => JSON.stringify({ ...fields, object: 'chat.completion.chunk', ...part })
  const chunks: string[] = []
  for (const { index, message, finish_reason, ...others } of choices) {
    const { tool_calls, ...delta } = message
    if (tool_calls) delta.tool_calls = tool_calls.map((call: object, index: number) => ({ index, ...call }))
    chunks.push(
      chunk({ choices: [{ index, delta, finish_reason: null, ...others }] }),
      chunk({ choices: [{ index, delta: {}, finish_reason }] }),
    )
  }
  if (includeUsage) chunks.push(chunk({ choices: [], usage }))
  return chunks
}

/** True for the closing chunk that only carries usage. Callers who did not ask for usage do not get it. */
export function isUsageChunk(text: string): boolean {
  if (!/"usage"\s*:\s*\{/.test(text)) return false
  const { choices, usage } = JSON.parse(text)
  return Boolean(usage) && Array.isArray(choices) && choices.length === 0
}

/**
 * The text of one chunk when plain text of the first choice is all that it carries; `undefined` when it carries
 * anything else (tool calls, other choices), which cannot be compared or cut.
 */
export function plainText(text: string): string | undefined {
  const { choices = [] } = JSON.parse(text)
  if (choices.length > 1 || (choices[0]?.index ?? 0) !== 0) return undefined
  const { role: _, content, ...others } = choices[0]?.delta ?? {}
  if (Object.values(others).some((value) => value !== null && value !== '')) return undefined
  return content ?? ''
}

/** The chunk with another text. */
export function withText(text: string, content: string): string {
  const chunk = JSON.parse(text)
  chunk.choices[0].delta.content = content
  return JSON.stringify(chunk)
}

/** Names say what something is; they are sent whole, some providers send them again in every chunk. */
const NAMES = new Set(['role', 'id', 'type', 'name'])

function merge(into: Json, delta: Json): void {
  for (const [key, value] of Object.entries(delta) as [string, Json][]) {
    if (value === null || value === undefined) continue
    const known = into[key]
    if (typeof value === 'string' && typeof known === 'string' && !NAMES.has(key)) into[key] = known + value
    else if (Array.isArray(value)) into[key] = mergeList(known ?? [], value)
    else if (typeof value === 'object' && known) merge(known, value)
    else into[key] = value
  }
}

function mergeList(into: Json[], items: Json[]): Json[] {
  for (const item of items) {
    if (typeof item?.index !== 'number') into.push(item)
    else if (into[item.index]) merge(into[item.index], item)
    else into[item.index] = structuredClone(item)
  }
  return into
}
