import slotOf from 'cluster-key-slot'
import { keyOf } from '../../shared/drivers/redis-command-key.ts'
import type { CallOptions, Command, Redis, Reply } from '../../shared/ports/redis.ts'
import { BadRequest } from './commands.ts'

/** What a client over HTTP takes for one server, over the nodes of a Cluster. */
export function createOverNodes(redis: Redis) {
  /** Its cursors tell the node too: the nodes' own ones times their number, plus which it is. */
  async function scan(
    [name, cursor, ...args]: Command,
    nodes: string[],
    options: CallOptions,
  ): Promise<Reply> {
    if (!/^\d+$/.test(String(cursor)))
      return (await redis.wave([[name, ...[cursor ?? ''], ...args]], options))[0]!
    const count = BigInt(nodes.length)
    const [at, of] = [BigInt(String(cursor)) / count, Number(BigInt(String(cursor)) % count)]
    const [reply] = await redis.wave([[name, String(at), ...args]], { ...options, near: nodes[of] })
    if (!Array.isArray(reply)) return reply!
    const next = BigInt(textOf(reply[0]!))
    const isLast = next === 0n && of === nodes.length - 1
    const shown = isLast ? 0n : next === 0n ? BigInt(of + 1) : next * count + BigInt(of)
    return [new TextEncoder().encode(String(shown)), ...reply.slice(1)]
  }

  return {
    /** Each on its own. */
    async each(commands: readonly Command[], options: CallOptions): Promise<Reply[]> {
      const scans = commands.filter(isScan)
      const nodes = scans.length > 0 ? await redis.nodes(options) : []
      if (nodes.length < 2) return redis.wave(commands, options)
      const others = redis.wave(
        commands.filter((command) => !isScan(command)),
        options,
      )
      const [rest, ...scanned] = await Promise.all([
        others,
        ...scans.map((command) => scan(command, nodes, options)),
      ])
      return commands.map((command) => (isScan(command) ? scanned.shift()! : rest.shift()!))
    },
    /** One transaction: written without a gap, so nothing of another request comes between MULTI and EXEC. */
    async transaction(commands: readonly Command[], options: CallOptions): Promise<Reply[]> {
      const keys = commands.map(keyOf)
      const near = keys.find((key) => key !== undefined)
      if ((await redis.nodes(options)).length > 1) {
        if (new Set(keys.flatMap((key) => (key === undefined ? [] : [slotOf(key)]))).size > 1) {
          throw new BadRequest('CROSSSLOT a transaction on a Redis Cluster needs keys of one slot')
        }
      }
      return redis.wave([['MULTI'], ...commands, ['EXEC']], { ...options, near })
    },
  }
}

const isScan = ([name]: Command) => name.toUpperCase() === 'SCAN'

const textOf = (reply: Reply) =>
  reply instanceof Uint8Array ? new TextDecoder().decode(reply) : String(reply)
