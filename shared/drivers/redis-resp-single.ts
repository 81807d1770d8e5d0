import { createConnection } from './redis-resp-connection.ts'
import type { Topology, TopologyOptions } from './redis-resp-topology.ts'
import type { RedisUrl } from './redis-resp-url.ts'

/** One server. */
export function createSingle({ places, login, tls, database }: RedisUrl, options: TopologyOptions): Topology {
  const place = () => places[0]!
  const connection = createConnection({ ...options, login, tls, database, place })
  return {
    route: () => connection,
    async locate() {},
    slots: false,
    redirect: () => undefined,
    nodes: () => [''],
    subscriber: ({ prepare }) => createConnection({ ...options, login, tls, database, place, prepare }),
    close: connection.close,
  }
}
