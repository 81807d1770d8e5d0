import { type Context, Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { HubError } from '../shared/errors.ts'
import { NAME } from '../shared/keys.ts'
import type { PullSource, Schedule } from '../shared/schedules/schedule.ts'
import { MASK } from '../shared/secret-headers.ts'
import { admitAdmin } from './acts.ts'
import { claimOf } from './credential.ts'
import type { App, Deps } from './deps.ts'
import { Headers } from './gateway.ts'
import { admitted, json, replies } from './http.ts'

const Name = z.string().regex(NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -')
const Path = z
  .string()
  .max(200)
  .regex(/^[^.]+(\.[^.]+)*$/, 'must be a dotted path')
const Secret = z
  .string()
  .min(1)
  .max(4_096)
  .refine((value) => value !== MASK, 'is the mask that stands for a value; send the value')
const Url = z
  .string()
  .max(2_000)
  .refine(isSourceUrl, 'must be an http(s) URL without credentials and fragment')
const EventType = z.string().min(1).max(500)

const common = {
  allow_private: z
    .boolean()
    .optional()
    .describe('plain HTTP, and addresses that are not public; needs an admin'),
  max_bytes: z.int().min(1).max(20_971_520).optional().describe('of one answer; 5 MiB by default'),
  max_pages: z.int().min(1).max(1_000).optional().describe('that one run reads; 20 by default'),
  timeout_seconds: z.number().min(0.1).max(60).optional().describe('for one whole answer; 20 by default'),
  event_type: EventType.optional().describe('`hub.pulled.<type>` by default'),
}
const http = {
  ...common,
  url: Url,
  headers: Headers.optional().describe('secret ones are stored encrypted and not shown again'),
}

const Source = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('event'),
    stream: Name.optional(),
    agent: Name.optional().describe('instead of `stream`: it takes the event up in a step of its own'),
    event_type: EventType.optional().describe('`hub.schedule` by default'),
    data: z.unknown().optional(),
  }),
  z.strictObject({
    ...{ type: z.literal('http-json'), ...http },
    items: Path.optional().describe('dotted path to the list; by default the body is the list'),
    id: Path.optional().describe('in an item; `id` by default, and where there is none a hash of the item'),
    time: Path.optional().describe('in an item'),
    text: Path.optional().describe('in an item, for an index; `text` by default'),
    next: Path.optional().describe(
      'in the body: what leads to the next page; by default a `Link` header does',
    ),
    next_parameter: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .describe('query parameter for what `next` found, where that is no URL'),
    since: z
      .strictObject({ parameter: z.string().min(1).max(200), path: Path })
      .optional()
      .describe('asks for what is newer: sends the greatest value at `path` in the items so far'),
  }),
  z.strictObject({ type: z.literal('rss'), ...http }).describe('RSS and Atom'),
  z.strictObject({
    ...{ type: z.literal('s3'), ...common },
    endpoint: Url.optional().describe('of the service; by default AWS’s of the region'),
    region: z
      .string()
      .regex(/^[a-z0-9-]{1,60}$/)
      .optional()
      .describe('`us-east-1` by default'),
    bucket: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/, 'must be the name of a bucket'),
    prefix: z.string().max(1_024).optional(),
    access_key_id: z
      .string()
      .regex(/^[\x21-\x7e]{1,200}$/)
      .optional(),
    secret_access_key: Secret.optional().describe('stored encrypted and not shown again'),
    session_token: Secret.optional().describe('stored encrypted and not shown again'),
    listing: z
      .enum(['changes', 'append'])
      .optional()
      .describe(
        '`changes` (default): new keys and new ETags; `append`: keys that sort after all earlier ones',
      ),
    fetch_content: z
      .int()
      .min(1)
      .max(131_072)
      .optional()
      .describe('text objects up to so many bytes come with their `content`'),
  }),
])

const ScheduleBody = z
  .strictObject({
    cron: z.string().max(200).optional().describe('five fields'),
    time_zone: z.string().max(100).optional().describe('IANA’s name; UTC by default'),
    every_seconds: z.int().min(1).max(31_536_000).optional().describe('instead of `cron`'),
    source: Source,
    target: z
      .union([z.strictObject({ stream: Name }), z.strictObject({ index: Name })])
      .optional()
      .describe('where what was pulled goes'),
    enabled: z.boolean().default(true),
  })
  .refine(({ source, target }) => source.type === 'event' || target !== undefined, {
    message: 'is missing: what is pulled goes to `{"stream"}` or `{"index"}`',
    path: ['target'],
  })
  .refine(
    ({ source }) => source.type !== 'event' || (source.stream === undefined) !== (source.agent === undefined),
    {
      message: 'needs `stream` or `agent`, and not both',
      path: ['source'],
    },
  )
  .refine(({ source, target }) => source.type !== 'event' || target === undefined, {
    message: 'is not of an event, whose `source` says where it goes',
    path: ['target'],
  })
  .refine(({ source }) => source.type !== 's3' || !source.access_key_id === !source.secret_access_key, {
    message: 'comes together with `access_key_id`',
    path: ['source', 'secret_access_key'],
  })

