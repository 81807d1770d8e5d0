import type { Deps } from '../functions/deps.ts'
import type { CacheRoom } from '../shared/cache-room.ts'
import { createEmbedder, type EmbedderOptions } from '../shared/drivers/embedder.ts'
import { createEmbeddings } from '../shared/embeddings/embeddings.ts'
import type { Holds } from '../shared/metering/holds.ts'
import type { CountTokens } from '../shared/ports/chat.ts'
import type { Redis } from '../shared/ports/redis.ts'
import type { Env } from './env.ts'
import type { Rim } from './wire.ts'

/** What `wire` has built already. */
export interface Wired {
  env: Env
  rim: Rim
  /** Of every driver that calls a provider. */
  providerOptions: Pick<EmbedderOptions, 'env' | 'providers' | 'silenceMs' | 'fetch'>
  redis: Redis
  cacheRedis: Redis
  room: CacheRoom
  holds: Holds
  countTokens: CountTokens
}

/** Builds what retrieval is made of. */
export function wireRetrieval(wired: Wired) {
  const { env, rim, providerOptions, cacheRedis, room, holds, countTokens } = wired
  const embedder = createEmbedder({
    ...providerOptions,
    defaultProvider: env.HUB_DEFAULT_PROVIDER,
    defaultModel: env.HUB_EMBEDDING_MODEL,
    local: rim.localEmbedder,
  })
  const embeddings = createEmbeddings({
    ...{ embedder, cacheRedis, room, holds, countTokens },
    waves: rim.countsCalls ? WAVES_A_WORKER : undefined,
  })
  return {
    deps: { embeddings } satisfies Partial<Deps>,
    close: async () => rim.localEmbedder?.close(),
  }
}

/** Of writes to the embedding cache, where a request's calls are counted. */
const WAVES_A_WORKER = 8
