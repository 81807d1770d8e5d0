import { ownClaim } from './cluster-forming.ts'
import { connectNode, type NodeConnection, type TopologyNode } from './topology-node.ts'

export interface Migration {
  nodes: readonly TopologyNode[]
  password: string
  slots: readonly number[]
  /** A primary; of slots that it has already, nothing moves. */
  to: TopologyNode
  /** How many keys move with one command, during which both servers do nothing else. Default 50. */
  keysAtOnce?: number
}

interface Primary {
  node: TopologyNode
  id: string
  connection: NodeConnection
}

/** Moves slots between primaries that live, one after the other, while clients use them. */
export async function migrateSlots(migration: Migration): Promise<number> {
  const { nodes, slots, to } = migration
  const primaries: Primary[] = []
  const owners = new Map<number, Primary>()
  try {
    for (const node of nodes) {
      const claim = await ownClaim(node).catch(() => undefined)
      if (!claim?.isPrimary) continue
      const primary = { node, id: claim.id, connection: await connectNode(node.url) }
      primaries.push(primary)
      for (const [from, last] of claim.slots)
        for (let slot = from; slot <= last; slot++) owners.set(slot, primary)
    }
    const target = primaries.find(({ node }) => node === to)
    if (!target) throw new Error(`The node on port ${to.port} is no living primary`)
    let moved = 0
    for (const slot of slots) {
      const source = owners.get(slot)
      if (!source) throw new Error(`No living node serves slot ${slot}`)
      if (source !== target) moved += await moveSlot({ ...migration, slot, source, target, primaries })
    }
    return moved
  } finally {
    for (const { connection } of primaries) connection.destroy()
  }
}

interface Move extends Migration {
  slot: number
  source: Primary
  target: Primary
  primaries: readonly Primary[]
}

async function moveSlot(move: Move): Promise<number> {
  const { slot, source, target, primaries, password, keysAtOnce = 50 } = move
  const setSlot = ({ connection }: Primary, ...state: string[]) =>
    connection.sendCommand(['CLUSTER', 'SETSLOT', String(slot), ...state])
  // In this order: the target takes what the source sends there from its next command on.
  await setSlot(target, 'IMPORTING', source.id)
  await setSlot(source, 'MIGRATING', target.id)
  let moved = 0
  for (;;) {
    const list = ['CLUSTER', 'GETKEYSINSLOT', String(slot), String(keysAtOnce)]
    const keys = (await source.connection.sendCommand(list)) as unknown as string[]
    if (keys.length === 0) break
    const where = ['127.0.0.1', String(target.node.port), '', '0', '5000']
    await source.connection.sendCommand(['MIGRATE', ...where, 'AUTH2', 'default', password, 'KEYS', ...keys])
    moved += keys.length
  }
  // The target first: were it last, clients would be sent back and forth between two that both say no.
  const others = primaries.filter((one) => one !== source && one !== target)
  for (const primary of [target, source, ...others]) await setSlot(primary, 'NODE', target.id)
  return moved
}
