import { type Context, Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import type { Lease } from '../shared/locks/locks.ts'
import type { App, Deps } from './deps.ts'
import { admitted, checked, IDEMPOTENCY_KEY, json, parseJson, replies } from './http.ts'

const Token = z.int().min(1).describe('of your acquisition')
const ttl = z.number().min(0.1).max(3_600).describe('the lease ends so long from now, unless it is renewed')

const Acquire = z.strictObject({
  ttl_seconds: ttl,
  wait_seconds: z
    .number()
    .min(0)
    .max(25)
    .default(0)
    .describe('while it is held; first come, first served. 0: answer at once'),
  owner: z
    .string()
    .max(200)
    .refine((text) => text.isWellFormed(), 'is no valid Unicode')
    .optional()
    .describe('what you call yourself, for others to read'),
})

const Held = z.object({
  name: z.string(),
  token: z
    .int()
    .describe(
      'rises with each acquisition, never comes twice. Send it with what you write: `x-hub-lock: <name>=<token>`',
    ),
  expires_at: z.string(),
})
const Lock = z.object({
  name: z.string(),
  held: z.boolean(),
  token: z.int().nullable().describe('of its holder'),
  expires_at: z.string().nullable(),
  by: z.string().nullable().describe('`key:<id>` of its holder, or `local`'),
  owner: z.string().nullable(),
  highest_token: z.int().nullable().describe('that was ever given'),
  waiting: z.int(),
})

/** `/v1/locks/{name}`: leases with fencing tokens. What they guarantee, and what not: infra/docs/locks.md. */
export function locks({ locks, admission }: Pick<Deps, 'locks' | 'admission'>) {
  const member = admitted(admission, 'platform')
  return new Hono<App>()
    .post(
      '/v1/locks/:name',
      describeRoute({
        summary: 'Acquire a lock',
        description:
          '409 `lock_held` when it is held for longer than you wait. With the same `Idempotency-Key`, a repeated call finds what the first one acquired, while it holds it.',
        parameters: [IDEMPOTENCY_KEY],
        responses: replies(201, 'It is yours', Held),
      }),
      member,
      json(Acquire),
      async (c) => {
        const { tenant, keyId } = c.var.caller
        const name = c.req.param('name')
        const { ttl_seconds, wait_seconds, owner } = c.req.valid('json')
        const key = c.req.header('idempotency-key')
        const lease = await locks.acquire(tenant, name, {
          ...{ ttlMs: toMs(ttl_seconds), waitMs: toMs(wait_seconds), owner },
          by: keyId === null ? 'local' : `key:${keyId}`,
          once: key === undefined ? undefined : `${keyId ?? ''}/${key}`,
          ...{ signal: c.req.raw.signal, defer: c.env.defer },
        })
        return c.json(shown(name, lease), 201)
      },
    )
    .put(
      '/v1/locks/:name',
      describeRoute({
        summary: 'Renew a lock that you hold',
        description: '412 `lock_lost` when its lease is over.',
        responses: replies(200, 'It is still yours', Held),
      }),
      member,
      json(z.strictObject({ token: Token, ttl_seconds: ttl })),
      async (c) => {
        const name = c.req.param('name')
        const { token, ttl_seconds } = c.req.valid('json')
        return c.json(shown(name, await locks.renew(c.var.caller.tenant, name, token, toMs(ttl_seconds))))
      },
    )
    .delete(
      '/v1/locks/:name',
      describeRoute({
        summary: 'Release a lock that you hold',
        description:
          '412 `lock_lost` when somebody had it after you. The token may also come in a JSON body.',
        parameters: [{ name: 'token', in: 'query', schema: { type: 'integer', minimum: 1 } }],
        responses: { 204: { description: 'It is free' } },
      }),
      member,
      async (c) => {
        await locks.release(c.var.caller.tenant, c.req.param('name'), await tokenOf(c))
        return c.body(null, 204)
      },
    )
    .get(
      '/v1/locks/:name',
      describeRoute({ summary: 'Who holds a lock', responses: replies(200, 'The lock', Lock) }),
      member,
      async (c) => {
        const name = c.req.param('name')
        const { held, highest, waiting } = await locks.read(c.var.caller.tenant, name)
        return c.json({
          ...{ name, held: held !== undefined, token: held?.token ?? null },
          expires_at: held ? new Date(held.expiresAt).toISOString() : null,
          ...{ by: held?.by ?? null, owner: held?.owner ?? null },
          ...{ highest_token: highest ?? null, waiting },
        })
      },
    )
}

async function tokenOf(c: Context): Promise<number> {
  const { token } = c.req.query()
  if (token !== undefined) return checked(z.object({ token: z.coerce.number().pipe(Token) }), { token }).token
  const text = await c.req.text()
  return checked(z.object({ token: Token }), text === '' ? {} : parseJson(text)).token
}

const toMs = (seconds: number) => Math.round(seconds * 1000)

const shown = (name: string, { token, expiresAt }: Lease) => ({
  ...{ name, token, expires_at: new Date(expiresAt).toISOString() },
})
