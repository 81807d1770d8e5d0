import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { parseRedisUrl } from '../../shared/drivers/redis-resp-url.ts'
import { createRedisRest } from '../../shared/drivers/redis-rest.ts'
import type { Redis } from '../../shared/ports/redis.ts'
import type { Env } from '../env.ts'
import { findRedisServer } from '../local-redis/find-redis.ts'
import { type Finding, fault, ok } from './finding.ts'
import { explainConnection } from './redis-connection.ts'
import { checkRedis } from './redis-server.ts'
import { checkTopology } from './redis-topology.ts'

/** A Redis that the environment names. */
export interface Store {
  /** Of its findings: `Redis`, `Cache Redis`. */
  label: string
  /** The variable that names it. */
  variable: string
  /** Of the password or token. */
  secret: string
  url: string
  redis: Redis
  /** What it holds: a cache may be evicted. */
  holds: 'state' | 'cache' | 'models'
}

const SLOW = { timeoutMs: 8_000 }

/** Every Redis of the environment. */
export async function checkStores(env: Env): Promise<Finding[]> {
  const stores = storesOf(env)
  if (!stores.some(({ holds }) => holds === 'state')) {
    const local = runningLocal(env)
    if (local) stores.unshift(local)
  }
  const checked = await Promise.all(
    stores.map((store) => checkStore(store, env).finally(() => store.redis.close())),
  )
  if (stores.some(({ holds }) => holds === 'state')) return checked.flat()
  return [await noRedis(), ...checked.flat()]
}

async function checkStore(store: Store, env: Env): Promise<Finding[]> {
  try {
    const [reply] = await store.redis.wave([['PING']], SLOW)
    // With a full disk or while it loads it refuses even that, and can still be asked why.
    if (reply instanceof Error && /^(NOAUTH|WRONGPASS|NOPERM|DENIED)/.test(reply.message)) throw reply
  } catch (error) {
    return [await explainConnection(store, error)]
  }
  const [server, topology] = await Promise.all([checkRedis(store, env), checkTopology(store)])
  return [...server, ...topology]
}

function storesOf(env: Env): Store[] {
  const stores: Store[] = []
  const resp = (label: string, variable: string, url: string, holds: Store['holds']) =>
    stores.push({ label, variable, secret: variable, url, holds, redis: createRedisResp({ url }) })
  const rest = (
    label: string,
    variable: string,
    secret: string,
    url: string,
    token: string,
    holds: Store['holds'],
  ) => stores.push({ label, variable, secret, url, holds, redis: createRedisRest({ url, token }) })

  if (env.REDIS_URL) resp('Redis', 'REDIS_URL', env.REDIS_URL, 'state')
  else if (env.UPSTASH_REDIS_REST_URL) {
    const secret = 'UPSTASH_REDIS_REST_TOKEN'
    rest('Redis', 'UPSTASH_REDIS_REST_URL', secret, env.UPSTASH_REDIS_REST_URL, env[secret]!, 'state')
  }
  const cache = env.HUB_CACHE_REDIS_URL
  if (cache?.startsWith('http')) {
    const secret = 'HUB_CACHE_REDIS_TOKEN'
    rest('Cache Redis', 'HUB_CACHE_REDIS_URL', secret, cache, env[secret]!, 'cache')
  } else if (cache) resp('Cache Redis', 'HUB_CACHE_REDIS_URL', cache, 'cache')
  if (env.HUB_REDISAI_URL) resp('RedisAI', 'HUB_REDISAI_URL', env.HUB_REDISAI_URL, 'models')
  return stores
}

/** The one that `npm start` left running, where a hub runs here. */
function runningLocal({ HUB_DATA_DIR }: Env): Store | undefined {
  const file = join(HUB_DATA_DIR, 'redis-url')
  if (!existsSync(join(HUB_DATA_DIR, 'key-secret')) || !existsSync(file)) return undefined
  const url = readFileSync(file, 'utf8')
  if (!parseRedisUrl(url)) return undefined
  return {
    label: 'Redis',
    variable: file,
    secret: file,
    url,
    redis: createRedisResp({ url }),
    holds: 'state',
  }
}

async function noRedis(): Promise<Finding> {
  try {
    const { version } = await findRedisServer({ allowFetch: false })
    return ok('Redis', `REDIS_URL is not set: \`npm start\` runs Redis ${version} itself.`)
  } catch (error) {
    const fetchable = process.platform === 'linux' && existsSync('/usr/bin/apt-get')
    if (fetchable) return ok('Redis', 'REDIS_URL is not set: `npm start` will fetch a Redis and run it.')
    return fault('Redis', 'REDIS_URL is not set, and no Redis is here to be run.', (error as Error).message)
  }
}
