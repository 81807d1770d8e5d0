import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import type { App, Deps } from './deps.ts'
import { admitted, replies } from './http.ts'

const Result = z.object({
  id: z.string(),
  stream: z.string().describe('or the queue'),
  event_id: z.string().describe('or the job’s'),
  status: z
    .enum(['done', 'failed'])
    .describe('`failed`: given up; a replay may still succeed. One that is done stays as it is'),
  result: z.unknown().optional(),
  error: z.object({ message: z.string() }).optional(),
  at: z.string(),
  attempts: z.int(),
})

/** What came of events and jobs. */
export function results({ results, admission }: Pick<Deps, 'results' | 'admission'>) {
  return new Hono<App>().get(
    '/v1/results/:id',
    describeRoute({
      summary: 'What came of an event or a job',
      responses: replies(200, 'The result', Result),
    }),
    admitted(admission, 'ingest-event'),
    async (c) => c.json(await results.get(c.var.caller.tenant, c.req.param('id'))),
  )
}
