import { join } from 'node:path'
import { type Claim, form, ownClaim, waitUntilWhole } from './cluster-forming.ts'
import { type Migration, migrateSlots } from './cluster-migration.ts'
import { startRedis } from './run-redis.ts'
import { type NodeRole, type Plan, startTopology, type TopologyOptions } from './topology.ts'
import { createNode, startAll, stopAll, type TopologyNode } from './topology-node.ts'

export interface ClusterOptions extends TopologyOptions {
  /** Of each of the three primaries. Default 1. */
  replicas?: number
  /** Silence after which nodes take one for dead; a replica is promoted soon after. Milliseconds, default 2,000. */
  nodeTimeoutMs?: number
}

export interface LocalCluster {
  /** `redis+cluster://default:password@127.0.0.1:p1,127.0.0.1:p2,…` with every node. */
  url: string
  password: string
  nodes: TopologyNode[]
  /** As each node itself has it. */
  roles(): Promise<NodeRole[]>
  slotOf(key: string): Promise<number>
  /** Of the primaries that live and serve the slot, the one elected last. */
  ownerOf(slot: number): Promise<TopologyNode>
  /** Moves slots while clients use them, as redis-cli does; resolves to the number of keys that moved. */
  migrateSlots(migration: Omit<Migration, 'nodes' | 'password'>): Promise<number>
  /** Resolves when every slot is served and each primary has its replicas, e.g. after a failover and a `start()`. */
  whenWhole(timeoutMs?: number): Promise<void>
  stop(): Promise<void>
}

const PRIMARIES = 3

/**
 * A Redis Cluster of three primaries and their replicas on loopback, which end with this process.
 *
 * @example const { url, ownerOf } = await startCluster({ server, directory: '.data/cluster' })
 */
export const startCluster = (options: ClusterOptions): Promise<LocalCluster> => {
  const count = PRIMARIES * (1 + (options.replicas ?? 1))
  return startTopology(options, {
    folder: 'node',
    ports: 2 * count, // another for the bus of each
    launch: (plan, directory) => launch(options, plan, directory),
  })
}

async function launch(options: ClusterOptions, plan: Plan, directory: string): Promise<LocalCluster> {
  const { server, persist, nodeTimeoutMs = 2_000, config = '', report = () => {}, onEnd } = options
  const { password } = plan
  const count = plan.ports.length / 2
  const buses = plan.ports.slice(count)
  const nodes = plan.ports.slice(0, count).map((port, at) =>
    createNode({
      ...{ port, url: `redis://default:${encodeURIComponent(password)}@127.0.0.1:${port}`, onEnd },
      launch: () =>
        startRedis({
          ...{ server, port, password, persist, directory: join(directory, `node-${port}`) },
          config: `
masterauth ${JSON.stringify(password)}
repl-diskless-sync-delay 0
cluster-enabled yes
cluster-config-file nodes.conf
cluster-node-timeout ${nodeTimeoutMs}
cluster-port ${buses[at]}
cluster-announce-ip 127.0.0.1
${config}`,
        }),
    }),
  )

  /** Of the nodes that run and answer. */
  async function claims(): Promise<[TopologyNode, Claim][]> {
    const asked = nodes.map(async (node) => [node, await ownClaim(node)] as [TopologyNode, Claim])
    const answers = await Promise.allSettled(asked)
    return answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
  }
  const whenWhole = (timeoutMs = 30_000) => waitUntilWhole(nodes, PRIMARIES, timeoutMs)
  const stop = () => stopAll(nodes)
  try {
    report(`Starting ${count} servers`)
    await startAll(nodes)
    await form({ nodes, buses, primaries: PRIMARIES, report })
    await whenWhole()
  } catch (error) {
    await stop()
    throw error
  }
  return {
    url: `redis+cluster://default:${encodeURIComponent(password)}@${nodes.map(({ port }) => `127.0.0.1:${port}`).join()}`,
    ...{ password, nodes, whenWhole, stop },
    async roles() {
      const known = new Map(await claims())
      return nodes.map((node) => {
        const claim = known.get(node)
        if (!claim) return { node, role: 'down' }
        return { node, role: claim.isPrimary ? 'primary' : 'replica', slots: claim.slots }
      })
    },
    async slotOf(key) {
      return Number(await Promise.any(nodes.map((node) => node.command('CLUSTER', 'KEYSLOT', key))))
    },
    async ownerOf(slot) {
      const owners = (await claims()).filter(
        ([, claim]) => claim.isPrimary && claim.slots.some(([from, to]) => from <= slot && slot <= to),
      )
      const [latest] = owners.sort(([, a], [, b]) => b.epoch - a.epoch)
      if (!latest) throw new Error(`No living node serves slot ${slot}`)
      return latest[0]
    },
    migrateSlots: (migration) => migrateSlots({ ...migration, nodes, password }),
  }
}
