import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { NAME } from '../shared/keys.ts'
import type { LogEntry } from '../shared/request-log/entry.ts'
import { VERDICTS } from '../shared/traffic/minute.ts'
import { beginAct } from './acts.ts'
import { actsFor } from './credential.ts'
import type { App, Deps } from './deps.ts'
import { admitted, query, replies } from './http.ts'
import { tenantFor } from './tenant-for.ts'

const Time = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text))

const Tenant = z.string().regex(NAME).optional().describe('for admins; by default the caller’s own')

const Asked = z.strictObject({
  tenant: Tenant,
  model: z.string().max(300).optional().describe('as it was named, or `provider/model`'),
  key: z.string().max(64).optional().describe('id of a hub key; `none`: without one'),
  endpoint: z.string().max(64).optional().describe('`chat.completions`, `ask`, `agent`, …'),
  verdict: z.enum(VERDICTS).optional().describe('where the answer came from'),
  status: z
    .string()
    .regex(/^[1-5](\d\d|xx)$/, 'must be as `429` or `5xx`')
    .transform((text): [number, number] =>
      text.endsWith('xx')
        ? [Number(text[0]) * 100, Number(text[0]) * 100 + 99]
        : [Number(text), Number(text)],
    )
    .optional()
    .describe('`429`, or `5xx`'),
  errors: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .optional()
    .describe('`true`: only those that failed'),
  min_ms: z.coerce.number().min(0).optional().describe('those that took so long at least'),
  from: Time.optional().describe('when it began'),
  to: Time.optional().describe('not included'),
  query: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe('a part of messages or answer where they are logged, of an id or of a model'),
  cursor: z.string().max(40).optional().describe('`next_cursor` of the page before'),
  limit: z.coerce.number().int().min(1).max(200).default(50),
})

const Request = z.object({
  id: z.string(),
  at: z.string().describe('when it began'),
  request_id: z.string().nullable(),
  key_id: z.string().nullable(),
  endpoint: z.string(),
  model: z.string().describe('as the caller named it'),
  target: z.string().nullable().describe('`provider/model` that answered, or was asked last'),
  verdict: z.enum(VERDICTS).describe('where the answer came from'),
  streamed: z.boolean(),
  status: z.int().describe('of HTTP; a stream that broke off has the error’s'),
  error_code: z.string().nullable(),
  first_ms: z.number().nullable().describe('until the first piece of the answer'),
  total_ms: z.number(),
  tokens: z
    .object({
      input: z.number(),
      cached: z.number(),
      cache_write: z.number(),
      output: z.number(),
      reasoning: z.number(),
      estimated: z.boolean(),
    })
    .nullable()
    .describe('of the provider’s call that it made'),
  cost: z.number().describe('USD'),
  saved: z.number().describe('USD that the cache saved'),
  saved_tokens: z.number(),
  trace_id: z.string().nullable(),
})
const Listed = Request.extend({ has_content: z.boolean() })
const Whole = Request.extend({
  content: z
    .object({
      messages: z.string().describe('JSON, without keys and files'),
      answer: z.string().nullable().describe('JSON of the answer’s messages'),
      messages_cut: z.boolean().describe('only the beginning is kept'),
      answer_cut: z.boolean(),
    })
    .nullable()
    .describe('null where it was not logged'),
})
const Page = z.object({ data: z.array(Listed), next_cursor: z.string().nullable() })

/** `/v1/requests`: the log of the tenant's completions. */
export function requests({ requestLog, admission }: Pick<Deps, 'requestLog' | 'admission'>) {
  const member = admitted(admission, 'usage')
  return new Hono<App>()
    .get(
      '/v1/requests',
      describeRoute({
        summary: 'Search the request log, the newest first',
        description: 'A page may be shorter than its limit and still have a next one.',
        responses: replies(200, 'A page', Page),
      }),
      member,
      query(Asked),
      async (c) => {
        const { tenant: wanted, limit, cursor, min_ms: minMs, ...filter } = c.req.valid('query')
        const tenant = tenantFor(c.var.caller, wanted)
        const { data, nextCursor } = await requestLog.page(tenant, { ...filter, minMs }, { limit, cursor })
        return c.json({ data: data.map(listed), next_cursor: nextCursor })
      },
    )
    .get(
      '/v1/requests/:id',
      describeRoute({
        summary: 'Read one request of the log, with its content where that was logged',
        responses: replies(200, 'The request', Whole),
      }),
      member,
      query(z.strictObject({ tenant: Tenant })),
      async (c) => {
        const { caller } = c.var
        const tenant = tenantFor(caller, c.req.valid('query').tenant)
        // What another tenant asked is read by name only.
        if (tenant !== caller.tenant || actsFor(c))
          await beginAct(c, { ...caller, tenant }, { reading: true })
        return c.json(shown(await requestLog.get(tenant, c.req.param('id'))))
      },
    )
}

const shown = (entry: LogEntry) => ({ ...entry, at: new Date(entry.at).toISOString() })

function listed(entry: LogEntry) {
  const { content, ...rest } = shown(entry)
  return { ...rest, has_content: content !== null }
}
