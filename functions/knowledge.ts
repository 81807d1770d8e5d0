import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import type { Caller } from '../shared/admission.ts'
import { HubError } from '../shared/errors.ts'
import type { App, Deps } from './deps.ts'
import { admitted, fenceOf, HUB_LOCK, IDEMPOTENCY_KEY, json, query, replies } from './http.ts'

const NewFacts = z
  .preprocess(
    // A record leaves this one out without a word.
    (given) => (Object.hasOwn(Object(given), '__proto__') ? undefined : given),
    z.record(z.string(), z.json()),
  )
  .refine((facts) => Object.keys(facts).length > 0, 'holds no fact')
  .refine((facts) => Object.keys(facts).length <= 1_000, 'holds more than 1,000 facts')
  .describe('by field; `null` removes')

const Fact = z.object({ value: z.json(), version: z.int(), by: z.string(), at: z.string() })
const Facts = z.object({ topic: z.string(), facts: z.record(z.string(), Fact) })
const Topics = z.object({
  data: z.array(z.object({ topic: z.string(), fields: z.int() })),
  has_more: z.boolean(),
})

/**
 * `/v1/knowledge`: facts that all agents of a tenant share. The body of a write is the facts themselves, so that no field's name is taken;
 * its conditions are a query parameter of OpenAPI's style `deepObject`: `?if_versions[price]=3`.
 */
export function knowledge({ knowledge, admission }: Pick<Deps, 'knowledge' | 'admission'>) {
  const member = admitted(admission, 'agent-step')
  return new Hono<App>()
    .get(
      '/v1/knowledge',
      describeRoute({ summary: 'List topics', responses: replies(200, 'By name', Topics) }),
      member,
      query(
        z.object({
          limit: z.coerce.number().int().min(1).max(1_000).default(100),
          after: z.string().max(64).optional().describe('the last topic of the page before'),
        }),
      ),
      async (c) => c.json(await knowledge.list(c.var.caller.tenant, c.req.valid('query'))),
    )
    .put(
      '/v1/knowledge/:topic',
      describeRoute({
        summary: 'Write facts of a topic; others stay',
        description:
          'All of them are written or none. `Idempotency-Key` makes a repeated write one write. 409 `version_conflict` where a condition does not hold.',
        parameters: [
          IDEMPOTENCY_KEY,
          HUB_LOCK,
          {
            ...{ name: 'if_versions', in: 'query', style: 'deepObject', explode: true },
            description: 'only where the field has this version; 0: where it is not there',
            schema: { type: 'object', additionalProperties: { type: 'integer', minimum: 0 } },
          },
        ],
        responses: replies(200, 'What was written', Facts),
      }),
      member,
      json(NewFacts),
      async (c) => {
        const { tenant, keyId } = c.var.caller
        const key = c.req.header('idempotency-key')
        return c.json(
          await knowledge.put(tenant, c.req.param('topic'), c.req.valid('json'), {
            ...{ by: authorOf(c.var.caller), ifVersions: versionsOf(c.req.query()), defer: c.env.defer },
            fence: fenceOf(c),
            once: key === undefined ? undefined : `${keyId ?? ''}/${key}`,
          }),
        )
      },
    )
    .get(
      '/v1/knowledge/:topic',
      describeRoute({
        summary: 'Read what is known of a topic',
        parameters: [
          {
            ...{ name: 'field', in: 'query', style: 'form', explode: true },
            description: 'only these',
            schema: { type: 'array', items: { type: 'string' } },
          },
        ],
        responses: replies(200, 'The facts', Facts),
      }),
      member,
      async (c) =>
        c.json(await knowledge.get(c.var.caller.tenant, c.req.param('topic'), c.req.queries('field'))),
    )
    .delete(
      '/v1/knowledge/:topic',
      describeRoute({ summary: 'Forget a topic', responses: { 204: { description: 'Forgotten' } } }),
      member,
      async (c) => {
        await knowledge.delete(c.var.caller.tenant, c.req.param('topic'), {
          ...{ by: authorOf(c.var.caller), defer: c.env.defer },
        })
        return c.body(null, 204)
      },
    )
}

const authorOf = ({ keyId }: Caller) => (keyId === null ? 'local' : `key:${keyId}`)

function versionsOf(query: Record<string, string>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(query).map(([name, value]) => {
      const [, field] = /^if_versions\[(.+)\]$/s.exec(name) ?? []
      if (field !== undefined && /^\d{1,15}$/.test(value)) return [field, Number(value)]
      const why =
        field === undefined
          ? 'is not known here; conditions are if_versions[<field>]=<version>'
          : 'must be a version'
      throw new HubError({ code: 'invalid_value', status: 400, message: `${name}: ${why}`, param: name })
    }),
  )
}
