import { HubError, RedisUnavailableError } from '../errors.ts'
import { budgetKeys } from '../keys.ts'
import type { Redis } from '../ports/redis.ts'
import { reserveScript, settleScript } from '../scripts.generated.ts'
import { send } from '../send.ts'

export interface BudgetSetting {
  usd: number
  period: 'daily' | 'monthly' | 'total'
}

/** A budget and whose it is: `tenant`, or `key:<id>`. */
export interface Budget extends BudgetSetting {
  who: string
}

/** Money to hold for one call, in all of these budgets or in none. */
export interface Reservation {
  id: string
  tenant: string
  budgets: readonly Budget[]
  /** USD */
  amount: number
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
  /** Settled, but Redis did not say so. */
  let late: { reservation: Reservation; usd: number }[] = []

  async function trySettle(reservation: Reservation, usd: number) {
    const keys = Object.values(budgetKeys(reservation.tenant))
    const args = [toText(reservation), toNano(usd), SETTLED_MS]
    await send(redis, { script: settleScript, keys, args }, { timeoutMs: 2_000 })
  }

  return {
    /**
     * Holds the money, or throws 429 `insufficient_quota`. Redis away throws: a budget that cannot be asked must not be
     * overdrawn. Settle it with 0 then: it may be held all the same.
     */
    async reserve(reservation: Reservation, timeoutMs?: number): Promise<void> {
      const { id, tenant, budgets, amount } = reservation
      const keys = Object.values(budgetKeys(tenant))
      const wanted = budgets.flatMap(({ who, usd, period }) => [who, toNano(usd), period])
      const call = { script: reserveScript, keys, args: [id, toNano(amount), reservationMs, ...wanted] }
      const reply = await send(redis, call, { timeoutMs })
      const [held, who, spent, reserved] = reply as [number, string, string, string]
      if (held === 1) return
      throw overdrawn(budgets.find((one) => one.who === who)!, fromNano(spent), fromNano(reserved), amount)
    },

    /** Counts the real cost. Safe to repeat; what Redis did not take is tried again with the next one while the process lives. */
    async settle(reservation: Reservation, usd: number): Promise<void> {
      const all = [...late, { reservation, usd }]
      late = []
      await Promise.all(
        all.map((one) =>
          trySettle(one.reservation, one.usd).catch((error) => {
            if (!(error instanceof RedisUnavailableError)) throw error
            late.push(one)
          }),
        ),
      )
    },

    /** `read` of several, as of now (Unix ms): what was spent in an earlier period counts no more. */
    async readAll(tenant: string, budgets: readonly Budget[], now: number) {
      if (budgets.length === 0) return []
      const fields = budgets.flatMap(({ who }) => [who, `${who}:period`, `${who}:held`])
      const reply = await send(redis, ['HMGET', budgetKeys(tenant).budget, ...fields], { timeoutMs: 2_000 })
      const values = reply as (string | null)[]
      return budgets.map(({ period }, i) => {
        const [spent, of, held] = values.slice(3 * i, 3 * i + 3)
        return { spent_usd: of === periodOf(period, now) ? fromNano(spent) : 0, held_usd: fromNano(held) }
      })
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

/** As the script of reservations names it. */
function periodOf(period: Budget['period'], now: number): string {
  const date = new Date(now)
  if (period === 'daily') return `d${Math.floor(now / 86_400_000)}`
  return period === 'monthly' ? `m${date.getUTCFullYear() * 12 + date.getUTCMonth() + 1}` : 'total'
}

/** `<id> <amount> <who>…`, as the reservations' set holds it. */
const toText = ({ id, amount, budgets }: Reservation) =>
  [id, toNano(amount), ...budgets.map(({ who }) => who)].join(' ')

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
