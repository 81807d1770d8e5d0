import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import type { App, Deps } from './deps.ts'
import { admitted, query, replies } from './http.ts'
import { requests } from './requests.ts'

const Day = z.iso.date().describe('UTC day, yyyy-mm-dd')
/** A day, or a time in it. */
const Moment = z
  .union([z.iso.date(), z.iso.datetime({ offset: true })])
  .transform((text) => new Date(text).toISOString().slice(0, 10))
const MOST_DAYS = 366

const Row = z.looseObject({
  requests: z.number(),
  tokens: z.number(),
  input_tokens: z.number(),
  cached_input_tokens: z.number(),
  cache_write_input_tokens: z.number(),
  output_tokens: z.number(),
  reasoning_tokens: z.number(),
  estimated: z.number().describe('requests whose tokens the hub counted because the provider did not say'),
  cost: z.number().describe('USD'),
  saved: z.number().describe('USD that the cache saved'),
})
const Report = z.object({ from: Day, to: Day, group_by: z.string(), data: z.array(Row), total: Row })

/** `GET /v1/usage`: requests, tokens and money of the caller's tenant; and the log of its requests. */
export function usage(deps: Pick<Deps, 'usage' | 'requestLog' | 'admission' | 'clock'>) {
  const { usage, admission, clock } = deps
  const today = () => new Date(clock.now()).toISOString().slice(0, 10)
  const Query = z
    .object({
      from: Moment.optional(),
      to: Moment.optional(),
      group_by: z.enum(['model', 'key', 'day']).default('model'),
    })
    .transform(({ from, to, group_by }) => {
      const last = to ?? today()
      return { from: from ?? (last < today() ? last : today()), to: last, group_by }
    })
    .refine(({ from, to }) => from <= to, { path: ['from'], error: 'is after `to`' })
    .refine(({ from, to }) => Date.parse(to) - Date.parse(from) < MOST_DAYS * 86_400_000, {
      path: ['from'],
      error: `at most ${MOST_DAYS} days at once`,
    })
  return new Hono<App>().route('/', requests(deps)).get(
    '/v1/usage',
    describeRoute({
      summary: 'Requests, tokens and money, by model, key or day; today by default',
      responses: replies(200, 'The report', Report),
    }),
    admitted(admission, 'usage'),
    query(Query),
    async (c) => {
      const { from, to, group_by } = c.req.valid('query')
      const data = await usage.read(c.var.caller.tenant, from, to, group_by)
      return c.json({ from, to, group_by, data, total: totalOf(data) })
    },
  )
}

function totalOf(rows: Record<string, string | number>[]): Record<string, number> {
  const total: Record<string, number> = {}
  for (const row of rows) {
    for (const [field, value] of Object.entries(row)) {
      if (typeof value === 'number') total[field] = (total[field] ?? 0) + value
    }
  }
  return total
}
