import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { shownRule } from '../shared/alerts/alert-rules.ts'
import { HubError } from '../shared/errors.ts'
import { FilterSchema } from '../shared/filter-schema.ts'
import { NAME } from '../shared/keys.ts'
import { beginAct } from './acts.ts'
import type { App, Deps } from './deps.ts'
import { admitted, json, replies } from './http.ts'

const Name = z.string().regex(NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -')
const Path = z
  .string()
  .min(1)
  .max(200)
  .describe('dotted: `data.temperature` of an event, `result.score` or `event.data.temperature` of a result')
const Seconds = z
  .int()
  .min(1)
  .max(30 * 86_400)
const filter = FilterSchema.optional().describe('only what passes it; its keys are dotted paths')

const When = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('threshold'),
    path: Path,
    op: z.enum(['eq', 'ne', 'gt', 'gte', 'lt', 'lte']),
    value: z.union([z.string().max(500), z.number(), z.boolean()]),
    filter,
  }),
  z.strictObject({
    type: z.literal('rate'),
    count: z.int().min(1).max(10_000).describe('as many, at least, within the window'),
    window_seconds: Seconds,
    filter,
  }),
  z.strictObject({
    type: z.literal('absence'),
    seconds: Seconds.describe(
      'none for so long; looked at every two seconds, on Workers and Lambda by the schedule',
    ),
    filter,
  }),
])

const NewRule = z.strictObject({
  on: z
    .union([
      z.strictObject({ stream: Name }),
      z.strictObject({ results: Name }),
      z.strictObject({ pipeline: Name }),
    ])
    .describe('events of a stream as they came in, what came of them, or what a pipeline made of events'),
  when: When,
  webhook: z
    .strictObject({
      url: z.url({ protocol: /^https?$/ }).max(2_000),
      secret: z.string().max(200).optional().describe('`whsec_…`; by default made, and shown once'),
      allow_private: z.boolean().optional().describe('plain HTTP and private addresses; admins only'),
    })
    .optional()
    .describe('called with each alert, signed and retried by Standard Webhooks'),
  cooldown_seconds: z
    .int()
    .min(0)
    .max(30 * 86_400)
    .optional()
    .describe('quiet for so long after it fired; 60 by default, of a rate its window at least'),
})

const Rule = z.object({
  name: z.string(),
  on: NewRule.shape.on,
  when: z.looseObject({ type: z.string() }),
  webhook: z
    .object({ url: z.string(), secret: z.string().optional(), allow_private: z.boolean().optional() })
    .optional(),
  cooldown_seconds: z.number(),
  created_at: z.string(),
  updated_at: z.string(),
})

export type AlertDeps = Pick<Deps, 'alertRules' | 'outgoing' | 'admission'>

/** `/v1/alerts`: when to say something, on the channel `alerts` and to a webhook. */
export function alerts({ alertRules, outgoing, admission }: AlertDeps) {
  const member = admitted(admission, 'ingest-event')
  return new Hono<App>()
    .get(
      '/v1/alerts',
      describeRoute({
        summary: 'List the tenant’s alert rules',
        responses: replies(200, 'The rules', z.object({ data: z.array(Rule) })),
      }),
      member,
      async (c) => {
        const rules = await alertRules.list(c.var.caller.tenant)
        return c.json({ data: rules.map((rule) => shownRule(rule)) })
      },
    )
    .put(
      '/v1/alerts/:name',
      describeRoute({
        summary: 'Set an alert rule; every instance follows within a second',
        responses: replies(200, 'The rule', Rule),
      }),
      member,
      json(NewRule),
      async (c) => {
        const name = c.req.param('name')
        if (!NAME.test(name)) throw invalid('name', 'must be 1 to 64 of A-Z a-z 0-9 _ . -')
        const rule = c.req.valid('json')
        const { tenant, scopes, keyId } = c.var.caller
        if (rule.webhook) {
          const isAdmin = scopes ? scopes.has('admin') : keyId === null
          if (rule.webhook.allow_private && !isAdmin) throw adminsOnly()
          if (rule.webhook.allow_private) await beginAct(c, c.var.caller)
          check(rule.webhook)
        }
        return c.json(await alertRules.put(tenant, name, rule))
      },
    )
    .get(
      '/v1/alerts/:name',
      describeRoute({ summary: 'Read an alert rule', responses: replies(200, 'The rule', Rule) }),
      member,
      async (c) => c.json(shownRule(await alertRules.get(c.var.caller.tenant, c.req.param('name')))),
    )
    .delete(
      '/v1/alerts/:name',
      describeRoute({ summary: 'Remove an alert rule', responses: { 204: { description: 'Removed' } } }),
      member,
      async (c) => {
        await alertRules.delete(c.var.caller.tenant, c.req.param('name'))
        return c.body(null, 204)
      },
    )

  /** What can be told of a receiver before it is called is told to whoever sets it. */
  function check({ url, allow_private = false }: { url: string; allow_private?: boolean }) {
    try {
      outgoing.check(new URL(url), allow_private)
    } catch (error) {
      throw invalid('webhook.url', (error as Error).message)
    }
  }
}

const invalid = (param: string, message: string) =>
  new HubError({ code: 'invalid_value', status: 400, message: `${param}: ${message}`, param })

const adminsOnly = () =>
  new HubError({
    code: 'scope_missing',
    status: 403,
    message:
      '`allow_private` lets the hub call into its own network: a key with the scope `admin` can set it.',
    param: 'webhook.allow_private',
  })
