import { createHash } from 'node:crypto'
import { type Context, Hono } from 'hono'
import { describeRoute, resolver } from 'hono-openapi'
import { z } from 'zod'
import { HubError } from '../shared/errors.ts'
import { FilterSchema } from '../shared/filter-schema.ts'
import { TEXT_TYPES } from '../shared/retrieval/extract-text.ts'
import type { Index } from '../shared/retrieval/indexes.ts'
import type { App, Deps } from './deps.ts'
import { DocumentBody, DocumentsBody, readDocument, readDocuments } from './documents-body.ts'
import { admitted, IDEMPOTENCY_KEY, json, query, replies } from './http.ts'
import { JobReply, toJobReply } from './search-jobs.ts'

const Written = z.object({
  id: z.string(),
  chunks: z.int(),
  unchanged: z.boolean().describe('it was there like this, and was neither embedded nor written again'),
})
const DocumentReply = z.object({
  id: z.string(),
  text: z.string(),
  metadata: z.record(z.string(), z.unknown()),
  chunks: z.int(),
})

const file = { schema: { type: 'string' as const, format: 'binary' } }

/** `/v1/indexes/{index}/documents`: documents in, out and away. */
export function searchDocuments(
  deps: Pick<Deps, 'indexes' | 'documents' | 'jobs' | 'extractText' | 'admission' | 'clock'>,
) {
  const { indexes, documents, jobs, extractText, admission, clock } = deps
  const member = admitted(admission, 'search')
  const indexOf = (c: Context<App>) => indexes.resolve(c.var.caller.tenant, c.req.param('index') ?? '')
  const callOf = (c: Context<App>) => ({
    caller: c.var.caller,
    signal: c.req.raw.signal,
    defer: c.env.defer,
  })
  /** What is still queued for them is older. */
  const overtake = (c: Context<App>, index: Index, written: readonly { id: string }[], began: number) =>
    c.env.defer(
      jobs.overtake(
        index,
        written.map(({ id }) => id),
        began,
      ),
    )
  return new Hono<App>()
    .post(
      '/v1/indexes/:index/documents',
      describeRoute({
        summary: 'Write documents: all are checked and embedded first, then each is replaced as a whole',
        parameters: [IDEMPOTENCY_KEY],
        description:
          'Equal content is not embedded again, so that a call may be repeated: documents are known by their id. One without an id gets a random one, with an Idempotency-Key always the same one.',
        requestBody: {
          required: true,
          content: {
            'application/json': { schema: resolver(DocumentsBody) },
            'application/x-ndjson': { schema: resolver(DocumentBody) },
          },
        },
        responses: {
          ...replies(
            201,
            'They can be searched',
            z.object({ accepted: z.int(), documents: z.array(Written) }),
          ),
          202: {
            description: 'With `async=true`: they are queued',
            content: { 'application/json': { schema: resolver(JobReply) } },
          },
        },
      }),
      member,
      query(z.object({ async: z.enum(['true', 'false']).default('false') })),
      async (c) => {
        const index = await indexOf(c)
        const given = await readDocuments(c)
        const idempotencyKey = c.req.header('idempotency-key')
        if (c.req.valid('query').async === 'true') {
          const { caller, defer } = callOf(c)
          const job = await jobs.create({ index, documents: given, idempotencyKey, caller, defer })
          return c.json(toJobReply(job), 202, { Location: `/v1/jobs/${job.id}` })
        }
        const began = clock.now()
        const written = await documents.put(index, withIds(given, idempotencyKey), callOf(c))
        overtake(c, index, written, began)
        return c.json({ accepted: written.length, documents: written }, 201)
      },
    )
    .get(
      '/v1/indexes/:index/documents',
      describeRoute({
        summary: 'List the ids of documents, in pages',
        responses: replies(
          200,
          'A page',
          z.object({
            data: z.array(z.object({ id: z.string() })),
            next: z.string().nullable().describe('the `after` of the next page'),
          }),
        ),
      }),
      member,
      query(
        z.object({
          after: z.string().max(512).optional(),
          limit: z.coerce.number().int().min(1).max(1_000).default(100),
        }),
      ),
      async (c) => {
        const { ids, next = null } = await documents.list(await indexOf(c), c.req.valid('query'))
        return c.json({ data: ids.map((id) => ({ id })), next })
      },
    )
    .put(
      '/v1/indexes/:index/documents/:id',
      describeRoute({
        summary: 'Write one document: JSON, or a file of text, Markdown, HTML or PDF',
        description:
          'The metadata of a file comes as JSON in `x-hub-metadata` (ASCII: escape other characters as `\\u…`) or `?metadata=`.',
        requestBody: {
          required: true,
          content: {
            'application/json': { schema: resolver(DocumentBody.omit({ id: true })) },
            ...Object.fromEntries(TEXT_TYPES.map((type) => [type, file])),
          },
        },
        responses: replies(200, 'It can be searched', Written),
      }),
      member,
      async (c) => {
        const index = await indexOf(c)
        const document = { ...(await readDocument(c, extractText)), id: c.req.param('id') }
        const began = clock.now()
        const [written] = await documents.put(index, [document], callOf(c)).catch((error) => {
          throw ofOne(error)
        })
        overtake(c, index, [document], began)
        return c.json(written)
      },
    )
    .get(
      '/v1/indexes/:index/documents/:id',
      describeRoute({
        summary: 'Read a document',
        responses: replies(200, 'The document', DocumentReply),
      }),
      member,
      async (c) => {
        const { version: _, ...document } = await documents.get(await indexOf(c), c.req.param('id'))
        return c.json(document)
      },
    )
    .delete(
      '/v1/indexes/:index/documents/:id',
      describeRoute({
        summary: 'Delete a document',
        responses: { 204: { description: 'It is found no more' } },
      }),
      member,
      async (c) => {
        const index = await indexOf(c)
        const id = c.req.param('id')
        const began = clock.now()
        const wasThere = await documents.delete(index, id, callOf(c))
        overtake(c, index, [{ id }], began)
        if (wasThere) return c.body(null, 204)
        const message = `There is no document \`${id}\` in the index \`${index.vectors.name}\`.`
        throw new HubError({ code: 'document_not_found', status: 404, message, param: 'id' })
      },
    )
    .post(
      '/v1/indexes/:index/documents/delete',
      describeRoute({
        summary: 'Delete the documents whose metadata passes a filter',
        responses: replies(200, 'How many', z.object({ deleted: z.int() })),
      }),
      member,
      json(z.strictObject({ filter: FilterSchema })),
      async (c) => {
        const { filter } = c.req.valid('json')
        return c.json({ deleted: await documents.deleteWhere(await indexOf(c), filter, callOf(c)) })
      },
    )
    .post(
      '/v1/indexes/:index/copy',
      describeRoute({
        summary: 'Write a page of documents into another index, e.g. of another embedding model',
        description:
          'Text and metadata are copied; vectors are made anew. Repeat it with the `cursor` of the reply until that is null, then lead the alias there.',
        responses: replies(
          200,
          'How many of this page',
          z.object({ copied: z.int(), unchanged: z.int(), cursor: z.string().nullable() }),
        ),
      }),
      member,
      json(
        z.strictObject({
          to: z.string(),
          cursor: z.string().max(512).optional(),
          limit: z.int().min(1).max(100).default(50),
        }),
      ),
      async (c) => {
        const { to: name, cursor: after, limit } = c.req.valid('json')
        const from = await indexOf(c)
        const to = await indexes.resolve(c.var.caller.tenant, name).catch((error) => {
          throw error instanceof HubError ? new HubError({ ...error.options, param: 'to' }) : error
        })
        if (to.vectors.name === from.vectors.name) throw sameIndex()
        const { next = null, ...counts } = await documents.copy(from, to, { after, limit }, callOf(c))
        return c.json({ ...counts, cursor: next })
      },
    )
}

/** With an idempotency key the same call makes the same ids, and so the same documents. */
function withIds(given: z.output<typeof DocumentsBody>, idempotencyKey: string | undefined) {
  if (idempotencyKey === undefined) return given
  return given.map((document, i) => ({ ...document, id: document.id ?? idOf(idempotencyKey, i, document) }))
}

const idOf = (...parts: unknown[]) =>
  createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 22)

/** The path of what is wrong, where there is one document and no list. */
function ofOne(error: unknown): unknown {
  if (!(error instanceof HubError) || !error.param?.startsWith('documents[0].')) return error
  const [message, param] = [error.message, error.param].map((text) => text.replace('documents[0].', ''))
  return new HubError({ ...error.options, message: message!, param, cause: error.cause })
}

const sameIndex = () =>
  new HubError({
    code: 'invalid_value',
    status: 400,
    message: 'to: is the index itself. Name another one.',
    param: 'to',
  })
