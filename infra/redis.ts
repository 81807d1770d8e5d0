/** Redis on this machine: `npm run redis -- single | sentinel | cluster`. Runs until Ctrl-C, and comes back as it was. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startCluster } from './local-redis/cluster.ts'
import { findRedisServer } from './local-redis/find-redis.ts'
import { startSentinel } from './local-redis/sentinel.ts'
import { startSingle } from './local-redis/single.ts'
import type { NodeRole, TopologyOptions } from './local-redis/topology.ts'
import type { TopologyNode } from './local-redis/topology-node.ts'

interface Running {
  url: string
  roles(): Promise<NodeRole[]>
  stop(): Promise<void>
}

interface Topology {
  about: string
  /** Where they are free; any others else. */
  ports: number[]
  start(options: TopologyOptions): Promise<Running>
}

const topologies: Record<string, Topology> = {
  single: { about: 'one server', ports: [6379], start: startSingle },
  sentinel: {
    about: 'a primary, two replicas, three sentinels',
    ports: [6380, 6381, 6382, 26379, 26380, 26381],
    start: startSentinel,
  },
  cluster: {
    about: 'three primaries, each with a replica',
    ports: [7000, 7001, 7002, 7003, 7004, 7005, 17000, 17001, 17002, 17003, 17004, 17005],
    start: startCluster,
  },
}

/** A server that ended is missed for so long, that others take over, and then it comes back. */
const AWAY_MS = 10_000

const say = (line: string) => console.log(line)

async function main([name, ...rest]: string[]) {
  const topology = name !== undefined && Object.hasOwn(topologies, name) ? topologies[name] : undefined
  if (!topology || rest.length > 0) {
    const isHelp = ['help', '--help', '-h'].includes(name ?? '')
    if (name !== undefined && !isHelp) console.error(`There is no topology \`${[name, ...rest].join(' ')}\`.`)
    usage(isHelp ? console.log : console.error)
    process.exitCode = isHelp ? 0 : 2
    return
  }
  let running: Running | undefined
  let isStopping = false
  const stop = async () => {
    if (isStopping || !running) process.exit(130) // whatever runs ends with this process
    isStopping = true
    say('\nStopping')
    await running.stop()
    process.exit(0)
  }
  process.on('SIGINT', stop).on('SIGTERM', stop)

  const onEnd = async (node: TopologyNode) => {
    if (isStopping || !running) return
    say(`The server on port ${node.port} ended. It starts again in ${AWAY_MS / 1000} s`)
    await sleep(AWAY_MS)
    if (isStopping) return
    await node.start()
    say(table(await running.roles()))
  }
  const server = await findRedisServer({ report: say })
  const directory = join(process.env.HUB_DATA_DIR || '.data', name!)
  running = await topology.start({
    ...{ server, directory, ports: topology.ports, report: say },
    onEnd: (node) => void onEnd(node).catch((error: Error) => say(error.message)),
  })
  say(table(await running.roles()))
  say(`Redis ${server.version}, its data in ${directory}/. Ctrl-C ends it. In another terminal:\n`)
  say(`REDIS_URL='${running.url}' npm start`)
}

function table(roles: readonly NodeRole[]): string {
  const rows = roles.map(({ node, role, slots = [] }) => [
    role,
    `127.0.0.1:${node.port}`,
    `pid ${node.pid ?? '-'}`,
    slots.map(([from, to]) => `${from}-${to}`).join(' '),
  ])
  return rows.map(([role, ...cells]) => `  ${role!.padEnd(9)} ${cells.join('  ')}`.trimEnd()).join('\n')
}

function usage(print: (line: string) => void) {
  print('npm run redis -- <topology>\n')
  for (const [name, { about }] of Object.entries(topologies)) print(`  ${name.padEnd(9)} ${about}`)
}

main(process.argv.slice(2)).catch((error: Error) => {
  console.error(error.message)
  process.exit(1)
})
