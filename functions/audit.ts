import { Hono } from 'hono'
import { describeRoute, resolver } from 'hono-openapi'
import { z } from 'zod'
import type { RecordedAct } from '../shared/audit/audit.ts'
import type { App, Deps } from './deps.ts'
import { admitted, query, replies } from './http.ts'

const LINES = 'application/x-ndjson'

const Time = z.iso.datetime({ offset: true })
const Asked = z.strictObject({
  from: Time.optional(),
  to: Time.optional().describe('not included'),
  tenant: z.string().max(64).optional().describe('whom it concerned'),
  actor: z.string().max(100).optional().describe('`key:<id>`, `admin` or `local`'),
  action: z.string().max(200).optional().describe('a part of it: `DELETE`, `/v1/keys`'),
  limit: z.coerce.number().int().min(1).max(10_000).optional().describe('100 by default, as lines 10,000'),
  before: z
    .string()
    .regex(/^\d{1,16}-\d{1,16}$/, 'must be `next` of a page')
    .optional()
    .describe('`next` of the page before'),
})

const Act = z.object({
  id: z.string(),
  at: z.string(),
  actor: z.string().describe('`key:<id>`, `admin`, or `local` where no key is needed'),
  tenant: z.string().describe('whom it concerned'),
  action: z.string().describe('method and route'),
  params: z.record(z.string(), z.string()).describe('what its path named'),
  request_id: z.string(),
  client: z.string().nullable().describe('address that the connection came from'),
  outcome: z
    .enum(['done', 'refused', 'failed', 'unknown'])
    .describe('`unknown`: it still runs, or the process died on it; it may have been done'),
  status: z.int().nullable().describe('HTTP status of the answer'),
})

/** `/v1/audit`: what admins did. */
export function audit({ audit, admission }: Pick<Deps, 'audit' | 'admission'>) {
  return new Hono<App>().get(
    '/v1/audit',
    describeRoute({
      summary: 'Read the log of administrative acts',
      description:
        'The newest first. Every request that only an admin may make and that is no GET is written before it is done, and its outcome after it. With `Accept: application/x-ndjson` one a line; the header `Link` leads on. A page may be shorter than its limit and still have a next one.',
      responses: {
        200: {
          description: 'Acts',
          content: {
            ...replies(200, '', z.object({ data: z.array(Act), next: z.string().nullable() }))[200]!.content,
            [LINES]: { schema: resolver(Act) },
          },
        },
      },
    }),
    admitted(admission, 'admin'),
    query(Asked),
    async (c) => {
      const { from, to, limit, before, ...filter } = c.req.valid('query')
      const asLines = /\b(x-)?ndjson\b/i.test(c.req.header('accept') ?? '')
      const { data, next } = await audit.page(
        { ...filter, ...(from && { from: Date.parse(from) }), ...(to && { to: Date.parse(to) }) },
        { limit: limit ?? (asLines ? 10_000 : 100), before },
      )
      if (!asLines) return c.json({ data: data.map(shown), next })
      const rest = new URLSearchParams({ ...c.req.query(), before: next ?? '' })
      const lines = data.map((act) => `${JSON.stringify(shown(act))}\n`).join('')
      return c.body(lines, 200, {
        'Content-Type': `${LINES}; charset=utf-8`,
        ...(next !== null && { Link: `</v1/audit?${rest}>; rel="next"` }),
      })
    },
  )
}

const shown = ({ at, requestId, status, id, actor, tenant, action, params, client }: RecordedAct) => ({
  ...{ id, at: new Date(at).toISOString(), actor, tenant, action, params },
  ...{ request_id: requestId, client, outcome: outcomeOf(status), status },
})

function outcomeOf(status: number | null) {
  if (status === null) return 'unknown'
  if (status < 400) return 'done'
  return status < 500 ? 'refused' : 'failed'
}
