import type { Keyring } from '../shared/hub-keys.ts'
import type { Clock } from '../shared/ports/clock.ts'
import type { Redis } from '../shared/ports/redis.ts'
import { createChannelTokens } from '../shared/realtime/channel-access.ts'
import { createPresence } from '../shared/realtime/presence.ts'
import { createReaders } from '../shared/realtime/readers.ts'
import { createRealtime } from '../shared/realtime/realtime.ts'
import type { Env } from './env.ts'
import type { Rim } from './wire.ts'

interface Wired {
  redis: Redis
  keyring: Keyring
  env: Env
  rim: Rim
  clock: Clock
}

/** Channels: who publishes, who listens, who is there. */
export function wireRealtime({ redis, keyring, env, rim, clock }: Wired) {
  const presence = createPresence({ redis })
  const readers = createReaders({
    ...{ redis, presence, shares: rim.sharesRequests },
    callBudget: rim.countsCalls ? env.HUB_REDIS_CALLS : undefined,
    longestMs: rim.longestStreamMs,
  })
  return {
    deps: {
      realtime: createRealtime({ redis }),
      ...{ readers, presence, channelTokens: createChannelTokens({ keyring, clock }) },
    },
    close: readers.close,
  }
}
