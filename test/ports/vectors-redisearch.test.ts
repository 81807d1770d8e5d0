import { expect, test } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createVectorsRedisearch } from '../../shared/drivers/vectors-redisearch.ts'
import { vectorKeys } from '../../shared/keys.ts'
import { startProxy } from '../support/proxy.ts'
import { testVectors, type VectorsUnderTest } from './vectors.contract.ts'

const url = process.env.TEST_REDISEARCH_URL

if (url) {
  testVectors('vectors-redisearch', () => open(url), {
    metrics: ['cosine', 'euclidean', 'dot_product'],
    quantizations: ['none'],
  })
} else {
  test('the contract of vectors-redisearch did not run: TEST_REDISEARCH_URL is not set', () => {
    console.log(
      'TEST_REDISEARCH_URL is not set, so the contract did not run on a live RediSearch. What it has replied ' +
        'is replayed in test/drivers/vectors-redisearch.test.ts.',
    )
    expect(url).toBeUndefined()
  })
}

async function open(url: string): Promise<VectorsUnderTest> {
  const proxy = await startProxy(url)
  const [reads, writes, redis] = [0, 1, 2].map(() => createRedisResp({ url: proxy.url }))
  const vectors = createVectorsRedisearch({ reads: reads!, writes: writes!, keys: vectorKeys })
  const made = new Set<string>()
  return {
    vectors: {
      ...vectors,
      create(index, options) {
        made.add(vectorKeys.name(index))
        return vectors.create(index, options)
      },
    },
    redis: redis!,
    async stall() {
      proxy.stall()
      return async () => proxy.resume()
    },
    async close() {
      // The server is somebody's: nothing stays on it.
      const drops = [...made].map((name) => ['FT.DROPINDEX', name, 'DD'] as const)
      await redis!.wave(drops, { timeoutMs: 30_000 })
      await Promise.all([reads!.close(), writes!.close(), redis!.close()])
      await proxy.close()
    },
  }
}
