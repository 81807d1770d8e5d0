import { createClient } from '@redis/client'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createFeatureViews } from '../../shared/features/feature-views.ts'
import { createFeatures } from '../../shared/features/features.ts'
import { featureKey } from '../../shared/keys.ts'
import type { Redis } from '../../shared/ports/redis.ts'
import type { Bench } from './bench.ts'
import { startHub } from './hub.ts'
import { median, percentile, round } from './statistics.ts'

/** As `startHub` makes its key for. */
const TENANT = 'bench'
const VIEW = 'user'
const STORED = 10_000
const ASKED = 1_000
const FEATURES = 10
const ROUNDS = 200
const GOAL_TIMES = 2

const names = Array.from({ length: FEATURES }, (_, n) => `feature_${n}`)

/** A query of 1,000 entities with 10 numbers each: through the store and over HTTP, beside the same HMGETs of a bare client. */
export async function features(bench: Bench): Promise<void> {
  await using ends = new AsyncDisposableStack()
  const connection = createRedisResp({ url: bench.redis.url })
  ends.defer(connection.close)
  // A busy machine makes a measurement slow, not an error.
  const redis: Redis = { ...connection, wave: (calls) => connection.wave(calls, { timeoutMs: 10_000 }) }
  const bare = await createClient({ url: bench.redis.url }).connect()
  ends.defer(() => bare.close())
  const store = createFeatures({ redis, views: createFeatureViews({ redis, clock: Date }), clock: Date })
  for (let first = 0; first < STORED; first += ASKED) {
    const rows = Array.from({ length: ASKED }, (_, n) => ({
      entity: `user:${first + n}`,
      features: Object.fromEntries(names.map((name) => [name, Math.random()])),
    }))
    await store.put(TENANT, VIEW, rows)
  }
  const entitiesOf = (round: number) =>
    Array.from({ length: ASKED }, (_, n) => `user:${(round * 7_919 + n * 13) % STORED}`)

  const ways = {
    'bare HMGET': (entities: string[]) =>
      Promise.all(
        entities.map((entity) => bare.sendCommand(['HMGET', featureKey(TENANT, VIEW, entity), ...names])),
      ),
    'features.read': (entities: string[]) => store.read(TENANT, VIEW, entities, { names }),
  }
  const times = new Map(Object.keys(ways).map((name) => [name, [] as number[]]))
  for (let round = -20; round < ROUNDS; round++) {
    for (const [name, ask] of Object.entries(ways)) {
      const entities = entitiesOf(round + 20)
      const began = performance.now()
      await ask(entities)
      if (round >= 0) times.get(name)!.push(performance.now() - began)
    }
  }
  const bareMs = median(times.get('bare HMGET')!)
  for (const [name, all] of times) {
    const p50_ms = round(median(all), 2)
    bench.print({
      target: name,
      p50_ms,
      p99_ms: round(percentile(all, 99), 2),
      times_bare: round(p50_ms / bareMs, 2),
    })
  }
  const times_bare = round(median(times.get('features.read')!) / bareMs, 2)
  const goal = `times_bare <= ${GOAL_TIMES}`
  bench.print({ summary: 'features', times_bare, goal, goal_met: times_bare <= GOAL_TIMES })

  const { hub, key } = await startHub(bench)
  const target = {
    name: 'query over HTTP',
    process: hub,
    load: {
      url: `${hub.url}/v1/features/${VIEW}/query`,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: {},
      bodies: Array.from({ length: 20 }, (_, n) => ({ entities: entitiesOf(n), features: names })),
      expect: '"data":[{',
    },
  }
  await bench.measure(target, { connections: 1, warmUp: true })
  for (const connections of [1, 8]) await bench.measure(target, { connections })
}
