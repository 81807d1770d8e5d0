import { HubError } from './errors.ts'
import { newId } from './ids.ts'
import { budgetKeys } from './keys.ts'
import type { Redis } from './ports/redis.ts'
import { reserveScript, settleScript } from './scripts.generated.ts'
import { send } from './send.ts'

export interface BudgetSetting {
  usd: number
  period: 'daily' | 'monthly' | 'total'
}

/** A budget and whose it is: `tenant`, or `key:<id>`. */
export interface Budget extends BudgetSetting {
  who: string
}

export interface Reservation {
  tenant: string
  /** As the script wrote it. */
  text: string
}

/** A call that runs longer than this no longer holds its money; what it costs is counted all the same. */
const RESERVATION_MS = 10 * 60_000
/** A settlement is tried again for this long at most, so its id need not be remembered longer. */
const SETTLED_MS = 60 * 60_000

/** Money of keys and tenants: reserved before a call, settled after it, in one script each. */
export function createBudgets({
  redis,
  reservationMs = RESERVATION_MS,
}: {
  redis: Redis
  reservationMs?: number
}) {
  return {
    /**
     * Holds `usd` in all of the budgets, or throws 429 `insufficient_quota`. Redis away throws 503: a budget that cannot be
     * asked must not be overdrawn.
     */
    async reserve(
      tenant: string,
      budgets: readonly Budget[],
      usd: number,
      timeoutMs?: number,
    ): Promise<Reservation> {
      const { budget, reservations } = budgetKeys(tenant)
      const wanted = budgets.flatMap(({ who, usd, period }) => [who, toNano(usd), period])
      const args = [newId(), toNano(usd), reservationMs, ...wanted]
      const call = { script: reserveScript, keys: [budget, reservations], args }
      const [held, text, spent, reserved] = (await send(redis, call, { timeoutMs })) as [
        number,
        string,
        string,
        string,
      ]
      if (held === 1) return { tenant, text }
      throw overdrawn(budgets.find(({ who }) => who === text)!, fromNano(spent), fromNano(reserved), usd)
    },

    /** Counts the real cost. Safe to repeat. */
    async settle({ tenant, text }: Reservation, usd: number): Promise<void> {
      const { budget, reservations, settled } = budgetKeys(tenant)
      const call = {
        script: settleScript,
        keys: [budget, reservations, settled],
        args: [text, toNano(usd), SETTLED_MS],
      }
      await send(redis, call, { timeoutMs: 2_000 })
    },

    /** What is spent in the current period, and held by calls on their way, in USD. */
    async read(tenant: string, who: string): Promise<{ spent_usd: number; held_usd: number }> {
      const fields = [who, `${who}:held`] as const
      const [spent, held] = (await send(redis, ['HMGET', budgetKeys(tenant).budget, ...fields])) as (
        | string
        | null
      )[]
      return { spent_usd: fromNano(spent), held_usd: fromNano(held) }
    },
  }
}

export type Budgets = ReturnType<typeof createBudgets>

/** Whole billionths of a dollar: sums of floats drift, these do not. */
const toNano = (usd: number) => String(Math.ceil(usd * 1e9))
const fromNano = (nano: string | null | undefined) => Number(nano ?? 0) / 1e9

function overdrawn({ who, usd, period }: Budget, spent: number, held: number, wanted: number) {
  const money = (value: number) => `${Number(value.toFixed(6))} USD`
  return new HubError({
    code: 'insufficient_quota',
    status: 429,
    message:
      `The ${period} budget of this ${who === 'tenant' ? 'tenant' : 'key'}, ${money(usd)}, does not cover this call: ` +
      `${money(spent)} spent, ${money(held)} held by running calls, up to ${money(wanted)} needed.`,
    retryAfterSeconds: held > 0 ? 10 : 3600,
    personal: true,
  })
}
