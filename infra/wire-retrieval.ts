import type { Deps } from '../functions/deps.ts'
import type { Admission } from '../shared/admission.ts'
import type { CacheRoom } from '../shared/cache-room.ts'
import { createEmbedder, type EmbedderOptions } from '../shared/drivers/embedder.ts'
import { createEmbedderModel } from '../shared/drivers/embedder-model.ts'
import { parseRedisUrl } from '../shared/drivers/redis-resp-url.ts'
import { createVectorsDetect } from '../shared/drivers/vectors-detect.ts'
import { createVectorsRedisearch } from '../shared/drivers/vectors-redisearch.ts'
import { createVectorsUpstash } from '../shared/drivers/vectors-upstash.ts'
import { createVectorsVectorset } from '../shared/drivers/vectors-vectorset.ts'
import { createEmbeddings } from '../shared/embeddings/embeddings.ts'
import type { Serving } from '../shared/inference/serving.ts'
import { vectorKeys as keys } from '../shared/keys.ts'
import type { Holds } from '../shared/metering/holds.ts'
import type { CountTokens } from '../shared/ports/chat.ts'
import type { Clock } from '../shared/ports/clock.ts'
import type { Vectors } from '../shared/ports/vectors.ts'
import { createDocumentSweeps } from '../shared/retrieval/document-sweeps.ts'
import { createDocuments } from '../shared/retrieval/documents.ts'
import { createExtractText } from '../shared/retrieval/extract-text.ts'
import { createIndexes } from '../shared/retrieval/indexes.ts'
import { createSearch } from '../shared/retrieval/search.ts'
import { createSweeps } from '../shared/retrieval/sweeps.ts'
import { createSemanticCache } from '../shared/semantic/semantic-cache.ts'
import { eachMinute } from './each-minute.ts'
import type { Env } from './env.ts'
import type { Connections, Rim } from './wire.ts'
import type { Watch } from './wire-telemetry.ts'

/** What `wire` has built already. */
export interface Wired extends Connections {
  env: Env
  rim: Rim
  watch?: Pick<Watch, 'embedder'>
  /** Of every driver that calls a provider. */
  providerOptions: Pick<EmbedderOptions, 'env' | 'providers' | 'silenceMs' | 'fetch'>
  room: CacheRoom
  holds: Holds
  countTokens: CountTokens
  admission: Admission
  /** Of models of tenants' own, which may make embeddings. */
  serving?: Pick<Serving, 'acquire'>
  clock: Clock
}

/** Builds what retrieval is made of. */
export function wireRetrieval(wired: Wired) {
  const { env, rim, providerOptions, redis, cacheRedis, room, holds, countTokens, admission, clock } = wired
  const made = createEmbedder({
    ...providerOptions,
    defaultProvider: env.HUB_DEFAULT_PROVIDER,
    defaultModel: env.HUB_EMBEDDING_MODEL,
    local: rim.localEmbedder,
    own: wired.serving && createEmbedderModel({ acquire: wired.serving.acquire }),
  })
  const embedder = wired.watch?.embedder(made) ?? made
  const embeddings = createEmbeddings({
    ...{ embedder, cacheRedis, room, holds, countTokens },
    waves: rim.countsCalls ? WAVES_A_WORKER : undefined,
  })
  const vectors = createVectors(wired)
  const stored = { redis, cacheRedis, vectors, embeddings, clock }
  const documentSweeps = createDocumentSweeps(stored)
  const documents = createDocuments({ ...stored, documentSweeps })
  const sweeps = createSweeps({ ...stored, documentSweeps })
  const isCluster = parseRedisUrl(env.REDIS_URL ?? '')?.topology === 'cluster'
  const indexes = createIndexes({ ...stored, partitions: env.HUB_INDEX_PARTITIONS ?? (isCluster ? 8 : 1) })
  const extractText = createExtractText({ readPdf: rim.readPdf })
  const search = createSearch({ redis, admission, indexes, documents, embeddings, vectors })
  const semanticCache = createSemanticCache({
    ...{ embeddings, vectors, keys, redis, cacheRedis },
    minSimilarity: env.HUB_SEMANTIC_MIN_SIMILARITY,
    guard: { isWord: rim.isWord },
    clock,
    onFailure: (cause) => rim.log.error({ msg: 'Semantic cache', cause }),
  })
  const sweep = async (signal?: AbortSignal) => {
    const untilMs = clock.now() + SWEEP.ms
    for (const one of [sweeps, semanticCache]) {
      await one
        .sweep({ untilMs, limit: SWEEP.entries, signal })
        .catch((cause: unknown) => signal?.aborted || rim.log.error({ msg: 'Sweep', cause }))
    }
  }
  return {
    ...{ vectors, semanticCache, sweep },
    keepSwept: (signal: AbortSignal) => eachMinute(sweep, signal),
    deps: { embeddings, indexes, documents, sweeps, extractText, search } satisfies Partial<Deps>,
    close: async () => rim.localEmbedder?.close(),
  }
}

function createVectors({ env, vectorRedis }: Pick<Wired, 'env' | 'vectorRedis'>): Vectors {
  const { UPSTASH_VECTOR_REST_URL: url, UPSTASH_VECTOR_REST_TOKEN: token = '' } = env
  if (url) return createVectorsUpstash({ url, token, redis: vectorRedis.reads, keys })
  return createVectorsDetect({
    ...{ redis: vectorRedis.reads, keys },
    redisearch: createVectorsRedisearch({ ...vectorRedis, keys }),
    vectorset: createVectorsVectorset({ ...vectorRedis, keys }),
  })
}

/** At most, each time: what is left is due again. */
const SWEEP = { ms: 20_000, entries: 1_000 }

/** Of writes to the embedding cache, where a request's calls are counted. */
const WAVES_A_WORKER = 8
