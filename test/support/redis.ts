import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inject } from 'vitest'
import type { RedisServer } from '../../infra/local-redis/redis-server.ts'
import { type LocalRedis, type StartOptions, startRedis } from '../../infra/local-redis/run-redis.ts'
import type { Redis } from '../../shared/ports/redis.ts'
import type { Topology } from './provide-redis.ts'

declare module 'vitest' {
  interface ProvidedContext {
    redisServer: RedisServer
    redisUrl: string
    /** What `redisUrl` leads to. */
    topology: Topology
  }
}

/** The one Redis that all test files of a run share: keep to keys of your own and never flush it. */
export const testRedisUrl = (): string => inject('redisUrl')

/**
 * The Redis of `testRedisUrl` where it is of several servers, else one of the test file's own: for what a hub of another file would work on,
 * as queues are every hub's. Of several servers no such hub runs.
 */
export async function startQuietRedis(): Promise<{ url: string; stop(): Promise<unknown> }> {
  if (inject('topology') === 'single') return startTestRedis()
  return { url: testRedisUrl(), stop: async () => {} }
}

/** For a test's own questions: its machine may be busy for longer than the default deadline. */
export const patient = (redis: Redis): Redis => ({
  ...redis,
  wave: (calls, options) => redis.wave(calls, { timeoutMs: 5_000, ...options }),
})

/**
 * A Redis for one test: to stall (SIGSTOP its pid), kill, or start again on the same port and directory.
 *
 * @example
 * await using redis = await startTestRedis()
 */
export async function startTestRedis(
  options: Partial<StartOptions> = {},
): Promise<LocalRedis & AsyncDisposable & { directory: string }> {
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'hub-redis-')))
  const remove = () => {
    if (!options.directory) rmSync(directory, { recursive: true, force: true })
  }
  try {
    const server = options.server ?? inject('redisServer')
    const redis = await startRedis({ port: 0, persist: false, ...options, server, directory })
    const stop = () => redis.stop().finally(remove)
    return { ...redis, directory, stop, [Symbol.asyncDispose]: stop }
  } catch (error) {
    remove()
    throw error
  }
}
