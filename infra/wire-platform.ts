import type { Deps } from '../functions/deps.ts'
import { createConfigWatch } from '../shared/configuration/config-watch.ts'
import { createConfiguration } from '../shared/configuration/configuration.ts'
import { createLocks } from '../shared/locks/locks.ts'
import type { Redis } from '../shared/ports/redis.ts'
import { createServices } from '../shared/services/services.ts'
import type { Env } from './env.ts'
import type { Rim } from './wire.ts'

interface Wired extends Pick<Deps, 'readers'> {
  redis: Redis
  env: Env
  rim: Rim
}

/** What services need of each other. */
export function wirePlatform({ redis, readers, env, rim }: Wired) {
  const callBudget = rim.countsCalls ? env.HUB_REDIS_CALLS : undefined
  const configuration = createConfiguration({ redis, callBudget })
  return {
    deps: {
      locks: createLocks({ redis, callBudget }),
      services: createServices({ redis }),
      configuration,
      watchConfig: createConfigWatch({ configuration, readers }),
    } satisfies Partial<Deps>,
  }
}
