import type { Caller } from '../admission.ts'
import { HubError, toHubError } from '../errors.ts'
import { newId } from '../ids.ts'
import type { Price } from '../ports/chat.ts'
import type { Clock } from '../ports/clock.ts'
import type { Budgets, Reservation } from './budgets.ts'
import { type LimitResult, type Limits, refuseOverLimit } from './limits.ts'
import { costOf, type TokenUsage } from './token-usage.ts'
import type { Usage } from './usage.ts'

export interface HoldsOptions {
  limits: Limits
  budgets: Budgets
  usage: Usage
  clock: Clock
}

/** Whom a call costs money at. */
export interface PricedModel {
  provider: string
  model: string
  price?: Price
}

export interface HoldCall {
  caller: Caller
  /** By whose price money is held. */
  target: PricedModel
  /** The most that it may use; asked only where somebody counts. */
  estimate(): TokenUsage
  defer(work: Promise<unknown>): void
}

/** What a call that is not over yet took of limits and budgets. */
export interface Held {
  tokens: LimitResult[]
  estimate: TokenUsage
  reservation?: Reservation
}

/** Longer than a look at the cache: a call that cannot be paid for is refused, and it takes a provider's time anyway. */
const HOLD_MS = 1_000

/** Tokens and money of a call: held by estimate before it, settled after it. */
export function createHolds({ limits, budgets, usage, clock }: HoldsOptions) {
  return {
    /** Throws 429, or 503 when a budget cannot be asked. */
    async hold({ caller, target, estimate: estimated, defer }: HoldCall): Promise<Held | undefined> {
      const { tenant, tokenLimits, budgets: own } = caller
      if (tokenLimits.length === 0 && own.length === 0) return undefined
      if (own.length > 0 && !target.price) throw unpriced(target)
      const estimate = estimated()
      const rate = totalOf(estimate)
      // What costs nothing is no budget's business.
      const amount = costOf(estimate, target.price)
      const reservation =
        own.length > 0 && amount > 0 ? { id: newId(), tenant, budgets: own, amount } : undefined
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
        defer(
          Promise.all([limits.giveBack(held.tokens, rate), reservation && budgets.settle(reservation, 0)]),
        )
        throw error
      }
    },

    /** Counts what it really used, by the price of who answered; to be deferred. Returns what it cost, in USD. */
    async settle(
      { caller, target }: Pick<HoldCall, 'caller' | 'target'>,
      held: Held | undefined,
      tokens: TokenUsage | undefined,
    ): Promise<number> {
      const { tenant, keyId } = caller
      const cost = tokens ? costOf(tokens, target.price) : 0
      await Promise.all([
        usage.record({ tenant, keyId, model: `${target.provider}/${target.model}`, tokens, cost }),
        held?.reservation && budgets.settle(held.reservation, cost),
        // A negative difference takes what the estimate fell short of.
        held && limits.giveBack(held.tokens, totalOf(held.estimate) - (tokens ? totalOf(tokens) : 0)),
      ])
      return cost
    },
  }
}

export type Holds = ReturnType<typeof createHolds>

const totalOf = ({ input, cachedRead, cacheWrite, output }: TokenUsage) =>
  input + cachedRead + cacheWrite + output

const unpriced = ({ provider, model }: PricedModel) =>
  new HubError({
    code: 'model_not_priced',
    status: 400,
    message: `No price is known for ${provider}/${model}, and this key has a budget. State one in HUB_PROVIDERS.`,
    param: 'model',
    personal: true,
  })
