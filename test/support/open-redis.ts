import type { TestContext } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../../shared/drivers/redis-rest.ts'
import type { Command, Redis, ScriptCall } from '../../shared/ports/redis.ts'
import { startTestBridge } from './bridge.ts'
import { testRedisUrl } from './redis.ts'

/** The tests' Redis by one of its drivers, and the waves that went through it. */
export async function openRedis(
  { onTestFinished }: Pick<TestContext, 'onTestFinished'>,
  driver: 'resp' | 'rest' = 'resp',
): Promise<{ redis: Redis; waves: (readonly (Command | ScriptCall)[])[] }> {
  const url = testRedisUrl()
  const bridge = driver === 'rest' ? await startTestBridge({ redisUrl: url }) : undefined
  if (bridge) onTestFinished(bridge.close)
  const redis = bridge ? createRedisRest(bridge) : createRedisResp({ url })
  onTestFinished(redis.close)
  const waves: (readonly (Command | ScriptCall)[])[] = []
  const wave: Redis['wave'] = (calls, options) => {
    waves.push(calls)
    return redis.wave(calls, { ...options, timeoutMs: 15_000 }) // the machine may be busy
  }
  return { redis: { ...redis, wave }, waves }
}
