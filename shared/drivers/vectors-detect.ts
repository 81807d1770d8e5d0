import { HubError } from '../errors.ts'
import type { ErrorReply, Redis, Reply } from '../ports/redis.ts'
import type { VectorIndex, VectorKeys, Vectors, WriteOptions } from '../ports/vectors.ts'
import { isMissingCommand, isNoSuchIndex, toStoreError } from './redisearch-reply.ts'

export interface VectorsDetectOptions {
  redis: Redis
  keys: VectorKeys
  redisearch: Vectors
  vectorset: Vectors
}

/**
 * The vectors port over what this Redis can do, found out by trying commands at the first call: RediSearch, else vector sets. It
 * remembers what it found, and asks again while Redis is away or has neither.
 *
 * Errors: also 501 `not_supported` where Redis has neither.
 */
export function createVectorsDetect({ redis, keys, redisearch, vectorset }: VectorsDetectOptions): Vectors {
  let found: Vectors | undefined

  // The running question is not shared: a promise of one Worker request is unusable in another.
  async function detect({ timeoutMs = 1_000, signal }: WriteOptions = {}): Promise<Vectors> {
    if (found) return found
    // FT._LIST would do as well, but is an admin command, which ACLs take away.
    const commands = [
      ['FT.INFO', keys.name(NOBODYS)],
      ['VCARD', keys.vectors(NOBODYS, 0)],
    ] as const
    const replies = await redis.wave(commands, { timeoutMs: Math.min(timeoutMs, 1_000), signal })
    const [search, sets] = replies as [Reply, Reply]
    if (redis.binary && isThere(search)) found = redisearch
    else if (isThere(sets)) found = vectorset
    if (found) return found
    throw new HubError({
      code: 'not_supported',
      status: 501,
      message:
        'This Redis can store no vectors: it has neither vector sets nor RediSearch. Use Redis 8 or Redis Stack by ' +
        'REDIS_URL, or set UPSTASH_VECTOR_REST_URL and UPSTASH_VECTOR_REST_TOKEN.',
    })
  }

  return {
    get store() {
      return found?.store
    },
    create: async (index, options) => (await detect(options)).create(index, options),
    drop: async (index, chunks, options) => (await detect(options)).drop(index, chunks, options),
    async forget(tenant, options) {
      const vectors = await detect(options).catch((error) => {
        if (error instanceof HubError && error.status === 501) return undefined // it can keep nothing
        throw error
      })
      return vectors ? vectors.forget(tenant, options) : 0
    },
    put: async (index, chunks, options) => (await detect(options)).put(index, chunks, options),
    remove: async (index, chunks, options) => (await detect(options)).remove(index, chunks, options),
    search: async (index, search) => (await detect(search)).search(index, search),
    similarity: async (index, vector, chunks, options) =>
      (await detect(options)).similarity(index, vector, chunks, options),
  }
}

/** No index can be called so. */
const NOBODYS: VectorIndex = {
  tenant: 'default',
  name: '?',
  dimensions: 1,
  metric: 'cosine',
  fields: {},
  partitions: 1,
  quantization: 'none',
}

/** Whether the command ran. A server that only cannot answer now, as it is loading, says nothing of what it has: 503. */
function isThere(reply: Reply): boolean {
  if (!(reply instanceof Error) || isNoSuchIndex(reply)) return true
  if (isMissingCommand(reply)) return false
  throw toStoreError(reply as ErrorReply, NOBODYS.name)
}
