import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import type { DeadLetter } from '../shared/streams/dead-letters.ts'
import type { App, Deps } from './deps.ts'
import { admitted, json, query, replies } from './http.ts'

const Dead = z.object({
  id: z.string().describe('what a replay names'),
  tenant: z.string(),
  webhook_id: z.string(),
  url: z.string(),
  cause: z.string(),
  attempts: z.int(),
  at: z.string(),
})
const Page = z.object({
  data: z.array(Dead),
  next: z.string().nullable().describe('the `after` of the next page'),
})

export type DeliveryDeps = Pick<Deps, 'deadDeliveries' | 'admission'>

/** `/v1/deliveries/dead`: webhooks of the whole hub that were given up. */
export function deliveries({ deadDeliveries, admission }: DeliveryDeps) {
  const admin = admitted(admission, 'admin')
  return new Hono<App>()
    .get(
      '/v1/deliveries/dead',
      describeRoute({
        summary: 'Webhooks that were not taken, of all tenants, oldest first, in pages',
        responses: replies(200, 'A page', Page),
      }),
      admin,
      query(
        z.object({
          after: z
            .string()
            .regex(/^\d+-\d+$/, 'must be the `next` of a page')
            .optional(),
          limit: z.coerce.number().int().min(1).max(1_000).default(100),
        }),
      ),
      async (c) => {
        const { after, limit } = c.req.valid('query')
        const letters = await deadDeliveries.list({ after, limit })
        return c.json({
          data: letters.map(shown),
          next: letters.length === limit ? letters.at(-1)!.id : null,
        })
      },
    )
    .post(
      '/v1/deliveries/dead/replay',
      describeRoute({
        summary: 'Send them anew, with all attempts',
        responses: replies(200, 'Those that were there', z.object({ ids: z.array(z.string()) })),
      }),
      admin,
      json(
        z.strictObject({
          ids: z
            .array(z.string().regex(/^\d+-\d+$/))
            .min(1)
            .max(1_000),
        }),
      ),
      async (c) => c.json({ ids: await deadDeliveries.replay(c.req.valid('json').ids) }),
    )
}

const shown = ({ id, cause, attempts, at, fields }: DeadLetter) => ({
  ...{ id, tenant: fields.tenant ?? '', webhook_id: fields.id ?? '', url: fields.url ?? '' },
  ...{ cause, attempts, at },
})
