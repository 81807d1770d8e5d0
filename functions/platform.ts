import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { DEFAULT_TENANT, NAME } from '../shared/keys.ts'
import type { BreakerStatus } from '../shared/models/breaker-memory.ts'
import type { App, Deps } from './deps.ts'
import { admitted, json, query, replies } from './http.ts'

const ofTenant = query(z.object({ tenant: z.string().regex(NAME).default(DEFAULT_TENANT) }))

const Setting = z.strictObject({
  state: z.enum(['open', 'closed', 'auto']).describe('`auto`: as its calls decide, from a clean start'),
  seconds: z.int().min(1).max(31_536_000).optional().describe('then `auto`; absent: until it is set again'),
})
const Breaker = z.object({
  name: z.string(),
  tenant: z.string(),
  state: z.enum(['closed', 'open', 'half-open']),
  manual: z.boolean(),
  seconds_left: z.number().nullable().describe('until it changes by itself'),
  succeeded: z.number().describe('calls in its window'),
  failed: z.number(),
})

/** `/v1/breakers[/{name}]`: targets that fail are left alone for a while. A name is `provider/model`, in the path as it is or encoded. */
export function platform({ breakers, admission }: Pick<Deps, 'breakers' | 'admission'>) {
  const admin = admitted(admission, 'admin')
  return new Hono<App>()
    .get(
      '/v1/breakers',
      describeRoute({
        summary: 'List the breakers that counted a failure or were set within a day',
        responses: replies(200, 'The breakers', z.object({ data: z.array(Breaker) })),
      }),
      admin,
      async (c) => c.json({ data: (await breakers.list()).map(shown) }),
    )
    .get(
      '/v1/breakers/:name{.+}',
      describeRoute({ summary: 'Read a breaker', responses: replies(200, 'The breaker', Breaker) }),
      admin,
      ofTenant,
      async (c) => {
        const { tenant } = c.req.valid('query')
        return c.json(shown(await breakers.read({ tenant, name: c.req.param('name') })))
      },
    )
    .post(
      '/v1/breakers/:name{.+}',
      describeRoute({
        summary: 'Open or close a breaker by hand, or leave it to itself',
        responses: replies(200, 'The breaker', Breaker),
      }),
      admin,
      ofTenant,
      json(Setting),
      async (c) => {
        const { tenant } = c.req.valid('query')
        const { state, seconds } = c.req.valid('json')
        return c.json(shown(await breakers.set({ tenant, name: c.req.param('name') }, state, seconds)))
      },
    )
}

const shown = ({ leftMs, ...breaker }: BreakerStatus) => ({
  ...breaker,
  seconds_left: leftMs > 0 ? Math.ceil(leftMs / 1000) : null,
})
