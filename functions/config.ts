import { type Context, Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import type { Caller } from '../shared/admission.ts'
import type { ConfigVersion } from '../shared/configuration/config-version.ts'
import type { ConfigWrite, Written } from '../shared/configuration/configuration.ts'
import { HubError, RedisUnavailableError } from '../shared/errors.ts'
import { createRecall } from '../shared/recall.ts'
import { History, Namespaces, Values, Version } from './config-body.ts'
import type { App, Deps } from './deps.ts'
import {
  admitted,
  fenceOf,
  HUB_LOCK,
  IDEMPOTENCY_KEY,
  IF_MATCH,
  ifMatchOf,
  json,
  query,
  replies,
} from './http.ts'
import { sendEvents } from './realtime-events.ts'

const note = z.string().max(500).optional().describe('what the change is for')
const Note = query(z.object({ note }))
const number = z.coerce.number().int().min(1)

const IF_NONE_MATCH = {
  in: 'header',
  name: 'If-None-Match',
  schema: { type: 'string' },
  description: '`*`: only where there is no such configuration',
} as const

const writtenReplies = { ...replies(200, 'What it is now', Version), ...replies(201, 'It is new', Version) }

/** Until a watch notices that its key was revoked. */
const CHECK_MS = 30_000

/** `/v1/config/{namespace}`: configuration in versions, and who waits for the next one. */
export function config({
  configuration,
  watchConfig,
  admission,
}: Pick<Deps, 'configuration' | 'watchConfig' | 'admission'>) {
  const member = admitted(admission, 'platform')
  const callers = createRecall<Caller>({ freshMs: CHECK_MS / 2, staleMs: 5 * 60_000, maxSize: 10_000 })

  /** Throws when the key was revoked or lost its scope. */
  async function check({ tenant, keyId }: Caller) {
    try {
      await callers.get(`${tenant} ${keyId}`, () => admission.recall(tenant, keyId, 'platform'))
    } catch (error) {
      if (!(error instanceof RedisUnavailableError)) throw error // nothing can be read now anyway
    }
    return CHECK_MS
  }

  return new Hono<App>()
    .get(
      '/v1/config',
      describeRoute({ summary: 'List configurations', responses: replies(200, 'By name', Namespaces) }),
      member,
      query(
        z.object({
          limit: number.max(1_000).default(100),
          after: z.string().max(64).optional().describe('the last namespace of the page before'),
        }),
      ),
      async (c) => c.json(await configuration.list(c.var.caller.tenant, c.req.valid('query'))),
    )
    .put(
      '/v1/config/:namespace',
      describeRoute({
        summary: 'Replace the values of a configuration',
        description: 'Makes a version, unless it has these values already.',
        parameters: [IF_MATCH, IF_NONE_MATCH, IDEMPOTENCY_KEY, HUB_LOCK],
        responses: writtenReplies,
      }),
      member,
      Note,
      json(Values),
      async (c) => {
        const { tenant } = c.var.caller
        const write = writeOf(c, c.req.valid('query').note)
        return written(
          c,
          await configuration.put(tenant, c.req.param('namespace'), c.req.valid('json'), write),
        )
      },
    )
    .patch(
      '/v1/config/:namespace',
      describeRoute({
        summary: 'Change some values of a configuration (JSON Merge Patch, RFC 7396)',
        description:
          '`null` removes, objects are merged. Without a condition it is merged into what is there at the moment of writing.',
        parameters: [IF_MATCH, IF_NONE_MATCH, IDEMPOTENCY_KEY, HUB_LOCK],
        responses: writtenReplies,
      }),
      member,
      Note,
      json(Values),
      async (c) => {
        const { tenant } = c.var.caller
        const write = writeOf(c, c.req.valid('query').note)
        return written(
          c,
          await configuration.patch(tenant, c.req.param('namespace'), c.req.valid('json'), write),
        )
      },
    )
    .get(
      '/v1/config/:namespace',
      describeRoute({
        summary: 'Read a configuration, or follow it',
        description:
          '`If-None-Match` with the `ETag` it came with: 304 while it is that version. With `Accept: text/event-stream` or `watch=true` it is followed: the version that there is, then each later one, as events whose id is the version and whose data is what this route replies with; `deleted` is the event of one that is not there. After `Last-Event-ID`, and where changes come faster than they are read, the newest alone is told.',
        responses: {
          ...replies(200, 'The configuration, or events', Version),
          304: { description: 'It is that version' },
        },
      }),
      member,
      query(
        z.object({
          version: number.optional(),
          watch: z.stringbool().optional(),
          last_event_id: z.string().optional().describe('like the header `Last-Event-ID`, which comes first'),
        }),
      ),
      async (c) => {
        const { caller } = c.var
        const namespace = c.req.param('namespace')
        const { version, watch, last_event_id } = c.req.valid('query')
        c.header('Vary', 'Accept')
        if (watch ?? (version === undefined && asksForEvents(c))) {
          if (version !== undefined) throw invalid('version', 'cannot be watched: it never changes')
          const seen = seenOf(c.req.header('last-event-id') || last_event_id)
          const reader = await watchConfig(caller.tenant, namespace, seen)
          return sendEvents(c, reader, { check: () => check(caller), checkAfterMs: CHECK_MS })
        }
        const found = await configuration.get(caller.tenant, namespace, version)
        const headers = { ETag: etagOf(found), 'Cache-Control': 'private, no-cache' }
        const known = c.req.header('if-none-match')?.split(/\s*,\s*/)
        const isKnown = known?.some((tag) => tag === '*' || tag.replace(/^W\//, '') === headers.ETag)
        return isKnown ? c.body(null, 304, headers) : c.json(found, 200, headers)
      },
    )
    .delete(
      '/v1/config/:namespace',
      describeRoute({
        summary: 'Delete a configuration with all its versions',
        description: 'Those that it gets later go on counting, so that no number comes twice.',
        parameters: [IF_MATCH, HUB_LOCK],
        responses: { 204: { description: 'Deleted' } },
      }),
      member,
      Note,
      async (c) => {
        const write = writeOf(c, c.req.valid('query').note)
        await configuration.delete(c.var.caller.tenant, c.req.param('namespace'), write)
        return c.body(null, 204)
      },
    )
    .get(
      '/v1/config/:namespace/history',
      describeRoute({
        summary: 'List the versions of a configuration, the last 100, newest first',
        responses: replies(200, 'Its versions, without their values', History),
      }),
      member,
      query(
        z.object({
          limit: number.max(100).default(20),
          before: number.optional().describe('the last version of the page before'),
        }),
      ),
      async (c) => {
        const { tenant } = c.var.caller
        return c.json(await configuration.history(tenant, c.req.param('namespace'), c.req.valid('query')))
      },
    )
    .post(
      '/v1/config/:namespace/rollback',
      describeRoute({
        summary: 'Give a configuration the values of an old version again, as a new version',
        parameters: [IF_MATCH, IDEMPOTENCY_KEY, HUB_LOCK],
        responses: replies(200, 'What it is now', Version),
      }),
      member,
      json(z.strictObject({ version: z.int().min(1), note })),
      async (c) => {
        const { version, note } = c.req.valid('json')
        const { tenant } = c.var.caller
        const namespace = c.req.param('namespace')
        return written(c, await configuration.rollback(tenant, namespace, version, writeOf(c, note)))
      },
    )
}

function writeOf(c: Context<App>, note: string | undefined): ConfigWrite {
  const { keyId } = c.var.caller
  const by = keyId ?? 'admin'
  const once = c.req.header('idempotency-key')
  return {
    ...{ by, note, ifVersion: conditionOf(c), fence: fenceOf(c) },
    once: once === undefined ? undefined : `${by}/${once}`,
  }
}

function written(c: Context<App>, { config, created }: Written) {
  return c.json(config, created ? 201 : 200, { ETag: etagOf(config) })
}

/** `If-Match: "3"`, `If-Match: *`, or `If-None-Match: *`, which is version 0. Throws 400. */
function conditionOf(c: Context): number | '*' | undefined {
  const none = c.req.header('if-none-match')?.trim()
  if (none === '*') return 0
  if (none !== undefined) throw invalid('if-none-match', 'must be * on a write')
  return c.req.header('if-match')?.trim() === '*' ? '*' : ifMatchOf(c)
}

const asksForEvents = (c: Context) => /\btext\/event-stream\b/i.test(c.req.header('accept') ?? '')

function seenOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw invalid('last_event_id', 'must be a version')
}

const etagOf = ({ version }: ConfigVersion) => `"${version}"`

const invalid = (param: string, message: string) =>
  new HubError({ code: 'invalid_value', status: 400, message: `${param}: ${message}`, param })
