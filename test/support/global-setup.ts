import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@redis/client'
import type { TestProject } from 'vitest/node'
import { findRedisServer } from '../../infra/local-redis/find-redis.ts'
import { startRedis } from '../../infra/local-redis/run-redis.ts'
import type {} from './redis.ts' // what is provided

/** Fails the run, never skips, when there is no real Redis 8. */
export default async function setup(project: TestProject) {
  const server = await findRedisServer({ report: console.log })
  project.provide('redisServer', server)

  const given = process.env.TEST_REDIS_URL
  if (given) {
    await mustAnswer(given)
    project.provide('redisUrl', given)
    return
  }
  const directory = await mkdtemp(join(tmpdir(), 'hub-redis-shared-'))
  const redis = await startRedis({ server, directory, port: 0, persist: false })
  project.provide('redisUrl', redis.url)
  return async () => {
    await redis.stop()
    await rm(directory, { recursive: true, force: true })
  }
}

async function mustAnswer(url: string) {
  const socket = { reconnectStrategy: false, connectTimeout: 5_000, socketTimeout: 5_000 } as const
  const client = createClient({ url, socket }).on('error', () => {})
  try {
    await client.connect()
    await client.ping()
  } catch (cause) {
    throw new Error('The Redis of TEST_REDIS_URL does not answer', { cause })
  } finally {
    client.destroy()
  }
}
