import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join, resolve } from 'node:path'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createClient } from '@redis/client'
import { type DataLock, lockData } from './data-lock.ts'
import type { RedisServer } from './redis-server.ts'

export interface StartOptions {
  server: RedisServer
  directory: string
  /** 6379 if it is free, else any; 0 is any; another number is that port or an error. */
  port?: number
  /** Without one: kept from the last start on this data, so that other hubs' REDIS_URL stays right; else random. */
  password?: string
  /** Append-only file, synced every second, under `directory`, which is then locked. */
  persist?: boolean
  report?: (line: string) => void
  /** More of redis-server's own arguments. */
  args?: string[]
}

export interface LocalRedis {
  url: string
  port: number
  password: string
  /** Of redis-server itself. */
  pid: number
  /** Settles when Redis has ended, whoever ended it. */
  exited: Promise<void>
  stop(): Promise<void>
}

/**
 * Runs a password-protected Redis on loopback that ends, its data flushed, with this process, even by `kill -9`.
 *
 * @example
 * const redis = await startRedis({ server: await findRedisServer(), directory: '.data' })
 */
export async function startRedis(options: StartOptions): Promise<LocalRedis> {
  const { server, port, persist = true, report = () => {}, args = [] } = options
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
        server,
        directory,
        port: wanted || (await freePort()),
        password,
        lock,
        args,
      })
      if (!redis) {
        report(`Port ${wanted || 'chosen'} is taken`)
        continue
      }
      if (persist) writeFileSync(urlFile, redis.url, { mode: 0o600 })
      void redis.exited.then(lock?.release)
      return redis
    }
    throw new Error(
      port ? `Port ${port} is taken: choose another for Redis` : 'No free port was found for Redis',
    )
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
}

/** Undefined when the port is taken: asking beforehand would leave a moment for somebody else to take it. */
async function launch({
  server,
  directory,
  port,
  password,
  lock,
  args,
}: Launch): Promise<LocalRedis | undefined> {
  const held = lock?.openForRedis()
  const script = fileURLToPath(new URL('guard.sh', import.meta.url))
  // Detached: Ctrl-C in the terminal is for the hub, which still needs Redis to finish.
  const guard = spawn('/bin/sh', [script, ...commandLine(server, directory, port), '-', ...args], {
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe', 'pipe', held ?? 'ignore'],
  })
  if (held !== undefined) closeSync(held)
  const lifeline = guard.stdio[3] as Duplex
  guard.once('exit', () => lifeline.destroy())
  // Not `exit`: Redis writes to the guard's output and may outlive a guard that was killed.
  const exited = once(guard, 'close').then(() => {})
  const stop = () => {
    lifeline.destroy()
    return exited
  }
  const pid = once(lifeline, 'data').then(([line]) => Number(line))
  for (const stream of [guard.stdin!, lifeline]) stream.on('error', () => {}) // `exited` tells
  guard.stdin!.end(configuration({ server, directory, port, password, persist: lock !== undefined }))

  // The log says when, rather than the port: while the port is taken, a stranger there would be sent the password.
  const log = lastLines(guard.stdout!, guard.stderr!)
  const ready = new Promise((resolve) => {
    guard.stdout!.on('data', () => log().includes('Ready to accept connections') && resolve('ready'))
  })
  const late = sleep(120_000, 'late', { ref: false }) // a long append-only file takes its time to load
  const outcome = await Promise.race([ready, late, exited])
  const url = `redis://default:${encodeURIComponent(password)}@127.0.0.1:${port}`
  if (outcome === 'ready' && (await answers(url)))
    return { url, port, password, pid: await pid, exited, stop }

  await stop()
  if (/address already in use|port is already allocated/i.test(log())) return undefined
  throw new Error(`Redis did not ${outcome ? 'answer' : 'start'}:\n${log()}`)
}

function commandLine({ command, args, image }: RedisServer, directory: string, port: number): string[] {
  if (!image) return [command, ...args]
  const user = `${process.getuid?.()}:${process.getgid?.()}` // else the image's own user takes the files over
  const place = ['--user', user, '--publish', `127.0.0.1:${port}:${port}`, '--volume', `${directory}:/data`]
  return [command, ...args, ...place, image, 'redis-server']
}

/** Goes in through stdin: on a command line `ps` would show the password to every user. */
function configuration(options: Omit<Launch, 'lock' | 'args'> & { persist: boolean }): string {
  const { server, directory, port, password, persist } = options
  return `
bind ${server.image ? '0.0.0.0' : '127.0.0.1'}
port ${port}
requirepass ${JSON.stringify(password)}
dir ${JSON.stringify(server.image ? '/data' : directory)}
save ""
appendonly ${persist ? 'yes' : 'no'}
appendfsync everysec
`
}

async function answers(url: string): Promise<boolean> {
  const socket = { reconnectStrategy: false, connectTimeout: 1_000, socketTimeout: 1_000 } as const
  const client = createClient({ url, socket }).on('error', () => {})
  try {
    await client.connect()
    return (await client.ping()) === 'PONG'
  } catch {
    return false
  } finally {
    client.destroy()
  }
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

/** Reads on, so that Redis never waits for its log, and keeps the end of it for an error message. */
function lastLines(...streams: NodeJS.ReadableStream[]): () => string {
  let kept = ''
  for (const stream of streams)
    stream.on('data', (chunk) => {
      kept = (kept + chunk).slice(-4_000)
    })
  return () => kept.split('\n').slice(-20).join('\n').trim()
}
