import type { Caller } from '../admission.ts'
import { readCacheDirectives } from '../completions/cache-directives.ts'
import type { Completions } from '../completions/completions.ts'
import { readCompleted } from '../completions/read-completed.ts'
import { costOf, readTokenUsage } from '../metering/token-usage.ts'
import type { ChatRequest, Price } from '../ports/chat.ts'
import type { ModelToolCall } from './agent.ts'
import type { Tool } from './tools/tool.ts'

/** What a model said in a step. */
export interface ModelAnswer {
  text: string | null
  calls: ModelToolCall[]
  usage: StepUsage
}

/** Tokens and USD; nothing for an answer from the cache. */
export interface StepUsage {
  tokens: number
  cost: number
}

export interface AskModelOptions {
  complete: Completions
  /** Of a model's name, where it leads now. */
  priceOf(tenant: string, model: string): Promise<Price | undefined>
}

export interface ModelCall {
  caller: Caller
  request: ChatRequest
  tools?: ReadonlyMap<string, Tool>
  /** Of an id that the model left out. */
  callId(n: number): string
  signal: AbortSignal
  defer(work: Promise<unknown>): void
}

/** Asks a model through the completion path: its cache, limits, budgets, breakers and fallbacks. */
export function createAskModel({ complete, priceOf }: AskModelOptions) {
  return async function askModel(call: ModelCall): Promise<ModelAnswer> {
    const { caller, tools, signal, defer } = call
    const definitions = [...(tools ?? new Map<string, Tool>()).values()].map(toDefinition)
    const request = { ...call.request, ...(definitions.length > 0 && { tools: definitions }) }
    const completed = await complete({
      ...{ claim: { caller }, request, directives: DIRECTIVES, defer, endpoint: 'agent' },
    })
    const { choices, usage } = JSON.parse(await readCompleted(completed, signal))
    const { content = null, tool_calls: calls } = choices?.[0]?.message ?? {}
    const tokens = completed.kind === 'hit' ? undefined : readTokenUsage(usage)
    return {
      text: typeof content === 'string' ? content.toWellFormed() : null,
      calls: readCalls(calls, call),
      usage: tokens
        ? {
            tokens: tokens.input + tokens.cachedRead + tokens.cacheWrite + tokens.output,
            cost: costOf(tokens, await priceOf(caller.tenant, request.model)),
          }
        : { tokens: 0, cost: 0 },
    }
  }
}

export type AskModel = ReturnType<typeof createAskModel>

/** An equal conversation is answered from the cache. */
const DIRECTIVES = readCacheDirectives(() => undefined)

const toDefinition = ({ name, description, parameters }: Tool) => ({
  type: 'function',
  function: { name, description, parameters },
})

/** As the model sent them: a name that is none, or an id that two calls of the conversation share, must not break it. */
function readCalls(calls: unknown, { callId, request }: ModelCall): ModelToolCall[] {
  const messages = request.messages as readonly { tool_calls?: { id: string }[] }[]
  const seen = new Set(messages.flatMap(({ tool_calls = [] }) => tool_calls.map(({ id }) => id)))
  return (Array.isArray(calls) ? calls : []).map((one, n) => {
    const { id, function: asked } = (one ?? {}) as { id?: unknown; function?: Record<string, unknown> }
    const own = typeof id === 'string' && id !== '' && !seen.has(id) ? id : callId(n)
    seen.add(own)
    const { name, arguments: args } = asked ?? {}
    const text = (value: unknown, otherwise: string) =>
      (typeof value === 'string' && value !== '' ? value : otherwise).toWellFormed()
    return { id: own, name: text(name, 'unnamed'), arguments: text(args, '{}') }
  })
}
