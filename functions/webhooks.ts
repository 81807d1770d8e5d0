import { type Context, Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { HubError } from '../shared/errors.ts'
import { DEFAULT_TENANT, NAME } from '../shared/keys.ts'
import { schemes, TOLERANCE_SECONDS, verifyWebhook, type WebhookScheme } from '../shared/webhooks/schemes.ts'
import { toEvent } from '../shared/webhooks/webhook-event.ts'
import type { App, Deps } from './deps.ts'
import { admitted, json, query, replies } from './http.ts'

const Name = z.string().regex(NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -')
const ofTenant = query(z.object({ tenant: Name.optional().describe('by default that of the key') }))
const tenantOf = (c: Context<App, string, { out: { query: { tenant?: string } } }>) =>
  c.req.valid('query').tenant ?? c.var.caller.tenant

const Scheme = z.enum(Object.keys(schemes) as [WebhookScheme, ...WebhookScheme[]])
const NewSource = z.strictObject({
  scheme: Scheme.describe('how the sender signs'),
  secret: z
    .string()
    .min(8)
    .max(500)
    .optional()
    .describe('that the sender signs with; absent, it stays. Another one: both are taken for a while'),
  grace_seconds: z
    .int()
    .min(0)
    .max(30 * 86_400)
    .optional()
    .describe('how long the secret before is taken as well; a day by default'),
  target: z.union([z.strictObject({ stream: Name }), z.strictObject({ agent: Name })]),
})
const Source = z.object({
  source: z.string(),
  scheme: Scheme,
  target: z.union([z.object({ stream: z.string() }), z.object({ agent: z.string() })]),
  path: z.string().describe('where the sender is to call'),
  previous_secret_until: z.string().nullable().describe('until then the secret before is taken as well'),
  created_at: z.string(),
  updated_at: z.string(),
})

const Taken = z.object({
  accepted: z.int(),
  duplicates: z.int(),
  events: z.array(z.object({ id: z.string(), result_id: z.string().optional() })),
})

export type WebhookDeps = Pick<Deps, 'webhookSources' | 'intake' | 'agentMail' | 'clock' | 'admission'>

/** `/v1/webhooks`: what others send. The signature is the credential. */
export function webhooks({ webhookSources, intake, agentMail, clock, admission }: WebhookDeps) {
  const admin = admitted(admission, 'admin')
  return new Hono<App>()
    .get(
      '/v1/webhooks',
      describeRoute({
        summary: 'List a tenant’s webhook sources, without their secrets',
        responses: replies(200, 'The sources', z.object({ data: z.array(Source) })),
      }),
      admin,
      ofTenant,
      async (c) => c.json({ data: await webhookSources.list(tenantOf(c)) }),
    )
    .put(
      '/v1/webhooks/:source',
      describeRoute({
        summary:
          'Let a sender’s webhooks into a stream or to an agent; with another secret, both are taken for a while',
        responses: replies(200, 'The source without its secret', Source),
      }),
      admin,
      ofTenant,
      json(NewSource),
      async (c) => {
        const source = c.req.param('source')
        if (!NAME.test(source)) throw badName()
        return c.json(await webhookSources.put(tenantOf(c), source, c.req.valid('json')))
      },
    )
    .get(
      '/v1/webhooks/:source',
      describeRoute({
        summary: 'Read a webhook source, without its secrets',
        responses: replies(200, 'The source', Source),
      }),
      admin,
      ofTenant,
      async (c) => c.json(await webhookSources.get(tenantOf(c), c.req.param('source'))),
    )
    .delete(
      '/v1/webhooks/:source',
      describeRoute({ summary: 'Remove a webhook source', responses: { 204: { description: 'Removed' } } }),
      admin,
      ofTenant,
      async (c) => {
        await webhookSources.delete(tenantOf(c), c.req.param('source'))
        return c.body(null, 204)
      },
    )
    .post(
      '/v1/webhooks/:source',
      describeRoute({
        summary: 'Take a signed webhook: an event for the source’s stream or agent',
        description:
          'Needs no key: the signature is checked over the body’s bytes. A signed time may be five minutes off. Sent again, it is a duplicate and stored once.',
        security: [],
        parameters: [{ name: 'tenant', in: 'query', schema: { type: 'string', default: DEFAULT_TENANT } }],
        responses: {
          200: {
            description: 'Slack’s challenge, or GitHub’s ping, answered',
            content: { 'text/plain': { schema: { type: 'string' } } },
          },
          202: replies(200, 'Redis has it', Taken)[200]!,
          401: { description: 'The signature is missing or wrong, or the signed time is too far off' },
        },
      }),
      async (c) => {
        const source = c.req.param('source')
        const tenant = c.req.query('tenant') ?? DEFAULT_TENANT
        const { scheme, target, secrets } = await webhookSources.open(tenant, source)
        const request = { headers: c.req.raw.headers, body: new Uint8Array(await c.req.arrayBuffer()) }
        const signedHash = verifyWebhook(scheme, request, secrets, clock.now())
        const received = toEvent(scheme, request, { source, signedHash })
        if ('answer' in received) return c.text(received.answer.text)
        if ('agent' in target) {
          const { event } = received
          const isNew = await agentMail.sendEvent(tenant, target.agent, event, c.env.defer)
          const [accepted, duplicates] = isNew ? [1, 0] : [0, 1]
          return c.json({ accepted, duplicates, events: [{ id: event.id }] }, 202)
        }
        // As long as its signed time would hold: a replay must find it remembered.
        const call = { defer: c.env.defer, dedupeSeconds: 2 * TOLERANCE_SECONDS, nameOf: () => 'event' }
        return c.json(await intake.acceptMixed(tenant, target.stream, [received], call), 202)
      },
    )
}

const badName = () =>
  new HubError({
    code: 'invalid_value',
    status: 400,
    message: 'source must be 1 to 64 of A-Z a-z 0-9 _ . -',
    param: 'source',
  })
