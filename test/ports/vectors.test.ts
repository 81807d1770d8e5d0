import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../../shared/drivers/redis-rest.ts'
import { createVectorsVectorset } from '../../shared/drivers/vectors-vectorset.ts'
import { vectorKeys as keys } from '../../shared/keys.ts'
import type { Redis } from '../../shared/ports/redis.ts'
import { startTestBridge } from '../support/bridge.ts'
import { startTestRedis } from '../support/redis.ts'
import { testVectors, type VectorsTraits, type VectorsUnderTest } from './vectors.contract.ts'

/** Vector sets on a Redis that can be stalled. */
async function openVectorset(
  connect: (url: string) => Promise<{ open(): Redis; close?: () => Promise<void> }>,
  options: { scoredOneByOne?: number } = {},
): Promise<VectorsUnderTest> {
  const server = await startTestRedis()
  const { open, close } = await connect(server.url)
  const [reads, writes] = [open(), open()]
  return {
    vectors: createVectorsVectorset({ reads, writes, keys, ...options }),
    redis: reads,
    async stall() {
      process.kill(server.pid, 'SIGSTOP')
      return async () => void process.kill(server.pid, 'SIGCONT')
    },
    async close() {
      await Promise.all([reads.close(), writes.close()])
      await close?.()
      await server.stop()
    },
  }
}

async function connectResp(url: string) {
  return { open: () => createRedisResp({ url, onError() {} }) }
}

async function connectRest(redisUrl: string) {
  const bridge = await startTestBridge({ redisUrl })
  return {
    open: () => createRedisRest({ url: bridge.url, token: bridge.token }),
    close: bridge.close,
  }
}

const VECTORSET: VectorsTraits = { metrics: ['cosine'], quantizations: ['none', 'int8'] }

testVectors('vectors-vectorset', () => openVectorset(connectResp), VECTORSET)
testVectors(
  'vectors-vectorset that leaves all filters to VSIM',
  () => openVectorset(connectResp, { scoredOneByOne: 0 }),
  VECTORSET,
)
testVectors('vectors-vectorset over REST', () => openVectorset(connectRest), VECTORSET)
