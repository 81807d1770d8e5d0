import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import type { Job } from '../shared/retrieval/jobs.ts'
import type { App, Deps } from './deps.ts'
import { admitted, json, replies } from './http.ts'

const JobReply = z.object({
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

const Documents = z
  .array(
    z.strictObject({
      id: z.string().optional(),
      text: z.string(),
      vector: z.array(z.number()).optional(),
      metadata: z.record(z.string(), z.unknown()).optional(),
    }),
  )
  .min(1)

/** Documents that are queued (`?async=true`), and how far they are. */
export function searchJobs({ jobs, indexes, admission }: Pick<Deps, 'jobs' | 'indexes' | 'admission'>) {
  const admit = admitted(admission, 'search')
  const body = json(Documents)
  return new Hono<App>()
    .post('/v1/indexes/:index/documents', async (c, next) => {
      if (c.req.query('async') !== 'true') return next()
      await admit(c, async () => {})
      await body(c, async () => {})
      const { caller } = c.var
      const job = await jobs.create({
        index: await indexes.resolve(caller.tenant, c.req.param('index')),
        documents: c.req.valid('json' as never),
        idempotencyKey: c.req.header('idempotency-key'),
        ...{ caller, defer: c.env.defer },
      })
      return c.json(toJobReply(job), 202, { Location: `/v1/jobs/${job.id}` })
    })
    .get(
      '/v1/jobs/:id',
      describeRoute({
        summary: 'How far queued documents are',
        responses: replies(200, 'The job', JobReply),
      }),
      admit,
      async (c) => c.json(toJobReply(await jobs.get(c.var.caller.tenant, c.req.param('id')))),
    )
}

function toJobReply({ createdAt, finishedAt, ...job }: Job): z.output<typeof JobReply> {
  const finished_at = finishedAt === undefined ? null : new Date(finishedAt).toISOString()
  return { ...job, created_at: new Date(createdAt).toISOString(), finished_at }
}
