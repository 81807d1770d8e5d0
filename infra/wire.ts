import { createHash } from 'node:crypto'
import { createApp } from '../functions/app.ts'
import type { Log } from '../functions/deps.ts'
import packageJson from '../package.json' with { type: 'json' }
import { createAdmission } from '../shared/admission.ts'
import { createCacheRoom } from '../shared/cache-room.ts'
import { createCollapse } from '../shared/collapse.ts'
import { createCompletionCache } from '../shared/completion-cache.ts'
import { createCompletions } from '../shared/completions.ts'
import { createChat } from '../shared/drivers/chat.ts'
import { createRedisResp } from '../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../shared/drivers/redis-rest.ts'
import { createHubKeys, createKeyring } from '../shared/hub-keys.ts'
import type { Redis } from '../shared/ports/redis.ts'
import { createTally } from '../shared/tally.ts'
import { type Env, readEnv } from './env.ts'

/** What a rim says of its runtime. */
export interface Rim {
  /** Whether one request may read what another one of this process receives. */
  sharesRequests: boolean
  /** How long counters may be collected before they are written, in ms; 0 where nothing runs between requests. */
  tallyDelayMs: number
  /** Whether the runtime bounds the calls that one request may make: to `HUB_REDIS_CALLS` of them to Redis. */
  countsCalls?: boolean
  /** Anyone can reach it, so it serves nobody without `HUB_ADMIN_KEY`. */
  needsAdminKey?: boolean
  /** Signs hub keys where the environment sets neither secret nor admin key. */
  keySecret?: string
  log: Log
}

/** Builds the drivers and the app from the environment. The one place that knows every driver. */
export function wire(variables: Record<string, string | undefined>, rim: Rim, connect = connectRedis) {
  const env = readEnv(variables)
  const { log } = rim
  if (rim.needsAdminKey && !env.HUB_ADMIN_KEY) {
    throw new Error('HUB_ADMIN_KEY is not set: this runtime serves nobody without it. Set it as a secret.')
  }
  const { redis, cacheRedis } = connect(env, log)
  const clock = Date
  const chat = createChat({
    env: variables,
    providers: env.HUB_PROVIDERS,
    defaultProvider: env.HUB_DEFAULT_PROVIDER,
    silenceMs: env.HUB_PROVIDER_SILENCE_SECONDS * 1000,
  })
  const keyring = createKeyring(keySecret(env, rim))
  const admission = createAdmission({ redis, keyring, adminKey: env.HUB_ADMIN_KEY })
  const collapse = createCollapse({
    redis: cacheRedis,
    sharesRequests: rim.sharesRequests,
    callBudget: rim.countsCalls ? env.HUB_REDIS_CALLS : undefined,
  })
  const room = createCacheRoom({ redis: cacheRedis, shared: cacheRedis === redis, clock })
  const tally = createTally({ redis, delayMs: rim.tallyDelayMs })
  const refuseWhenAway = env.HUB_REDIS_DOWN === 'refuse'
  const app = createApp(
    {
      ...{ redis, clock, chat, admission, log, version: packageJson.version },
      hubKeys: createHubKeys({ redis, keyring, now: clock.now }),
      complete: createCompletions({
        redis,
        cacheRedis,
        admission,
        chat,
        collapse,
        room,
        tally,
        clock,
        refuseWhenAway,
      }),
      completionCache: createCompletionCache({ redis, cacheRedis }),
    },
    {
      functions: env.FUNCTIONS,
      localOnly: env.HUB_ADMIN_KEY === undefined,
      maxBodyBytes: env.HUB_MAX_BODY_BYTES,
    },
  )
  const close = async () => {
    await Promise.all([redis.close(), cacheRedis === redis ? undefined : cacheRedis.close()])
  }
  /** No function has a schedule yet: the line shows that the trigger arrives. */
  const scheduled = async (trigger: string) => log.info({ msg: 'Nothing is scheduled', trigger })
  return { app, env, scheduled, close }
}

/** State and cache: two ports, one server by default. */
export function connectRedis(env: Env, log: Log): { redis: Redis; cacheRedis: Redis } {
  const redis = connectState(env, log)
  return { redis, cacheRedis: connectCache(env, log) ?? redis }
}

function connectState(env: Env, log: Log): Redis {
  if (env.REDIS_URL) return resp(env.REDIS_URL, log)
  if (env.UPSTASH_REDIS_REST_URL) {
    return createRedisRest({ url: env.UPSTASH_REDIS_REST_URL, token: env.UPSTASH_REDIS_REST_TOKEN! })
  }
  throw new Error('No Redis: set REDIS_URL, or UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN.')
}

function connectCache(env: Env, log: Log): Redis | undefined {
  const url = env.HUB_CACHE_REDIS_URL
  if (!url) return undefined
  return url.startsWith('http') ? createRedisRest({ url, token: env.HUB_CACHE_REDIS_TOKEN! }) : resp(url, log)
}

const resp = (url: string, log: Log) =>
  createRedisResp({ url, onError: (error) => log.error({ msg: 'Redis connection', cause: error }) })

function keySecret(env: Env, rim: Rim): string {
  if (env.HUB_KEY_SECRET) return env.HUB_KEY_SECRET
  if (env.HUB_ADMIN_KEY)
    return createHash('sha256').update(`hub-key-secret\n${env.HUB_ADMIN_KEY}`).digest('hex')
  if (rim.keySecret) return rim.keySecret
  throw new Error('Set HUB_ADMIN_KEY: this runtime serves nobody without it.')
}
