import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { DriftReply } from './dataset-drift.ts'
import { datasetRows } from './dataset-rows.ts'
import { Time, toRange } from './dataset-time.ts'
import type { App, Deps } from './deps.ts'
import { admitted, json, query, replies } from './http.ts'

const Settings = z.strictObject({
  max_rows: z
    .int()
    .min(1)
    .max(10_000_000)
    .optional()
    .describe('100,000 by default; the oldest go where there are more'),
  max_age_days: z
    .number()
    .min(0.01)
    .max(3_650)
    .optional()
    .describe('since a row was recorded; any by default'),
})
const SkewQuery = z.object({
  reference_from: Time.optional(),
  reference_to: Time.describe('until here the model was trained'),
  from: Time.describe('from here on it is served'),
  to: Time.optional(),
})

const DatasetReply = z.object({ name: z.string(), max_rows: z.int(), max_age_days: z.number().optional() })
const StatsReply = DatasetReply.extend({
  rows: z.int(),
  first_recorded_at: z.string().nullable(),
  last_recorded_at: z.string().nullable(),
})
const sides = z.object({
  rows: z.int(),
  sampled: z.int().describe('the figures are of these, chosen by chance'),
})
const SkewReply = z.object({
  reference: sides,
  current: sides,
  features: z.record(z.string(), DriftReply).describe('the first 500 by name'),
  output: DriftReply,
})

export type DatasetDeps = Pick<Deps, 'datasets' | 'datasetReader' | 'skew' | 'admission'>

/** `/v1/datasets`: rows as they were served, their labels, and what has changed since. */
export function datasets(deps: DatasetDeps) {
  const { datasets, skew, admission } = deps
  const member = admitted(admission, 'features')
  return new Hono<App>()
    .route('/', datasetRows(deps))
    .get(
      '/v1/datasets',
      describeRoute({
        summary: 'List datasets by name',
        responses: replies(200, 'The datasets', z.object({ data: z.array(DatasetReply) })),
      }),
      member,
      async (c) => c.json({ data: await datasets.list(c.var.caller.tenant) }),
    )
    .put(
      '/v1/datasets/:name',
      describeRoute({
        summary: 'Set the bounds of a dataset; what is left out is as by default',
        responses: replies(200, 'The dataset', DatasetReply),
      }),
      member,
      json(Settings),
      async (c) => {
        const { tenant } = c.var.caller
        const { dataset, trim } = await datasets.put(tenant, c.req.param('name'), c.req.valid('json'))
        c.env.defer(trim())
        return c.json(dataset)
      },
    )
    .delete(
      '/v1/datasets/:name',
      describeRoute({ summary: 'Delete a dataset', responses: { 204: { description: 'It is gone' } } }),
      member,
      async (c) => {
        await datasets.delete(c.var.caller.tenant, c.req.param('name'))
        return c.body(null, 204)
      },
    )
    .get(
      '/v1/datasets/:name/stats',
      describeRoute({
        summary: 'How large a dataset is',
        responses: replies(200, 'The dataset', StatsReply),
      }),
      member,
      async (c) => {
        const { firstAt, lastAt, ...stats } = await datasets.stats(c.var.caller.tenant, c.req.param('name'))
        return c.json({ ...stats, first_recorded_at: toTime(firstAt), last_recorded_at: toTime(lastAt) })
      },
    )
    .get(
      '/v1/datasets/:name/skew',
      describeRoute({
        summary: 'Compare what a model is served with what it was trained on, feature by feature',
        responses: replies(200, 'The report', SkewReply),
      }),
      member,
      query(SkewQuery),
      async (c) => {
        const { reference_from, reference_to, from, to } = c.req.valid('query')
        const ranges = {
          reference: toRange({ from: reference_from, to: reference_to }, 'reference_'),
          current: toRange({ from, to }),
        }
        return c.json(await skew(c.var.caller.tenant, c.req.param('name'), ranges, c.req.raw.signal))
      },
    )
}

const toTime = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString())
