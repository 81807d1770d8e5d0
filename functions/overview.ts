import { type Context, Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { RedisUnavailableError } from '../shared/errors.ts'
import { NAME } from '../shared/keys.ts'
import { type OverviewAsk, Snapshot } from '../shared/overview/snapshot.ts'
import type { App, Deps } from './deps.ts'
import { admitted, query, replies } from './http.ts'
import { toSnapshotEvents } from './overview-events.ts'
import { isAdmin, tenantFor } from './tenant-for.ts'

const Query = z.object({
  minutes: z.coerce.number().int().min(1).max(1_440).default(60).describe('of the window, until now'),
  tenant: z.string().regex(NAME).optional().describe('for admins; by default the caller’s own'),
})

/** Until a connection notices that its key was revoked. */
const CHECK_MS = 30_000

type Used = Pick<Deps, 'overview' | 'admission'>

/** `/v1/overview`: what the hub does now, for the dashboard; once, or followed. */
export function overview({ overview, admission }: Used) {
  const admit = admitted(admission, 'face')

  function askOf(c: Context<App>, { tenant, minutes }: z.output<typeof Query>): OverviewAsk {
    const { caller } = c.var
    return { tenant: tenantFor(caller, tenant), minutes, isAdmin: isAdmin(caller) }
  }

  return new Hono<App>()
    .get(
      '/v1/overview',
      describeRoute({
        summary: 'See what the hub does now',
        responses: replies(200, 'The snapshot', Snapshot),
      }),
      admit,
      query(Query),
      async (c) => {
        c.header('Cache-Control', 'no-store')
        return c.json(await overview.read(askOf(c, c.req.valid('query'))))
      },
    )
    .get(
      '/v1/overview/events',
      describeRoute({
        summary: 'Follow what the hub does',
        description:
          'Server-sent events `snapshot`, whose data is that of `GET /v1/overview`: one at once, then one each time that something changed. Nothing is missed by coming back: each one is whole.',
        responses: { 200: { description: 'Events', content: { 'text/event-stream': {} } } },
      }),
      admit,
      query(Query),
      (c) => {
        const asked = askOf(c, c.req.valid('query'))
        const { tenant, keyId } = c.var.caller
        let checkAt = performance.now() + CHECK_MS
        /** Throws when the key was revoked or lost its scope. */
        async function check() {
          if (performance.now() < checkAt) return
          checkAt = performance.now() + CHECK_MS
          try {
            tenantFor(await admission.recall(tenant, keyId, 'face'), asked.tenant)
          } catch (error) {
            if (!(error instanceof RedisUnavailableError)) throw error // nothing can be read now anyway
          }
        }
        const over = Promise.withResolvers<void>()
        c.env.defer(over.promise)
        const events = toSnapshotEvents({
          ...{ ...overview.following, check, signal: c.req.raw.signal, onEnd: over.resolve },
          read: () => overview.read(asked),
        })
        return c.body(events, 200, {
          'Content-Type': 'text/event-stream; charset=utf-8',
          'Cache-Control': 'no-cache, no-transform',
          'X-Accel-Buffering': 'no', // nginx would wait for more
        })
      },
    )
}
