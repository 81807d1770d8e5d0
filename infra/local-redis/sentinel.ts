import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { launchRedis } from './launch-redis.ts'
import { PortTakenError, startRedis } from './run-redis.ts'
import { keptPrimary, NAME, sentinelConf } from './sentinel-conf.ts'
import { type NodeRole, type Plan, startTopology, type TopologyOptions } from './topology.ts'
import {
  createNode,
  type NodeConnection,
  startAll,
  stopAll,
  type TopologyNode,
  waitFor,
} from './topology-node.ts'

export interface SentinelOptions extends TopologyOptions {
  /** Silence after which a sentinel takes a server for dead. Milliseconds, default 1,000. */
  downAfterMs?: number
  /** After it an election or a promotion that came to nothing is tried again. Milliseconds, default 5,000. */
  failoverTimeoutMs?: number
}

export interface LocalSentinel {
  /** `redis+sentinel://default:password@127.0.0.1:p1,127.0.0.1:p2,127.0.0.1:p3/mymaster?sentinel_password=…` */
  url: string
  password: string
  sentinelPassword: string
  /** The three servers that hold data, and those that watch them. */
  nodes: TopologyNode[]
  sentinels: TopologyNode[]
  /** As the sentinels have it, whether it lives or not. */
  primary(): Promise<TopologyNode>
  /** As each server itself has it. */
  roles(): Promise<NodeRole[]>
  stop(): Promise<void>
}

/**
 * A primary, two replicas and three sentinels on loopback, which end with this process.
 *
 * @example const { url, primary } = await startSentinel({ server, directory: '.data/sentinel' })
 */
export const startSentinel = (options: SentinelOptions): Promise<LocalSentinel> =>
  startTopology(options, {
    folder: 'server',
    ports: 6,
    launch: (plan, directory) => launch(options, plan, directory),
  })

async function launch(options: SentinelOptions, plan: Plan, directory: string): Promise<LocalSentinel> {
  const { server, persist, config = '', report = () => {}, onEnd } = options
  const { password, sentinelPassword } = plan
  const dataPorts = plan.ports.slice(0, 3)
  const sentinelPorts = plan.ports.slice(3)
  const folder = (port: number) => join(directory, `server-${port}`)
  const direct = (port: number, secret: string) =>
    `redis://default:${encodeURIComponent(secret)}@127.0.0.1:${port}`

  const confs = sentinelPorts.map((port) => join(folder(port), 'sentinel.conf'))
  let primaryPort = keptPrimary(confs) ?? dataPorts[0]!
  /** Never as it was: a primary that was replaced would take writes until the sentinels notice it. */
  async function follow(port: number): Promise<string> {
    primaryPort = await askSentinels().catch(() => primaryPort)
    return port === primaryPort ? '' : `replicaof 127.0.0.1 ${primaryPort}`
  }
  const nodes = dataPorts.map((port) =>
    createNode({
      ...{ port, url: direct(port, password), onEnd },
      launch: async () => {
        const shared = `masterauth ${JSON.stringify(password)}\nrepl-diskless-sync-delay 0\n${config}`
        return startRedis({
          ...{ server, port, password, persist, directory: folder(port) },
          config: `${shared}\n${await follow(port)}`,
        })
      },
    }),
  )
  const ids = sentinelPorts.map(() => randomBytes(20).toString('hex'))
  const sentinels = sentinelPorts.map((port, at) =>
    createNode({
      ...{ port, url: direct(port, sentinelPassword), onEnd },
      async launch() {
        // Sentinels write down here what they agree on.
        if (!existsSync(confs[at]!)) {
          mkdirSync(folder(port), { recursive: true, mode: 0o700 })
          const text = sentinelConf({ ...options, plan, ids, at, directory: folder(port) })
          writeFileSync(confs[at]!, text, { mode: 0o600 })
        }
        const redis = await launchRedis({
          ...{ server, port, directory: folder(port), url: direct(port, sentinelPassword) },
          args: [confs[at]!, '--sentinel'],
          readyText: 'Sentinel ID is',
        })
        if (!redis) throw new PortTakenError(port)
        return redis
      },
    }),
  )

  /**
   * Of whom most agreed on last; a sentinel that was away may be behind. Between a promotion and its end, `MASTER` has the new epoch
   * and the old address: the address comes from the question that clients ask.
   */
  async function askSentinels(): Promise<number> {
    const views = await Promise.allSettled(sentinels.map((one) => one.ask(viewOf)))
    const answers = views.flatMap((view) => (view.status === 'fulfilled' ? [view.value] : []))
    const latest = answers.sort((a, b) => b.epoch - a.epoch)[0]
    if (!latest) throw new Error('No sentinel answers')
    return latest.port
  }

  async function stop() {
    await stopAll(sentinels) // first, or they would elect another primary
    await stopAll(nodes)
  }
  try {
    report('Starting a primary and two replicas')
    await startAll(nodes)
    report('Starting three sentinels')
    await startAll(sentinels)
    const whole = 'primary with two replicas that three sentinels watch'
    await Promise.all(sentinels.map((one) => waitFor(whole, 30_000, () => isWhole(one))))
  } catch (error) {
    await stop()
    throw error
  }
  const hosts = sentinelPorts.map((port) => `127.0.0.1:${port}`).join()
  return {
    url: `redis+sentinel://default:${encodeURIComponent(password)}@${hosts}/${NAME}?sentinel_password=${encodeURIComponent(sentinelPassword)}`,
    ...{ password, sentinelPassword, nodes, sentinels, stop },
    async primary() {
      const port = await askSentinels()
      return nodes.find((node) => node.port === port)!
    },
    roles: async () => [
      ...(await Promise.all(nodes.map(dataRole))),
      ...sentinels.map((node) => ({ node, role: node.pid ? ('sentinel' as const) : ('down' as const) })),
    ],
  }
}

async function viewOf(client: NodeConnection): Promise<{ epoch: number; port: number }> {
  const [primary, address] = await Promise.all([
    client.sendCommand(['SENTINEL', 'MASTER', NAME]),
    client.sendCommand(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME]),
  ])
  const epoch = Number(fields(primary)['config-epoch'])
  return { epoch, port: Number((address as unknown as string[])[1]) }
}

function isWhole(sentinel: TopologyNode): Promise<boolean> {
  return sentinel.ask(async (client) => {
    const [primary, replicas] = await Promise.all([
      client.sendCommand(['SENTINEL', 'MASTER', NAME]),
      client.sendCommand(['SENTINEL', 'REPLICAS', NAME]),
      client.sendCommand(['SENTINEL', 'CKQUORUM', NAME]),
    ])
    const known = (replicas as unknown as unknown[]).map(fields)
    return (
      fields(primary).flags === 'master' &&
      fields(primary)['num-other-sentinels'] === '2' &&
      known.length === 2 &&
      known.every((one) => one.flags === 'slave' && one['master-link-status'] === 'ok')
    )
  })
}

async function dataRole(node: TopologyNode): Promise<NodeRole> {
  const reply = await node.command('ROLE').catch(() => undefined)
  if (!Array.isArray(reply)) return { node, role: 'down' }
  return { node, role: reply[0] === 'master' ? 'primary' : 'replica' }
}

/** A flat list of names and values. */
function fields(reply: unknown): Record<string, string> {
  const list = reply as string[]
  return Object.fromEntries(list.flatMap((name, at) => (at % 2 ? [] : [[name, list[at + 1]!]])))
}
