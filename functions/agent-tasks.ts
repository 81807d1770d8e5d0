import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { newId } from '../shared/ids.ts'
import { NAME } from '../shared/keys.ts'
import type { App, Deps } from './deps.ts'
import { admitted, checked, IDEMPOTENCY_KEY, json, query, replies } from './http.ts'

const Name = z.string().regex(NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -')
const Id = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^\u0000-\u001f\u007f]+$/, 'must hold no control characters')
  .refine((id) => id.isWellFormed(), 'is no valid Unicode')
const Key = z.object({ idempotency_key: Id.optional() })
const Status = z.enum(['waiting', 'assigned', 'done', 'failed'])
const LeaseSeconds = z.int().min(1).max(3_600).describe('renew it before it is over')
const Attempt = z.int().min(1).describe('of the claim')

const NewTask = z.strictObject({
  id: Id.optional().describe('the same id is the same task; `Idempotency-Key` by default, else a random one'),
  input: z.json().describe('text, or JSON'),
  to: Name.optional().describe('who is to do it; by default any that is free and takes its topic'),
  topic: Name.optional(),
  planner: Name.optional().describe('the agent whose inbox the result goes to'),
})
const Claim = z.strictObject({
  executor: Name,
  topics: z.array(Name).max(100).optional().describe('any by default'),
  wait_seconds: z.number().min(0).max(30).default(0),
  lease_seconds: LeaseSeconds,
})
const Renewal = z.strictObject({ attempt: Attempt, lease_seconds: LeaseSeconds })
const Result = z.strictObject({
  attempt: Attempt,
  status: z.enum(['done', 'failed']),
  output: z.json().default(null),
})

const Task = z.object({
  id: z.string(),
  input: z.json(),
  to: z.string().optional(),
  topic: z.string().optional(),
  planner: z.string().optional(),
  status: Status,
  attempt: z.int().describe('that runs, or was the last'),
  executor: z.string().optional(),
  output: z.json().optional(),
  error: z.string().optional().describe('why the hub says that it failed'),
  created_at: z.string(),
  updated_at: z.string(),
})
const Claimed = z.object({
  task: z.object({
    id: z.string(),
    attempt: z.int(),
    input: z.json(),
    to: z.string().optional(),
    topic: z.string().optional(),
    planner: z.string().optional(),
    lease_expires_at: z.string(),
  }),
})
const Lease = z.object({ lease_expires_at: z.string() })

/** `/v1/tasks`: work that planners give away; executors that are no agents of this hub claim it at `/v1/task-claims`. */
export function agentTasks({ tasks, admission }: Pick<Deps, 'tasks' | 'admission'>) {
  const member = admitted(admission, 'agent-step')
  return new Hono<App>()
    .post(
      '/v1/tasks',
      describeRoute({
        summary: 'Give a task away',
        parameters: [IDEMPOTENCY_KEY],
        description: 'The channel `agent:tasks` tells of it, `agent:events` of its end.',
        responses: replies(201, 'The task', Task),
      }),
      member,
      json(NewTask),
      async (c) => {
        const { tenant } = c.var.caller
        const { id = keyOf(c.req.header('idempotency-key')) ?? newId(), ...task } = c.req.valid('json')
        await tasks.add(tenant, { id, ...task })
        return c.json(await tasks.get(tenant, id), 201, { Location: `/v1/tasks/${encodeURIComponent(id)}` })
      },
    )
    .get(
      '/v1/tasks',
      describeRoute({
        summary: 'List tasks',
        responses: replies(200, 'The newest first', z.object({ data: z.array(Task) })),
      }),
      member,
      query(
        z.object({ status: Status.optional(), limit: z.coerce.number().int().min(1).max(200).default(50) }),
      ),
      async (c) => c.json({ data: await tasks.list(c.var.caller.tenant, c.req.valid('query')) }),
    )
    .get(
      '/v1/tasks/:id',
      describeRoute({
        summary: 'Read a task, for a week after its end',
        responses: replies(200, 'The task', Task),
      }),
      member,
      async (c) => c.json(await tasks.get(c.var.caller.tenant, c.req.param('id'))),
    )
    .post(
      '/v1/task-claims',
      describeRoute({
        summary: 'Claim the oldest task that one takes',
        description:
          'It is another executor’s once the lease is over: renew it while working. After 5 attempts a task has failed.',
        responses: { ...replies(200, 'The task', Claimed), 204: { description: 'There is none' } },
      }),
      member,
      json(Claim),
      async (c) => {
        const { executor, topics, wait_seconds, lease_seconds } = c.req.valid('json')
        const found = await tasks.claim(c.var.caller.tenant, {
          ...{ executor, topics, leaseMs: lease_seconds * 1_000, waitMs: wait_seconds * 1_000 },
          signal: c.req.raw.signal,
        })
        if (!found) return c.body(null, 204)
        return c.json({ task: { ...found.task, ...found.ref, lease_expires_at: iso(found.untilMs) } })
      },
    )
    .put(
      '/v1/tasks/:id/lease',
      describeRoute({
        summary: 'Keep a claimed task',
        description: '409 `task_lost` where it is another one’s now.',
        responses: replies(200, 'The lease', Lease),
      }),
      member,
      json(Renewal),
      async (c) => {
        const { attempt, lease_seconds } = c.req.valid('json')
        const ref = { id: c.req.param('id'), attempt }
        const untilMs = await tasks.renew(c.var.caller.tenant, ref, lease_seconds * 1_000)
        return c.json({ lease_expires_at: iso(untilMs) })
      },
    )
    .post(
      '/v1/tasks/:id/result',
      describeRoute({
        summary: 'Report how a claimed task went',
        description:
          'May be repeated: the first report counts. 409 `task_lost` where it is another one’s now.',
        responses: replies(200, 'The task', Task),
      }),
      member,
      json(Result),
      async (c) => {
        const { tenant } = c.var.caller
        const { attempt, status, output } = c.req.valid('json')
        const id = c.req.param('id')
        await tasks.report(tenant, { task: { id, attempt }, status, output })
        return c.json(await tasks.get(tenant, id))
      },
    )
}

const keyOf = (given: string | undefined) => checked(Key, { idempotency_key: given }).idempotency_key

const iso = (unixMs: number) => new Date(unixMs).toISOString()
