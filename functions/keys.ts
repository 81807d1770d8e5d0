import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { HubError } from '../shared/errors.ts'
import type { HubKeyRecord } from '../shared/hub-keys.ts'
import { NAME } from '../shared/keys.ts'
import type { App, Deps } from './deps.ts'
import { admitted, json, query, replies } from './http.ts'

const Tenant = z.string().regex(NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -')

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
})

const Key = z.object({
  id: z.string(),
  tenant: z.string(),
  name: z.string().nullable(),
  scopes: z.array(z.string()).nullable(),
  models: z.array(z.string()).nullable(),
  created_at: z.string(),
  revoked_at: z.string().nullable(),
})
const KeyOnce = Key.extend({ key: z.string().describe('shown once') })

/** `POST/GET/DELETE /v1/keys[/{id}]`: who may call the hub. */
export function keys({ hubKeys, admission }: Pick<Deps, 'hubKeys' | 'admission'>) {
  const admin = admitted(admission, 'admin')
  return new Hono<App>()
    .post(
      '/v1/keys',
      describeRoute({ summary: 'Make a hub key', responses: replies(201, 'The key', KeyOnce) }),
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
        return c.json(shown(record))
      },
    )
    .delete(
      '/v1/keys/:id',
      describeRoute({ summary: 'Revoke a hub key', responses: { 204: { description: 'Revoked' } } }),
      admin,
      async (c) => {
        const id = c.req.param('id')
        admission.forget(id)
        if (!(await hubKeys.revoke(id))) throw unknownKey(id)
        return c.body(null, 204)
      },
    )
}

const shown = ({ hash: _, request_hash: __, ...record }: HubKeyRecord) => record

const unknownKey = (id: string) =>
  new HubError({ code: 'key_not_found', status: 404, message: `There is no key ${id}.`, param: 'id' })
