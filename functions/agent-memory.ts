import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import type { Admission, Caller } from '../shared/admission.ts'
import type { LongMemory } from '../shared/agents/memory/memory.ts'
import { readTime } from '../shared/agents/memory/memory-entry.ts'
import { HubError } from '../shared/errors.ts'
import { FilterSchema } from '../shared/filter-schema.ts'
import { newId } from '../shared/ids.ts'
import type { App } from './deps.ts'
import { admitted, checked, IDEMPOTENCY_KEY, json, parseJson, query, replies } from './http.ts'

export interface AgentMemoryOptions {
  longMemory: LongMemory
  admission: Admission
  agentExists(tenant: string, id: string): Promise<boolean>
}

const Text = z
  .string()
  .max(2_000)
  .refine((text) => text.trim() !== '', 'is empty')
const Time = z
  .string()
  .refine((text) => readTime(text) !== undefined, 'must be a time such as 2027-03-01T09:00:00Z, or a date')

const NewMemory = z.strictObject({
  text: Text,
  valid_from: Time.optional().describe('now by default'),
  valid_until: Time.optional().describe('for good by default'),
  metadata: z
    .record(z.string(), z.unknown())
    .refine((metadata) => JSON.stringify(metadata).length <= 4_000, 'has more than 4,000 characters as JSON')
    .optional()
    .describe('what a recall may filter by: texts, truth values, numbers, lists of texts'),
})

const Asked = z
  .strictObject({
    query: Text.optional().describe('without it: all, the latest first'),
    top_k: z.coerce.number().int().min(1).max(100).optional().describe('10 by default'),
    min_score: z.coerce.number().min(-1).max(1).optional().describe('least similarity'),
    at: Time.optional().describe('what was valid then; now by default'),
    filter: z
      .string()
      .max(10_000)
      .optional()
      .describe('JSON: OpenAI’s filter objects, over metadata and `created_at`'),
    limit: z.coerce.number().int().min(1).max(100).optional().describe('20 by default'),
    before: z.string().min(1).max(100).optional().describe('`next` of the page before'),
    forgotten: z.enum(['true', 'false']).optional().describe('forgotten ones, which can be brought back'),
  })
  .superRefine((asked, context) => {
    const foreign = asked.query === undefined ? ALONE.recall : ALONE.list
    for (const name of foreign) {
      if (asked[name] === undefined) continue
      const message = asked.query === undefined ? 'goes with `query`' : 'does not go with `query`'
      context.addIssue({ code: 'custom', path: [name], message })
    }
  })
const ALONE = {
  recall: ['top_k', 'min_score', 'at', 'filter'],
  list: ['limit', 'before', 'forgotten'],
} as const

const Entry = z.object({
  id: z.string(),
  text: z.string(),
  origin: z.looseObject({ kind: z.enum(['tool', 'user', 'extracted']) }),
  valid_from: z.string(),
  valid_until: z.string().nullable(),
  created_at: z.string(),
  forgotten_at: z.string().nullable(),
  metadata: z.looseObject({}),
  score: z.number().optional().describe('similarity to the query'),
})
const Admittance = z.object({
  status: z.enum(['stored', 'duplicate', 'refused']),
  id: z.string().optional().describe('of the memory, or of the one that says the same'),
  similarity: z.number().optional(),
  why: z.string().optional(),
})

/** What an agent remembers for good, for people to see and to put right. */
export function agentMemory({ longMemory, admission, agentExists }: AgentMemoryOptions) {
  const caller = admitted(admission, 'agent-step')

  async function mustExist({ tenant }: Caller, id: string): Promise<void> {
    if (await agentExists(tenant, id)) return
    const message = `There is no agent \`${id}\`. Make it with PUT /v1/agents/{id}.`
    throw new HubError({ code: 'agent_not_found', status: 404, message, param: 'id' })
  }

  return new Hono<App>()
    .get(
      '/v1/agents/:id/memory',
      describeRoute({
        summary: 'What an agent remembers, by meaning or the latest first',
        responses: replies(
          200,
          'Memories',
          z.object({ data: z.array(Entry), next: z.string().nullable().optional() }),
        ),
      }),
      caller,
      query(Asked),
      async (c) => {
        const { caller } = c.var
        const { query, limit = 20, before, forgotten, ...asked } = c.req.valid('query')
        const id = c.req.param('id')
        await mustExist(caller, id)
        if (query === undefined)
          return c.json(
            await longMemory.list(caller.tenant, id, { limit, before, forgotten: forgotten === 'true' }),
          )
        const filter = asked.filter === undefined ? undefined : readFilter(asked.filter)
        const at = asked.at === undefined ? undefined : readTime(asked.at)
        const call = { caller, signal: c.req.raw.signal, defer: c.env.defer }
        return c.json({
          data: await longMemory.recall(caller.tenant, id, { ...asked, query, filter, at }, call),
        })
      },
    )
    .post(
      '/v1/agents/:id/memory',
      describeRoute({
        summary: 'Have an agent remember something',
        parameters: [IDEMPOTENCY_KEY],
        description:
          'What says the same as a memory that it has is not stored again. With an Idempotency-Key the call may be repeated.',
        responses: {
          ...replies(201, 'Stored', Admittance),
          ...replies(200, 'It remembers that already', Admittance),
        },
      }),
      caller,
      json(NewMemory),
      async (c) => {
        const { caller } = c.var
        const id = c.req.param('id')
        await mustExist(caller, id)
        const once = `http/${caller.keyId ?? ''}/${c.req.header('idempotency-key') ?? newId()}`
        const memory = { ...c.req.valid('json'), origin: { kind: 'user' as const }, once }
        const call = { caller, signal: c.req.raw.signal, defer: c.env.defer }
        const outcome = await longMemory.remember(caller.tenant, id, memory, call)
        if (outcome.status === 'refused') {
          const { why: message } = outcome
          throw new HubError({ code: 'memory_refused', status: 400, message, param: 'text' })
        }
        return c.json(outcome, outcome.status === 'stored' ? 201 : 200)
      },
    )
    .delete(
      '/v1/agents/:id/memory/:memory',
      describeRoute({
        summary: 'Forget; it can be brought back for 30 days',
        responses: { 204: { description: 'Forgotten' } },
      }),
      caller,
      async (c) => {
        await mustExist(c.var.caller, c.req.param('id'))
        await longMemory.forget(c.var.caller.tenant, c.req.param('id'), c.req.param('memory'))
        return c.body(null, 204)
      },
    )
    .post(
      '/v1/agents/:id/memory/:memory/restore',
      describeRoute({
        summary: 'Bring back what was forgotten',
        responses: replies(200, 'As it was', Entry),
      }),
      caller,
      async (c) => {
        const { caller } = c.var
        await mustExist(caller, c.req.param('id'))
        const call = { caller, signal: c.req.raw.signal, defer: c.env.defer }
        return c.json(await longMemory.restore(caller.tenant, c.req.param('id'), c.req.param('memory'), call))
      },
    )
}

const readFilter = (text: string) =>
  checked(z.strictObject({ filter: FilterSchema }), { filter: parseJson(text, 'filter') }).filter
