import type { Admission, Admitted, Caller, Claim } from '../admission.ts'
import { createPatience, type Patience } from '../completions/patience.ts'
import type { Embeddings } from '../embeddings/embeddings.ts'
import { checkFilter, type Filter } from '../filters.ts'
import type { Redis } from '../ports/redis.ts'
import type { PlanStep, Vectors } from '../ports/vectors.ts'
import { highlightsOf } from '../text/highlights.ts'
import type { Span } from '../text/sentences.ts'
import type { Documents, StoredChunk } from './documents.ts'
import { fuse, type Ranked, VECTOR_WEIGHT } from './fusion.ts'
import type { Index, Indexes } from './indexes.ts'
import { createPhases, type Phase } from './phases.ts'
import { toVector } from './query-vector.ts'
import { modeOf } from './search-mode.ts'

export type SearchMode = 'vector' | 'text' | 'hybrid'

/** At least one of `query` and `vector`. */
export interface SearchRequest {
  query?: string
  vector?: readonly number[]
  /** `hybrid` where there is a query that can be embedded or comes with its vector; else by what there is. */
  mode?: SearchMode
  /** 1 to 1,000. */
  top_k: number
  filter?: Filter
  /** Least similarity. */
  min_score?: number
  /** What similarity counts in hybrid mode, 0 to 1; words count the rest. */
  vector_weight?: number
  /** `eventual`: replicas may answer, where Redis has them; what was written a moment ago may be missing. `strong` by default. */
  consistency?: 'strong' | 'eventual'
}

export interface SearchCall {
  claim: Claim
  /** Name of the function that is called: what a key's scopes are asked for. */
  scope: string
  /** Or an alias. */
  index: string
  request: SearchRequest
  signal: AbortSignal
  defer(work: Promise<unknown>): void
  /** Path of the filter in the caller's body. */
  filterParam?: string
}

export interface SearchResult {
  chunk: StoredChunk
  /** Similarity in vector mode, BM25 or alike in text mode, 0 to 1 in hybrid mode. */
  score: number
  /** Where it is known. */
  similarity?: number
  /** Words of the query in the chunk's text. */
  highlights?: Span[]
}

export interface Searched {
  caller: Caller
  /** `RateLimit`, where the caller has limits. */
  headers: Record<string, string>
  index: Index
  mode: SearchMode
  /** Best first; several chunks of one document are several results. */
  results: SearchResult[]
  explain: {
    store: Vectors['store']
    fusion?: { method: 'weighted_sum'; vector_weight: number }
    plan: PlanStep[]
    phases: Phase[]
    /** Hits of a version that counts no longer. */
    stale: number
  }
}

export interface SearchOptions {
  redis: Redis
  admission: Admission
  indexes: Indexes
  documents: Documents
  embeddings: Embeddings
  vectors: Vectors
}

/** How long one search may wait on Redis and the store in all: a scan of a million vectors takes longer than a GET. */
const PATIENCE_MS = 2_000

/** Of the stale hits that an update leaves until it has swept: so many more are asked for. */
const OVER_FETCH = 1.5

/** Longest list of the vectors port. */
const LONGEST = 2_000

/** Fusion needs to see more of both lists than it gives. */
const LEAST_FUSED = 50

/**
 * Search in an index. A vector search waits on Redis twice: who asks and what is near, together; then the chunks.
 *
 * Errors: 401, 403, 429 of admission, before anything of the index is told; 404 `index_not_found`; 400 for a vector, filter
 * or mode that the index cannot take; those of embeddings; 503 past the deadline.
 */
