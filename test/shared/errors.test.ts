import { expect, test } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { toHubError } from '../../shared/errors.ts'
import { startTestRedis } from '../support/redis.ts'

test('a full Redis is 503 that says so, and no fault inside the hub', async () => {
  await using server = await startTestRedis({ config: 'maxmemory 100kb' })
  const redis = createRedisResp({ url: server.url })
  try {
    const [reply] = await redis.wave([['SET', 'too', 'much']], { timeoutMs: 5_000 })
    const { status, code, message, headers } = toHubError(reply)
    expect({ status, code }).toEqual({ status: 503, code: 'redis_refuses' })
    expect(message).toContain('Redis is full')
    expect(headers['Retry-After']).toBe('10')
  } finally {
    await redis.close()
  }
})
