import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { readCacheDirectives } from '../shared/completions/cache-directives.ts'
import { readCompleted } from '../shared/completions/read-completed.ts'
import { FilterSchema } from '../shared/filter-schema.ts'
import { NAME } from '../shared/keys.ts'
import { headersOf, renderStream } from './completion-reply.ts'
import type { App, Deps } from './deps.ts'
import { claimed, json, replies } from './http.ts'

const Text = z.string().max(10_000)

const Question = z.strictObject({
  index: z.string().regex(NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -'),
  question: Text.refine((text) => text.trim() !== '', 'is empty'),
  filter: FilterSchema.optional(),
  mode: z.enum(['vector', 'text', 'hybrid']).optional(),
  model: z
    .string()
    .min(1)
    .max(300)
    .optional()
    .describe('HUB_ASK_MODEL by default; `local/local` quotes the best sentences'),
  messages: z
    .array(z.strictObject({ role: z.enum(['user', 'assistant']), content: Text }))
    .max(50)
    .optional()
    .describe('what was said before, oldest first'),
  top_k: z.int().min(1).max(50).default(10).describe('chunks to look at'),
  min_score: z
    .number()
    .optional()
    .describe('least similarity of a chunk, in place of the hub’s own judgement'),
  max_context_tokens: z.int().min(50).max(200_000).default(3_000).describe('of the sources together'),
  stream: z
    .boolean()
    .default(false)
    .describe(
      'server-sent events: `chat.completion.chunk`s, the last of which has `answer`, `citations` and `found`',
    ),
})

const Citation = z.object({
  document_id: z.string(),
  quote: z.string().describe('`text.slice(start, end)` of the stored document'),
  start: z.int().describe('in UTF-16 units'),
  end: z.int(),
  score: z.number().describe('part of the statement’s words, by weight, that the quote holds'),
  source: z.int().describe('marks it in the answer: `[source]`'),
})
const Answer = z.object({
  answer: z.string(),
  citations: z.array(Citation),
  found: z
    .boolean()
    .describe('whether the documents hold an answer; where not, no model may have been asked'),
  usage: z.looseObject({}),
  model: z.string(),
})

/** Questions answered from documents, with citations. */
export function ask({ ask, admission }: Pick<Deps, 'ask' | 'admission'>) {
  return new Hono<App>().post(
    '/v1/ask',
    describeRoute({
      summary: 'Answer a question from the documents of an index',
      responses: replies(200, 'The answer, or SSE', Answer),
    }),
    claimed(admission),
    json(Question),
    async (c) => {
      const { stream, ...request } = c.req.valid('json')
      const directives = readCacheDirectives((name) => c.req.header(name))
      const { signal } = c.req.raw
      const asked = await ask({ claim: c.var.claim, request, stream, directives, signal, defer: c.env.defer })
      const completed = { ...asked.completed, headers: { ...asked.headers, ...asked.completed.headers } }
      if (!stream) {
        const reply = await asked.conclude(await readCompleted(completed, signal))
        return c.json(reply, 200, headersOf(completed, 'application/json'))
      }
      return renderStream(c, completed, { model: '' }, async (response) => {
        const { id, created, model } = JSON.parse(response)
        const chunk = { id, object: 'chat.completion.chunk', created, model, choices: [] }
        return JSON.stringify({ ...chunk, ...(await asked.conclude(response)) })
      })
    },
  )
}
