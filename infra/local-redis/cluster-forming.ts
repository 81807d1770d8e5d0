import { type NodeConnection, type TopologyNode, waitFor } from './topology-node.ts'

const SLOTS = 16_384

/** What a node says of itself. */
export interface Claim {
  id: string
  isPrimary: boolean
  /** Of its election: of two that claim a slot, the higher one is right. */
  epoch: number
  /** First and last of each range. */
  slots: [number, number][]
}

interface Forming {
  nodes: readonly TopologyNode[]
  /** Ports on which they speak to each other, in the order of `nodes`. */
  buses: readonly number[]
  primaries: number
  report: (line: string) => void
}

/** Makes one Cluster of nodes that know nobody; nodes that have met before find each other by themselves. */
export async function form({ nodes, buses, primaries, report }: Forming): Promise<void> {
  const ids = await Promise.all(nodes.map(async (node) => String(await node.command('CLUSTER', 'MYID'))))
  if (await hasMet(nodes[0]!)) return
  report('Making them a Cluster')
  const share = (part: number) => Math.round((part * SLOTS) / primaries)
  // Each meets each, as waiting for them to hear of each other takes seconds.
  const introduce = (node: TopologyNode, at: number) =>
    node.ask(async (client) => {
      const tell = (...words: (string | number)[]) => client.sendCommand(['CLUSTER', ...words.map(String)])
      await tell('SET-CONFIG-EPOCH', at + 1)
      if (at < primaries) await tell('ADDSLOTSRANGE', share(at), share(at + 1) - 1)
      for (let other = at + 1; other < nodes.length; other++)
        await tell('MEET', '127.0.0.1', nodes[other]!.port, buses[other]!)
    })
  await Promise.all(nodes.map(introduce))
  await Promise.all(
    nodes.slice(primaries).map((replica, at) =>
      waitFor(`meeting of the Cluster's nodes`, 30_000, async () => {
        await replica.command('CLUSTER', 'REPLICATE', ids[at % primaries]!) // refused until they have met
        return true
      }),
    ),
  )
}

/** Until every node finds every slot served, and each primary's replicas in line with it. */
export async function waitUntilWhole(nodes: readonly TopologyNode[], primaries: number, timeoutMs: number) {
  const what = `Cluster of ${nodes.length} nodes that serves every slot`
  const asks = nodes.map((node) =>
    waitFor(what, timeoutMs, () => node.ask((client) => isWholeTo(client, nodes.length, primaries))),
  )
  await Promise.all(asks)
}

async function isWholeTo(client: NodeConnection, nodes: number, primaries: number): Promise<boolean> {
  const ask = async (...command: string[]) => String(await client.sendCommand(command))
  const [info, list, replication] = await Promise.all([
    ask('CLUSTER', 'INFO'),
    ask('CLUSTER', 'NODES'),
    ask('INFO', 'replication'),
  ])
  const lines = list.trim().split('\n')
  const has = (flag: string) => lines.filter((line) => flags(line).includes(flag)).length
  return (
    /cluster_state:ok/.test(info) &&
    /cluster_slots_ok:16384/.test(info) &&
    lines.length === nodes &&
    has('master') === primaries &&
    has('slave') === nodes - primaries &&
    has('fail') + has('fail?') + has('handshake') + has('noaddr') === 0 &&
    !/master_link_status:down/.test(replication)
  )
}

export async function ownClaim(node: TopologyNode): Promise<Claim> {
  const list = String(await node.command('CLUSTER', 'NODES'))
  const line = list.split('\n').find((line) => flags(line).includes('myself'))!
  const [id = '', , , , , , epoch, , ...ranges] = line.split(' ')
  const slots = ranges
    .filter((range) => !range.startsWith('[')) // a slot that is on its way
    .map((range) => range.split('-').map(Number))
    .map(([from, to = from]): [number, number] => [from!, to!])
  return { id, isPrimary: flags(line).includes('master'), epoch: Number(epoch), slots }
}

const hasMet = async (node: TopologyNode) =>
  String(await node.command('CLUSTER', 'NODES'))
    .trim()
    .includes('\n')

const flags = (line: string) => line.split(' ')[2]?.split(',') ?? []
