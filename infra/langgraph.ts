import type { BaseCheckpointSaver, SerializerProtocol } from '@langchain/langgraph-checkpoint'
import { createRedisResp } from '../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../shared/drivers/redis-rest.ts'
import { DEFAULT_TENANT, NAME } from '../shared/keys.ts'
import { CheckpointSaver } from '../shared/langgraph/checkpoint-saver.ts'

export interface CheckpointSaverOptions {
  /** `redis://user:password@host:port`, `rediss://` for TLS, or with a token `https://…` of Upstash or of the hub's bridge. */
  url: string
  /** Of an `https://…`. */
  token?: string
  /** Whose checkpoints they are: 1 to 64 of A-Z a-z 0-9 _ . -; `default` by default. Others' are neither seen nor changed. */
  tenant?: string
  /** For how long a checkpoint is kept after it was last written to or got. For ever by default. */
  ttlSeconds?: number
  /** Longest wait on Redis of one call, in ms: an outage that is shorter is waited for. Default 5,000. */
  timeoutMs?: number
  /** How values become bytes; LangGraph's own serializer by default. */
  serde?: SerializerProtocol
}

/**
 * A checkpointer for LangGraph over any Redis. It connects at first use, and until `close` the connection keeps the process alive.
 *
 * @example const graph = builder.compile({ checkpointer: createCheckpointSaver({ url: 'redis://127.0.0.1:6379' }) })
 */
export function createCheckpointSaver(
  options: CheckpointSaverOptions,
): BaseCheckpointSaver & { close(): Promise<void> } {
  const { url, token, tenant = DEFAULT_TENANT, ttlSeconds, timeoutMs, serde } = options
  if (!NAME.test(tenant)) throw new TypeError('tenant must be 1 to 64 of A-Z a-z 0-9 _ . -')
  if (ttlSeconds !== undefined && !(Number.isSafeInteger(ttlSeconds) && ttlSeconds > 0))
    throw new TypeError(
      'ttlSeconds must be a whole number of seconds, 1 or more; leave it out to keep for ever',
    )
  const overHttp = /^https?:/.test(url)
  if (overHttp && !token) throw new TypeError(`token is missing: it comes with the URL ${new URL(url).host}`)
  const redis = overHttp ? createRedisRest({ url, token: token! }) : createRedisResp({ url })
  const saver = new CheckpointSaver({ redis, tenant, ttlSeconds, timeoutMs, serde })
  return Object.assign(saver, { close: redis.close })
}
