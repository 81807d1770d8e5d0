import type { Deps } from '../functions/deps.ts'
import type { Admission } from '../shared/admission.ts'
import type { Clock } from '../shared/ports/clock.ts'
import type { Vectors } from '../shared/ports/vectors.ts'
import { createErasurePlaces } from '../shared/tenants/erasure-places.ts'
import { createErasures } from '../shared/tenants/erasures.ts'
import { createTenantExport } from '../shared/tenants/tenant-export.ts'
import type { Env } from './env.ts'
import type { Connections, Rim } from './wire.ts'

interface Wired extends Pick<Connections, 'redis' | 'cacheRedis' | 'connectRedisai'> {
  vectors: Vectors
  admission: Admission
  env: Env
  rim: Rim
  clock: Clock
}

/** Calls to Redis that a page of an erasure costs. */
const CALLS_A_PAGE = 3

/** Tenants as a whole: what they have, to take along or to be gone. */
export function wireTenants(wired: Wired) {
  const { redis, cacheRedis, connectRedisai, vectors, admission, env, rim, clock } = wired
  const { drains, log } = rim
  const redisaiRedis = env.HUB_REDISAI_URL ? connectRedisai?.() : undefined
  const erasures = createErasures({
    ...{ redis, clock, log, forgetKey: admission.forget },
    placesOf: createErasurePlaces({ redis, cacheRedis, redisaiRedis, vectors }),
    quietMs: env.HUB_ERASURE_QUIET_SECONDS * 1_000,
    mostPages: rim.countsCalls ? Math.max(1, Math.floor(env.HUB_REDIS_CALLS / CALLS_A_PAGE)) : undefined,
    onBegun: (defer) => drains && defer(erasures.drain(drains.kickMs)),
  })
  const vectorsElsewhere = env.UPSTASH_VECTOR_REST_URL !== undefined
  return {
    deps: {
      erasures,
      exportTenant: createTenantExport({ redis, cacheRedis, vectorsElsewhere, clock }),
    } satisfies Partial<Deps>,
    /** Until the signal aborts; where the runtime lives on between requests. */
    run: erasures.run,
    /** What the platform's schedule does where it does not. */
    drain: async () => drains && erasures.drain(drains.scheduledMs),
    close: async () => redisaiRedis?.close(),
  }
}
