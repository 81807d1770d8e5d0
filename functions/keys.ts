import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { HubError } from '../shared/errors.ts'
import type { HubKeyRecord } from '../shared/hub-keys.ts'
import { NAME } from '../shared/keys.ts'
import { CHANNEL_PATTERN } from '../shared/realtime/channel-access.ts'
import type { App, Deps } from './deps.ts'
import { admitted, IDEMPOTENCY_KEY, json, query, replies } from './http.ts'

const Tenant = z.string().regex(NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -')

const Limits = z
  .array(
    z.strictObject({
      on: z.enum(['requests', 'tokens']),
      limit: z.int().min(1).max(1e12),
      window_seconds: z.int().min(1).max(31_536_000),
      algorithm: z
        .enum(['sliding_window', 'fixed_window', 'token_bucket'])
        .optional()
        .describe('of request limits; `sliding_window` by default'),
    }),
  )
  .max(10)
  .refine(
    (limits) =>
      new Set(limits.map(({ on, window_seconds }) => `${on} ${window_seconds}`)).size === limits.length,
    'two limits on the same within the same window',
  )
const Budget = z.strictObject({
  usd: z.number().nonnegative().max(1e6),
  period: z.enum(['daily', 'monthly', 'total']).describe('UTC days and months'),
})

const Patterns = z
  .array(z.string().regex(CHANNEL_PATTERN, 'must be a channel, or how it begins and *'))
  .max(100)
const Channels = z.strictObject({ read: Patterns.optional(), write: Patterns.optional() })

const NewKey = z.strictObject({
  tenant: Tenant,
  name: z.string().max(200).optional(),
  scopes: z
    .array(z.string().regex(NAME))
    .max(50)
    .optional()
    .describe('functions it may call, and `admin`; all functions by default'),
  models: z
    .array(z.string().max(200))
    .max(200)
    .optional()
    .describe('`provider/model`s it may ask; all by default'),
  channels: Channels.optional().describe(
    'realtime channels: `orders`, or `agent:*` for all that begin so; all of the tenant by default',
  ),
  limits: Limits.optional(),
  budget: Budget.optional(),
})

const TenantSettings = z.strictObject({ limits: Limits.optional(), budget: Budget.optional() })

const Key = z.object({
  id: z.string(),
  tenant: z.string(),
  name: z.string().nullable(),
  scopes: z.array(z.string()).nullable(),
  models: z.array(z.string()).nullable(),
  channels: Channels.nullable(),
  limits: Limits.nullable(),
  budget: Budget.extend({ spent_usd: z.number().optional(), held_usd: z.number().optional() }).nullable(),
  created_at: z.string(),
  revoked_at: z.string().nullable(),
})
const KeyOnce = Key.extend({ key: z.string().describe('shown once') })

/** `/v1/keys`: who may call the hub; `/v1/tenants`: what holds for all keys of a tenant. */
export function keys({ hubKeys, admission, budgets }: Pick<Deps, 'hubKeys' | 'admission' | 'budgets'>) {
  const admin = admitted(admission, 'admin')
  return new Hono<App>()
    .post(
      '/v1/keys',
      describeRoute({
        summary: 'Make a hub key',
        parameters: [IDEMPOTENCY_KEY],
        responses: replies(201, 'The key', KeyOnce),
      }),
      admin,
      json(NewKey),
      async (c) => {
        const { key, ...record } = await hubKeys.create(c.req.valid('json'), c.req.header('idempotency-key'))
        return c.json({ ...shown(record), key }, 201)
      },
    )
    .get(
      '/v1/keys',
      describeRoute({
        summary: 'List hub keys',
        responses: replies(200, 'The keys', z.object({ data: z.array(Key) })),
      }),
      admin,
      query(z.object({ tenant: Tenant.optional() })),
      async (c) => c.json({ data: (await hubKeys.list(c.req.valid('query').tenant)).map(shown) }),
    )
    .get(
      '/v1/keys/:id',
      describeRoute({ summary: 'Read a hub key', responses: replies(200, 'The key', Key) }),
      admin,
      async (c) => {
        const record = await hubKeys.find(c.req.param('id'))
        if (!record) throw unknownKey(c.req.param('id'))
        const budget = record.budget && {
          ...record.budget,
          ...(await budgets.read(record.tenant, `key:${record.id}`)),
        }
        return c.json({ ...shown(record), budget })
      },
    )
    .delete(
      '/v1/keys/:id',
      describeRoute({ summary: 'Revoke a hub key', responses: { 204: { description: 'Revoked' } } }),
      admin,
      async (c) => {
        const id = c.req.param('id')
        admission.forget(id)
        const revoked = await hubKeys.revoke(id)
        if (!revoked) throw unknownKey(id)
        if (c.var.act) c.var.act.tenant = revoked.tenant
        return c.body(null, 204)
      },
    )
    .put(
      '/v1/tenants/:tenant',
      describeRoute({
        summary: 'Set limits and a budget that hold for all keys of a tenant together',
        responses: replies(200, 'The settings', TenantSettings),
      }),
      admin,
      json(TenantSettings),
      async (c) => {
        const settings = c.req.valid('json')
        await hubKeys.putTenant(tenantOf(c.req.param('tenant')), settings)
        return c.json(settings)
      },
    )
    .get(
      '/v1/tenants/:tenant',
      describeRoute({
        summary: 'Read a tenant’s limits and budget',
        responses: replies(200, 'The settings', TenantSettings),
      }),
      admin,
      async (c) => c.json(await hubKeys.findTenant(tenantOf(c.req.param('tenant')))),
    )
}

/** Of a path. Throws 400. */
export function tenantOf(name: string): string {
  if (NAME.test(name)) return name
  const message = 'tenant: must be 1 to 64 of A-Z a-z 0-9 _ . -'
  throw new HubError({ code: 'invalid_value', status: 400, message, param: 'tenant' })
}

const shown = ({ hash: _, request_hash: __, channels = null, ...record }: HubKeyRecord) => ({
  ...record,
  channels,
})

const unknownKey = (id: string) =>
  new HubError({ code: 'key_not_found', status: 404, message: `There is no key ${id}.`, param: 'id' })
