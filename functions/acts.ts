import type { Context } from 'hono'
import { routePath } from 'hono/route'
import type { Admission, Caller } from '../shared/admission.ts'
import { NAME } from '../shared/keys.ts'
import { actsFor, claimOf } from './credential.ts'
import type { App } from './deps.ts'

/** An act that is under way. */
export interface RunningAct {
  id: string
  /** Whom it concerns, where that turns out only while it happens. */
  tenant?: string
}

/** Records what an admin is about to do; reading is not, unless `reading` says so. Throws 503 `audit_unavailable`, and then nothing may be done. */
export async function beginAct(
  c: Context<App>,
  { tenant, keyId }: Pick<Caller, 'tenant' | 'keyId'>,
  { reading = false } = {},
): Promise<void> {
  if ((!reading && ['GET', 'HEAD', 'OPTIONS'].includes(c.req.method)) || c.var.act) return
  const params = Object.fromEntries(
    Object.entries(c.req.param()).map(([name, value]) => [name, String(value).slice(0, 256)]),
  )
  const named = params.tenant ?? c.req.query('tenant') ?? actsFor(c) ?? (await tenantInBody(c))
  const id = await c.var.audit.begin({
    ...{ keyId, params, tenant: named !== undefined && NAME.test(named) ? named : tenant },
    action: `${c.req.method} ${routePath(c).replace(/:(\w+)(?:\{[^}]*\})?/g, '{$1}')}`,
    requestId: c.var.requestId,
    client: c.env.clientAddress ?? null,
  })
  c.set('act', { id })
}

/** Nobody waits for it: where it cannot be written, it is not known how the act went. */
export function endAct(c: Context<App>): void {
  const { act } = c.var
  if (!act) return
  const query = c.req.valid('query' as never) as { tenant?: string } | undefined
  const tenant = act.tenant ?? query?.tenant // which may be a default of the route
  c.env.defer(c.var.audit.end(act.id, { status: c.res.status, ...(tenant !== undefined && { tenant }) }))
}

/** For what only an admin may ask for on a route of others. Throws 403. */
export async function admitAdmin(c: Context<App>, admission: Admission): Promise<void> {
  const { caller } = await admission.admit(claimOf(c, admission), 'admin')
  await beginAct(c, caller)
}

const MOST_READ = 1_048_576

async function tenantInBody(c: Context<App>): Promise<string | undefined> {
  if (!/\bjson\b/i.test(c.req.header('content-type') ?? '')) return undefined
  if (Number(c.req.header('content-length') ?? 0) > MOST_READ) return undefined
  try {
    const { tenant } = JSON.parse(await c.req.text())
    return typeof tenant === 'string' ? tenant : undefined
  } catch {
    return undefined // what reads it next says what is wrong
  }
}
