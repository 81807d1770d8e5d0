export interface Place {
  host: string
  port: number
}

interface Login {
  username?: string
  password?: string
}

/** What a URL says of a Redis that speaks RESP. */
export interface RedisUrl {
  topology: 'single' | 'sentinel' | 'cluster'
  /** The server; the sentinels; nodes of the cluster to ask for the others. */
  places: Place[]
  tls: boolean
  login: Login
  database: number
  /** By which the sentinels know the primary, and how one logs in at them. */
  sentinel: Login & { name: string }
}

const FORMAT =
  /^(?<secure>rediss?)(?<kind>\+sentinel|\+cluster)?:\/\/(?:(?<user>[^:@/]*)(?::(?<password>[^@/]*))?@)?(?<places>[^@/?#]+)(?:\/(?<path>[^?#]*))?(?:\?(?<query>[^#]*))?$/

export const REDIS_URL_FORMATS =
  'redis://user:password@host:6379/0, redis+sentinel://user:password@host:26379,host:26379/name/0 or redis+cluster://user:password@host:6379,host:6379; rediss… for TLS'

/**
 * Undefined where the text is none of `REDIS_URL_FORMATS`. Sentinels that ask for a login of their own get it by
 * `?sentinel_username=…&sentinel_password=…`.
 *
 * @example parseRedisUrl('rediss+sentinel://:secret@10.0.0.1:26379,10.0.0.2:26379/mymaster')
 */
export function parseRedisUrl(text: string): RedisUrl | undefined {
  const parts = FORMAT.exec(text)?.groups
  if (!parts) return undefined
  const topology = (parts.kind?.slice(1) ?? 'single') as RedisUrl['topology']
  const path = (parts.path ?? '').split('/').map(decode)
  const database = Number(path[topology === 'sentinel' ? 1 : 0] || 0)
  const places = parts
    .places!.split(',')
    .map((place) => toPlace(place, topology === 'sentinel' ? 26379 : 6379))
  const query = new URLSearchParams(parts.query)
  const isRight =
    places.every((place) => place !== undefined) &&
    (topology !== 'single' || places.length === 1) &&
    path.every((part) => part !== undefined) &&
    Number.isInteger(database) &&
    (topology !== 'cluster' || database === 0)
  const [username, password] = [decode(parts.user ?? ''), decode(parts.password ?? '')]
  if (!isRight || username === undefined || password === undefined) return undefined
  return {
    ...{ topology, places, database, tls: parts.secure === 'rediss' },
    login: { username: username || undefined, password: password || undefined },
    sentinel: {
      name: (topology === 'sentinel' && path[0]) || 'mymaster',
      username: query.get('sentinel_username') ?? undefined,
      password: query.get('sentinel_password') ?? undefined,
    },
  }
}

export const nameOf = ({ host, port }: Place) => `${host.includes(':') ? `[${host}]` : host}:${port}`

function toPlace(text: string, preset: number): Place | undefined {
  const [, bracketed, plain, port = preset] =
    /^(?:\[([\da-f:.]+)\]|([^[\]:\s]+))(?::(\d{1,5}))?$/i.exec(text) ?? []
  const host = bracketed ?? plain
  return host === undefined || Number(port) > 65_535 ? undefined : { host, port: Number(port) }
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
