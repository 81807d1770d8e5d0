import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { eventKeys } from '../shared/keys.ts'
import { send } from '../shared/send.ts'
import type { App, Deps } from './deps.ts'
import { Stream } from './event-streams.ts'
import { admitted, query, replies } from './http.ts'

const Latest = z.object({
  data: z.array(
    z.object({
      result_id: z.string(),
      received_at: z.string(),
      event: z.looseObject({ id: z.string(), source: z.string(), type: z.string() }).describe('CloudEvent'),
    }),
  ),
})

/** `/v1/events/{stream}/latest`: a look at what came in, which takes nothing away from whoever works on it. */
export function eventLatest({ redis, admission }: Pick<Deps, 'redis' | 'admission'>) {
  return new Hono<App>().get(
    '/v1/events/:stream/latest',
    describeRoute({
      summary: 'Read the latest events, the newest first',
      responses: replies(200, 'Events', Latest),
    }),
    admitted(admission, 'ingest-event'),
    query(z.object({ limit: z.coerce.number().int().min(1).max(100).default(10) })),
    async (c) => {
      const { events } = eventKeys(c.var.caller.tenant, Stream.parse(c.req.param('stream')))
      const command = ['XREVRANGE', events, '+', '-', 'COUNT', c.req.valid('query').limit] as const
      const entries = (await send(redis, command, { timeoutMs: 2_000 })) as [string, string[]][]
      return c.json({ data: entries.map(toEvent) })
    },
  )
}

function toEvent([entry, fields]: [string, string[]]) {
  const of = (name: string) => fields[fields.indexOf(name) + 1]!
  const received_at = new Date(Number.parseInt(entry, 10)).toISOString()
  return { result_id: of('result'), received_at, event: JSON.parse(of('event')) }
}
