import { expect, onTestFinished, test } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../../shared/drivers/redis-rest.ts'
import { createVectorsDetect } from '../../shared/drivers/vectors-detect.ts'
import { createVectorsRedisearch } from '../../shared/drivers/vectors-redisearch.ts'
import { createVectorsVectorset } from '../../shared/drivers/vectors-vectorset.ts'
import { RedisUnavailableError } from '../../shared/errors.ts'
import { vectorKeys as keys } from '../../shared/keys.ts'
import type { Redis } from '../../shared/ports/redis.ts'
import type { VectorIndex } from '../../shared/ports/vectors.ts'
import { unique } from '../support/app.ts'
import { startTestBridge } from '../support/bridge.ts'
import { startTestRedis, testRedisUrl } from '../support/redis.ts'
import { startReplay } from '../support/replay.ts'

const INDEX: VectorIndex = {
  tenant: 'default',
  name: unique('detected'),
  dimensions: 2,
  metric: 'cosine',
  fields: {},
  partitions: 1,
  quantization: 'none',
}
const SEARCH = { vector: Float32Array.of(1, 0), limit: 1, timeoutMs: 2_000 }

const NO_SEARCH = "-ERR unknown command 'FT.INFO', with args beginning with: 'default:?' \r\n"
const NO_SETS = "-ERR unknown command 'VCARD', with args beginning with: 'vec:?:0' \r\n"
const NO_INDEX = '-default:?: no such index\r\n'
const EMPTY = '*1\r\n:0\r\n'

function detectOn(redis: Redis) {
  onTestFinished(() => redis.close())
  const drivers = { reads: redis, writes: redis, keys }
  return createVectorsDetect({
    ...{ redis, keys },
    redisearch: createVectorsRedisearch(drivers),
    vectorset: createVectorsVectorset(drivers),
  })
}

/** On a Redis that replies this. */
async function detectIn(...replies: string[]) {
  const replay = await startReplay(replies.map((reply) => Buffer.from(reply)))
  onTestFinished(replay.close)
  const vectors = detectOn(createRedisResp({ url: replay.url }))
  return {
    vectors,
    names: () => replay.requests.map((bytes) => /\$\d+\r\n(\S+)\r/.exec(bytes.toString('latin1'))![1]),
  }
}

test('a bare Redis 8 keeps vectors in vector sets', async () => {
  const vectors = detectOn(createRedisResp({ url: testRedisUrl() }))
  expect(vectors.store).toBeUndefined()
  await vectors.create(INDEX)
  const chunk = { documentId: 'a', version: 1, n: 0 }
  await vectors.put(INDEX, [{ ...chunk, vector: Float32Array.of(1, 1), text: 'word', fields: {}, hash: {} }])
  expect((await vectors.search(INDEX, SEARCH)).vector).toMatchObject([chunk])
  expect(vectors.store).toBe('vectorset')
  await vectors.remove(INDEX, [chunk])
  expect(await vectors.similarity(INDEX, SEARCH.vector, [chunk])).toEqual([null])
  await vectors.drop(INDEX, (async function* () {})())
})

test('a bare Redis 8 does so over HTTP too', async () => {
  const bridge = await startTestBridge({ redisUrl: testRedisUrl() })
  onTestFinished(bridge.close)
  const vectors = detectOn(createRedisRest({ url: bridge.url, token: bridge.token }))
  await vectors.create({ ...INDEX, name: unique('detected') })
  expect(vectors.store).toBe('vectorset')
})

test('RediSearch comes before vector sets, and is asked for once', async () => {
  const { vectors, names } = await detectIn(NO_INDEX, ':0\r\n', EMPTY, EMPTY)
  expect((await vectors.search(INDEX, SEARCH)).vector).toEqual([])
  await vectors.search(INDEX, SEARCH)
  expect(vectors.store).toBe('redisearch')
  expect(names()).toEqual(['FT.INFO', 'VCARD', 'FT.SEARCH', 'FT.SEARCH'])
})

test('a Redis user who may not run FT.* gets vector sets', async () => {
  const denied = "-NOPERM User hub has no permissions to run the 'ft.info' command\r\n"
  const { vectors } = await detectIn(denied, ':0\r\n', ':0\r\n')
  await vectors.create(INDEX)
  expect(vectors.store).toBe('vectorset')
})

test('a Redis with neither is told what to set, and asked again', async () => {
  const { vectors } = await detectIn(NO_SEARCH, NO_SETS, NO_INDEX, NO_SETS, EMPTY)
  await expect(vectors.search(INDEX, SEARCH)).rejects.toMatchObject({
    status: 501,
    code: 'not_supported',
    message: expect.stringContaining('UPSTASH_VECTOR_REST_URL'),
  })
  expect(vectors.store).toBeUndefined()
  await vectors.search(INDEX, SEARCH)
  expect(vectors.store).toBe('redisearch')
})

test('a Redis that is loading says nothing of what it has', async () => {
  const loading = '-LOADING Redis is loading the dataset in memory\r\n'
  const { vectors } = await detectIn(loading, loading, NO_SEARCH, ':0\r\n', ':0\r\n')
  await expect(vectors.create(INDEX)).rejects.toMatchObject({ status: 503, code: 'vectors_unavailable' })
  await vectors.create(INDEX)
  expect(vectors.store).toBe('vectorset')
})

test('a Redis that is away is asked again when it is back', async () => {
  const first = await startTestRedis()
  const { port, password } = first
  await first.stop()
  const redis = createRedisResp({ url: first.url, onError() {} })
  const vectors = detectOn(redis)
  await expect(vectors.create(INDEX)).rejects.toBeInstanceOf(RedisUnavailableError)
  await using _again = await startTestRedis({ port, password })
  await expect
    .poll(() =>
      vectors.create(INDEX).then(
        () => vectors.store,
        () => undefined,
      ),
    )
    .toBe('vectorset')
})
