import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { NAME } from '../shared/keys.ts'
import { VARIABLE_NAME, VARIABLE_TYPES } from '../shared/prompts/prompt-template.ts'
import type { App, Deps } from './deps.ts'
import { admitted, fenceOf, HUB_LOCK, IDEMPOTENCY_KEY, json, query, replies } from './http.ts'

const Label = z.string().regex(NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -')

const Message = z.looseObject({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: z
    .union([z.string(), z.array(z.looseObject({ type: z.string(), text: z.string().optional() })).max(100)])
    .nullish()
    .describe('mustache, unescaped: `{{name}}`, sections, no partials'),
})

const Type = z.enum(VARIABLE_TYPES)
const Variable = z.strictObject({
  type: Type,
  required: z.boolean().optional().describe('true by default, unless there is a default'),
  default: z.unknown().optional(),
  description: z.string().max(1_000).optional(),
  enum: z
    .array(z.union([z.string(), z.number()]))
    .min(1)
    .max(100)
    .optional(),
})
/** `"string"` for `{type: "string"}`. */
const ShortVariable = z.preprocess((value) => (typeof value === 'string' ? { type: value } : value), Variable)

const NewVersion = z.strictObject({
  messages: z.array(Message).min(1).max(100),
  variables: z
    .record(z.string().regex(VARIABLE_NAME), ShortVariable)
    .refine((variables) => Object.keys(variables).length <= 100, 'at most 100')
    .optional()
    .describe('left out: what the messages use, as required strings; `"string"` is short for `{type}`'),
  labels: z.array(Label).max(20).optional().describe('to point to this version, e.g. `production`'),
})

const Version = z.object({
  name: z.string(),
  version: z.int(),
  labels: z.array(z.string()),
  messages: z.array(Message),
  variables: z.record(z.string(), Variable),
  created_at: z.string(),
})
const Versions = z.array(z.object({ version: z.int(), labels: z.array(z.string()) }))
const Prompt = Version.extend({ versions: Versions.describe('newest first') })

const Page = z.object({
  data: z.array(
    z.object({
      name: z.string(),
      version: z.int().describe('the newest'),
      labels: z.record(z.string(), z.int()),
    }),
  ),
  has_more: z.boolean(),
})

const version = z.int().min(1).describe('by default what `production` points to, else the newest')
const label = z.string().max(64).describe('`latest` is the newest version')

const Render = z.strictObject({
  variables: z.record(z.string(), z.unknown()).optional(),
  version: version.optional(),
  label: label.optional(),
})

/** `/v1/prompts`: versioned prompt templates, and labels that point to versions. */
export function prompts({ prompts, admission }: Pick<Deps, 'prompts' | 'admission'>) {
  const member = admitted(admission, 'prompts')
  return new Hono<App>()
    .get(
      '/v1/prompts',
      describeRoute({ summary: 'List prompts by name', responses: replies(200, 'The prompts', Page) }),
      member,
      query(
        z.object({
          limit: z.coerce.number().int().min(1).max(100).default(20),
          after: z.string().max(64).optional().describe('the last name of the page before'),
        }),
      ),
      async (c) => c.json(await prompts.list(c.var.caller.tenant, c.req.valid('query'))),
    )
    .put(
      '/v1/prompts/:name',
      describeRoute({
        summary: 'Add a version of a prompt',
        parameters: [IDEMPOTENCY_KEY, HUB_LOCK],
        responses: replies(201, 'The version', Version),
      }),
      member,
      json(NewVersion),
      async (c) => {
        const { tenant } = c.var.caller
        const name = c.req.param('name')
        const key = c.req.header('idempotency-key')
        const added = await prompts.put(tenant, name, c.req.valid('json'), key, fenceOf(c))
        return c.json(added, 201, { Location: `/v1/prompts/${name}?version=${added.version}` })
      },
    )
    .get(
      '/v1/prompts/:name',
      describeRoute({
        summary: 'Read a version of a prompt, and which there are',
        responses: replies(200, 'The version', Prompt),
      }),
      member,
      query(z.object({ version: z.coerce.number().pipe(version).optional(), label: label.optional() })),
      async (c) => c.json(await prompts.get(c.var.caller.tenant, c.req.param('name'), c.req.valid('query'))),
    )
    .delete(
      '/v1/prompts/:name',
      describeRoute({
        summary: 'Delete a prompt with all its versions',
        responses: { 204: { description: 'Deleted' } },
      }),
      member,
      async (c) => {
        await prompts.delete(c.var.caller.tenant, c.req.param('name'))
        return c.body(null, 204)
      },
    )
    .put(
      '/v1/prompts/:name/labels/:label',
      describeRoute({
        summary: 'Point a label to a version; a rollback is moving `production`',
        responses: replies(
          200,
          'The label',
          z.object({ name: z.string(), label: z.string(), version: z.int() }),
        ),
      }),
      member,
      json(z.strictObject({ version: z.int().min(1) })),
      async (c) => {
        const { name, label } = c.req.param()
        const { version } = c.req.valid('json')
        await prompts.label(c.var.caller.tenant, name, label, version)
        return c.json({ name, label, version })
      },
    )
    .delete(
      '/v1/prompts/:name/labels/:label',
      describeRoute({
        summary: 'Remove a label; its version stays',
        responses: { 204: { description: 'Removed' } },
      }),
      member,
      async (c) => {
        const { name, label } = c.req.param()
        await prompts.label(c.var.caller.tenant, name, label)
        return c.body(null, 204)
      },
    )
    .post(
      '/v1/prompts/:name/render',
      describeRoute({
        summary: 'Fill in the variables of a prompt',
        responses: replies(200, 'The messages', z.object({ messages: z.array(Message), version: z.int() })),
      }),
      member,
      json(Render),
      async (c) =>
        c.json(await prompts.render(c.var.caller.tenant, c.req.param('name'), c.req.valid('json'))),
    )
}
