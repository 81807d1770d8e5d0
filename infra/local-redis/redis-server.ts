import { run } from '../debian/run-command.ts'

/** How to launch a redis-server: `command ...args`, then Redis's own arguments. */
export interface RedisServer {
  command: string
  args: string[]
  version: string
  /** Set when `command` is Docker: the image, to be placed after the options that depend on the start. */
  image?: string
}

/** The server with the version it prints; throws when it is no Redis or older than 8, which has no vector sets. */
export async function probe(command: string, args: string[] = []): Promise<RedisServer> {
  const printed = await run(command, [...args, '--version'], { timeoutMs: 10_000 })
  // Valkey installs itself under this name too, and prints its own.
  const version = /^Redis server v=(\S+)/.exec(printed)?.[1]
  if (!version || Number.parseInt(version, 10) < 8)
    throw new Error(`${command} is not Redis 8 or newer but ${version ?? printed.slice(0, 80).trim()}`)
  return { command, args, version }
}
