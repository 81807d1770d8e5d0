import { limitsOf } from '../admission.ts'
import type { HubKeys } from '../hub-keys.ts'
import type { Budget, BudgetSetting, Budgets } from '../metering/budgets.ts'
import type { Limit, LimitSetting, Limits } from '../metering/limits.ts'
import type { Usage } from '../metering/usage.ts'
import type { Breakers } from '../models/breakers.ts'
import type { Clock } from '../ports/clock.ts'
import { listed } from './list.ts'
import { MOST_SHOWN, type OverviewAsk, type Snapshot } from './snapshot.ts'

interface MoneyPartsOptions {
  usage: Usage
  hubKeys: Pick<HubKeys, 'list' | 'findTenant'>
  budgets: Pick<Budgets, 'readAll'>
  limits: Pick<Limits, 'remaining'>
  breakers: Pick<Breakers, 'list'>
  clock: Clock
}

/** Limits of all shown keys that are asked about. */
const MOST_LIMITS = 300
const SPENT = ['requests', 'tokens', 'input_tokens', 'output_tokens', 'cost', 'saved'] as const

/** What is used of models and money, and which providers fail. */
export function createMoneyParts({ usage, hubKeys, budgets, limits, breakers, clock }: MoneyPartsOptions) {
  const today = () => new Date(clock.now()).toISOString().slice(0, 10)
  const spentToday = (tenant: string, by: 'model' | 'key') => usage.read(tenant, today(), today(), by)

  return {
    async usage({ tenant }: OverviewAsk): Promise<Snapshot['usage']> {
      const [models, keys, records] = await Promise.all([
        spentToday(tenant, 'model'),
        spentToday(tenant, 'key'),
        hubKeys.list(tenant),
      ])
      const names = new Map(records.map(({ id, name }) => [id, name]))
      return {
        day: today(),
        total: models.map(toSpent).reduce(add, toSpent({})),
        models: listed(models.map((row) => ({ model: String(row.model), ...toSpent(row) }))),
        keys: listed(
          keys.map((row) => {
            const key = String(row.key)
            return { key, name: names.get(key) ?? null, ...toSpent(row) }
          }),
        ),
      }
    },

    async limits({ tenant }: OverviewAsk): Promise<Snapshot['limits']> {
      const [settings, records] = await Promise.all([hubKeys.findTenant(tenant), hubKeys.list(tenant)])
      const bounded = records.filter(
        ({ revoked_at, limits, budget }) => revoked_at === null && (budget || limits?.length),
      )
      const shown = bounded.sort((a, b) => (a.created_at < b.created_at ? 1 : -1)).slice(0, MOST_SHOWN)
      const all = [
        bounds('tenant', limitsOf('tenant', '@', tenant, settings.limits), settings.budget),
        ...shown.map(({ id, limits, budget }) =>
          bounds(`key:${id}`, limitsOf('key', id, tenant, limits), budget),
        ),
      ]
      const asked = all.flatMap(({ limits }) => limits).slice(0, MOST_LIMITS)
      const known = all.flatMap(({ budget }) => budget ?? [])
      const [remaining, spent] = await Promise.all([
        limits.remaining(asked, 2_000),
        budgets.readAll(tenant, known, clock.now()),
      ])
      const left = new Map(asked.map((limit, i) => [limit, remaining[i] ?? null]))
      const used = new Map(known.map((budget, i) => [budget, spent[i]!]))
      const [ofTenant, ...ofKeys] = all.map((one) => shownBounds(one, left, used))
      return {
        tenant: ofTenant!,
        keys: {
          data: shown.map(({ id, name, created_at }, i) => ({ id, name, created_at, ...ofKeys[i]! })),
          more: bounded.length > shown.length,
        },
      }
    },

    /** Whoever is no admin sees its tenant's own, and of those that all share the ones that it called today. */
    async breakers({ tenant, isAdmin }: OverviewAsk): Promise<Snapshot['breakers']> {
      const [all, called] = await Promise.all([breakers.list(), isAdmin ? [] : spentToday(tenant, 'model')])
      const names = new Set(called.map(({ model }) => model))
      const seen = all.filter((one) => isAdmin || one.tenant === tenant || names.has(one.name))
      return listed(
        seen.map(({ leftMs, ...breaker }) => {
          const calls = breaker.succeeded + breaker.failed
          const failure_rate = calls > 0 ? breaker.failed / calls : null
          return { ...breaker, seconds_left: leftMs > 0 ? Math.ceil(leftMs / 1000) : null, failure_rate }
        }),
      )
    },
  }
}

interface Bounds {
  limits: Limit[]
  budget?: Budget
}

const bounds = (who: string, limits: Limit[], budget?: BudgetSetting | null): Bounds => ({
  limits,
  ...(budget && { budget: { who, ...budget } }),
})

function shownBounds(
  { limits, budget }: Bounds,
  left: ReadonlyMap<Limit, number | null>,
  used: ReadonlyMap<Budget, { spent_usd: number; held_usd: number }>,
) {
  return {
    limits: limits.map((limit) => {
      const { on, limit: most, window_seconds } = limit satisfies LimitSetting
      return { on, limit: most, window_seconds, remaining: left.get(limit) ?? null }
    }),
    budget: budget ? { usd: budget.usd, period: budget.period, ...used.get(budget)! } : null,
  }
}

type Spent = Record<(typeof SPENT)[number], number>

const toSpent = (row: Record<string, unknown>) =>
  Object.fromEntries(SPENT.map((name) => [name, Number(row[name] ?? 0)])) as Spent

const add = (a: Spent, b: Spent) =>
  Object.fromEntries(SPENT.map((name) => [name, a[name] + b[name]])) as Spent
