import { Hono } from 'hono'
import { describeRoute, resolver } from 'hono-openapi'
import { z } from 'zod'
import { HubError, toHubError } from '../shared/errors.ts'
import { beginAct } from './acts.ts'
import type { App, Deps } from './deps.ts'
import { admitted, replies } from './http.ts'
import { tenantOf } from './keys.ts'

const Erasure = z.object({
  tenant: z.string(),
  status: z.enum(['erasing', 'erased']),
  requested_at: z.string(),
  erased_at: z.string().nullable(),
  keys: z.number().describe('removed so far'),
  members: z.number().describe('of keys of the whole hub'),
  indexes: z.number().describe('of the vector store'),
  passes: z.number().describe('complete looks at everything'),
  problem: z.string().nullable().describe('why the last attempt broke off; it is made again'),
  earlier: z
    .array(z.object({ requested_at: z.string(), erased_at: z.string() }))
    .describe('of the same name'),
})
const Tenant = z.object({
  tenant: z.string(),
  keys: z.number().describe('hub keys that are not revoked'),
  revoked_keys: z.number(),
  erasing: z.boolean(),
})

/** `/v1/tenants`: who has something here; all that a tenant has, to take along or to be gone. */
export function tenants({
  hubKeys,
  erasures,
  exportTenant,
  admission,
  log,
}: Pick<Deps, 'hubKeys' | 'erasures' | 'exportTenant' | 'admission' | 'log'>) {
  const admin = admitted(admission, 'admin')
  return new Hono<App>()
    .get(
      '/v1/tenants',
      describeRoute({
        summary: 'List the tenants that have hub keys or settings, or are being erased',
        responses: replies(200, 'The tenants', z.object({ data: z.array(Tenant) })),
      }),
      admin,
      async (c) => {
        const [known, running] = await Promise.all([hubKeys.tenants(), erasures.running()])
        const keys = Map.groupBy(await hubKeys.list(), ({ tenant }) => tenant)
        const data = [...new Set([...known, ...running])].sort().map((tenant) => {
          const all = keys.get(tenant) ?? []
          const revoked = all.filter(({ revoked_at }) => revoked_at !== null).length
          const erasing = running.includes(tenant)
          return { tenant, keys: all.length - revoked, revoked_keys: revoked, erasing }
        })
        return c.json({ data })
      },
    )
    .get(
      '/v1/tenants/:tenant/export',
      describeRoute({
        summary:
          'Everything the hub holds for a tenant, one JSON value a line; whole where the last line has `end`',
        responses: {
          200: {
            description: 'The lines',
            content: { 'application/x-ndjson': { schema: resolver(z.record(z.string(), z.unknown())) } },
          },
        },
      }),
      admin,
      async (c) => {
        const tenant = tenantOf(c.req.param('tenant'))
        await beginAct(c, c.var.caller, { reading: true }) // all of a tenant leaves the hub
        const leaving = new AbortController()
        const lines = exportTenant(tenant, AbortSignal.any([leaving.signal, c.req.raw.signal]))
        const body = toNdjson(lines, {
          onCancel: () => leaving.abort(),
          onError: (cause) => log.error({ msg: 'An export broke off', tenant, cause }),
        })
        const disposition = `attachment; filename="${tenant}.ndjson"`
        return c.body(body, 200, {
          'content-type': 'application/x-ndjson',
          'content-disposition': disposition,
          'cache-control': 'no-store',
        })
      },
    )
    .delete(
      '/v1/tenants/:tenant',
      describeRoute({
        summary: 'Erase a tenant: its hub keys at once, all else in the background',
        responses: {
          202: {
            description: 'Begun, or going on',
            content: { 'application/json': { schema: resolver(Erasure) } },
          },
        },
      }),
      admin,
      async (c) => c.json(await erasures.begin(tenantOf(c.req.param('tenant')), c.env.defer), 202),
    )
    .get(
      '/v1/tenants/:tenant/erasure',
      describeRoute({
        summary: 'How far a tenant’s erasure is; kept as its proof',
        responses: replies(200, 'The erasure', Erasure),
      }),
      admin,
      async (c) => {
        const tenant = tenantOf(c.req.param('tenant'))
        const erasure = await erasures.find(tenant)
        if (erasure) return c.json(erasure)
        const message = `The tenant ${tenant} was never erased. DELETE /v1/tenants/${tenant} does.`
        throw new HubError({ code: 'erasure_not_found', status: 404, message, param: 'tenant' })
      },
    )
}

/** Pulled as the reader reads. What breaks off ends with a line `{"error"}`, and without the last one. */
function toNdjson(
  lines: AsyncGenerator<Record<string, unknown>>,
  { onCancel, onError }: { onCancel(): void; onError(cause: unknown): void },
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  const encode = (line: unknown) => encoder.encode(`${JSON.stringify(line)}\n`)
  let isLeft = false
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await lines.next()
          if (done) controller.close()
          else controller.enqueue(encode(value))
        } catch (cause) {
          if (isLeft) return
          onError(cause)
          controller.enqueue(encode(toHubError(cause)))
          controller.close()
        }
      },
      cancel() {
        isLeft = true
        onCancel()
      },
    },
    { highWaterMark: 0 },
  )
}
