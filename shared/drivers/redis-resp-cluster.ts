import slotOf from 'cluster-key-slot'
import { RedisUnavailableError } from '../errors.ts'
import { type Connection, createConnection } from './redis-resp-connection.ts'
import { AWAY, type Redirection, type Topology, type TopologyOptions } from './redis-resp-topology.ts'
import { nameOf, type Place, type RedisUrl } from './redis-resp-url.ts'

/** How long a node may take to tell the map, how soon it is asked for again, and how long a map is believed without any sign. */
const ANSWER_MS = 1_000
const AGAIN_MS = 200
const MOVED_MS = 500
const BELIEVED_MS = 10_000

interface Shard {
  primary: Node
  replicas: Node[]
}

interface Node {
  place: Place
  primary: Connection
  /** Opens at its first use. */
  replica: Connection
}

/**
 * A Redis Cluster: slots are looked up in a map, which is asked for again when a node says that a slot has moved, when a
 * connection is lost, and now and then.
 *
 * Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
 */
export function createCluster(url: RedisUrl, options: TopologyOptions): Topology {
  const nodes = new Map<string, Node>()
  let shards: (Shard | undefined)[] = []
  let primaries: Shard[] = []
  let looking: Promise<void> | undefined
  let again: ReturnType<typeof setTimeout> | undefined
  let againAt = Number.POSITIVE_INFINITY
  let closed = false

  const common = { ...options, login: url.login, tls: url.tls, database: 0 }

  function createNode(place: Place): Node {
    const at = { ...common, place: () => place, onDown: () => lookAgain(0) }
    return { place, primary: createConnection(at), replica: createConnection({ ...at, readonly: true }) }
  }

  const nodeAt = (place: Place): Node => {
    const name = nameOf(place)
    const known = nodes.get(name) ?? createNode(place)
    nodes.set(name, known)
    return known
  }

  /** Those that answer most likely come first; each is asked once. */
  function* toAsk(): Generator<Node> {
    const known = shuffled([...nodes.values()])
    yield* known.filter((node) => node.primary.ready)
    yield* known.filter((node) => !node.primary.ready)
    for (const place of shuffled(url.places)) if (!nodes.has(nameOf(place))) yield nodeAt(place)
  }

  async function look(): Promise<void> {
    let failure: unknown
    for (const node of toAsk()) {
      if (closed) return
      try {
        const reply = await within(ANSWER_MS, async () =>
          (await node.primary.open()).sendCommand(['CLUSTER', 'SLOTS']),
        )
        if (!Array.isArray(reply) || reply.length === 0) throw new Error('it knows no slots')
        read(reply as unknown as SlotRange[], node.place)
        return lookAgain(isWhole() ? BELIEVED_MS : AGAIN_MS)
      } catch (error) {
        failure = error
      }
    }
    lookAgain(AGAIN_MS)
    if (shards.length > 0) return // what was known may still hold
    const names = url.places.map(nameOf).join(', ')
    const reason = failure instanceof RedisUnavailableError ? (failure.cause ?? failure) : failure
    throw new RedisUnavailableError(
      `No node of the Redis Cluster at ${names} answers: ${(reason as Error).message}`,
      { cause: failure },
    )
  }

  function read(ranges: SlotRange[], asked: Place) {
    const next: typeof shards = new Array(16_384)
    const used = new Set<Node>()
    const byPrimary = new Map<Node, Shard>()
    // In the order of their slots, so that the order of the nodes stays.
    for (const [from, to, ...members] of [...ranges].sort(([a], [b]) => a - b)) {
      // A node that does not know its own address is where it was asked.
      const [primary, ...replicas] = members.map(([host, port]) => nodeAt({ host: host || asked.host, port }))
      if (!primary) continue
      const shard = byPrimary.get(primary) ?? { primary, replicas }
      byPrimary.set(primary, shard)
      for (const node of [primary, ...replicas]) used.add(node)
      next.fill(shard, from, to + 1)
    }
    shards = next
    primaries = [...byPrimary.values()]
    // A wave's deadline is for Redis, not for greetings.
    for (const { primary } of primaries) primary.primary.open().catch(() => {})
    for (const [name, node] of nodes) {
      if (used.has(node)) continue
      nodes.delete(name)
      void closeNode(node)
    }
  }

  /** Every primary is there, or is being greeted for the first time. */
  const isWhole = () => primaries.every(({ primary }) => primary.primary.ready || !primary.primary.place)

  const locate = () => {
    looking ??= look().finally(() => {
      looking = undefined
    })
    return looking
  }

  /** So long from now at the latest. */
  function lookAgain(ms: number) {
    const at = performance.now() + ms
    if (closed || at >= againAt) return
    clearTimeout(again)
    againAt = at
    again = setTimeout(() => {
      againAt = Number.POSITIVE_INFINITY
      locate().catch(() => {})
    }, ms)
    again.unref?.()
  }

  function toReplica(shard: Shard): Connection {
    const replica = shard.replicas[Math.floor(Math.random() * shard.replicas.length)]
    if (!replica) return shard.primary.primary
    if (replica.replica.ready) return replica.replica
    replica.replica.open().catch(() => {}) // for the next one
    return shard.primary.primary
  }

  function redirectTo(message: string, from: Connection, asking: boolean): Redirection {
    const [, slot, name] = message.split(' ')
    const { host, port } = readPlace(name!)
    const node = nodeAt({ host: host || from.place!.host, port })
    if (!asking) {
      shards[Number(slot)] = primaries.find(({ primary }) => primary === node) ?? {
        primary: node,
        replicas: [],
      }
      lookAgain(MOVED_MS) // others move with it
    }
    return { connection: node.primary, asking }
  }

  return {
    slots: true,
    locate,
    route(key, stale) {
      if (shards.length === 0) return undefined
      const shard =
        key === undefined
          ? (primaries.find(({ primary }) => primary.primary.ready) ?? primaries[0])
          : shards[slotOf(key)]
      return shard && (stale && key !== undefined ? toReplica(shard) : shard.primary.primary)
    },
    redirect(message, from, key) {
      if (message.startsWith('MOVED ')) return redirectTo(message, from, false)
      if (message.startsWith('ASK ')) return redirectTo(message, from, true)
      // Some keys of the call are here and some are there already.
      if (message.startsWith('TRYAGAIN')) return { pause: 10 }
      if (!AWAY.test(message)) return undefined
      lookAgain(0)
      const shard = key === undefined ? undefined : shards[slotOf(key)]
      const isReplica = shard?.replicas.some(({ replica }) => replica === from)
      return isReplica ? { connection: shard!.primary.primary } : from.unavailable(new Error(message))
    },
    nodes() {
      return primaries.map((shard) => {
        let n = 0
        while (shards[slotOf(String(n))] !== shard) n++
        return String(n)
      })
    },
    subscriber: ({ prepare }) =>
      createConnection({
        ...common,
        prepare,
        async place() {
          if (shards.length === 0) await locate()
          // One that is there, as far as is known.
          const up = primaries.filter(({ primary }) => primary.primary.ready)
          return shuffled(up.length > 0 ? up : primaries)[0]?.primary.place ?? url.places[0]!
        },
      }),
    async close() {
      closed = true
      clearTimeout(again)
      await Promise.all([...nodes.values()].map(closeNode))
    },
  }
}

type SlotRange = [from: number, to: number, ...nodes: [host: string | null, port: number, ...unknown[]][]]

const closeNode = ({ primary, replica }: Node) => Promise.all([primary.close(), replica.close()])

/** `host:port`, where an IPv6 address has no brackets. */
function readPlace(name: string): Place {
  const end = name.lastIndexOf(':')
  return { host: name.slice(0, end), port: Number(name.slice(end + 1)) }
}

function shuffled<T>(items: T[]): T[] {
  return items
    .map((item) => [Math.random(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item)
}

async function within<T>(ms: number, work: () => Promise<T>): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms)
  work().then(resolve, reject)
  return promise.finally(() => clearTimeout(timer))
}
