import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { HubError } from '../shared/errors.ts'
import { DEFAULT_TENANT, NAME } from '../shared/keys.ts'
import type { App, Deps } from './deps.ts'
import { admitted, json, query, replies } from './http.ts'

const Name = z.string().regex(NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -')
const ofTenant = query(z.object({ tenant: Name.default(DEFAULT_TENANT) }))
const Milliseconds = z.int().min(1).max(3_600_000)

const ModelRoute = z.strictObject({
  targets: z
    .array(
      z.strictObject({
        model: z.string().min(1).max(300).describe('`provider/model`'),
        weight: z.number().positive().max(1_000_000).default(1).describe('of the `weighted` strategy'),
        credential: Name.optional().describe(
          'one credential of the tenant’s; by default all of them, else the environment’s',
        ),
        timeouts: z
          .strictObject({
            connect_ms: Milliseconds.optional().describe('until the head of the answer'),
            first_token_ms: Milliseconds.optional().describe('until the first token of a stream'),
            total_ms: Milliseconds.optional().describe('of all tries, until the end'),
          })
          .optional(),
      }),
    )
    .min(1)
    .max(20),
  strategy: z.enum(['ordered', 'weighted']).default('ordered'),
  retries: z.int().min(0).max(5).default(0).describe('of one target, before the next one’s turn'),
  stale_if_error_seconds: z.int().min(0).max(604_800).default(0),
})
const StoredRoute = ModelRoute.extend({ alias: z.string() })
const NewCredential = z.strictObject({
  api_key: z
    .string()
    .min(1)
    .max(4096)
    .regex(/^[\x21-\x7e]+$/, 'must be visible ASCII: it is sent in a header'),
})
const Credential = z.object({ provider: z.string(), id: z.string(), created_at: z.string() })

/** `/v1/model-routes/{alias}` and `/v1/credentials/{provider}/{id}`: which models a name leads to, and on whose bill. */
export function modelRoutes(deps: Pick<Deps, 'modelRoutes' | 'modelRouter' | 'admission'>) {
  const { modelRoutes: routes, modelRouter: router } = deps
  const admin = admitted(deps.admission, 'admin')
  return new Hono<App>()
    .get(
      '/v1/model-routes',
      describeRoute({
        summary: 'List a tenant’s model aliases',
        responses: replies(200, 'The aliases', z.object({ data: z.array(StoredRoute) })),
      }),
      admin,
      ofTenant,
      async (c) => {
        const aliases = await routes.aliases(c.req.valid('query').tenant)
        return c.json({ data: [...aliases].map(([alias, route]) => ({ alias, ...route })) })
      },
    )
    .put(
      '/v1/model-routes/:alias',
      describeRoute({
        summary: 'Let a name lead to models: in order, or by weight',
        responses: replies(200, 'The alias', StoredRoute),
      }),
      admin,
      ofTenant,
      json(ModelRoute),
      async (c) => {
        const { tenant } = c.req.valid('query')
        const alias = named('alias', c.req.param('alias'))
        const route = c.req.valid('json')
        await router.validate(tenant, route)
        await routes.putAlias(tenant, alias, route)
        return c.json({ alias, ...route })
      },
    )
    .get(
      '/v1/model-routes/:alias',
      describeRoute({ summary: 'Read a model alias', responses: replies(200, 'The alias', StoredRoute) }),
      admin,
      ofTenant,
      async (c) => {
        const alias = c.req.param('alias')
        const route = (await routes.aliases(c.req.valid('query').tenant)).get(alias)
        if (!route) throw unknown('alias', alias)
        return c.json({ alias, ...route })
      },
    )
    .delete(
      '/v1/model-routes/:alias',
      describeRoute({ summary: 'Delete a model alias', responses: { 204: { description: 'Deleted' } } }),
      admin,
      ofTenant,
      async (c) => {
        const alias = c.req.param('alias')
        if (!(await routes.deleteAlias(c.req.valid('query').tenant, alias))) throw unknown('alias', alias)
        return c.body(null, 204)
      },
    )
    .get(
      '/v1/credentials',
      describeRoute({
        summary: 'List a tenant’s provider credentials, without what they hold',
        responses: replies(200, 'The credentials', z.object({ data: z.array(Credential) })),
      }),
      admin,
      ofTenant,
      async (c) => c.json({ data: await routes.credentials(c.req.valid('query').tenant) }),
    )
    .put(
      '/v1/credentials/:provider/:id',
      describeRoute({
        summary: 'Store a provider credential of the tenant’s own, encrypted',
        description: 'From then on the tenant’s calls of this provider use its own credentials only.',
        responses: replies(200, 'The credential without its key', Credential),
      }),
      admin,
      ofTenant,
      json(NewCredential),
      async (c) => {
        const provider = c.req.param('provider')
        const id = named('id', c.req.param('id'))
        router.validateProvider(provider)
        const { tenant } = c.req.valid('query')
        return c.json(await routes.putCredential(tenant, provider, id, c.req.valid('json').api_key))
      },
    )
    .get(
      '/v1/credentials/:provider/:id',
      describeRoute({
        summary: 'Read a provider credential, without what it holds',
        responses: replies(200, 'The credential', Credential),
      }),
      admin,
      ofTenant,
      async (c) => {
        const { provider, id } = c.req.param()
        const all = await routes.credentials(c.req.valid('query').tenant)
        const found = all.find((one) => one.provider === provider && one.id === id)
        if (!found) throw unknown('credential', `${provider}/${id}`)
        return c.json(found)
      },
    )
    .delete(
      '/v1/credentials/:provider/:id',
      describeRoute({
        summary: 'Delete a provider credential',
        responses: { 204: { description: 'Deleted' } },
      }),
      admin,
      ofTenant,
      async (c) => {
        const { provider, id } = c.req.param()
        const deleted = await routes.deleteCredential(c.req.valid('query').tenant, provider, id)
        if (!deleted) throw unknown('credential', `${provider}/${id}`)
        return c.body(null, 204)
      },
    )
}

function named(param: string, value: string): string {
  if (NAME.test(value)) return value
  const message = `${param} must be 1 to 64 of A-Z a-z 0-9 _ . -`
  throw new HubError({ code: 'invalid_value', status: 400, message, param })
}

const unknown = (what: 'alias' | 'credential', name: string) =>
  new HubError({
    code: `${what}_not_found`,
    status: 404,
    message: `There is no ${what} ${name} for this tenant.`,
    param: what,
  })
