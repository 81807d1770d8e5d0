import { join } from 'node:path'
import { startRedis } from './run-redis.ts'
import { startTopology, type TopologyOptions } from './topology.ts'
import { createNode } from './topology-node.ts'

/**
 * One server, kept like the topologies of several: its port, its password, its data.
 *
 * @example const { url } = await startSingle({ server, directory: '.data/single' })
 */
export const startSingle = ({ server, persist, config, onEnd, ...rest }: TopologyOptions) =>
  startTopology(
    { server, persist, ...rest },
    {
      folder: 'server',
      ports: 1,
      async launch({ ports, password }, directory) {
        const port = ports[0]!
        const place = {
          server,
          port,
          password,
          persist,
          config,
          directory: join(directory, `server-${port}`),
        }
        const url = `redis://default:${encodeURIComponent(password)}@127.0.0.1:${port}`
        const node = createNode({ port, url, launch: () => startRedis(place), onEnd })
        await node.start()
        const role = () => (node.pid ? ('primary' as const) : ('down' as const))
        return { url, roles: async () => [{ node, role: role() }], stop: node.stop }
      },
    },
  )
