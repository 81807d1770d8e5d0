import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import slotOf from 'cluster-key-slot'
import { startCluster } from '../../infra/local-redis/cluster.ts'
import type { RedisServer } from '../../infra/local-redis/redis-server.ts'
import { hubKeysKey } from '../../shared/keys.ts'
import { startHub } from './hub-process.ts'
import { byKind } from './paced-load.ts'
import { TENANT } from './topology-judge.ts'
import { FUNCTIONS, type LoadOptions, prepare, startTopologyLoad } from './topology-load.ts'

export interface LostShardOptions extends LoadOptions {
  server: RedisServer
  /** `cluster-require-full-coverage`: whether the others refuse to serve what they have. */
  coverage: 'yes' | 'no'
}

export interface LostShardReport {
  coverage: string
  /** What each kind of request came to, once the Cluster had noticed. */
  kinds: ReturnType<typeof byKind>
  past_the_cache: number
  ready: { status: number; body: unknown }
}

/** A primary of a Cluster and its only replica die for good: not the one with the caller's key, without which nobody is known any more. */
export async function runLostShard({
  server,
  coverage,
  ...options
}: LostShardOptions): Promise<LostShardReport> {
  const directory = await mkdtemp(join(tmpdir(), 'hub-lost-shard-'))
  await using open = new AsyncDisposableStack()
  open.defer(() => rm(directory, { recursive: true, force: true }))
  const config = `cluster-require-full-coverage ${coverage}`
  const cluster = await startCluster({ server, directory, persist: false, config })
  open.defer(cluster.stop)
  const hub = await startHub(cluster.url, { FUNCTIONS })
  open.defer(hub.stop)
  const { load, completions } = startTopologyLoad([hub.url], await prepare(hub.url), options)
  await sleep(3_000)
  const spared = await cluster.ownerOf(slotOf(hubKeysKey(TENANT)))
  const roles = await cluster.roles()
  const victim = roles.find(({ node, role }) => role === 'primary' && node !== spared)!.node
  const id = await victim.command('CLUSTER', 'MYID')
  const lines = String(await victim.command('CLUSTER', 'NODES')).split('\n')
  const replicas = lines.filter((line) => line.split(' ')[3] === id).map(portOf)
  await Promise.all(cluster.nodes.filter(({ port }) => replicas.includes(port)).map((node) => node.kill()))
  await victim.kill()
  await sleep(5_000)
  const from = performance.now()
  const before = completions.past_the_cache
  await sleep(5_000)
  const ready = await fetch(`${hub.url}/readyz`)
  const reply = { status: ready.status, body: await ready.json() }
  await load.stop()
  return {
    ...{ coverage, ready: reply, past_the_cache: completions.past_the_cache - before },
    kinds: byKind(
      load.exchanges.filter(({ began }) => began >= from),
      from,
    ),
  }
}

/** Of `id 127.0.0.1:port@bus …`. */
const portOf = (line: string) => Number(/:(\d+)@/.exec(line)?.[1])
