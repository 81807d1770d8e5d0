import type { Deps } from '../functions/deps.ts'
import { createLocks } from '../shared/locks/locks.ts'
import type { Redis } from '../shared/ports/redis.ts'
import type { Env } from './env.ts'
import type { Rim } from './wire.ts'

interface Wired {
  redis: Redis
  env: Env
  rim: Rim
}

/** What services need of each other. */
export function wirePlatform({ redis, env, rim }: Wired) {
  const callBudget = rim.countsCalls ? env.HUB_REDIS_CALLS : undefined
  return { deps: { locks: createLocks({ redis, callBudget }) } satisfies Partial<Deps> }
}
