import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { startCluster } from '../../infra/local-redis/cluster.ts'
import { findRedisServer } from '../../infra/local-redis/find-redis.ts'
import { startSentinel } from '../../infra/local-redis/sentinel.ts'
import { startSingle } from '../../infra/local-redis/single.ts'
import type { TopologyOptions } from '../../infra/local-redis/topology.ts'
import type {} from './redis.ts' // what is provided

/** Nobody kills a server that all test files share, and a busy machine must not look like a dead one. */
const starts = {
  single: startSingle,
  sentinel: (options: TopologyOptions) => startSentinel({ ...options, downAfterMs: 30_000 }),
  cluster: (options: TopologyOptions) => startCluster({ ...options, nodeTimeoutMs: 15_000 }),
}

export type Topology = keyof typeof starts

/** The topology of a name, e.g. of an environment variable; a name that is none fails. */
export function toTopology(name: string): Topology {
  if (!Object.hasOwn(starts, name))
    throw new Error(`There is no topology \`${name}\`: it is one of ${Object.keys(starts).join(', ')}`)
  return name as Topology
}

/** Starts the Redis that a project's test files share, and ends it with them. Fails, never skips, where there is no Redis 8. */
export async function provideRedis(project: TestProject, topology: Topology): Promise<() => Promise<void>> {
  const server = await findRedisServer({ report: console.log })
  const directory = await mkdtemp(join(tmpdir(), 'hub-redis-shared-'))
  const redis = await starts[topology]({ server, directory, persist: false })
  project.provide('redisServer', server)
  project.provide('redisUrl', redis.url)
  project.provide('topology', topology)
  return async () => {
    await redis.stop()
    await rm(directory, { recursive: true, force: true })
  }
}
