import { existsSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createVectorsRedisearch } from '../../shared/drivers/vectors-redisearch.ts'
import { vectorKeys } from '../../shared/keys.ts'
import type { VectorIndex } from '../../shared/ports/vectors.ts'
import { unique } from '../support/app.ts'
import { startProxy } from '../support/proxy.ts'
import { testVectors, type VectorsUnderTest } from './vectors.contract.ts'

const url = process.env.TEST_REDISEARCH_URL

if (url) {
  testVectors('vectors-redisearch', () => open(url), {
    metrics: ['cosine', 'euclidean', 'dot_product'],
    quantizations: ['none'],
    rarity: url.includes('+cluster') ? 'of its server' : 'of all',
  })

  test('an index that was dropped behind the hub’s back is made again with its chunks', async () => {
    const { vectors, redis, close } = await open(url)
    onTestFinished(close)
    const index: VectorIndex = {
      tenant: 'default',
      name: unique('lost'),
      ...{ dimensions: 2, metric: 'cosine', fields: {}, partitions: 1, quantization: 'none' },
    }
    const chunk = { documentId: 'a', version: 1, n: 0, text: 'word', fields: {}, hash: {} }
    const search = { vector: Float32Array.of(1, 0), text: 'word', limit: 9, timeoutMs: 5_000 }
    await vectors.create(index, { fresh: true })
    await vectors.put(index, [{ ...chunk, vector: search.vector }])
    await redis.wave([['FT.DROPINDEX', vectorKeys.name(index)]], { timeoutMs: 5_000 })
    await expect(vectors.search(index, search)).rejects.toMatchObject({
      status: 404,
      code: 'index_not_found',
    })
    await vectors.create(index)
    await expect
      .poll(async () => (await vectors.search(index, search)).vector, { timeout: 10_000 })
      .toMatchObject([{ documentId: 'a' }])
  })
} else {
  test('the contract of vectors-redisearch did not run: TEST_REDISEARCH_URL is not set', () => {
    console.log(
      'TEST_REDISEARCH_URL is not set, so the contract did not run on a live RediSearch. What it has replied ' +
        'is replayed in test/drivers/vectors-redisearch.test.ts.',
    )
    const replayed = ['../drivers/vectors-redisearch.test.ts', '../fixtures/redisearch.jsonl']
    expect(replayed.filter((file) => !existsSync(new URL(file, import.meta.url)))).toEqual([])
  })
}

/** A server, or what `redis+sentinel://` and `redis+cluster://` name: there each server is told to pause, as no proxy stands before it. */
async function open(url: string): Promise<VectorsUnderTest> {
  const proxy = /^rediss?:/.test(url) ? await startProxy(url) : undefined
  const [reads, writes, redis] = [0, 1, 2].map(() => createRedisResp({ url: proxy?.url ?? url }))
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
      if (proxy) {
        proxy.stall()
        return async () => proxy.resume()
      }
      for (const near of await redis!.nodes()) {
        await redis!.wave([['CLIENT', 'PAUSE', 500, 'ALL']], { near, timeoutMs: 5_000 })
      }
      return () => setTimeout(500)
    },
    async close() {
      // The server is somebody's: nothing stays on it.
      const drops = [...made].map((name) => ['FT.DROPINDEX', name, 'DD'] as const)
      await redis!.wave(drops, { timeoutMs: 30_000 })
      await Promise.all([reads!.close(), writes!.close(), redis!.close()])
      await proxy?.close()
    },
  }
}
