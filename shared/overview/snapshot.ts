import { z } from 'zod'

/** What a list shows at most; `more` says that there are others. */
export const MOST_SHOWN = 100

const listOf = <Item extends z.ZodType>(item: Item) => z.object({ data: z.array(item), more: z.boolean() })

const Time = z.string().describe('RFC 3339')
const count = z.int()
const Percentiles = z
  .object({ p50: z.number().nullable(), p95: z.number().nullable(), p99: z.number().nullable() })
  .describe('ms, interpolated within fixed buckets; null where nothing was measured')

/** By where the answer came from (`Verdict`). */
const Verdicts = z.object({
  exact: count,
  semantic: count,
  stale: count,
  collapsed: count.describe('joined an equal call that was running'),
  miss: count,
  request: count.describe('the caller wanted no stored answer'),
  bypass: count.describe('Redis was away'),
  none: count.describe('ended before an answer was looked for'),
})

const Counted = z.object({
  requests: count,
  verdicts: Verdicts,
  errors: z.object({
    client: count.describe('4xx, other than 429'),
    limited: count.describe('429'),
    server: count.describe('5xx'),
  }),
  input_tokens: count,
  output_tokens: count,
  saved_tokens: count,
  cost: z.number().describe('USD'),
  saved: z.number().describe('USD that the cache saved'),
  total_ms: Percentiles.describe('until the end of the answer'),
  first_ms: Percentiles.describe('until the first piece of the answer'),
})

const Minute = Counted.extend({ at: Time.describe('when the minute began') })

const Traffic = z.object({
  total: Counted.extend({
    endpoints: z.record(z.string(), count),
    hit_rate: z
      .object({
        exact: z.number().describe('`stale` too'),
        semantic: z.number(),
        collapsed: z.number(),
        all: z.number(),
      })
      .describe('parts, 0 to 1, of the requests for which an answer was looked for'),
  }),
  minutes: z.array(Minute).describe('each of the window, the oldest first'),
})

const Spent = z.object({
  requests: z.number(),
  tokens: z.number(),
  input_tokens: z.number(),
  output_tokens: z.number(),
  cost: z.number().describe('USD'),
  saved: z.number().describe('USD that the cache saved'),
})

const Usage = z.object({
  day: z.string().describe('UTC day'),
  total: Spent,
  models: listOf(Spent.extend({ model: z.string().describe('`provider/model`, or `infer/<model>`') })),
  keys: listOf(Spent.extend({ key: z.string().describe('its id, or `none`'), name: z.string().nullable() })),
})

const Limit = z.object({
  on: z.enum(['requests', 'tokens']),
  limit: z.number(),
  window_seconds: z.number(),
  remaining: z.number().nullable().describe('null where it could not be asked'),
})
const Budget = z.object({
  usd: z.number(),
  period: z.enum(['daily', 'monthly', 'total']),
  spent_usd: z.number(),
  held_usd: z.number().describe('by running calls'),
})
const Bounds = z.object({ limits: z.array(Limit), budget: Budget.nullable() })

const Limits = z.object({
  tenant: Bounds,
  keys: listOf(Bounds.extend({ id: z.string(), name: z.string().nullable(), created_at: Time })).describe(
    'keys that are not revoked and have limits or a budget',
  ),
})

const Breaker = z.object({
  name: z.string().describe('`provider/model`, or `app:<name>`'),
  tenant: z.string(),
  state: z.enum(['closed', 'open', 'half-open']),
  manual: z.boolean(),
  seconds_left: z.number().nullable().describe('until it changes by itself'),
  succeeded: z.number().describe('calls in its window'),
  failed: z.number(),
  failure_rate: z.number().nullable().describe('0 to 1; null without calls'),
})

const Stream = z.object({
  name: z.string(),
  kind: z.enum(['events', 'hub']).describe('`hub`: of the whole hub; shown to admins'),
  handler: z.string().nullable(),
  length: count,
  lag: count.nullable().describe('not taken up yet; null where nobody works on it, or Redis cannot tell'),
  pending: count.describe('worked on now, or waiting for another attempt'),
  dead: count.describe('`POST /v1/events/{stream}/dead/replay` puts them back'),
})

const Queue = z.object({ name: z.string(), waiting: count, leased: count, dead: count })

const Agent = z.object({
  id: z.string(),
  role: z.string(),
  status: z.string(),
  version: count,
  steps: count,
  last_step_at: Time.nullable(),
  error: z.string().nullable(),
})

const Model = z.object({
  name: z.string(),
  versions: z.array(z.string()).describe('the greatest first'),
  labels: z.record(z.string(), z.string()),
  default_version: z.string(),
  inferences: count.describe('in the window'),
  errors: count,
  total_ms: Percentiles,
})

const Alerts = z.object({
  rules: listOf(
    z.object({
      name: z.string(),
      type: z.enum(['threshold', 'rate', 'absence']),
      on: z.string().describe('`stream:…`, `results:…` or `pipeline:…`'),
      fired_at: Time.nullable(),
      quiet_until: Time.nullable().describe('it fired, and says nothing until then'),
    }),
  ),
  latest: z
    .array(z.looseObject({ id: z.string(), rule: z.string(), type: z.string(), at: Time }))
    .describe('the newest first'),
})

const Schedule = z.object({
  name: z.string(),
  consecutive_failures: count,
  last_error: z.object({ code: z.string(), message: z.string(), at: Time }).nullable(),
  next_run: Time.nullable(),
})

const Instance = z.object({
  version: z.string(),
  uptime_seconds: z.number().describe('of the instance that answers'),
  redis: z.enum(['ok', 'degraded']).describe('`degraded`: it did not answer in time'),
  functions: z.array(z.string()).describe('that are deployed'),
})

/** What the dashboard shows. A part is absent where its function is not deployed, and null where it could not be read: `errors` says why. */
export const Snapshot = z.object({
  at: Time,
  tenant: z.string(),
  tenants: z.array(z.string()).nullable().describe('for admins: those that can be asked about'),
  window: z.object({ minutes: count, from: Time, to: Time }),
  instance: Instance,
  traffic: Traffic.nullish(),
  usage: Usage.nullish().describe('today'),
  limits: Limits.nullish(),
  breakers: listOf(Breaker).nullish().describe('that counted a failure or were set within a day'),
  streams: listOf(Stream).nullish().describe('that have settings'),
  queues: listOf(Queue).nullish(),
  agents: listOf(Agent).nullish().describe('those that took a step last, first'),
  models: listOf(Model).nullish(),
  alerts: Alerts.nullish(),
  schedules: listOf(Schedule).nullish().describe('that failed the last time'),
  errors: z.array(z.object({ part: z.string(), code: z.string(), message: z.string() })),
})

export type Snapshot = z.output<typeof Snapshot>
/** Names of the parts that may be absent or null. */
export type Part = Exclude<keyof Snapshot, 'at' | 'tenant' | 'tenants' | 'window' | 'instance' | 'errors'>

/** Whose overview, and of which window until now. */
export interface OverviewAsk {
  tenant: string
  minutes: number
  /** Admins see what concerns the whole hub. */
  isAdmin: boolean
}
