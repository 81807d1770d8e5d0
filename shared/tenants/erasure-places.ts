import { hubKeysKey, redisaiModels, tenantKeyGlobs, tenantOfKey } from '../keys.ts'
import type { CallOptions, Command, Redis } from '../ports/redis.ts'
import type { Vectors } from '../ports/vectors.ts'
import { send } from '../send.ts'
import { HUB_LISTS, readMembers, removeMembers } from './hub-members.ts'

export interface ErasurePlacesOptions {
  redis: Redis
  /** The same as `redis` where it has no server of its own. */
  cacheRedis: Redis
  /** Where RedisAI has a server of its own. */
  redisaiRedis?: Redis
  vectors: Pick<Vectors, 'forget'>
}

/** Somewhere that a tenant has left something, erased page by page; the first page's cursor is `0`. */
export interface ErasurePlace {
  /** The same whenever it is asked for. */
  name: string
  counts: 'keys' | 'members' | 'indexes'
  /** May be repeated. `next` is undefined at the end. */
  erase(cursor: string, signal?: AbortSignal): Promise<{ removed: number; next?: string }>
}

const PATIENT = { timeoutMs: 10_000 }
/** Keys that one page looks at. */
const COUNT = 1_000

/**
 * Everywhere that a tenant has left something, in the order in which it goes: who may come, what brings work, what work needs, and all else.
 * Undone between two pages is nothing: every page may be done again.
 */
export function createErasurePlaces({ redis, cacheRedis, redisaiRedis, vectors }: ErasurePlacesOptions) {
  return async function placesOf(tenant: string, signal?: AbortSignal): Promise<ErasurePlace[]> {
    const options = { ...PATIENT, signal }
    const keys: ErasurePlace = {
      name: 'hub keys',
      counts: 'keys',
      erase: async () => ({
        removed: (await send(redis, ['UNLINK', hubKeysKey(tenant)], options)) as number,
      }),
    }
    const members = HUB_LISTS.map(
      (list): ErasurePlace => ({
        name: `members of ${list.key}`,
        counts: 'members',
        async erase(cursor) {
          const { members, next } = await readMembers(redis, list, { tenant, cursor }, options)
          const names = members.map(({ name }) => name)
          return { removed: await removeMembers(redis, list, names, options), next }
        },
      }),
    )
    const indexes: ErasurePlace = {
      name: 'indexes',
      counts: 'indexes',
      erase: async () => ({ removed: await vectors.forget(tenant, { timeoutMs: 30_000, signal }) }),
    }
    const ours = (key: string) => tenantOfKey(key) === tenant
    const all = tenantKeyGlobs(tenant)
    const places = [keys, ...members, indexes, ...(await scans('state', redis, all, ours, options))]
    if (cacheRedis !== redis) places.push(...(await scans('cache', cacheRedis, all, ours, options)))
    const models = [redisaiModels(tenant)]
    places.push(...(await scans('models', redisaiRedis ?? redis, models, () => true, options)))
    return places
  }
}

/** All keys of some globs, a place for each primary. */
async function scans(
  name: string,
  redis: Redis,
  globs: readonly string[],
  isOurs: (key: string) => boolean,
  options: CallOptions,
): Promise<ErasurePlace[]> {
  const nodes = await redis.nodes(options)
  return nodes.flatMap((near) =>
    globs.map((glob) => ({
      name: `${name} ${glob} ${near}`,
      counts: 'keys' as const,
      async erase(cursor: string) {
        const call: Command = ['SCAN', cursor, 'MATCH', glob, 'COUNT', COUNT]
        const [next, found] = (await send(redis, call, { ...options, near })) as [string, string[]]
        const ours = found.filter(isOurs)
        // A command each: on Cluster they lie in different slots.
        const replies = await redis.wave(
          ours.map((key): Command => ['UNLINK', key]),
          options,
        )
        for (const reply of replies) if (reply instanceof Error) throw reply
        const removed = (replies as number[]).reduce((sum, one) => sum + one, 0)
        return { removed, next: next === '0' ? undefined : next }
      },
    })),
  )
}
