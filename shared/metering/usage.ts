import { usageKey } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Command, Redis } from '../ports/redis.ts'
import type { Tally } from './tally.ts'
import type { TokenUsage } from './token-usage.ts'

/** One finished request. */
export interface UsageEvent {
  tenant: string
  /** `provider/model` */
  model: string
  keyId: string | null
  /** Of the provider's call that it made; none for a hit and for those that joined another's call. */
  tokens?: TokenUsage
  /** USD */
  cost?: number
  /** USD that the cache saved. */
  saved?: number
}

export interface UsageRow {
  requests: number
  tokens: number
  input_tokens: number
  cached_input_tokens: number
  cache_write_input_tokens: number
  output_tokens: number
  reasoning_tokens: number
  /** Requests whose tokens were counted here because the provider did not say. */
  estimated: number
  /** USD */
  cost: number
  /** USD that the cache saved. */
  saved: number
}

export type GroupBy = 'model' | 'key' | 'day'

const METRICS = {
  requests: 'requests',
  tokens: 'tokens',
  input: 'input_tokens',
  cached_read: 'cached_input_tokens',
  cache_write: 'cache_write_input_tokens',
  output: 'output_tokens',
  reasoning: 'reasoning_tokens',
  estimated: 'estimated',
  cost: 'cost',
  saved: 'saved',
} as const satisfies Record<string, keyof UsageRow>
type Metric = keyof typeof METRICS

const DAY_MS = 86_400_000

export interface UsageOptions {
  redis: Redis
  tally: Tally
  clock: Clock
  keptDays: number
}

/** Requests, tokens and money per UTC day, by model and by key, in one sorted set a metric. */
export function createUsage({ redis, tally, clock, keptDays }: UsageOptions) {
  let current = { number: 0, name: '', target: {} }

  /** Made once a day: every request asks for it. */
  function today() {
    const number = Math.floor(clock.now() / DAY_MS)
    if (number !== current.number) {
      const expireAt = (number + 1 + keptDays) * (DAY_MS / 1000)
      current = { number, name: dayOf(number * DAY_MS), target: { type: 'sorted-set', expireAt } as const }
    }
    return current
  }

  return {
    /** Returns work to be deferred. Kept while the process lives where Redis is away. */
    record({ tenant, model, keyId, tokens, cost = 0, saved = 0 }: UsageEvent): Promise<void> | undefined {
      const day = today()
      const members = [`model:${model}`, `key:${keyId ?? 'none'}`] as const
      let work: Promise<void> | undefined
      const count = (metric: Metric, by: number) => {
        if (by === 0) return
        const counts = members.map((member) => [member, by] as const)
        work = tally.add(usageKey(tenant, metric, day.name), counts, day.target) ?? work
      }
      count('requests', 1)
      count('cost', cost)
      count('saved', saved)
      if (tokens) {
        const { input, cachedRead, cacheWrite, output, reasoning, estimated } = tokens
        count('tokens', input + cachedRead + cacheWrite + output)
        count('input', input)
        count('cached_read', cachedRead)
        count('cache_write', cacheWrite)
        count('output', output)
        count('reasoning', reasoning)
        count('estimated', Number(estimated))
      }
      return work
    },

    /** Days `from` to `to`, both included; groups in order of cost, days in order of time. */
    async read(
      tenant: string,
      from: string,
      to: string,
      groupBy: GroupBy,
    ): Promise<Record<string, string | number>[]> {
      const days = daysBetween(from, to)
      const metrics = Object.keys(METRICS) as Metric[]
      const rows = new Map<string, UsageRow>()
      if (groupBy === 'day') for (const day of days) rows.set(dashed(day), emptyRow())
      const asked = days.flatMap((day) => metrics.map((metric) => ({ day, metric })))
      const calls = asked.map(
        ({ day, metric }): Command => ['ZRANGE', usageKey(tenant, metric, day), 0, -1, 'WITHSCORES'],
      )
      const replies = calls.length ? await redis.wave(calls, { timeoutMs: 5_000 }) : []
      replies.forEach((reply, i) => {
        if (reply instanceof Error) throw reply
        const { day, metric } = asked[i]!
        const list = reply as string[]
        for (let at = 0; at < list.length; at += 2) {
          const [kind, ...name] = list[at]!.split(':')
          // Each request counts once by model and once by key: a day is the sum over models.
          if (kind !== (groupBy === 'key' ? 'key' : 'model')) continue
          const group = groupBy === 'day' ? dashed(day) : name.join(':')
          const row = rows.get(group) ?? emptyRow()
          row[METRICS[metric]] += Number(list[at + 1])
          rows.set(group, row)
        }
      })
      const all = [...rows].map(([group, row]) => ({ [groupBy]: group, ...row }))
      return groupBy === 'day' ? all : all.sort((a, b) => b.cost - a.cost || b.requests - a.requests)
    },
  }
}

export type Usage = ReturnType<typeof createUsage>

/** `yyyymmdd`, UTC. */
const dayOf = (ms: number) => new Date(ms).toISOString().slice(0, 10).replaceAll('-', '')

/** RFC 3339 */
const dashed = (day: string) => `${day.slice(0, 4)}-${day.slice(4, 6)}-${day.slice(6)}`

function daysBetween(from: string, to: string): string[] {
  const days: string[] = []
  for (let ms = Date.parse(from); ms <= Date.parse(to); ms += DAY_MS) days.push(dayOf(ms))
  return days
}

function emptyRow(): UsageRow {
  return Object.fromEntries(Object.values(METRICS).map((field) => [field, 0])) as unknown as UsageRow
}
