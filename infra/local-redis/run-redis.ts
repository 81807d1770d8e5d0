import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { type DataLock, lockData } from './data-lock.ts'
import { launchRedis, type RedisProcess } from './launch-redis.ts'
import type { RedisServer } from './redis-server.ts'

export interface StartOptions {
  server: RedisServer
  directory: string
  /** 6379 if it is free, else any; 0 is any; another number is that port or a `PortTakenError`. */
  port?: number
  /** Without one: kept from the last start on this data, so that other hubs' REDIS_URL stays right; else random. */
  password?: string
  /** Append-only file, synced every second, under `directory`, which is then locked. */
  persist?: boolean
  report?: (line: string) => void
  /** More of redis-server's own arguments. */
  args?: string[]
  /** More lines of redis.conf. Unlike `args`, `ps` does not show them. */
  config?: string
  /** Serves TLS only, to clients without a certificate of their own. */
  tls?: ServerTls
}

/** In PEM; `ca` signed `cert`, or is it. */
export interface ServerTls {
  cert: string
  key: string
  ca: string
}

export interface LocalRedis extends RedisProcess {
  /** `redis://`, or `rediss://` with `tls`. */
  url: string
  port: number
  password: string
}

export class PortTakenError extends Error {
  override name = 'PortTakenError'
  readonly port: number

  constructor(port: number) {
    super(`Port ${port} is taken: choose another for Redis`)
    this.port = port
  }
}

/**
 * Runs a password-protected Redis on loopback that ends, its data flushed, with this process, even by `kill -9`.
 *
 * @example
 * const redis = await startRedis({ server: await findRedisServer(), directory: '.data' })
 */
export async function startRedis(options: StartOptions): Promise<LocalRedis> {
  const { server, port, persist = true, report = () => {}, args = [], config = '', tls } = options
  const directory = resolve(options.directory)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const lock = persist ? await lockData(directory) : undefined
  const urlFile = join(directory, 'redis-url')
  try {
    const password =
      options.password ?? ((persist && keptPassword(urlFile)) || randomBytes(24).toString('base64url'))
    const ports = port ? [port] : [port ?? 6379, 0, 0, 0]
    for (const wanted of ports) {
      const redis = await launch({
        ...{ server, directory, password, lock, args, config, tls },
        port: wanted || (await freePort()),
      })
      if (!redis) {
        report(`Port ${wanted || 'chosen'} is taken`)
        continue
      }
      if (persist) writeFileSync(urlFile, redis.url, { mode: 0o600 })
      void redis.exited.then(lock?.release)
      return redis
    }
    throw port ? new PortTakenError(port) : new Error('No free port was found for Redis')
  } catch (error) {
    lock?.release()
    throw error
  }
}

interface Launch {
  server: RedisServer
  directory: string
  port: number
  password: string
  lock: DataLock | undefined
  args: string[]
  config: string
  tls: ServerTls | undefined
}

/** Undefined when the port is taken. */
async function launch(options: Launch): Promise<LocalRedis | undefined> {
  const { server, directory, port, password, lock, args, tls } = options
  const scheme = tls ? 'rediss' : 'redis'
  const url = `${scheme}://default:${encodeURIComponent(password)}@127.0.0.1:${port}`
  const redis = await launchRedis({
    ...{ server, directory, port, lock, url },
    ca: tls?.ca,
    args: ['-', ...args],
    configuration: configuration(options),
    readyText: 'Ready to accept connections',
  })
  return redis && { ...redis, url, port, password }
}

function configuration({ server, directory, port, password, lock, config, tls }: Launch): string {
  const place = server.image ? '/data' : directory
  return `
bind ${server.image ? '0.0.0.0' : '127.0.0.1'}
port ${tls ? 0 : port}
requirepass ${JSON.stringify(password)}
dir ${JSON.stringify(place)}
save ""
appendonly ${lock ? 'yes' : 'no'}
appendfsync everysec
${tls ? tlsConfiguration({ tls, port, directory, place }) : ''}
${config}
`
}

interface TlsPlace {
  tls: ServerTls
  port: number
  /** Here, and where Redis sees the same. */
  directory: string
  place: string
}

function tlsConfiguration({ tls, port, directory, place }: TlsPlace): string {
  const file = (name: string, pem: string) => {
    writeFileSync(join(directory, name), pem, { mode: 0o600 })
    return JSON.stringify(`${place}/${name}`)
  }
  return `
tls-port ${port}
tls-cert-file ${file('cert.pem', tls.cert)}
tls-key-file ${file('key.pem', tls.key)}
tls-ca-cert-file ${file('ca.pem', tls.ca)}
tls-auth-clients no`
}

function keptPassword(urlFile: string): string | undefined {
  try {
    return decodeURIComponent(new URL(readFileSync(urlFile, 'utf8')).password)
  } catch {
    return undefined
  }
}

/** A port of 127.0.0.1 that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
