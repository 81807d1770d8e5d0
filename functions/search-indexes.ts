import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { NAME } from '../shared/keys.ts'
import type { Index } from '../shared/retrieval/indexes.ts'
import type { App, Deps } from './deps.ts'
import { admitted, json, replies } from './http.ts'

const Name = z.string().regex(NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -')

const fields = z.record(z.string(), z.enum(['tag', 'number', 'text']))
const metric = z.enum(['cosine', 'euclidean', 'dot_product'])
const quantization = z.enum(['none', 'int8'])
const chunking = z.strictObject({
  size: z.int().min(100).max(20_000).describe('most characters of a chunk'),
  overlap: z.int().min(0).describe('what two neighbours share, at most a third of `size`'),
})

const Settings = z.strictObject({
  fields: fields
    .default({})
    .describe('of the metadata: a tag or number can be filtered by, a text is searched'),
  dimensions: z
    .int()
    .min(1)
    .max(32_768)
    .optional()
    .describe('of the vectors; by default the embedding model’s own'),
  metric: metric.optional().describe('`cosine` by default'),
  embedding_model: z
    .string()
    .min(1)
    .max(300)
    .nullable()
    .optional()
    .describe('`provider/model`; null: documents bring their vectors'),
  hot_tag: z.string().optional().describe('a tag whose filters should be as quick as none'),
  quantization: quantization
    .optional()
    .describe('`int8` takes a quarter of the memory and loses some recall'),
  chunking: chunking.optional().describe('1,000 characters with 150 shared by default'),
})

const IndexReply = z.object({
  name: z.string(),
  fields,
  dimensions: z.int(),
  metric,
  embedding_model: z.string().nullable(),
  hot_tag: z.string().nullable(),
  quantization,
  chunking,
  created_at: z.string(),
})
const IndexDetail = IndexReply.extend({ documents: z.int().describe('about how many there are') })
const Alias = z.object({ alias: z.string(), index: z.string() })

/** `/v1/indexes` and `/v1/index-aliases`: where documents are searched, and the names that lead there. */
export function searchIndexes(deps: Pick<Deps, 'indexes' | 'documents' | 'sweeps' | 'admission'>) {
  const { indexes, documents, sweeps, admission } = deps
  const member = admitted(admission, 'search')
  return new Hono<App>()
    .get(
      '/v1/indexes',
      describeRoute({
        summary: 'List indexes by name',
        responses: replies(200, 'The indexes', z.object({ data: z.array(IndexReply) })),
      }),
      member,
      async (c) => {
        const { indexes: all } = await indexes.list(c.var.caller.tenant)
        return c.json({ data: all.map(toReply) })
      },
    )
    .put(
      '/v1/indexes/:index',
      describeRoute({
        summary: 'Make an index; with the settings that it has, nothing changes',
        responses: {
          ...replies(201, 'It was made', IndexReply),
          ...replies(200, 'It was there', IndexReply),
        },
      }),
      member,
      json(Settings),
      async (c) => {
        const { caller } = c.var
        const call = { caller, signal: c.req.raw.signal, defer: c.env.defer }
        const { index, created } = await indexes.put(
          ...([caller.tenant, c.req.param('index'), c.req.valid('json'), call] as const),
        )
        return c.json(toReply(index), created ? 201 : 200)
      },
    )
    .get(
      '/v1/indexes/:index',
      describeRoute({
        summary: 'Read an index, by its name or an alias',
        responses: replies(200, 'The index', IndexDetail),
      }),
      member,
      async (c) => {
        const index = await indexes.resolve(c.var.caller.tenant, c.req.param('index'))
        return c.json({ ...toReply(index), documents: await documents.count(index) })
      },
    )
    .delete(
      '/v1/indexes/:index',
      describeRoute({
        summary: 'Delete an index with all its documents, and the aliases that lead to it',
        responses: { 204: { description: 'It is gone; what it held is removed in the background' } },
      }),
      member,
      async (c) => {
        const index = await indexes.delete(c.var.caller.tenant, c.req.param('index'))
        // Where this breaks off, the sweeper goes on.
        c.env.defer(sweeps.dropIndex(index))
        return c.body(null, 204)
      },
    )
    .get(
      '/v1/index-aliases',
      describeRoute({
        summary: 'List aliases by name',
        responses: replies(200, 'The aliases', z.object({ data: z.array(Alias) })),
      }),
      member,
      async (c) => {
        const { aliases } = await indexes.list(c.var.caller.tenant)
        return c.json({ data: Object.entries(aliases).map(([alias, index]) => ({ alias, index })) })
      },
    )
    .put(
      '/v1/index-aliases/:alias',
      describeRoute({
        summary: 'Lead an alias to an index: from now on here, within a second everywhere',
        responses: replies(200, 'The alias', Alias),
      }),
      member,
      json(z.strictObject({ index: Name })),
      async (c) => {
        const alias = c.req.param('alias')
        const { index } = c.req.valid('json')
        await indexes.setAlias(c.var.caller.tenant, alias, index)
        return c.json({ alias, index })
      },
    )
    .delete(
      '/v1/index-aliases/:alias',
      describeRoute({
        summary: 'Remove an alias; its index stays',
        responses: { 204: { description: 'Removed' } },
      }),
      member,
      async (c) => {
        await indexes.deleteAlias(c.var.caller.tenant, c.req.param('alias'))
        return c.body(null, 204)
      },
    )
}

function toReply({ vectors, embeddingModel, chunking, createdAt }: Index): z.output<typeof IndexReply> {
  const { name, fields, dimensions, metric, hotTag = null, quantization } = vectors
  return {
    ...{ name, fields, dimensions, metric, embedding_model: embeddingModel, hot_tag: hotTag, quantization },
    ...{ chunking, created_at: new Date(createdAt).toISOString() },
  }
}
