import { existsSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { run } from '../debian/run-command.ts'
import { fetchedRedis, fetchRedis } from './fetch-redis.ts'
import { probe, type RedisServer } from './redis-server.ts'

export interface FindOptions {
  /** Shown to the user while something is fetched. */
  report?: (line: string) => void
  /** Where a fetched Redis is kept. */
  directory?: string
  allowFetch?: boolean
  path?: string
}

/**
 * A redis-server of version 8 or newer: from PATH, fetched earlier, fetched now, or through Docker.
 *
 * @example
 * const server = await findRedisServer({ report: console.log })
 */
export async function findRedisServer(options: FindOptions = {}): Promise<RedisServer> {
  const { report = () => {}, allowFetch = true, path = process.env.PATH ?? '' } = options
  const directory = resolve(options.directory ?? '.redis')
  const refusals: string[] = []
  const attempt = (search: Promise<RedisServer>) =>
    search.catch((error: Error) => void refusals.push(error.message.trim()))

  for (const command of onPath('redis-server', path)) {
    const server = await attempt(probe(command))
    if (server) return server
  }
  const fetched = await fetchedRedis(directory)
  if (fetched) return fetched
  if (allowFetch) {
    const server = await attempt(fetchRedis(directory, report))
    if (server) return server
  }
  for (const command of onPath('docker', path)) {
    const server = await attempt(dockerRedis(command, report))
    if (server) return server
  }
  throw new Error(howToGetRedis(refusals))
}

const onPath = (name: string, path: string) =>
  path
    .split(delimiter)
    .map((folder) => join(folder || '.', name))
    .filter((file) => existsSync(file))

async function dockerRedis(command: string, report: (line: string) => void): Promise<RedisServer> {
  const image = 'redis:8'
  // The client alone proves nothing: `info` asks the engine.
  await run(command, ['info', '--format', '{{.ServerVersion}}'], { timeoutMs: 10_000 })
  await run(command, ['image', 'inspect', image], { timeoutMs: 10_000 }).catch(() => {
    report(`Pulling the Docker image ${image} (once)`)
    return run(command, ['pull', image], { timeoutMs: 600_000 })
  })
  return { command, args: ['run', '--rm', '-i'], version: '8', image }
}

const howToGetRedis = (refusals: string[]) => `No Redis 8 or newer is here. One of these is enough:
  macOS:  brew install redis
  Linux:  put a redis-server of version 8 or newer on PATH (apt install redis, dnf install redis)
  Docker: start its engine, and redis:8 is used
or set REDIS_URL to a Redis that already runs.${refusals.map((line) => `\n  tried: ${line}`).join('')}`
