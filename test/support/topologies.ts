import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inject } from 'vitest'
import { type ClusterOptions, type LocalCluster, startCluster } from '../../infra/local-redis/cluster.ts'
import { type LocalSentinel, type SentinelOptions, startSentinel } from '../../infra/local-redis/sentinel.ts'
import type { TopologyOptions } from '../../infra/local-redis/topology.ts'

/**
 * A primary, two replicas and three sentinels for one test file: to kill, stall and start again.
 *
 * @example await using sentinel = await startTestSentinel()
 */
export const startTestSentinel = (options: Partial<SentinelOptions> = {}) =>
  startTest<LocalSentinel, SentinelOptions>(startSentinel, options)

/** Three primaries, each with a replica, for one test file: to kill, to move slots between. */
export const startTestCluster = (options: Partial<ClusterOptions> = {}) =>
  startTest<LocalCluster, ClusterOptions>(startCluster, options)

/** In a folder of its own, which goes with it; without persistence. */
async function startTest<T extends { stop(): Promise<void> }, O extends TopologyOptions>(
  start: (options: O) => Promise<T>,
  options: Partial<O>,
): Promise<T & AsyncDisposable> {
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'hub-topology-')))
  const remove = () => {
    if (!options.directory) rmSync(directory, { recursive: true, force: true })
  }
  try {
    const server = options.server ?? inject('redisServer')
    const topology = await start({ persist: false, ...options, server, directory } as unknown as O)
    const stop = () => topology.stop().finally(remove)
    return { ...topology, stop, [Symbol.asyncDispose]: stop }
  } catch (error) {
    remove()
    throw error
  }
}
