import type { Caller } from '../admission.ts'
import { ANSWER_LIMIT } from '../completions/answer.ts'
import { HubError, toHubError } from '../errors.ts'
import { newId } from '../ids.ts'
import type { ChatRequest, ChatTarget, CountTokens } from '../ports/chat.ts'
import type { Clock } from '../ports/clock.ts'
import type { Budgets, Reservation } from './budgets.ts'
import { type LimitResult, type Limits, refuseOverLimit } from './limits.ts'
import { costOf, estimateAtMost, promptText, readTokenUsage, type TokenUsage } from './token-usage.ts'
import type { Usage } from './usage.ts'

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

export interface MeterOptions {
  limits: Limits
  budgets: Budgets
  usage: Usage
  countTokens: CountTokens
  clock: Clock
}

/** Longer than a look at the cache: a call that cannot be paid for is refused, and it takes a provider's time anyway. */
const HOLD_MS = 1_000

/** What came of an answer: for counting it where the provider does not, its beginning is enough. */
interface Sent {
  kept: string[]
  /** Characters. */
  keptSize: number
  size: number
}

/** Of English, roughly: for one piece that is too large to be kept. */
const CHARACTERS_A_TOKEN = 4

interface Held {
  tokens: LimitResult[]
  estimate: TokenUsage
  reservation?: Reservation
}

/** A provider's call that is paid for. */
export interface Metered {
  /** Holds tokens and money by estimate. Throws 429, or 503 when a budget cannot be asked. */
  hold(): Promise<void>
  /** Makes the call and counts what it really used, however it ended. */
  open(signal: AbortSignal): AsyncIterable<string>
}

/** Wraps providers' calls in token limits, budgets and usage. */
export function createMeter({ limits, budgets, usage, countTokens, clock }: MeterOptions) {
  return function metered(call: MeteredCall): Metered {
    let held: Held | undefined
    return {
      async hold() {
        held = await hold(call)
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
          call.defer(settle(call, held, sent, stated))
        }
      },
    }
  }

  async function hold({ caller, request, target, defer }: MeteredCall): Promise<Held | undefined> {
    const { tenant, tokenLimits, budgets: own } = caller
    if (tokenLimits.length === 0 && own.length === 0) return undefined
    if (own.length > 0 && !target.price) throw unpriced(target)
    const estimate = estimateAtMost(request)
    const rate = estimate.input + estimate.output
    const reservation =
      own.length > 0
        ? { id: newId(), tenant, budgets: own, amount: costOf(estimate, target.price) }
        : undefined
    const [tokens, money] = await Promise.allSettled([
      limits.check(tokenLimits, rate, HOLD_MS),
      reservation && budgets.reserve(reservation, HOLD_MS),
    ])
    const held: Held = { tokens: tokens.status === 'fulfilled' ? tokens.value : [], estimate, reservation }
    try {
      if (money.status === 'rejected') throw toHubError(money.reason, { personal: true })
      refuseOverLimit(held.tokens, clock.now())
      return held
    } catch (error) {
      defer(Promise.all([limits.giveBack(held.tokens, rate), reservation && budgets.settle(reservation, 0)]))
      throw error
    }
  }

  async function settle(call: MeteredCall, held: Held | undefined, sent: Sent, stated?: TokenUsage) {
    const { caller, request } = call
    const target = call.answeredBy()
    const tokens = stated ?? (sent.size > 0 ? await estimated(request, sent) : undefined)
    const cost = tokens ? costOf(tokens, target.price) : 0
    const { tenant, keyId } = caller
    const used = tokens ? tokens.input + tokens.cachedRead + tokens.cacheWrite + tokens.output : 0
    await Promise.all([
      usage.record({ tenant, keyId, model: `${target.provider}/${target.model}`, tokens, cost }),
      held?.reservation && budgets.settle(held.reservation, cost),
      // A negative difference takes what the estimate fell short of.
      held && limits.giveBack(held.tokens, held.estimate.input + held.estimate.output - used),
    ])
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

const unpriced = ({ provider, model }: ChatTarget) =>
  new HubError({
    code: 'model_not_priced',
    status: 400,
    message: `No price is known for ${provider}/${model}, and this key has a budget. State one in HUB_PROVIDERS.`,
    param: 'model',
    personal: true,
  })
