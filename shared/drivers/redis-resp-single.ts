import { createConnection } from './redis-resp-connection.ts'
import { AWAY, type Topology, type TopologyOptions } from './redis-resp-topology.ts'
import type { RedisUrl } from './redis-resp-url.ts'

/** One server. */
export function createSingle({ places, login, tls, database }: RedisUrl, options: TopologyOptions): Topology {
  const place = () => places[0]!
  const connection = createConnection({ ...options, login, tls, database, place })
  return {
    route: () => connection,
    async locate() {},
    slots: false,
    redirect: (message, from) => (AWAY.test(message) ? from.unavailable(new Error(message)) : undefined),
    nodes: () => [''],
    subscriber: ({ prepare }) => createConnection({ ...options, login, tls, database, place, prepare }),
    close: connection.close,
  }
}
