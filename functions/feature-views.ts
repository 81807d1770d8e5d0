import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { FEATURE_TYPES } from '../shared/features/feature-types.ts'
import type { NamedView } from '../shared/features/feature-views.ts'
import type { App, Deps } from './deps.ts'
import { admitted, json, replies } from './http.ts'

const Declared = z.strictObject({
  type: z.enum(FEATURE_TYPES),
  dimensions: z.int().min(1).max(4_096).optional().describe('of a vector'),
  min: z.number().optional().describe('of a float or int'),
  max: z.number().optional(),
  default: z
    .union([z.number(), z.boolean(), z.string(), z.array(z.number())])
    .optional()
    .describe('stands in where no value is known'),
})

/** `"int"` is `{"type": "int"}`, and `"vector(3)"` is `{"type": "vector", "dimensions": 3}`. */
const FeatureSettings = z.preprocess((given) => {
  if (typeof given !== 'string') return given
  const dimensions = /^vector\((\d{1,5})\)$/.exec(given)?.[1]
  return dimensions === undefined ? { type: given } : { type: 'vector', dimensions: Number(dimensions) }
}, Declared)

const Settings = z.strictObject({
  features: z.record(z.string(), FeatureSettings).describe('by name: a type such as `"int"`, or more of it'),
  ttl_seconds: z
    .int()
    .min(1)
    .max(315_360_000)
    .optional()
    .describe('a value whose event time is longer ago is not served; without it values stay'),
})

const ViewReply = z.object({
  name: z.string(),
  declared: z.boolean().describe('false: it learns features from what is written'),
  features: z.record(z.string(), Declared),
  ttl_seconds: z.int().optional(),
  created_at: z.string(),
  updated_at: z.string(),
})

/** `/v1/feature-views`: which features there are, and of which type. */
export function featureViews({ featureViews, admission }: Pick<Deps, 'featureViews' | 'admission'>) {
  const member = admitted(admission, 'features')
  return new Hono<App>()
    .get(
      '/v1/feature-views',
      describeRoute({
        summary: 'List feature views by name',
        responses: replies(200, 'The views', z.object({ data: z.array(ViewReply) })),
      }),
      member,
      async (c) => c.json({ data: (await featureViews.list(c.var.caller.tenant)).map(toReply) }),
    )
    .put(
      '/v1/feature-views/:view',
      describeRoute({
        summary: 'Declare a feature view, or replace its declaration',
        description:
          'A feature’s type is for good. One that is left out is no longer served, and is served again when it comes back.',
        responses: {
          ...replies(201, 'It was made', ViewReply),
          ...replies(200, 'It was there', ViewReply),
        },
      }),
      member,
      json(Settings),
      async (c) => {
        const { tenant } = c.var.caller
        const { view, created } = await featureViews.put(tenant, c.req.param('view'), c.req.valid('json'))
        return c.json(toReply(view), created ? 201 : 200)
      },
    )
    .get(
      '/v1/feature-views/:view',
      describeRoute({ summary: 'Read a feature view', responses: replies(200, 'The view', ViewReply) }),
      member,
      async (c) => c.json(toReply(await featureViews.get(c.var.caller.tenant, c.req.param('view')))),
    )
    .delete(
      '/v1/feature-views/:view',
      describeRoute({
        summary: 'Delete a feature view with all its entities',
        responses: { 204: { description: 'It is gone; what it held is removed in the background' } },
      }),
      member,
      async (c) => {
        const sweep = await featureViews.delete(c.var.caller.tenant, c.req.param('view'))
        c.env.defer(sweep())
        return c.body(null, 204)
      },
    )
}

function toReply({ name, declared, features, ttl_seconds, created_at, updated_at }: NamedView) {
  return { name, declared, features, ttl_seconds, created_at, updated_at }
}
