import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { FilterSchema } from '../shared/filter-schema.ts'
import type { Search, Searched, SearchResult } from '../shared/retrieval/search.ts'
import type { App, Deps } from './deps.ts'
import { claimed, json, replies } from './http.ts'
import { searchDocuments } from './search-documents.ts'
import { searchIndexes } from './search-indexes.ts'
import { searchJobs } from './search-jobs.ts'

const Query = z
  .string()
  .max(10_000)
  .refine((text) => text.trim() !== '', 'is empty')

const SearchBody = z
  .strictObject({
    query: Query.optional(),
    vector: z.array(z.number()).min(1).max(65_536).optional().describe('as long as the index has dimensions'),
    mode: z
      .enum(['vector', 'text', 'hybrid'])
      .optional()
      .describe('`hybrid` by default; `vector` where there is no query, `text` where nothing can embed it'),
    top_k: z.int().min(1).max(1_000).default(10),
    filter: FilterSchema.optional(),
    min_score: z.number().optional().describe('least similarity; not in text mode'),
    vector_weight: z
      .number()
      .min(0)
      .max(1)
      .optional()
      .describe(
        'what similarity counts in hybrid mode, words count the rest; 0.3 by default, which suits the embedded model',
      ),
    consistency: z
      .enum(['strong', 'eventual'])
      .optional()
      .describe(
        '`eventual`: replicas may answer, and what was written a moment ago may be missing; `strong` by default',
      ),
    explain: z.boolean().default(false),
  })
  .refine(({ query, vector }) => query !== undefined || vector !== undefined, {
    path: ['query'],
    error: 'is missing, and there is no `vector`',
  })

const Span = z.object({ start: z.int(), end: z.int() })
const Result = z.object({
  document_id: z.string(),
  chunk: z.int().describe('its number in the document, from 0'),
  text: z.string(),
  score: z
    .number()
    .describe(
      'similarity in vector mode, BM25 or alike in text mode, a weighted sum from 0 to 1 in hybrid mode',
    ),
  similarity: z.number().optional().describe('where it is known; 1 is the same'),
  metadata: z.record(z.string(), z.unknown()),
  highlights: z.array(Span).optional().describe('words of the query in `text`, in UTF-16 units'),
})
const Explained = z.object({
  mode: z.string(),
  store: z.string(),
  fusion: z.record(z.string(), z.unknown()).optional(),
  plan: z.array(z.record(z.string(), z.unknown())).describe('what the store did'),
  phases: z.array(z.object({ name: z.string(), start: z.number(), milliseconds: z.number() })),
  stale: z.int().describe('hits of replaced versions, which were passed over'),
})

const VectorStoreSearch = z.looseObject({
  query: z.union([Query, z.array(Query).min(1).max(10)]),
  filters: FilterSchema.nullish(),
  max_num_results: z.int().min(1).max(50).default(10),
  ranking_options: z
    .looseObject({
      ranker: z.string().optional().describe('`none` searches by vector alone'),
      score_threshold: z.number().min(0).max(1).optional(),
    })
    .nullish(),
  rewrite_query: z.boolean().nullish().describe('accepted; the query is searched with as it is'),
})

const Attribute = z.union([z.string(), z.number(), z.boolean()])
const VectorStorePage = z.object({
  object: z.literal('vector_store.search_results.page'),
  search_query: z.union([z.string(), z.array(z.string())]),
  data: z.array(
    z.object({
      file_id: z.string(),
      filename: z.string(),
      score: z.number(),
      attributes: z.record(z.string(), Attribute),
      content: z.array(z.object({ type: z.literal('text'), text: z.string() })),
    }),
  ),
  has_more: z.boolean(),
  next_page: z.null(),
})

/** The name of this function in the table: what a key's scopes are asked for. */
const SCOPE = 'search'

/** Indexes, their documents, and search in them, in the hub's own shape and in that of OpenAI's vector stores. */
export function search(
  deps: Pick<
    Deps,
    'search' | 'indexes' | 'documents' | 'sweeps' | 'jobs' | 'extractText' | 'admission' | 'clock'
  >,
) {
  const { search, admission } = deps
  return new Hono<App>()
    .route('/', searchIndexes(deps))
    .route('/', searchDocuments(deps))
    .route('/', searchJobs(deps))
    .post(
      '/v1/indexes/:index/search',
      describeRoute({
        summary: 'Search an index by vector, text or both',
        responses: replies(
          200,
          'The best chunks',
          z.object({ results: z.array(Result), explain: Explained.optional() }),
        ),
      }),
      claimed(admission),
      json(SearchBody),
      async (c) => {
        const { explain, ...request } = c.req.valid('json')
        const { claim } = c.var
        const { signal } = c.req.raw
        const index = c.req.param('index')
        const searched = await search({ claim, scope: SCOPE, index, request, signal, defer: c.env.defer })
        const results = searched.results.map(toResult)
        const more = explain && { explain: { mode: searched.mode, ...searched.explain } }
        return c.json({ results, ...more }, 200, searched.headers)
      },
    )
    .post(
      '/v1/vector_stores/:index/search',
      describeRoute({
        summary: 'Search an index in the shape of OpenAI’s vector stores',
        responses: replies(200, 'The best chunks', VectorStorePage),
      }),
      claimed(admission),
      json(VectorStoreSearch),
      async (c) => {
        const { query, filters, max_num_results: top_k, ranking_options } = c.req.valid('json')
        const { score_threshold: threshold = 0, ranker } = ranking_options ?? {}
        const call = (query: string, claim: Parameters<Search>[0]['claim']) =>
          search({
            ...{ claim, scope: SCOPE, index: c.req.param('index'), filterParam: 'filters' },
            request: {
              query,
              top_k,
              filter: filters ?? undefined,
              mode: ranker === 'none' ? 'vector' : undefined,
            },
            ...{ signal: c.req.raw.signal, defer: c.env.defer },
          })
        const [first = '', ...others] = [query].flat()
        const searched = await call(first, c.var.claim)
        const more = await Promise.all(others.map((query) => call(query, { caller: searched.caller })))
        const best = bestOf([searched, ...more]).filter(({ score }) => score >= threshold)
        return c.json(
          {
            object: 'vector_store.search_results.page',
            search_query: query,
            data: best.slice(0, top_k).map(toFile),
            has_more: false,
            next_page: null,
          },
          200,
          searched.headers,
        )
      },
    )
}

function toResult({ chunk, score, similarity, highlights }: SearchResult) {
  const { documentId, n, text, metadata } = chunk
  return { document_id: documentId, chunk: n, text, score, similarity, metadata, highlights }
}

/** Of several queries each chunk once, with its best score. */
function bestOf(searches: readonly Searched[]): SearchResult[] {
  const best = new Map<string, SearchResult>()
  for (const result of searches.flatMap(({ results }) => results)) {
    const key = `${result.chunk.n} ${result.chunk.documentId}`
    if (result.score > (best.get(key)?.score ?? Number.NEGATIVE_INFINITY)) best.set(key, result)
  }
  return [...best.values()].sort((a, b) => b.score - a.score)
}

function toFile({ chunk: { documentId, text, metadata }, score }: SearchResult) {
  const { filename = documentId } = metadata
  return {
    file_id: documentId,
    filename: String(filename),
    score,
    attributes: Object.fromEntries(
      Object.entries(metadata).filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value)),
    ),
    content: [{ type: 'text', text }],
  }
}
