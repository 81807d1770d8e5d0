import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createClient, ErrorReply } from '@redis/client'
import type { DataLock } from './data-lock.ts'
import type { RedisServer } from './redis-server.ts'

interface Launch {
  server: RedisServer
  directory: string
  port: number
  /** Behind redis-server's name. */
  args: readonly string[]
  /** What it reads where `args` say `-`: on a command line `ps` would show a password to every user. */
  configuration?: string
  lock?: DataLock
  url: string
  /** Authority of a `rediss:` url's certificate, in PEM. */
  ca?: string
  /** Its log says so once it listens. */
  readyText: string
}

export interface RedisProcess {
  /** Of redis-server itself. */
  pid: number
  /** Settles when Redis has ended, whoever ended it. */
  exited: Promise<void>
  stop(): Promise<void>
}

/**
 * A redis-server under guard.sh, which ends it with this process. Undefined when a port of it is taken: asking
 * beforehand would leave a moment for somebody else to take it.
 */
export async function launchRedis(launch: Launch): Promise<RedisProcess | undefined> {
  const { server, directory, port, args, configuration = '', url, ca } = launch
  const held = launch.lock?.openForRedis()
  const script = fileURLToPath(new URL('guard.sh', import.meta.url))
  // Detached: Ctrl-C in the terminal is for the hub, which still needs Redis to finish.
  const guard = spawn('/bin/sh', [script, ...commandLine(server, directory, port), ...args], {
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
  guard.stdin!.end(configuration)

  // The log says when, rather than the port: while the port is taken, a stranger there would be sent the password.
  const log = lastLines(guard.stdout!, guard.stderr!)
  const ready = new Promise((resolve) => {
    const lines = createInterface({ input: guard.stdout! })
    lines.on('line', (line) => line.includes(launch.readyText) && resolve('ready'))
  })
  const late = sleep(120_000, 'late', { ref: false }) // a long append-only file takes its time to load
  const outcome = await Promise.race([ready, late, exited])
  if (outcome === 'ready' && (await answers(url, ca))) return { pid: await pid, exited, stop }

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

async function answers(url: string, ca?: string): Promise<boolean> {
  const waits = { reconnectStrategy: false, connectTimeout: 5_000, socketTimeout: 5_000 } as const
  const socket = ca === undefined ? waits : { ...waits, tls: true as const, ca }
  const client = createClient({ url, socket }).on('error', () => {})
  try {
    await client.connect()
    return (await client.ping()) === 'PONG'
  } catch (error) {
    // A replica that is back loads what its primary sends, and has let us in.
    return error instanceof ErrorReply && error.message.startsWith('LOADING')
  } finally {
    client.destroy()
  }
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