const LastRunReply = z.object({
  planned: z.string(),
  started: z.string(),
  finished: z.string(),
  status: z.enum(['ok', 'failed']),
  accepted: z.int(),
  duplicates: z.int(),
  refused: z.int().describe('what the target does not take'),
  first_refusal: z.object({ id: z.string(), message: z.string() }).optional(),
  more: z.boolean().optional().describe('there is more to read; it goes on at once'),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
})

const ScheduleReply = z.looseObject({
  name: z.string(),
  next_run: z.string().nullable(),
  last_run: LastRunReply.nullable(),
  last_error: z.object({ code: z.string(), message: z.string(), at: z.string() }).nullable(),
  consecutive_failures: z.int(),
})

/** How long a caller waits for a run by hand; what is left of it goes on by itself. */
const BY_HAND_MS = 20_000

export type ScheduleDeps = Pick<Deps, 'schedules' | 'scheduleRunner' | 'outgoing' | 'clock' | 'admission'>

/** `/v1/schedules`: events at their time, and sources that are pulled into streams and indexes. */
export function schedules({ schedules: store, scheduleRunner, outgoing, clock, admission }: ScheduleDeps) {
  const member = admitted(admission, 'ingest-event')
  return new Hono<App>()
    .get(
      '/v1/schedules',
      describeRoute({
        summary: 'List schedules, and how their last runs went',
        responses: replies(200, 'The schedules', z.object({ data: z.array(ScheduleReply) })),
      }),
      member,
      async (c) => c.json({ data: await store.list(c.var.caller.tenant) }),
    )
    .put(
      '/v1/schedules/:name',
      describeRoute({
        summary: 'Set a schedule: an event, or a source to pull, at its times',
        description:
          'Runs in the name of the key that sets it. Every due time is run once across all instances; times that were missed are one run.',
        responses: replies(200, 'The schedule', ScheduleReply),
      }),
      member,
      json(ScheduleBody),
      async (c) => {
        const name = c.req.param('name')
        if (!NAME.test(name)) throw invalid('name', 'must be 1 to 64 of A-Z a-z 0-9 _ . -')
        const schedule = c.req.valid('json') as Schedule
        if (schedule.source.type !== 'event') await checkPull(c, schedule.source, schedule.target!)
        const { tenant, keyId } = c.var.caller
        return c.json(await store.put(tenant, keyId, name, schedule))
      },
    )
    .get(
      '/v1/schedules/:name',
      describeRoute({
        summary: 'Read a schedule, and how its last run went',
        responses: replies(200, 'The schedule', ScheduleReply),
      }),
      member,
      async (c) => c.json(await store.get(c.var.caller.tenant, c.req.param('name'))),
    )
    .delete(
      '/v1/schedules/:name',
      describeRoute({ summary: 'Remove a schedule', responses: { 204: { description: 'Removed' } } }),
      member,
      async (c) => {
        await store.delete(c.var.caller.tenant, c.req.param('name'))
        return c.body(null, 204)
      },
    )
    .post(
      '/v1/schedules/:name/run',
      describeRoute({
        summary: 'Run a schedule now, off or on',
        description: `Answers when the run is over, at the latest after some ${BY_HAND_MS / 1_000} s; 409 where it is running already.`,
        responses: replies(200, 'How it went', LastRunReply),
      }),
      member,
      async (c) => {
        const untilMs = clock.now() + BY_HAND_MS
        return c.json(await scheduleRunner.runNow(c.var.caller.tenant, c.req.param('name'), { untilMs }))
      },
    )

  /** What can be told of a source before it is called is told to whoever sets it. */
  async function checkPull(c: Context<App>, source: PullSource, target: object) {
    const claim = claimOf(c, admission)
    if (source.allow_private) await admitAdmin(c, admission)
    if ('index' in target) await admission.admit(claim, 'search')
    const [field, url] =
      source.type === 's3' ? ['endpoint', source.endpoint ?? 'https://s3.amazonaws.com'] : ['url', source.url]
    try {
      outgoing.check(new URL(url!), source.allow_private ?? false)
    } catch (error) {
      throw invalid(`source.${field}`, (error as Error).message)
    }
  }
}

function isSourceUrl(text: string): boolean {
  const url = URL.parse(text)
  return url !== null && /^https?:$/.test(url.protocol) && !url.username && !url.password && !url.hash
}

const invalid = (param: string, message: string) =>
  new HubError({ code: 'invalid_value', status: 400, message: `${param}: ${message}`, param })