export function createSearch({ redis, admission, indexes, documents, embeddings, vectors }: SearchOptions) {
  return async function search(call: SearchCall): Promise<Searched> {
    const { claim, scope, request } = call
    const { vector_weight: weight = VECTOR_WEIGHT } = request
    const stale = request.consistency === 'eventual'
    const patience = createPatience(PATIENCE_MS)
    const { phases, timed } = createPhases()
    const tenant = 'caller' in claim ? claim.caller.tenant : claim.key.tenant
    const refused = new AbortController()
    const signal = AbortSignal.any([call.signal, refused.signal])

    const admitting = timed('admission', async () => {
      const { calls, settle } = await admission.ask(claim)
      const replies = calls.length ? await redis.wave(calls, { timeoutMs: PATIENCE_MS }).catch(asError) : []
      return settle(replies, scope, PATIENCE_MS)
    })
    const searching = searchAs(admitting)
    searching.catch(() => {}) // told below, to whom it may be told
    try {
      const { caller, headers } = await admitting
      return { caller, headers, ...(await searching) }
    } catch (error) {
      refused.abort()
      throw error
    }

    async function searchAs(admitting: Promise<Admitted>): Promise<Omit<Searched, 'caller' | 'headers'>> {
      const index = await timed('index', () => indexes.resolve(tenant, call.index))
      const mode = modeOf(request, index)
      if (request.filter) checkFilter(request.filter, index.vectors.fields, call.filterParam)
      const vector = mode === 'text' ? undefined : await vectorOf(index, admitting)
      const text = mode === 'vector' ? undefined : request.query
      const plan: PlanStep[] = []
      const once = (limit: number) =>
        ranking({ index, mode, vector, text, limit }, { patience, signal, timed, plan })
      let limit = Math.ceil(request.top_k * OVER_FETCH)
      if (mode === 'hybrid') limit = Math.max(limit, LEAST_FUSED)
      for (;;) {
        const { ranked, full } = await once(Math.min(limit, LONGEST))
        const { results, stale: outdated } = await readAll(index, ranked)
        // A big update is not swept yet: what it left takes the places of others.
        if (results.length < request.top_k && outdated > 0 && full && limit < LONGEST) {
          limit *= 4
          continue
        }
        const fusion =
          mode === 'hybrid' ? ({ method: 'weighted_sum', vector_weight: weight } as const) : undefined
        return {
          index,
          mode,
          results,
          explain: { store: vectors.store, fusion, plan, phases, stale: outdated },
        }
      }
    }

    async function vectorOf(index: Index, admitting: Promise<Admitted>): Promise<Float32Array> {
      const { dimensions } = index.vectors
      if (request.vector) return toVector(request.vector, dimensions)
      const { caller } = await admitting // embedding a text costs money
      const { vectors: embedded } = await timed('embedding', () =>
        embeddings.embed({
          ...{ caller, signal, defer: call.defer, purpose: 'query', texts: [request.query!] },
          ...{ model: index.embeddingModel!, isGiven: true, dimensions: index.embeddingDimensions },
        }),
      )
      return toVector(embedded[0]!, dimensions, 'query')
    }

    async function ranking(
      { index, mode, vector, text, limit }: Asked,
      { patience, signal, timed, plan }: Means,
    ): Promise<{ ranked: Ranked[]; full: boolean }> {
      const { filter, min_score } = request
      const found = await timed('search', () =>
        patience.wait((timeoutMs) =>
          vectors.search(index.vectors, { vector, text, limit, filter, timeoutMs, signal, stale }),
        ),
      )
      plan.push(...found.plan)
      const near = found.vector ?? []
      const worded = found.text ?? []
      const full = near.length >= limit || worded.length >= limit
      if (mode === 'text') return { ranked: worded, full }
      const passes = ({ similarity }: { similarity?: number | null }) =>
        min_score === undefined || (typeof similarity === 'number' && similarity >= min_score)
      if (mode === 'vector') {
        return { ranked: near.map((hit) => ({ ...hit, similarity: hit.score })).filter(passes), full }
      }
      const fused = fuse({ vector: near, text: worded }, weight)
      const unknown = min_score === undefined ? [] : fused.filter((hit) => hit.similarity === undefined)
      if (unknown.length > 0) {
        const similarities = await timed('similarity', () =>
          patience.wait((timeoutMs) =>
            vectors.similarity(index.vectors, vector!, unknown, { timeoutMs, signal, stale }),
          ),
        )
        for (const [i, hit] of unknown.entries()) hit.similarity = similarities[i] ?? undefined
      }
      return { ranked: fused.filter(passes), full }
    }

    async function readAll(index: Index, ranked: readonly Ranked[]) {
      const results: SearchResult[] = []
      let outdated = 0
      for (let at = 0; at < ranked.length && results.length < request.top_k; ) {
        const some = ranked.slice(at, at + request.top_k - results.length)
        at += some.length
        const chunks = await timed('read', () =>
          patience.wait((timeoutMs) => documents.read(index, some, { timeoutMs, signal, stale })),
        )
        for (const [i, { score, similarity }] of some.entries()) {
          const chunk = chunks[i]
          if (!chunk) outdated += 1
          else if (results.length < request.top_k) results.push({ chunk, score, similarity })
        }
      }
      const { query } = request
      if (query !== undefined) {
        for (const result of results) result.highlights = highlightsOf(result.chunk.text, query)
      }
      return { results, stale: outdated }
    }
  }
}

export type Search = ReturnType<typeof createSearch>

interface Asked {
  index: Index
  mode: SearchMode
  vector?: Float32Array
  text?: string
  limit: number
}

interface Means {
  patience: Patience
  signal: AbortSignal
  timed: ReturnType<typeof createPhases>['timed']
  plan: PlanStep[]
}

const asError = (error: Error) => error
