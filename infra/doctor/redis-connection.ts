import { once } from 'node:events'
import { connect } from 'node:net'
import { parseRedisUrl } from '../../shared/drivers/redis-resp-url.ts'
import { type Finding, fault } from './finding.ts'
import type { Store } from './stores.ts'

interface Cause {
  /** Of the driver's words and those of its causes, with their codes. */
  says: RegExp
  is: string
  cure: string
}

const NO_TLS: Cause = {
  says: /EPROTO|wrong version number|packet length too long|SSL routines/i,
  is: 'does not speak TLS at this port',
  cure: 'Write redis:// in place of rediss:// in {variable}, or name the TLS port.',
}

const SILENT: Cause = {
  says: /EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|[Cc]onnection timeout|did not answer|ConnectionTimeout/i,
  is: 'does not answer',
  cure: 'See whether it runs, and whether a firewall or security group lets this machine through.',
}

/** The first that fits. `{secret}` and `{variable}` are what the environment calls them. */
const CAUSES: Cause[] = [
  {
    says: /WRONGPASS|invalid password|invalid username-password|Unauthorized|401\b/i,
    is: 'refuses the password',
    cure: 'Put the right one into {secret}; characters such as @ : / # are written as %40 %3A %2F %23 there. With a user of its own: redis://user:password@host.',
  },
  {
    says: /NOAUTH|Authentication required/i,
    is: 'asks for a password, and there is none',
    cure: 'Put it into {secret}: redis://default:password@host:6379.',
  },
  {
    says: /without any password configured/i,
    is: 'has no password, and one is sent',
    cure: 'Remove it from {secret}, or give Redis one: `requirepass`.',
  },
  {
    says: /DENIED Redis is running in protected mode/i,
    is: 'is in protected mode: it serves its own machine only',
    cure: 'Give it a password (`requirepass`) and an address to listen on (`bind`).',
  },
  {
    says: /max number of clients/i,
    is: 'takes no more clients',
    cure: 'Raise `maxclients`, or close what holds connections open (`CLIENT LIST`).',
  },
  {
    says: /DB index is out of range/i,
    is: 'has no database of that number',
    cure: 'Take the number at the end of {variable} away.',
  },
  {
    says: /NOPERM/i,
    is: 'does not let this user say PING',
    cure: 'Give the user the rules of infra/docker/hub.acl: `ACL SETUSER`.',
  },
  NO_TLS,
  {
    says: /self.signed|unable to verify|unable to get (local )?issuer|CERT_|certificate|ERR_TLS/i,
    is: 'shows a certificate that is not trusted here',
    cure: 'Name the file of its authority in NODE_EXTRA_CA_CERTS, and use a host name that is in the certificate.',
  },
  {
    says: /ENOTFOUND|EAI_AGAIN|getaddrinfo/i,
    is: 'is not known by that host name',
    cure: 'Correct the host in {variable}; in Docker it is the name of the service, not localhost.',
  },
  {
    says: /ECONNREFUSED/i,
    is: 'does not run: nothing listens there',
    cure: 'Start it, or correct host and port in {variable}. In a container, 127.0.0.1 is the container itself.',
  },
  SILENT,
  {
    says: /ECONNRESET|[Ss]ocket closed|closed unexpectedly|SocketClosed/i,
    is: 'closes the connection at once',
    cure: 'It may speak TLS only: write rediss:// in place of redis:// in {variable}.',
  },
  {
    says: /no sentinel of/i,
    is: 'is not known to any sentinel that answers',
    cure: 'Correct the sentinels’ addresses and the name of the primary in {variable}: redis+sentinel://…@host:26379/mymaster.',
  },
  {
    says: /CLUSTERDOWN|cluster support disabled/i,
    is: 'is no Cluster that works',
    cure: 'See `CLUSTER INFO`; for a single server write redis:// in {variable}.',
  },
]

const UNKNOWN: Omit<Cause, 'says'> = {
  is: 'cannot be reached',
  cure: 'Try `redis-cli -u` with the value of {variable} from this machine.',
}

/** Why there is no connection, without the secret. */
export async function explainConnection(store: Store, error: unknown): Promise<Finding> {
  const told = textOf(error)
  const found = CAUSES.find(({ says }) => says.test(told)) ?? UNKNOWN
  const { is, cure } = found === SILENT && (await isOnlyWithoutTls(store)) ? NO_TLS : found
  const filled = cure.replace(/\{(secret|variable)\}/g, (_, name: 'secret' | 'variable') => store[name])
  const said = told.split('\n')[0]!.replace(/^No connection to Redis at \S+: /, '')
  return fault(store.label, `The Redis of ${store.variable} (${placeOf(store)}) ${is} (${said}).`, filled)
}

/** A server without TLS waits for the end of what it takes for a command, and the client for the server. */
async function isOnlyWithoutTls({ url }: Store): Promise<boolean> {
  const parsed = parseRedisUrl(url)
  if (!parsed?.tls) return false
  const socket = connect(parsed.places[0]!)
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(1_000) })
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** Host and port: the rest of a URL is secret. */
export function placeOf({ url }: Pick<Store, 'url'>): string {
  const parsed = parseRedisUrl(url)
  if (!parsed) return URL.parse(url)?.host ?? 'its address'
  return parsed.places.map(({ host, port }) => `${host}:${port}`).join(', ')
}

function textOf(error: unknown): string {
  const lines: string[] = []
  for (let at = error; at instanceof Error && lines.length < 6; at = at.cause) {
    lines.push([at.message, (at as NodeJS.ErrnoException).code].filter(Boolean).join(' '))
    if (at instanceof AggregateError) lines.push(...at.errors.map(textOf))
  }
  return lines.join('\n').slice(0, 2_000)
}
