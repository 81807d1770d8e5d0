import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import type { StreamSettings } from '../shared/events/streams.ts'
import { NAME } from '../shared/keys.ts'
import type { App, Deps } from './deps.ts'
import { admitted, checked, json, replies } from './http.ts'

const Path = z
  .string()
  .max(200)
  .regex(/^[^.]+(\.[^.]+)*$/, 'must be a dotted path')

const seconds = (least: number, most: number) => z.number().min(least).max(most)

const Settings = z.strictObject({
  handler: z
    .looseObject({ type: z.string() })
    .optional()
    .describe('who works on it; its other fields are that handler’s own'),
  key: Path.optional().describe(
    'events with the same value there are worked on in order: `subject`, `data.customer.id`',
  ),
  id: Path.optional().describe('where plain JSON without an id has one: `order.id`'),
  schema: z
    .record(z.string(), z.unknown())
    .optional()
    .describe('JSON Schema of `data`; no recursion, no other documents'),
  max_lag: z
    .int()
    .min(1)
    .max(10_000_000)
    .optional()
    .describe('events that may wait, before intake answers 429; 100,000 by default'),
  retention_seconds: seconds(0, 31_536_000)
    .optional()
    .describe(
      'how long events stay after they were worked on, or without a handler after they came; a day by default',
    ),
  result_ttl_seconds: z.int().min(1).max(31_536_000).optional().describe('a day by default'),
  dedupe_seconds: z
    .int()
    .min(0)
    .max(2_592_000)
    .optional()
    .describe('for how long an event with the same source and id is a duplicate; a day by default, 0: never'),
  retry: z
    .strictObject({
      attempts: z.int().min(1).max(100).optional(),
      first_seconds: seconds(0.001, 86_400).optional(),
      longest_seconds: seconds(0.001, 86_400).optional(),
    })
    .optional(),
})

const SettingsReply = Settings.extend({ name: z.string() })

/** A stream's name in a path. */
export const Stream = {
  parse: (stream: string) =>
    checked(z.object({ stream: z.string().regex(NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -') }), { stream })
      .stream,
}

/** `/v1/events/{stream}`: how streams are kept, and who works on them. */
export function eventStreams({
  streams,
  handlerSecrets,
  admission,
}: Pick<Deps, 'streams' | 'handlerSecrets' | 'admission'>) {
  const shown = (name: string, { handler, ...settings }: StreamSettings) =>
    ({ name, ...settings, ...(handler && { handler: handlerSecrets.hide(handler) }) }) as z.output<
      typeof SettingsReply
    >
  const member = admitted(admission, 'ingest-event')
  return new Hono<App>()
    .put(
      '/v1/events/:stream',
      describeRoute({
        summary: 'Set how a stream is kept and who works on it',
        responses: replies(200, 'The settings', SettingsReply),
      }),
      member,
      json(Settings),
      async (c) => {
        const name = Stream.parse(c.req.param('stream'))
        const settings = c.req.valid('json')
        await streams.put(c.var.caller.tenant, name, settings)
        return c.json(shown(name, settings))
      },
    )
    .get(
      '/v1/events/:stream',
      describeRoute({
        summary: 'Read a stream’s settings; what is not set is as by default',
        responses: replies(200, 'The settings', SettingsReply),
      }),
      member,
      async (c) => {
        const name = Stream.parse(c.req.param('stream'))
        return c.json(shown(name, await streams.settings(c.var.caller.tenant, name)))
      },
    )
    .delete(
      '/v1/events/:stream',
      describeRoute({
        summary: 'Set everything as by default: nobody works on it; its events stay as long as they would',
        responses: { 204: { description: 'Deleted' } },
      }),
      member,
      async (c) => {
        await streams.delete(c.var.caller.tenant, Stream.parse(c.req.param('stream')))
        return c.body(null, 204)
      },
    )
    .get(
      '/v1/events',
      describeRoute({
        summary: 'List streams that have settings',
        responses: replies(200, 'The settings', z.object({ data: z.array(SettingsReply) })),
      }),
      member,
      async (c) => {
        const all = await streams.list(c.var.caller.tenant)
        return c.json({ data: Object.entries(all).map(([name, settings]) => shown(name, settings)) })
      },
    )
}
