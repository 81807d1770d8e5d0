import { citedByKey, completionKeys } from '../keys.ts'
import type { Redis } from '../ports/redis.ts'

/** Drops the stored answers that cite one of these documents. Notes whose answer is kept elsewhere or gone do no harm. */
export async function dropCitedBy(
  { redis, cacheRedis }: { redis: Redis; cacheRedis: Redis },
  { tenant, name }: { tenant: string; name: string },
  ids: readonly string[],
  options: { timeoutMs: number },
): Promise<void> {
  const keys = ids.map((id) => citedByKey(tenant, name, id))
  const replies = await redis.wave(
    keys.map((key) => ['SMEMBERS', key] as const),
    options,
  )
  const failure = replies.find((reply) => reply instanceof Error)
  if (failure) throw failure
  const hashes = new Set(replies.flat() as string[])
  if (hashes.size === 0) return
  await cacheRedis.wave(
    [...hashes].map((hash) => ['UNLINK', completionKeys(tenant, hash).entry] as const),
    options,
  )
  // Only those that were read: another one may have been noted meanwhile.
  const calls = keys.flatMap((key, i) => {
    const members = replies[i] as string[]
    return members.length ? [['SREM', key, ...members] as const] : []
  })
  await redis.wave(calls, options)
}
