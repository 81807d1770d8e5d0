import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * Ports of 127.0.0.1 that nobody listens on now: the `preferred` ones if all of them are free, else any. Those lie below
 * the range that systems take for outgoing connections, so that a node that was killed finds its port free again.
 */
export async function freePorts(count: number, preferred: readonly number[] = []): Promise<number[]> {
  if (preferred.length === count && (await Promise.all(preferred.map(isFree))).every(Boolean))
    return [...preferred]
  const found = new Set<number>()
  for (let tries = 0; found.size < count; tries++) {
    if (tries > 1_000) throw new Error(`No ${count} free ports were found for Redis`)
    const port = randomInt(10_000, 32_000)
    if (await isFree(port)) found.add(port)
  }
  return [...found]
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
    server.close()
    await once(server, 'close')
    return true
  } catch {
    return false
  }
}
