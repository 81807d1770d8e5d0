import { type Context, Hono } from 'hono'
import { describeRoute, resolver } from 'hono-openapi'
import { z } from 'zod'
import { HubError } from '../shared/errors.ts'
import { awaitResult } from '../shared/events/await-result.ts'
import type { Accepted } from '../shared/events/intake.ts'
import { eventKeys } from '../shared/keys.ts'
import type { Reply } from '../shared/ports/redis.ts'
import { type AlertDeps, alerts } from './alerts.ts'
import { type DeliveryDeps, deliveries } from './deliveries.ts'
import type { App, Deps } from './deps.ts'
import { type EventBody, readEventBody, readLines } from './event-body.ts'
import { eventDead } from './event-dead.ts'
import { eventLatest } from './event-latest.ts'
import { eventStreams, Stream } from './event-streams.ts'
import { admitted, IDEMPOTENCY_KEY, query, replies } from './http.ts'
import { queues } from './queues.ts'
import { type ScheduleDeps, schedules } from './schedules.ts'
import { type WebhookDeps, webhooks } from './webhooks.ts'

const AcceptedReply = z.object({
  accepted: z.int(),
  duplicates: z.int().describe('seen before, by source and id: not stored again'),
  events: z
    .array(z.object({ id: z.string(), result_id: z.string() }))
    .optional()
    .describe('in the order that they came in; left out for `Prefer: return=minimal`'),
})

const StatsReply = z.object({
  length: z.int(),
  groups: z.array(
    z.object({
      name: z.string(),
      lag: z.int().nullable().describe('not yet read; null where Redis does not know'),
      pending: z.int().describe('read, and not yet done with'),
    }),
  ),
  dead: z.int(),
})

const ResultReply = z.looseObject({
  id: z.string(),
  stream: z.string(),
  event_id: z.string(),
  status: z.enum(['done', 'failed']),
  result: z.unknown().optional(),
  error: z.object({ message: z.string() }).optional(),
  at: z.string(),
  attempts: z.int(),
})

const LONGEST_WAIT_SECONDS = 30

const object = { schema: { type: 'object' as const } }

type EventDeps = Pick<
  Deps,
  'admission' | 'intake' | 'streams' | 'handlerSecrets' | 'deadEvents' | 'results' | 'redis'
> &
  WebhookDeps &
  ScheduleDeps &
  AlertDeps &
  Pick<Deps, 'queues' | 'eventHandlers'> &
  DeliveryDeps

/** `/v1/events`: anything can send events, and read what came of them. */
export function ingestEvent(deps: EventDeps) {
  const { admission, intake, results, redis } = deps
  const member = admitted(admission, 'ingest-event')
  return new Hono<App>()
    .route('/', eventStreams(deps))
    .route('/', eventDead(deps))
    .route('/', eventLatest(deps))
    .route('/', webhooks(deps))
    .route('/', alerts(deps))
    .route('/', deliveries(deps))
    .route('/', schedules(deps))
    .route('/', queues(deps))
    .post(
      '/v1/events/:stream',
      describeRoute({
        summary: 'Send events: CloudEvents, plain JSON, or one event a line',
        parameters: [IDEMPOTENCY_KEY],
        description:
          'The reply comes once Redis has them. A batch is stored as a whole or not at all; lines are stored in parts of up to 1,000 while they come. An event with the same source and id as one of the last day is a duplicate. With an Idempotency-Key, events without an id can be sent again.',
        requestBody: {
          required: true,
          content: {
            'application/json': object,
            'application/x-ndjson': { schema: { type: 'string' } },
            'application/cloudevents+json': object,
            'application/cloudevents-batch+json': { schema: { type: 'array', items: { type: 'object' } } },
            '*/*': { schema: { type: 'string', format: 'binary' } },
          },
        },
        responses: {
          202: {
            description: 'Redis has them',
            content: { 'application/json': { schema: resolver(AcceptedReply) } },
          },
        },
      }),
      member,
      async (c) => {
        const body = await readEventBody(c)
        const { events, ...counts } = 'lines' in body ? await acceptLines(c, body) : await acceptAll(c, body)
        if (!/\breturn=minimal\b/i.test(c.req.header('prefer') ?? ''))
          return c.json({ ...counts, events }, 202)
        return c.json(counts, 202, { 'Preference-Applied': 'return=minimal' })
      },
    )
    .get(
      '/v1/events/:stream/stats',
      describeRoute({
        summary: 'How many events there are, and how many wait',
        responses: replies(200, 'The stream', StatsReply),
      }),
      member,
      async (c) => {
        const { events } = eventKeys(c.var.caller.tenant, Stream.parse(c.req.param('stream')))
        const [length, groups, dead] = await redis.wave(
          [
            ['XLEN', events],
            ['XINFO', 'GROUPS', events],
            ['XLEN', `{${events}}:dead`],
          ],
          { timeoutMs: 2_000 },
        )
        for (const reply of [length, dead]) if (reply instanceof Error) throw reply
        // Without a stream there are no groups, which Redis calls an error.
        return c.json({
          length,
          groups: groups instanceof Error ? [] : (groups as Reply[][]).map(toGroup),
          dead,
        } as z.output<typeof StatsReply>)
      },
    )
    .get(
      '/v1/results/:id',
      describeRoute({
        summary: 'What came of an event; waits for it where `wait_seconds` says so',
        responses: replies(200, 'The result', ResultReply),
      }),
      member,
      query(z.object({ wait_seconds: z.coerce.number().min(0).max(LONGEST_WAIT_SECONDS).default(0) })),
      async (c) => {
        const waitMs = c.req.valid('query').wait_seconds * 1_000
        // Over HTTP each look is a request, and a Worker may make few.
        const options = { waitMs, pauseMs: redis.wakeUps === 'push' ? 250 : 1_500, signal: c.req.raw.signal }
        return c.json(await awaitResult(results, [c.var.caller.tenant, c.req.param('id')], options))
      },
    )

  function acceptAll(c: Context<App>, { events, nameOf }: Extract<EventBody, { events: unknown }>) {
    return intake.acceptMixed(c.var.caller.tenant, c.req.param('stream')!, events, { ...callOf(c), nameOf })
  }

  /** What came before a bad line stays: the error says how much that is. */
  async function acceptLines(c: Context<App>, { lines }: Extract<EventBody, { lines: unknown }>) {
    const all: Accepted = { accepted: 0, duplicates: 0, events: [] }
    try {
      for await (const chunk of readLines(lines)) {
        const events = chunk.map(({ event }) => event)
        const {
          accepted,
          duplicates,
          events: taken,
        } = await intake.acceptMixed(c.var.caller.tenant, c.req.param('stream')!, events, {
          ...callOf(c),
          first: all.events.length,
          nameOf: (i) => `line ${chunk[i]!.number}`,
        })
        all.accepted += accepted
        all.duplicates += duplicates
        for (const one of taken) all.events.push(one)
      }
    } catch (error) {
      if (!(error instanceof HubError)) throw error
      const message = `${error.message} ${all.events.length} events of the lines before were accepted.`
      throw new HubError({ ...error.options, message, cause: error.cause })
    }
    return all
  }
}

const callOf = (c: Context<App>) => ({
  defer: c.env.defer,
  idempotencyKey: c.req.header('idempotency-key'),
})

function toGroup(flat: Reply[]) {
  const of = (field: string) => flat[flat.indexOf(field) + 1]
  return { name: of('name'), lag: of('lag'), pending: of('pending') }
}
