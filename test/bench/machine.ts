import { execFileSync } from 'node:child_process'
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os'
import { createClient } from '@redis/client'
import { round } from './statistics.ts'

/** What the figures depend on. */
export async function describeMachine(redisUrl: string) {
  const client = createClient({ url: redisUrl })
  await client.connect()
  const info = await client.info('server')
  client.destroy()
  return {
    cpu: cpus()[0]?.model,
    cores: availableParallelism(),
    memory_gb: round(totalmem() / 2 ** 30, 1),
    os: `${type()} ${release()}`,
    node: process.version,
    redis: /^redis_version:(\S+)/m.exec(info)?.[1],
    commit: commit(),
    date: new Date().toISOString(),
    /** Above 0.5 or so somebody else is using the machine. */
    load_average: round(loadavg()[0]!, 2),
  }
}

function commit(): string | undefined {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' }).trim()
  } catch {
    return undefined // not a checkout
  }
}
