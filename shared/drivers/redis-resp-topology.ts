import type { RedisUnavailableError } from '../errors.ts'
import type { Connection, ConnectionOptions } from './redis-resp-connection.ts'

export interface TopologyOptions
  extends Pick<ConnectionOptions, 'onError' | 'onBack' | 'silenceMs' | 'patient'> {}

/** Where to send a call that a server refused because it is not the one, or not yet; `asking` goes before it. */
export interface Redirection {
  connection?: Connection
  asking?: boolean
  /** Milliseconds to wait first. */
  pause?: number
}

/** Which server a call goes to: how one server, Sentinel and Cluster differ. */
export interface Topology {
  /** Where a call goes now; undefined while that is not known. `key`: of the call, or what it should be near to. */
  route(key: string | undefined, stale: boolean): Connection | undefined
  /** Finds it out. Throws `RedisUnavailableError`. */
  locate(): Promise<void>
  /** Whether `route` wants to know keys. */
  readonly slots: boolean
  /** What an error reply asks for, where it means that nothing was done; undefined where it is an answer. */
  redirect(
    message: string,
    from: Connection,
    key: string | undefined,
  ): Redirection | RedisUnavailableError | undefined
  /** See the port. */
  nodes(): string[]
  /** A connection for subscriptions, which any server of the topology may hold. */
  subscriber(options: Pick<ConnectionOptions, 'prepare'>): Connection
  close(): Promise<void>
}

/** Error replies of a server that cannot serve now: nothing was done. */
export const AWAY = /^(LOADING|CLUSTERDOWN|MASTERDOWN|NOREPLICAS)\b/
