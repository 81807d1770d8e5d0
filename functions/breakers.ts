import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { DEFAULT_TENANT, NAME } from '../shared/keys.ts'
import { appBreakers } from './app-breakers.ts'
import { Breaker, Setting, shown } from './breaker-body.ts'
import type { App, Deps } from './deps.ts'
import { admitted, json, query, replies } from './http.ts'

const ofTenant = query(z.object({ tenant: z.string().regex(NAME).default(DEFAULT_TENANT) }))

/** `/v1/breakers[/{name}]`: targets that fail are left alone for a while. A name is `provider/model`, in the path as it is or encoded. */
export function breakers({ breakers, admission }: Pick<Deps, 'breakers' | 'admission'>) {
  const admin = admitted(admission, 'admin')
  return new Hono<App>()
    .route('/', appBreakers({ breakers, admission }))
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
