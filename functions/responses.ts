import type { Context } from 'hono'
import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { readCacheDirectives } from '../shared/completions/cache-directives.ts'
import { toChunks } from '../shared/completions/completion-chunks.ts'
import { readCompleted } from '../shared/completions/read-completed.ts'
import { toHubError } from '../shared/errors.ts'
import type { Clock } from '../shared/ports/clock.ts'
import { assembleResponse } from '../shared/responses/response-assembly.ts'
import { ResponseRequest } from '../shared/responses/response-schema.ts'
import { pageOf } from '../shared/responses/response-store.ts'
import type { Responding } from '../shared/responses/responses.ts'
import { headersOf, renderEvents } from './completion-reply.ts'
import type { App, Deps } from './deps.ts'
import { admitted, claimed, json, query, replies } from './http.ts'

const ResponseReply = z.looseObject({
  id: z.string(),
  object: z.literal('response'),
  status: z.enum(['in_progress', 'completed', 'incomplete', 'failed']),
  model: z.string(),
  output: z.array(z.looseObject({ type: z.string(), id: z.string() })),
  usage: z.looseObject({}).nullable(),
})

const Items = z.object({
  object: z.literal('list'),
  data: z.array(z.looseObject({ type: z.string() })),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
})

const Retrieval = z.object({
  stream: z.literal('false', { error: 'is not supported: a stored response is read as JSON' }).optional(),
})

const Page = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  order: z.enum(['asc', 'desc']).default('desc'),
  after: z.string().max(200).optional().describe('the last id of the page before'),
})

/** LLM completions through the cache, in the shape of OpenAI's Responses. */
export function responses({ responses, admission, clock }: Pick<Deps, 'responses' | 'admission' | 'clock'>) {
  const member = admitted(admission, 'cache-complete')
  return new Hono<App>()
    .post(
      '/v1/responses',
      describeRoute({
        summary: 'Respond to a conversation, from the cache where it can be',
        responses: replies(200, 'The response, or SSE', ResponseReply),
      }),
      claimed(admission),
      json(ResponseRequest, { remember: true }),
      async (c) => {
        const request = c.req.valid('json')
        const directives = readCacheDirectives((name) => c.req.header(name))
        const { claim, requestId } = c.var
        const responding = await responses.respond({
          ...{ claim, request, directives, requestId, signal: c.req.raw.signal },
          defer: c.env.defer,
        })
        return request.stream ? renderStream(c, responding, clock) : renderJson(c, responding, clock)
      },
    )
    .get(
      '/v1/responses/:id',
      describeRoute({
        summary: 'Read a stored response',
        responses: replies(200, 'The response', ResponseReply),
      }),
      member,
      query(Retrieval),
      async (c) => c.json((await responses.get(c.var.caller.tenant, c.req.param('id'))).response),
    )
    .delete(
      '/v1/responses/:id',
      describeRoute({
        summary: 'Delete a stored response: what went on from it cannot be continued',
        responses: replies(
          200,
          'Deleted',
          z.object({ id: z.string(), object: z.literal('response'), deleted: z.literal(true) }),
        ),
      }),
      member,
      async (c) => {
        const id = c.req.param('id')
        await responses.delete(c.var.caller.tenant, id)
        return c.json({ id, object: 'response', deleted: true })
      },
    )
    .get(
      '/v1/responses/:id/input_items',
      describeRoute({
        summary: 'List the items that a stored response was asked with',
        responses: replies(200, 'The items, newest first', Items),
      }),
      member,
      query(Page),
      async (c) => {
        const stored = await responses.get(c.var.caller.tenant, c.req.param('id'))
        return c.json(pageOf(stored, c.req.valid('query')))
      },
    )
}

async function renderJson(c: Context<App>, { completed, response, found, keep }: Responding, clock: Clock) {
  const completion = await readCompleted(completed, c.req.raw.signal)
  const assembly = assembleResponse(response, undefined, found)
  for (const chunk of toChunks(completion, { includeUsage: true })) assembly.push(chunk)
  assembly.end(clock.now())
  await keep()
  return c.body(JSON.stringify(response), 200, headersOf(completed, 'application/json'))
}

function renderStream(c: Context<App>, { completed, response, found, keep }: Responding, clock: Clock) {
  const headers = headersOf(completed, 'text/event-stream; charset=utf-8')
  let told: string[] = []
  let sequence_number = 0
  const tell = (type: string, fields: object) => {
    told.push(`event: ${type}\ndata: ${JSON.stringify({ type, sequence_number, ...fields })}\n\n`)
    sequence_number += 1
  }
  const taken = () => {
    const text = told.join('')
    told = []
    return text
  }
  const assembly = assembleResponse(response, tell, found)

  async function* read(signal: AbortSignal) {
    for await (const chunk of chunksOf(completed, signal)) {
      assembly.push(chunk)
      const text = taken()
      if (text) yield text
    }
    if (signal.aborted) return // what was read is not all of it
    assembly.end(clock.now())
    yield taken()
    await keep() // before the client knows of the end: it may go on at once
    tell(`response.${response.status}`, { response })
    yield taken()
  }
  return renderEvents(c, headers, read, (error) => {
    assembly.fail(toHubError(error))
    return taken()
  })
}

async function* chunksOf(completed: Responding['completed'], signal: AbortSignal) {
  if (completed.kind === 'hit') {
    yield* toChunks(completed.entry.response, { includeUsage: true })
    return
  }
  for await (const { form, data } of completed.answer.read({ signal })) {
    if (form === 'chunk') yield data
    else yield* toChunks(data, { includeUsage: true })
  }
}
