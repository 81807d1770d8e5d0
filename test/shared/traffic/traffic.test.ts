import { afterAll, describe, expect, it } from 'vitest'
import type { CompletionRecord } from '../../../shared/completions/completion-record.ts'
import { createRedisResp } from '../../../shared/drivers/redis-resp.ts'
import { TRAFFIC_TTL_SECONDS, trafficKey } from '../../../shared/keys.ts'
import { createTally } from '../../../shared/metering/tally.ts'
import { quantile } from '../../../shared/traffic/histogram.ts'
import { sumOf } from '../../../shared/traffic/minute.ts'
import { createTraffic } from '../../../shared/traffic/traffic.ts'
import { unique } from '../../support/app.ts'
import { patient, startTestRedis, testRedisUrl } from '../../support/redis.ts'

const NOW = Date.UTC(2027, 2, 1, 12, 34, 30)

const redis = patient(createRedisResp({ url: testRedisUrl() }))
afterAll(() => redis.close())

/** A hub's, whose clock can be set. */
function instance(of = redis) {
  const clock = { at: NOW, now: () => clock.at }
  const traffic = createTraffic({ redis: of, tally: createTally({ redis: of, delayMs: 0 }), clock })
  return { clock, traffic }
}

const record = (tenant: string, more: Partial<CompletionRecord> = {}): CompletionRecord => ({
  ...{ tenant, keyId: null, endpoint: 'chat.completions', model: 'm', streamed: false, verdict: 'miss' },
  ...{ startedAt: NOW, totalMs: 10, status: 200, cost: 0, saved: 0, savedTokens: 0 },
  ...{ contentRefused: false, request: { model: 'm', messages: [] } },
  ...more,
})

const tokens = { input: 7, cachedRead: 2, cacheWrite: 1, output: 5, reasoning: 3, estimated: false }

describe('traffic', () => {
  it('counts what a completion came to, and where instances share a Redis they add up', async () => {
    const tenant = unique('traffic')
    const [one, other] = [instance(), instance()]
    await one.traffic.observe(
      record(tenant, { tokens, cost: 0.000_004_5, totalMs: 100, firstMs: 20, endpoint: 'ask' }),
    )
    await other.traffic.observe(record(tenant, { verdict: 'exact', saved: 0.25, savedTokens: 15 }))
    await other.traffic.observe(record(tenant, { verdict: 'none', status: 429 }))
    await other.traffic.observe(record(tenant, { status: 502 }))
    await other.traffic.observe(record(tenant, { verdict: 'none', status: 400 }))
    await other.traffic.observe(record(tenant, { verdict: 'none', status: 504, errorCode: 'not_cached' }))

    const minutes = await one.traffic.read(tenant, 3)
    expect(minutes.map(({ at }) => at)).toEqual([2, 1, 0].map((ago) => Date.UTC(2027, 2, 1, 12, 34 - ago)))
    const counts = minutes.at(-1)!.counts
    expect(counts.verdicts).toMatchObject({ miss: 2, exact: 1, none: 3, semantic: 0 })
    expect(counts.endpoints).toEqual({ ask: 1, 'chat.completions': 5 })
    expect(counts.errors).toEqual({ client: 1, limited: 1, server: 1 })
    expect(counts).toMatchObject({ inputTokens: 10, outputTokens: 5, savedTokens: 15, saved: 0.25 })
    expect(counts.cost).toBeCloseTo(0.000_004_5, 12)
    expect(counts.total.reduce((sum, n) => sum + n, 0)).toBe(6)
    expect(quantile(counts.first, 0.5)).toBeCloseTo((16 + 16 * Math.SQRT2) / 2, 10)
    expect(sumOf(minutes.map((minute) => minute.counts))).toEqual(counts)
  })

  it('keeps minutes apart, for a day', async () => {
    const tenant = unique('traffic')
    const { clock, traffic } = instance()
    clock.at = Date.now()
    await traffic.observe(record(tenant))
    const name = new Date(clock.at).toISOString().slice(0, 16).replace(/[-T:]/g, '')
    const [ttl] = await redis.wave([['TTL', trafficKey(tenant, name)]])
    expect(ttl).toBeGreaterThan(TRAFFIC_TTL_SECONDS - 60)
    expect(ttl).toBeLessThanOrEqual(TRAFFIC_TTL_SECONDS + 60)
    clock.at += 60_000
    await traffic.observe(record(tenant, { verdict: 'exact' }))
    const [before, now] = await traffic.read(tenant, 2)
    expect(before!.counts.verdicts).toMatchObject({ miss: 1, exact: 0 })
    expect(now!.counts.verdicts).toMatchObject({ miss: 0, exact: 1 })
  })

  it('counts inferences by model, whatever its name is', async () => {
    const tenant = unique('traffic')
    const { traffic } = instance()
    for (const ms of [3, 3]) await traffic.observeInference({ tenant, model: 'a:b', ms, failed: false })
    await traffic.observeInference({ tenant, model: 'a:b', ms: 9, failed: true })
    const [minute] = await traffic.read(tenant, 1)
    const model = minute!.counts.models.get('a:b')!
    expect(model).toMatchObject({ inferences: 2, errors: 1 })
    expect(quantile(model.total, 0.5)).toBeCloseTo((2 * Math.SQRT2 + 4) / 2, 10)
  })

  it('reads minutes that are over once only, and the running one each time', async () => {
    const tenant = unique('traffic')
    const asked: number[] = []
    const counting = {
      ...redis,
      wave: (...call: Parameters<typeof redis.wave>) => {
        asked.push(call[0].length)
        return redis.wave(...call)
      },
    }
    const { traffic } = instance(counting)
    await traffic.read(tenant, 60)
    await traffic.read(tenant, 60)
    expect(asked).toEqual([60, 3]) // the two before may still get what is on its way
  })

  it('says nothing of an outage, and counts what ended in it afterwards', async () => {
    const tenant = unique('traffic')
    const server = await startTestRedis()
    const own = createRedisResp({ url: server.url })
    try {
      const { traffic } = instance(own)
      await traffic.observe(record(tenant))
      await server.stop()
      await expect(traffic.observe(record(tenant))).resolves.toBeUndefined()
      await using _ = await startTestRedis({ port: server.port, password: server.password })
      await expect
        .poll(
          async () => {
            await traffic.observe(record(tenant, { verdict: 'exact' }))
            return (await traffic.read(tenant, 1).catch(() => []))[0]?.counts.verdicts.miss
          },
          { timeout: 10_000 },
        )
        .toBe(1) // the first one went with the old server
    } finally {
      await own.close()
    }
  })
})
