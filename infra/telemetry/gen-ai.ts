import type { Span } from '@opentelemetry/api'

interface Said {
  id?: string
  model?: string
  choices?: { finish_reason?: string | null; message?: Content; delta?: Content }[]
  usage?: {
    prompt_tokens?: number
    completion_tokens?: number
    prompt_tokens_details?: { cached_tokens?: number }
  }
}
type Content = { content?: unknown; tool_calls?: unknown }

/**
 * Reads an answer as it passes by and tells its span what it is: model, tokens, why it ended, when it began. Of a stream few chunks are
 * parsed: the first one, and those that say how it ended or what it took.
 */
export function createAnswerReader(span: Span, streamed: boolean, captureContent: boolean) {
  const reasons: string[] = []
  let text = ''
  let tools: unknown[] = []
  let count = 0

  return {
    read(data: string) {
      if (count++ === 0 && streamed) span.addEvent('gen_ai.first_chunk')
      if (streamed && count > 1 && !captureContent && !/"(?:finish_reason|usage)":\s*["{]/.test(data)) return
      const said = parse(data)
      if (count === 1) {
        if (said.model) span.setAttribute('gen_ai.response.model', said.model)
        if (said.id) span.setAttribute('gen_ai.response.id', said.id)
      }
      for (const { finish_reason, message, delta } of said.choices ?? []) {
        if (finish_reason) reasons.push(finish_reason)
        if (!captureContent) continue
        const { content, tool_calls: calls } = message ?? delta ?? {}
        if (typeof content === 'string') text += content
        if (Array.isArray(calls)) tools = [...tools, ...calls]
      }
      const {
        prompt_tokens: input,
        completion_tokens: output,
        prompt_tokens_details: details,
      } = said.usage ?? {}
      if (typeof input === 'number') span.setAttribute('gen_ai.usage.input_tokens', input)
      if (typeof output === 'number') span.setAttribute('gen_ai.usage.output_tokens', output)
      if (details?.cached_tokens) {
        span.setAttribute('gen_ai.usage.cache_read.input_tokens', details.cached_tokens)
      }
    },
    end() {
      if (reasons.length > 0) span.setAttribute('gen_ai.response.finish_reasons', reasons)
      if (!captureContent || count === 0) return
      const parts = [
        ...(text ? [{ type: 'text', content: text }] : []),
        ...tools.map((call) => ({ type: 'tool_call', ...(call as object) })),
      ]
      const [finish_reason] = reasons
      span.setAttribute(
        'gen_ai.output.messages',
        JSON.stringify([{ role: 'assistant', parts, finish_reason }]),
      )
    },
  }
}

/** Messages of a request in the shape of the semantic conventions. */
export const inputMessages = (messages: readonly object[]): string =>
  JSON.stringify(
    messages.map((message) => {
      const { role, content } = message as { role?: string; content?: unknown }
      const isText = typeof content === 'string'
      return { role, parts: isText ? [{ type: 'text', content }] : content }
    }),
  )

function parse(data: string): Said {
  try {
    return JSON.parse(data) ?? {}
  } catch {
    return {} // the driver says what is wrong with it
  }
}
