import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import type { Job } from '../shared/retrieval/jobs.ts'
import type { App, Deps } from './deps.ts'
import { admitted, replies } from './http.ts'

export const JobReply = z.object({
  id: z.string(),
  status: z
    .enum(['queued', 'running', 'done', 'failed'])
    .describe('`failed`: all is over, and something failed'),
  index: z.string(),
  total: z.int().describe('documents'),
  done: z.int(),
  failed: z.int(),
  errors: z
    .array(z.object({ document_id: z.string(), code: z.string(), message: z.string() }))
    .describe('the first hundred'),
  created_at: z.string(),
  finished_at: z.string().nullable(),
})

/** How far documents are that were queued with `?async=true`. */
export function searchJobs({ jobs, admission }: Pick<Deps, 'jobs' | 'admission'>) {
  return new Hono<App>().get(
    '/v1/jobs/:id',
    describeRoute({
      summary: 'How far queued documents are',
      responses: replies(200, 'The job', JobReply),
    }),
    admitted(admission, 'search'),
    async (c) => c.json(toJobReply(await jobs.get(c.var.caller.tenant, c.req.param('id')))),
  )
}

export function toJobReply({ createdAt, finishedAt, ...job }: Job): z.output<typeof JobReply> {
  const finished_at = finishedAt === undefined ? null : new Date(finishedAt).toISOString()
  return { ...job, created_at: new Date(createdAt).toISOString(), finished_at }
}
