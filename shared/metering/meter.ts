import type { Caller } from '../admission.ts'
import { ANSWER_LIMIT } from '../completions/answer.ts'
import type { ChatRequest, ChatTarget, CountTokens } from '../ports/chat.ts'
import type { Held, Holds } from './holds.ts'
import { estimateAtMost, promptText, readTokenUsage, type TokenUsage } from './token-usage.ts'

export interface MeteredCall {
  caller: Caller
  request: ChatRequest
  /** Where the call goes first, by whose price money is held. */
  target: ChatTarget
  /** Who answered in the end, by whose price it is counted; asked when the call is over. */
  answeredBy(): ChatTarget
  open(signal: AbortSignal): AsyncIterable<string>
  defer(work: Promise<unknown>): void
}

/** What a provider's call came to. */
export interface Settled {
  tokens?: TokenUsage
  /** USD */
  cost: number
}

export interface MeterOptions {
  holds: Holds
  countTokens: CountTokens
}

/** What came of an answer: for counting it where the provider does not, its beginning is enough. */
interface Sent {
  kept: string[]
  /** Characters. */
  keptSize: number
  size: number
}

/** Of English, roughly: for one piece that is too large to be kept. */
const CHARACTERS_A_TOKEN = 4

/** A provider's call that is paid for. */
export interface Metered {
  /** Holds tokens and money by estimate. Throws 429, or 503 when a budget cannot be asked. */
  hold(): Promise<void>
  /** Makes the call and counts what it really used, however it ended. */
  open(signal: AbortSignal): AsyncIterable<string>
  /** There once the call has ended. */
  readonly settled: Promise<Settled> | undefined
}

/** Wraps providers' calls in token limits, budgets and usage. */
export function createMeter({ holds, countTokens }: MeterOptions) {
  return function metered(call: MeteredCall): Metered {
    let held: Held | undefined
    let settled: Promise<Settled> | undefined
    return {
      get settled() {
        return settled
      },
      async hold() {
        held = await holds.hold({ ...call, estimate: () => estimateAtMost(call.request) })
      },
      async *open(signal) {
        const sent: Sent = { kept: [], keptSize: 0, size: 0 }
        let stated: TokenUsage | undefined
        try {
          for await (const data of call.open(signal)) {
            sent.size += data.length
            if (sent.size <= ANSWER_LIMIT) {
              sent.kept.push(data)
              sent.keptSize = sent.size
            }
            stated = usageOf(data) ?? stated
            yield data
          }
        } finally {
          settled = settle(call, held, sent, stated)
          call.defer(settled)
        }
      },
    }
  }

  async function settle(
    call: MeteredCall,
    held: Held | undefined,
    sent: Sent,
    stated?: TokenUsage,
  ): Promise<Settled> {
    const { caller, request } = call
    const tokens = stated ?? (sent.size > 0 ? await estimated(request, sent) : undefined)
    const cost = await holds.settle({ caller, target: call.answeredBy() }, held, tokens)
    return { tokens, cost }
  }

  /** Also of an answer that broke off: the provider charges for what it sent. What was not kept is taken to be like what was. */
  async function estimated(request: ChatRequest, { kept, keptSize, size }: Sent): Promise<TokenUsage> {
    const [input, output] = await Promise.all([
      countTokens(promptText(request)),
      countTokens(kept.map(answerText).join('')),
    ])
    const all = keptSize > 0 ? Math.ceil((output * size) / keptSize) : Math.ceil(size / CHARACTERS_A_TOKEN)
    return { input, cachedRead: 0, cacheWrite: 0, output: all, reasoning: 0, estimated: true }
  }
}

export type Meter = ReturnType<typeof createMeter>

function usageOf(data: string): TokenUsage | undefined {
  if (!/"usage"\s*:\s*\{/.test(data)) return undefined
  return readTokenUsage(JSON.parse(data).usage)
}

/** What a chunk or a completion says: its text, and the arguments of its tool calls. */
function answerText(data: string): string {
  const said = (JSON.parse(data).choices ?? []).map(
    ({ delta, message }: { delta?: Said; message?: Said }) => {
      const { content, reasoning_content, tool_calls } = delta ?? message ?? {}
      const calls =
        tool_calls?.map((call) => `${call.function?.name ?? ''}${call.function?.arguments ?? ''}`) ?? []
      return [reasoning_content, content, ...calls].join('')
    },
  )
  return said.join('')
}

interface Said {
  content?: string | null
  reasoning_content?: string | null
  tool_calls?: { function?: { name?: string; arguments?: string } }[]
}
