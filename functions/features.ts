import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { HubError } from '../shared/errors.ts'
import type { FeatureRow } from '../shared/features/feature-row.ts'
import { type FeaturesWritten, type FeatureWrite, MOST_ENTITIES } from '../shared/features/features.ts'
import { splitReplies } from '../shared/send.ts'
import { type DatasetDeps, datasets } from './datasets.ts'
import type { App, Deps } from './deps.ts'
import { featureViews } from './feature-views.ts'
import { admitted, claimed, json, replies } from './http.ts'

const Value = z.union([z.number(), z.boolean(), z.string(), z.array(z.number()), z.null()])
const values = z.record(z.string(), Value)

const Write = z.strictObject({
  // What a value must be, its view says.
  features: z
    .record(z.string(), z.unknown())
    .refine((features) => Object.keys(features).length > 0, 'is empty')
    .describe('by name; null: there is no value any more'),
  event_time: z.iso
    .datetime({ offset: true })
    .optional()
    .describe(
      'when they were so; now by default. What is older than the value that is there changes nothing',
    ),
})
const Writes = z.strictObject({
  rows: z
    .array(Write.extend({ entity: z.string() }))
    .min(1)
    .max(MOST_ENTITIES),
})
const Query = z.strictObject({
  entities: z.array(z.string()).min(1).max(MOST_ENTITIES),
  features: z.array(z.string()).min(1).max(200).optional().describe('all of the view’s by default'),
  max_age_seconds: z.number().min(0).optional().describe('names of older values are listed in `stale`'),
  include_event_times: z.boolean().default(false).describe('adds the event time of each feature'),
})

const WrittenReply = z.object({
  entity: z.string(),
  event_time: z.string(),
  written: z.array(z.string()),
  outdated: z.array(z.string()).describe('not written: something newer of them is known'),
})
const RowReply = z.object({
  entity: z.string(),
  features: values
    .nullable()
    .describe(
      'the value, else the default, else null; null as a whole for an unknown entity without defaults',
    ),
  event_time: z.string().nullable().describe('of the newest of these features'),
  age_seconds: z.number().nullable().describe('since `event_time`'),
  stale: z.array(z.string()).describe('those that are older than `max_age_seconds`'),
  event_times: z.record(z.string(), z.string()).optional(),
})

/** The name of this function in the table: what a key's scopes are asked for. */
const SCOPE = 'features'

/** The feature store, `/v1/features` and `/v1/feature-views`, and the training data cache, `/v1/datasets`. */
export function features(
  deps: Pick<Deps, 'features' | 'featureViews' | 'admission' | 'redis' | 'clock'> & DatasetDeps,
) {
  const { features, admission, redis, clock } = deps
  const member = admitted(admission, SCOPE)
  return new Hono<App>()
    .route('/', featureViews(deps))
    .route('/', datasets(deps))
    .put(
      '/v1/features/:view/:entity',
      describeRoute({
        summary: 'Write features of an entity',
        description:
          'A view that nobody declared learns its features from what is written, with types that stay: a number is a float, an array of numbers a vector. A declared view takes no others.',
        responses: replies(200, 'What was written', WrittenReply),
      }),
      member,
      json(Write),
      async (c) => {
        const { view, entity } = c.req.param()
        const row = toWrite({ entity, ...c.req.valid('json') })
        const options = { nameOf: () => '' }
        const [written] = await features.put(c.var.caller.tenant, view, [row], options)
        return c.json(toWrittenReply(written!))
      },
    )
    .post(
      '/v1/features/:view',
      describeRoute({
        summary: 'Write features of up to 1,000 entities',
        description: 'All are checked before the first one is written. It may be repeated.',
        responses: replies(200, 'What was written', z.object({ data: z.array(WrittenReply) })),
      }),
      member,
      json(Writes),
      async (c) => {
        const rows = c.req.valid('json').rows.map(toWrite)
        const written = await features.put(c.var.caller.tenant, c.req.param('view'), rows)
        return c.json({ data: written.map(toWrittenReply) })
      },
    )
    .post(
      '/v1/features/:view/query',
      describeRoute({
        summary: 'Read features of up to 1,000 entities at once',
        responses: replies(200, 'In the order of `entities`', z.object({ data: z.array(RowReply) })),
      }),
      claimed(admission),
      json(Query),
      async (c) => {
        const { entities, features: names, max_age_seconds, include_event_times } = c.req.valid('json')
        const { claim } = c.var
        const tenant = 'caller' in claim ? claim.caller.tenant : claim.key.tenant
        const who = await admission.ask(claim)
        const what = features.ask(tenant, c.req.param('view'), entities, {
          names,
          maxAgeSeconds: max_age_seconds,
        })
        // Who asks and what is asked for, together.
        const replies = await redis
          .wave([...who.calls, ...what.calls], { timeoutMs: 1_000 })
          .catch((error: Error) => error)
        const [aboutCaller, aboutEntities] = splitReplies(replies, who.calls.length)
        const { headers } = await who.settle(aboutCaller, SCOPE)
        const now = clock.now()
        const data = what.settle(aboutEntities).map((row) => toRowReply(row, now, include_event_times))
        return c.json({ data }, 200, headers)
      },
    )
    .get(
      '/v1/features/:view/:entity',
      describeRoute({
        summary: 'Read all features of an entity, with the event time of each',
        responses: replies(200, 'The entity', RowReply),
      }),
      member,
      async (c) => {
        const { view, entity } = c.req.param()
        const [row] = await features.read(c.var.caller.tenant, view, [entity])
        if (row!.eventTime === null) throw unknownEntity(view, entity)
        return c.json(toRowReply(row!, clock.now(), true))
      },
    )
    .delete(
      '/v1/features/:view/:entity',
      describeRoute({
        summary: 'Delete an entity',
        responses: { 204: { description: 'Nothing is known of it' } },
      }),
      member,
      async (c) => {
        const { view, entity } = c.req.param()
        const wasThere = await features.delete(c.var.caller.tenant, view, entity)
        if (!wasThere) throw unknownEntity(view, entity)
        return c.body(null, 204)
      },
    )
}

const toWrite = ({ event_time, ...row }: z.output<typeof Write> & { entity: string }): FeatureWrite => ({
  ...row,
  ...(event_time !== undefined && { eventTime: Date.parse(event_time) }),
})

const toWrittenReply = ({ eventTime, ...written }: FeaturesWritten) => ({
  ...written,
  event_time: new Date(eventTime).toISOString(),
})

function toRowReply(
  { entity, features, eventTime, eventTimes, stale }: FeatureRow,
  now: number,
  withTimes: boolean,
) {
  const times = withTimes && { event_times: mapValues(eventTimes) }
  if (eventTime === null) return { entity, features, event_time: null, age_seconds: null, stale, ...times }
  const age_seconds = Math.max(0, (now - eventTime) / 1_000)
  return { entity, features, event_time: new Date(eventTime).toISOString(), age_seconds, stale, ...times }
}

const mapValues = (times: Record<string, number>) =>
  Object.fromEntries(Object.entries(times).map(([name, time]) => [name, new Date(time).toISOString()]))

const unknownEntity = (view: string, entity: string) =>
  new HubError({
    code: 'entity_not_found',
    status: 404,
    message: `Nothing is known of \`${entity}\` in the view \`${view}\`.`,
    param: 'entity',
  })
