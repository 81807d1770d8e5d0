import { createClient } from '@redis/client'
import type { TestProject } from 'vitest/node'
import { findRedisServer } from '../../infra/local-redis/find-redis.ts'
import { provideRedis, toTopology } from './provide-redis.ts'

/** `TEST_TOPOLOGY`: single (default), sentinel or cluster. `TEST_REDIS_URL`: a server that runs already. */
export default async function setup(project: TestProject) {
  const topology = toTopology(process.env.TEST_TOPOLOGY || 'single')
  const given = process.env.TEST_REDIS_URL
  if (!given) return provideRedis(project, topology)

  if (topology === 'single') await mustAnswer(given)
  project.provide('redisServer', await findRedisServer({ report: console.log }))
  project.provide('redisUrl', given)
  project.provide('topology', topology)
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
