import type { CallOptions, Redis } from './ports/redis.ts'
import { send } from './send.ts'

/**
 * Keys that match a glob, page by page, over every primary. A key that is there all the time comes at least once, perhaps twice;
 * on Cluster one whose slot moves meanwhile may be missed: whoever must see all scans again until nothing is left.
 *
 * @example for await (const keys of scan(redis, completionEntries('acme'))) …
 */
export async function* scan(
  redis: Redis,
  glob: string,
  { count = 1_000, ...options }: Pick<CallOptions, 'timeoutMs' | 'signal'> & { count?: number } = {},
): AsyncGenerator<string[]> {
  for (const near of await redis.nodes(options)) {
    let cursor = '0'
    do {
      const [next, keys] = (await send(redis, ['SCAN', cursor, 'MATCH', glob, 'COUNT', count], {
        ...options,
        near,
      })) as [string, string[]]
      cursor = next
      if (keys.length > 0) yield keys
    } while (cursor !== '0')
  }
}
