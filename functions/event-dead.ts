import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import type { App, Deps } from './deps.ts'
import { admitted, json, query, replies } from './http.ts'

const DeadReply = z.object({
  data: z.array(
    z.object({
      id: z.string().describe('what a replay names'),
      cause: z.string(),
      attempts: z.int(),
      at: z.string(),
      result_id: z.string().nullable(),
      event: z.record(z.string(), z.unknown()).nullable(),
    }),
  ),
  next: z.string().nullable().describe('the `after` of the next page'),
})

const time = z.iso.datetime({ offset: true })

const Replay = z.union([
  z.strictObject({ ids: z.array(z.string()).min(1).max(1_000) }),
  z.strictObject({
    filter: z
      .strictObject({
        cause: z.string().min(1).max(1_000).optional().describe('a part of it'),
        before: time.optional().describe('when it was given up'),
        after: time.optional(),
        type: z.string().min(1).max(2_048).optional().describe('of the event'),
      })
      .describe('all that is given must hold; `{}`: every one'),
    after: z.string().optional().describe('`next` of the call before'),
  }),
])

const ReplayReply = z.object({
  replayed: z.int(),
  ids: z.array(z.string()).optional().describe('which of those that were named; the others are gone'),
  next: z.string().nullable().optional().describe('there may be more: the `after` of the next call'),
})

/** `/v1/events/{stream}/dead`: what the stream's handler gave up. */
export function eventDead({ deadEvents, admission }: Pick<Deps, 'deadEvents' | 'admission'>) {
  const member = admitted(admission, 'ingest-event')
  return new Hono<App>()
    .get(
      '/v1/events/:stream/dead',
      describeRoute({
        summary: 'Read dead letters, oldest first, in pages',
        responses: replies(200, 'A page', DeadReply),
      }),
      member,
      query(
        z.object({
          after: z.string().optional(),
          limit: z.coerce.number().int().min(1).max(1_000).default(100),
        }),
      ),
      async (c) =>
        c.json(await deadEvents.list(c.var.caller.tenant, c.req.param('stream'), c.req.valid('query'))),
    )
    .post(
      '/v1/events/:stream/dead/replay',
      describeRoute({
        summary: 'Put dead letters back into their stream, by id or by filter',
        description: 'May be repeated: what was put back is no dead letter any more.',
        responses: replies(200, 'How many', ReplayReply),
      }),
      member,
      json(Replay),
      async (c) => {
        const wanted = c.req.valid('json')
        const { tenant } = c.var.caller
        const stream = c.req.param('stream')
        if ('filter' in wanted) {
          return c.json(
            await deadEvents.replayWhere(tenant, stream, wanted.filter, c.env.defer, wanted.after),
          )
        }
        const ids = await deadEvents.replay(tenant, stream, wanted.ids, c.env.defer)
        return c.json({ replayed: ids.length, ids })
      },
    )
}
