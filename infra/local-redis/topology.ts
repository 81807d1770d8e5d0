import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { lockData } from './data-lock.ts'
import { freePorts } from './free-ports.ts'
import type { RedisServer } from './redis-server.ts'
import { PortTakenError } from './run-redis.ts'
import type { TopologyNode } from './topology-node.ts'

/** Of every topology of several servers. */
export interface TopologyOptions {
  server: RedisServer
  directory: string
  /**
   * Append-only files under `directory`, which is then locked: the same topology comes back from it. Default true.
   * Without them a primary that is started again before it was missed is empty, and makes its replicas so.
   */
  persist?: boolean
  /** Taken by the first start on a directory, where all of them are free; else any are. */
  ports?: readonly number[]
  /** More lines of redis.conf for every server that holds data, e.g. `min-replicas-to-write 1`. */
  config?: string
  report?: (line: string) => void
  /** A server ended, whoever ended it; `start()` brings it back. */
  onEnd?: (node: TopologyNode) => void
}

export interface NodeRole {
  node: TopologyNode
  role: 'primary' | 'replica' | 'sentinel' | 'down'
  /** Of a Cluster's primary: first and last of each range. */
  slots?: [number, number][]
}

/** What a topology was made with. Its servers know each other by these. */
export interface Plan {
  ports: number[]
  password: string
  sentinelPassword: string
}

interface Running {
  url: string
  stop(): Promise<void>
}

interface Layout<T extends Running> {
  /** Of the folders under `directory`, one for each server. */
  folder: string
  /** How many ports it needs. */
  ports: number
  /** Stops what it began when it fails. */
  launch(plan: Plan, directory: string): Promise<T>
}

/** Starts a topology as it was last on this directory, else a new one. */
export async function startTopology<T extends Running>(
  { directory: given, persist = true, ports, server, report = () => {} }: TopologyOptions,
  layout: Layout<T>,
): Promise<T> {
  if (server.image && layout.ports > 1)
    throw new Error(
      'Servers in containers do not reach each other on loopback: put a redis-server of version 8 or newer on PATH',
    )
  const directory = resolve(given)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const lock = persist ? await lockData(directory) : undefined
  try {
    const kept = readPlan(directory)
    const topology = kept ? await again(kept) : await anew()
    const stop = () => topology.stop().finally(lock?.release)
    if (persist) writeSecret(join(directory, 'redis-url'), topology.url)
    return { ...topology, stop }
  } catch (error) {
    lock?.release()
    throw error
  }

  async function again(plan: Plan) {
    try {
      return await layout.launch(plan, directory)
    } catch (error) {
      if (!(error instanceof PortTakenError)) throw error
      const reason = `Port ${error.port} is taken, by which the servers in ${directory} know each other`
      throw new Error(`${reason}. Free it, or remove that folder to begin anew`)
    }
  }

  async function anew() {
    for (let tries = 1; ; tries++) {
      // A start that did not come to its end has served nobody.
      for (const name of readdirSync(directory))
        if (name.startsWith(`${layout.folder}-`)) rmSync(join(directory, name), { recursive: true })
      const plan = {
        ports: await freePorts(layout.ports, tries === 1 ? ports : undefined),
        password: newPassword(),
        sentinelPassword: newPassword(),
      }
      if (ports && plan.ports[0] !== ports[0])
        report(`Not all of the ports ${ports.join(', ')} are free: others are used`)
      try {
        const topology = await layout.launch(plan, directory)
        writeSecret(join(directory, 'topology.json'), JSON.stringify(plan))
        return topology
      } catch (error) {
        // Somebody took it in the moment between.
        if (!(error instanceof PortTakenError) || tries === 3) throw error
      }
    }
  }
}

const newPassword = () => randomBytes(24).toString('base64url')

function readPlan(directory: string): Plan | undefined {
  let text: string
  try {
    text = readFileSync(join(directory, 'topology.json'), 'utf8')
  } catch {
    return undefined
  }
  return JSON.parse(text)
}

/** Whole or not at all. */
function writeSecret(file: string, text: string) {
  writeFileSync(`${file}.new`, text, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}
