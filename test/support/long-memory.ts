import { readEnv } from '../../infra/env.ts'
import { connectRedis } from '../../infra/wire.ts'
import { wireRetrieval } from '../../infra/wire-retrieval.ts'
import { createAdmission } from '../../shared/admission.ts'
import { createLongMemory } from '../../shared/agents/memory/long-memory.ts'
import type { MemoryCall, NewMemory } from '../../shared/agents/memory/memory.ts'
import { createCacheRoom } from '../../shared/cache-room.ts'
import { createEmbedderLocal } from '../../shared/drivers/embedder-local.ts'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createKeyring } from '../../shared/hub-keys.ts'
import { createBudgets } from '../../shared/metering/budgets.ts'
import { createHolds } from '../../shared/metering/holds.ts'
import { createLimits } from '../../shared/metering/limits.ts'
import { createTally } from '../../shared/metering/tally.ts'
import { createUsage } from '../../shared/metering/usage.ts'
import type { Vectors } from '../../shared/ports/vectors.ts'
import { unique } from './app.ts'
import { startTestBridge } from './bridge.ts'
import { patient, testRedisUrl } from './redis.ts'
import { startVectorBridge } from './vector-bridge.ts'

export type Store = 'vector sets' | 'vector sets over HTTP' | 'Upstash Vector'

/** What its hub keys are signed with. */
export const HUB_SECRET = 'a secret of this test'

/** Length of the embedded model's vectors. */
const DIMENSIONS = 512

/**
 * The long-term memory of an agent of the test's own, over the real Redis and the embedded model. `between` may stand
 * between it and its vectors.
 *
 * @example await using memory = await startLongMemory(); await memory.remember('The user likes tea.')
 */
export async function startLongMemory({
  store = 'vector sets',
  redisUrl = testRedisUrl(),
  between = (vectors: Vectors) => vectors,
  now = Date.now,
}: {
  store?: Store
  redisUrl?: string
  between?: (vectors: Vectors) => Vectors
  now?: () => number
} = {}) {
  const bridge = store === 'vector sets' ? undefined : await startTestBridge({ redisUrl })
  const upstash =
    store === 'Upstash Vector'
      ? await startVectorBridge({ redisUrl, name: unique('vectors'), dimension: DIMENSIONS })
      : undefined
  const variables = {
    ...(bridge
      ? { UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token }
      : { REDIS_URL: redisUrl }),
    ...(upstash && { UPSTASH_VECTOR_REST_URL: upstash.url, UPSTASH_VECTOR_REST_TOKEN: upstash.token }),
    HUB_EMBEDDING_MODEL: 'local',
  }
  const env = readEnv(variables)
  const log = { info() {}, error() {} }
  const connections = connectRedis(env, log)
  const redis = patient(connections.redis)
  const localEmbedder = createEmbedderLocal()
  const clock = { now }
  const limits = createLimits(redis)
  const usage = createUsage({ redis, tally: createTally({ redis, delayMs: 0 }), clock, keptDays: 1 })
  const budgets = createBudgets({ redis, reservationMs: 60_000 })
  const admission = createAdmission({ redis, keyring: createKeyring(HUB_SECRET), limits, clock })
  const retrieval = wireRetrieval({
    ...connections,
    ...{ env, clock, admission, countTokens: async (text) => text.length / 4 },
    room: createCacheRoom({ redis, shared: true, clock }),
    holds: createHolds({ limits, budgets, usage, clock }),
    providerOptions: { env: variables, silenceMs: 5_000 },
    rim: { sharesRequests: true, tallyDelayMs: 0, log, localEmbedder },
  })
  const vectors = between(retrieval.vectors)
  const { embeddings } = retrieval.deps
  const memory = createLongMemory({ redis, vectors, embeddings, clock, admission })
  const inspector = createRedisResp({ url: redisUrl })
  const deferred: Promise<unknown>[] = []
  const tenant = unique('tenant')
  const caller = { ...{ tenant, keyId: null, scopes: null, models: null, channels: null }, ...NO_LIMITS }
  const call: MemoryCall = {
    caller,
    signal: new AbortController().signal,
    defer: (work) => void deferred.push(work),
  }
  return {
    ...{ memory, redis, admission, tenant, call },
    /** Said by a tool of the agent `ada`, each time as another operation. */
    remember: (text: string, more: Partial<NewMemory> = {}, agent = 'ada') =>
      memory.remember(tenant, agent, { text, origin: { kind: 'tool' }, once: unique('once'), ...more }, call),
    /** Texts, the nearest first. */
    recall: async (query: string, more: Partial<Parameters<typeof memory.recall>[2]> = {}, agent = 'ada') =>
      (await memory.recall(tenant, agent, { query, ...more }, call)).map(({ text }) => text),
    /** Names of keys, past the bridge, which does not let anybody ask for them. */
    keys: async (pattern: string) =>
      (await inspector.wave([['KEYS', pattern]], { timeoutMs: 5_000 }))[0] as string[],
    async [Symbol.asyncDispose]() {
      await Promise.all(deferred)
      await inspector.close()
      const { redis, cacheRedis, vectorRedis, blockingRedis } = connections
      const all = new Set([redis, cacheRedis, ...Object.values(vectorRedis), blockingRedis])
      await Promise.all([...all].map((one) => one?.close()))
      await retrieval.close()
      await upstash?.close()
      await bridge?.close()
    },
  }
}

const NO_LIMITS = { requestLimits: [], tokenLimits: [], budgets: [] }
