import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRedisResp } from '../../../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../../../shared/drivers/redis-rest.ts'
import { rateLimitPrefix } from '../../../shared/keys.ts'
import {
  createLimits,
  type Limit,
  rateLimitHeaders,
  refuseOverLimit,
} from '../../../shared/metering/limits.ts'
import type { Redis } from '../../../shared/ports/redis.ts'
import { unique } from '../../support/app.ts'
import { startTestBridge } from '../../support/bridge.ts'
import { testRedisUrl } from '../../support/redis.ts'

const closing: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const close of closing.reverse()) await close()
})
let drivers: Redis[]
beforeAll(async () => {
  const bridge = await startTestBridge({ redisUrl: testRedisUrl() })
  drivers = [
    createRedisResp({ url: testRedisUrl() }),
    createRedisRest({ url: bridge.url, token: bridge.token }),
  ]
  closing.push(bridge.close, ...drivers.map((redis) => redis.close))
})

const limitOf = (limit: number, more: Partial<Limit> = {}): Limit => ({
  ...{ on: 'requests', limit, window_seconds: 3600, name: 'key-requests' },
  prefix: rateLimitPrefix(unique('t')),
  identifier: '{k}',
  ...more,
})

describe.each([['sliding_window'], ['fixed_window'], ['token_bucket']] as const)('a %s', (algorithm) => {
  it('admits its limit over both drivers together, and no more', async () => {
    const wanted = limitOf(100, { algorithm })
    const checks = drivers.flatMap((redis) => {
      const limits = createLimits(redis)
      return Array.from({ length: 75 }, () => limits.check([wanted], 1, 5_000))
    })
    const results = (await Promise.all(checks)).flat()
    expect(results).toHaveLength(150)
    // An hour's window that began within this test would admit its own share: the keys are new, so only one can.
    expect(results.filter(({ success }) => success)).toHaveLength(100)
  })

  it('is one call in the caller’s wave once the server knows its script', async () => {
    const limits = createLimits(drivers[0]!)
    const wanted = limitOf(10, { algorithm })
    await limits.check([wanted])
    const { calls, settle } = await limits.prepare([wanted])
    expect(calls).toHaveLength(1)
    const [result] = await settle(await drivers[0]!.wave(calls))
    expect(result).toMatchObject({ success: true, remaining: 8 })
  })
})

describe('token limits', () => {
  it('are reserved and given back; a refused reservation takes nothing', async () => {
    const limits = createLimits(drivers[0]!)
    const wanted = limitOf(1_000, { on: 'tokens', algorithm: 'fixed_window' })
    const [first] = await limits.check([wanted], 900)
    expect(first).toMatchObject({ success: true, remaining: 100 })
    const [refused] = await limits.check([wanted], 500)
    expect(refused).toMatchObject({ success: false })
    expect((await limits.check([wanted], 100))[0]).toMatchObject({ success: true, remaining: 0 })
    await limits.giveBack([first!], 400)
    expect((await limits.check([wanted], 300))[0]).toMatchObject({ success: true, remaining: 100 })
  })
})

describe('a refusal', () => {
  it('is 429 with Retry-After and the RateLimit headers', async () => {
    const limits = createLimits(drivers[0]!)
    const wanted = limitOf(1)
    await limits.check([wanted])
    const results = await limits.check([wanted])
    const now = Date.now()
    expect(rateLimitHeaders(results, now)['RateLimit-Policy']).toBe('"key-requests";q=1;w=3600')
    expect(rateLimitHeaders(results, now).RateLimit).toMatch(/^"key-requests";r=0;t=\d+$/)
    let error: unknown
    try {
      refuseOverLimit(results, now)
    } catch (caught) {
      error = caught
    }
    expect(error).toMatchObject({
      status: 429,
      code: 'rate_limit_exceeded',
      headers: { 'Retry-After': expect.stringMatching(/^\d+$/) },
    })
  })
})

describe('Redis away', () => {
  it('limits fail open', async () => {
    const redis = createRedisResp({ url: 'redis://127.0.0.1:1' })
    expect(await createLimits(redis).check([limitOf(1)])).toEqual([])
    await redis.close()
  })
})
