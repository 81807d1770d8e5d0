import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from '@redis/client'
import type { RedisProcess } from './launch-redis.ts'

/** One redis-server of several, which may die and come back. */
export interface TopologyNode {
  port: number
  /** Of this node itself, past the topology: `redis://default:password@127.0.0.1:port`. */
  url: string
  /** Of its redis-server; undefined while none runs. */
  readonly pid: number | undefined
  /** On its port and directory, again after it ended; nothing where it runs. */
  start(): Promise<void>
  /** By SIGKILL: nothing is flushed and nobody is told. */
  kill(): Promise<void>
  stop(): Promise<void>
  /** Over a connection of its own. Rejects with an error reply, and after 10 s of silence. */
  command(...command: string[]): Promise<unknown>
  /** Several commands, over one connection. */
  ask<T>(questions: (client: NodeConnection) => Promise<T>): Promise<T>
}

export type NodeConnection = Awaited<ReturnType<typeof connectNode>>

interface NodeOptions {
  port: number
  url: string
  launch(): Promise<RedisProcess>
  /** Whoever ended it. */
  onEnd?: (node: TopologyNode) => void
}

export function createNode({ port, url, launch, onEnd }: NodeOptions): TopologyNode {
  let running: Promise<RedisProcess> | undefined
  let pid: number | undefined
  async function launchOnce() {
    try {
      const redis = await launch()
      pid = redis.pid
      void redis.exited.then(() => {
        running = pid = undefined
        onEnd?.(node)
      })
      return redis
    } catch (error) {
      running = undefined
      throw error
    }
  }
  const node: TopologyNode = {
    port,
    url,
    get pid() {
      return pid
    },
    async start() {
      running ??= launchOnce()
      await running
    },
    async kill() {
      const redis = await running
      if (redis) process.kill(redis.pid, 'SIGKILL')
      await redis?.exited
    },
    async stop() {
      const redis = await running?.catch(() => undefined)
      await redis?.stop()
    },
    command: (...command) => node.ask((client) => client.sendCommand(command)),
    async ask(questions) {
      // A stranger may listen there by now, and would be sent the password.
      if (!pid) throw new Error(`No Redis of ours runs on port ${port}`)
      const client = await connectNode(url)
      try {
        return await questions(client)
      } finally {
        client.destroy()
      }
    },
  }
  return node
}

/** Replies in RESP2 shapes. */
export async function connectNode(url: string) {
  const socket = { reconnectStrategy: false, connectTimeout: 10_000, socketTimeout: 10_000 } as const
  const client = createClient({ url, socket, RESP: 2 }).on('error', () => {})
  try {
    await client.connect()
    return client
  } catch (error) {
    client.destroy()
    throw error
  }
}

/** All of them, or none: a start that fails stops the others. */
export async function startAll(nodes: readonly TopologyNode[]): Promise<void> {
  const starts = await Promise.allSettled(nodes.map((node) => node.start()))
  const failed = starts.find((start) => start.status === 'rejected')
  if (!failed) return
  await stopAll(nodes)
  throw failed.reason
}

export async function stopAll(nodes: readonly TopologyNode[]): Promise<void> {
  await Promise.all(nodes.map((node) => node.stop()))
}

/** Asks again until there is a value; a node that does not answer yet counts as no. Its last words are in the error. */
export async function waitFor<T>(what: string, timeoutMs: number, ask: () => Promise<T | undefined | false>) {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const [answer, cause] = await ask().then(
      (value) => [value, undefined] as const,
      (error: unknown) => [undefined, error] as const,
    )
    if (answer) return answer
    if (Date.now() > deadline) throw new Error(`No ${what} within ${timeoutMs / 1000} s`, { cause })
    await sleep(50)
  }
}
