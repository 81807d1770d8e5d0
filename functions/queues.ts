import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { HubError } from '../shared/errors.ts'
import type { EventHandlers } from '../shared/events/handlers.ts'
import { NAME } from '../shared/keys.ts'
import type { App, Deps } from './deps.ts'
import { admitted, json, query, replies } from './http.ts'

const Id = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^\u0000-\u001f\u007f]+$/, 'must hold no control characters')
  .refine((id) => id.isWellFormed(), 'is no valid Unicode')

const Job = z.strictObject({
  id: Id.optional().describe('the same id is the same job, while the queue or its result knows it'),
  handler: z
    .looseObject({ type: z.string() })
    .describe('as of streams: `type` names it, the other fields are its own'),
  data: z.unknown().optional(),
  retry: z
    .strictObject({
      attempts: z.int().min(1).max(100).optional().describe('in all; 8 by default'),
      first_seconds: z.number().min(0.01).max(86_400).optional().describe('1 by default, doubled each time'),
      longest_seconds: z.number().min(0.01).max(86_400).optional().describe('300 by default'),
    })
    .optional(),
})
const Jobs = z.preprocess(
  (given) => (Array.isArray(given) ? given : [given]),
  z.array(Job).min(1).max(10_000).describe('or one job alone'),
)

const Pushed = z.object({
  accepted: z.int(),
  duplicates: z.int(),
  jobs: z.array(z.object({ id: z.string(), result_id: z.string().describe('for `GET /v1/results/{id}`') })),
})
const Stats = z.object({
  waiting: z.int(),
  leased: z.int().describe('worked on now, or waiting for another attempt'),
  dead: z.int(),
})
const Dead = z.object({ id: z.string(), cause: z.string(), attempts: z.int(), at: z.string() })

/** Work queues over lists, for jobs of the same handlers that streams have. */
export function queues({
  queues,
  eventHandlers,
  admission,
}: Pick<Deps, 'queues' | 'eventHandlers' | 'admission'>) {
  const caller = admitted(admission, 'ingest-event')
  return new Hono<App>()
    .post(
      '/v1/queues/:queue/jobs',
      describeRoute({
        summary: 'Queue one job or several',
        responses: { 202: replies(200, 'Redis has them', Pushed)[200]! },
      }),
      caller,
      json(Jobs),
      async (c) => {
        const queue = checkedName(c.req.param('queue'))
        const jobs = c.req.valid('json')
        for (const [i, { handler }] of jobs.entries()) checkHandler(eventHandlers, handler, `[${i}].handler`)
        return c.json(await queues.push(c.var.caller.tenant, queue, jobs, c.env.defer), 202)
      },
    )
    .get(
      '/v1/queues/:queue',
      describeRoute({ summary: 'How long a queue is', responses: replies(200, 'Its lengths', Stats) }),
      caller,
      async (c) => c.json(await queues.stats(c.var.caller.tenant, checkedName(c.req.param('queue')))),
    )
    .get(
      '/v1/queues/:queue/dead',
      describeRoute({
        summary: 'Jobs that were given up',
        responses: replies(200, 'Oldest first', z.object({ data: z.array(Dead) })),
      }),
      caller,
      query(z.object({ limit: z.coerce.number().int().min(1).max(1_000).default(100) })),
      async (c) => {
        const { limit } = c.req.valid('query')
        const data = await queues.dead(c.var.caller.tenant, checkedName(c.req.param('queue')), limit)
        return c.json({ data })
      },
    )
    .post(
      '/v1/queues/:queue/dead/replay',
      describeRoute({
        summary: 'Put jobs that were given up back into their queue',
        responses: replies(200, 'Those that were there', z.object({ replayed: z.array(z.string()) })),
      }),
      caller,
      json(z.strictObject({ ids: z.array(Id).min(1).max(1_000) })),
      async (c) => {
        const queue = checkedName(c.req.param('queue'))
        const { ids } = c.req.valid('json')
        return c.json({ replayed: await queues.replay(c.var.caller.tenant, queue, ids, c.env.defer) })
      },
    )
}

function checkedName(name: string): string {
  if (NAME.test(name)) return name
  const message = 'queue: must be 1 to 64 of A-Z a-z 0-9 _ . -'
  throw new HubError({ code: 'invalid_value', status: 400, message, param: 'queue' })
}

function checkHandler(handlers: EventHandlers, handler: { type: string }, param: string) {
  const { type, ...own } = handler
  const found = Object.hasOwn(handlers, type) ? handlers[type] : undefined
  const issue = found?.settings.safeParse(own).error?.issues[0]
  if (found && !issue) return
  const path = found ? [param, ...issue!.path].join('.') : `${param}.type`
  const there = Object.keys(handlers).join(', ')
  const message = `${path}: ${found ? issue!.message : `there is no handler \`${type}\`. There are: ${there}`}`
  throw new HubError({ code: 'invalid_value', status: 400, message, param: path })
}
