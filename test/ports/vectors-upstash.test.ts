import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../../shared/drivers/redis-rest.ts'
import { createVectorsUpstash } from '../../shared/drivers/vectors-upstash.ts'
import { vectorKeys as keys } from '../../shared/keys.ts'
import type { VectorIndex, Vectors } from '../../shared/ports/vectors.ts'
import { startTestBridge } from '../support/bridge.ts'
import { startTestRedis } from '../support/redis.ts'
import { startVectorBridge } from '../support/vector-bridge.ts'
import { testVectors, type VectorsUnderTest } from './vectors.contract.ts'

type Bridge = Awaited<ReturnType<typeof startVectorBridge>>

/** The bridge and the hub share a Redis that can be stalled. */
async function openUpstash({
  filteringBudget,
}: {
  filteringBudget?: number
} = {}): Promise<VectorsUnderTest> {
  const server = await startTestRedis()
  const restBridge = await startTestBridge({ redisUrl: server.url })
  const redis = filteringBudget
    ? createRedisResp({ url: server.url, onError() {} })
    : createRedisRest({ url: restBridge.url, token: restBridge.token })
  const bridges = new Map<number, Promise<Bridge>>()

  /** An Upstash index has one dimension, and the suite's have several. */
  async function driverOf({ dimensions: dimension }: VectorIndex): Promise<Vectors> {
    const options = { redisUrl: server.url, dimension, name: `of-${dimension}`, filteringBudget }
    const known = bridges.get(dimension) ?? startVectorBridge(options)
    bridges.set(dimension, known)
    const { url, token } = await known
    return createVectorsUpstash({ url, token, redis, keys })
  }

  return {
    vectors: {
      store: 'upstash',
      create: async (index, options) => (await driverOf(index)).create(index, options),
      drop: async (index, chunks, options) => (await driverOf(index)).drop(index, chunks, options),
      async forget(tenant, options) {
        const stores = [...bridges.values()].map(async (bridge) => {
          const { url, token } = await bridge
          return createVectorsUpstash({ url, token, redis, keys }).forget(tenant, options)
        })
        return (await Promise.all(stores)).reduce((sum, one) => sum + one, 0)
      },
      put: async (index, chunks, options) => (await driverOf(index)).put(index, chunks, options),
      remove: async (index, chunks, options) => (await driverOf(index)).remove(index, chunks, options),
      search: async (index, search) => (await driverOf(index)).search(index, search),
      similarity: async (index, vector, chunks, options) =>
        (await driverOf(index)).similarity(index, vector, chunks, options),
    },
    redis,
    async stall() {
      process.kill(server.pid, 'SIGSTOP')
      return async () => void process.kill(server.pid, 'SIGCONT')
    },
    async close() {
      for (const bridge of bridges.values()) await (await bridge).close()
      await redis.close()
      await restBridge.close()
      await server.stop()
    },
  }
}

const TRAITS = { metrics: ['cosine'], quantizations: ['none'] } as const

testVectors('vectors-upstash, all over HTTP', () => openUpstash(), TRAITS)
testVectors(
  'vectors-upstash where a filter is compared with few vectors',
  () => openUpstash({ filteringBudget: 3 }),
  TRAITS,
)
