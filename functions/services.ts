import { hash } from 'node:crypto'
import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { HubError } from '../shared/errors.ts'
import { isHealthy, matches, STATUSES } from '../shared/services/instance.ts'
import type { App, Deps } from './deps.ts'
import { admitted, fenceOf, HUB_LOCK, json, query, replies } from './http.ts'

const METADATA_NAME = /^[A-Za-z0-9_.-]{1,64}$/

const NewInstance = z.strictObject({
  url: z.string().max(2_000).refine(isAddress, 'must be a URL with a host, without credentials'),
  ttl_seconds: z.int().min(1).max(86_400).describe('it is taken for alive for so long'),
  status: z.enum(STATUSES).default('passing').describe('as it judges itself; `critical` gets no calls'),
  weight: z.int().min(0).max(1_000_000).default(1).describe('its part of the calls; 0 drains it'),
  metadata: z
    .record(z.string().regex(METADATA_NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -'), z.string().max(512))
    .refine((metadata) => Object.keys(metadata).length <= 32, 'at most 32')
    .default({}),
})
const Instance = z.object({
  instance: z.string(),
  url: z.string(),
  status: z.enum([...STATUSES, 'expired']),
  weight: z.int(),
  metadata: z.record(z.string(), z.string()),
  ttl_seconds: z.int(),
  since: z.string().describe('it is alive since then'),
  expires_at: z.string().describe('until then it is taken for alive'),
})
const Instances = z.object({ data: z.array(Instance) })
const Services = z.object({
  data: z.array(z.object({ name: z.string(), instances: z.int(), healthy: z.int() })),
  has_more: z.boolean(),
})

const metadataParameter = {
  ...{ name: 'metadata', in: 'query' as const, style: 'deepObject' as const, explode: true },
  description: 'only instances whose metadata have these values: `metadata[zone]=eu`',
  schema: { type: 'object' as const, additionalProperties: { type: 'string' as const } },
}

/** `/v1/services`: where the instances of services are. */
export function services({ services, admission }: Pick<Deps, 'services' | 'admission'>) {
  const member = admitted(admission, 'platform')
  return new Hono<App>()
    .get(
      '/v1/services',
      describeRoute({ summary: 'List services', responses: replies(200, 'By name', Services) }),
      member,
      query(
        z.object({
          limit: z.coerce.number().int().min(1).max(100).default(100),
          after: z.string().max(64).optional().describe('the last name of the page before'),
        }),
      ),
      async (c) => c.json(await services.list(c.var.caller.tenant, c.req.valid('query'))),
    )
    .get(
      '/v1/services/:name',
      describeRoute({
        summary: 'List the instances of a service that are well',
        description: '`If-None-Match`: 304 while they are the same, whenever they were heard of last.',
        parameters: [metadataParameter],
        responses: replies(200, 'Those that pass or warn, and are not expired', Instances),
      }),
      member,
      query(z.object({ all: z.stringbool().default(false).describe('the others too') })),
      async (c) => {
        const { all } = c.req.valid('query')
        const wanted = metadataOf(c.req.query())
        const found = await services.instances(c.var.caller.tenant, c.req.param('name'))
        const data = found.filter((one) => (all || isHealthy(one)) && matches(one, wanted))
        const stable = data.map(({ expires_at, ...one }) => one)
        const ETag = `W/"${hash('sha256', JSON.stringify(stable)).slice(0, 32)}"`
        const headers = { ETag, 'Cache-Control': 'private, no-cache' }
        const known = c.req.header('if-none-match')?.split(/\s*,\s*/)
        return known?.includes(ETag) ? c.body(null, 304, headers) : c.json({ data }, 200, headers)
      },
    )
    .get(
      '/v1/service-choices/:name',
      describeRoute({
        summary: 'Choose an instance by weight',
        description:
          'Of those that pass; of those that warn where none passes. 503 `no_healthy_instance` where neither does.',
        parameters: [metadataParameter],
        responses: replies(200, 'One of them', Instance),
      }),
      member,
      query(
        z.object({
          exclude: z
            .string()
            .max(4_000)
            .optional()
            .describe('instances that were tried, with commas between'),
        }),
      ),
      async (c) => {
        const exclude = c.req.valid('query').exclude?.split(',')
        const metadata = metadataOf(c.req.query())
        const chosen = await services.choose(c.var.caller.tenant, c.req.param('name'), { exclude, metadata })
        return c.json(chosen, 200, { 'Cache-Control': 'no-store' })
      },
    )
    .put(
      '/v1/services/:name/:instance',
      describeRoute({
        summary: 'Register an instance, and say that it is alive',
        description:
          'To be repeated before `ttl_seconds` are over, by the clock of Redis. One that is silent is expired, and forgotten after 10 minutes.',
        parameters: [HUB_LOCK],
        responses: {
          ...replies(200, 'It went on', Instance),
          ...replies(201, 'It was not there, or expired', Instance),
        },
      }),
      member,
      json(NewInstance),
      async (c) => {
        const { name, instance } = c.req.param()
        const { tenant } = c.var.caller
        const put = await services.put(tenant, name, instance, c.req.valid('json'), fenceOf(c))
        return c.json(put.instance, put.created ? 201 : 200)
      },
    )
    .get(
      '/v1/services/:name/:instance',
      describeRoute({ summary: 'Read an instance', responses: replies(200, 'The instance', Instance) }),
      member,
      async (c) => {
        const { name, instance } = c.req.param()
        return c.json(await services.get(c.var.caller.tenant, name, instance))
      },
    )
    .delete(
      '/v1/services/:name/:instance',
      describeRoute({ summary: 'Deregister an instance', responses: { 204: { description: 'It is gone' } } }),
      member,
      async (c) => {
        const { name, instance } = c.req.param()
        await services.delete(c.var.caller.tenant, name, instance)
        return c.body(null, 204)
      },
    )
}

/** Of `metadata[zone]=eu`. Throws 400 for what is none. */
function metadataOf(query: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(query).flatMap(([parameter, value]) => {
      if (!parameter.startsWith('metadata')) return []
      const [, name = ''] = /^metadata\[(.*)\]$/s.exec(parameter) ?? []
      if (METADATA_NAME.test(name)) return [[name, value]]
      throw invalid(parameter, 'must name one: metadata[zone]=eu')
    }),
  )
}

function isAddress(text: string): boolean {
  const url = URL.parse(text)
  return url !== null && url.hostname !== '' && !url.username && !url.password
}

const invalid = (param: string, message: string) =>
  new HubError({ code: 'invalid_value', status: 400, message: `${param}: ${message}`, param })
