import { expect, inject, it } from 'vitest'
import { runMigration } from './migration.ts'

it('slots move between primaries of a Cluster under load, there and back, and no request fails', async () => {
  const server = inject('redisServer')
  const report = await runMigration({ server, slots: 100, replicas: 0, mostUnderWay: 64 })
  console.log(report)
  // Not even one, but for those that a busy machine let wait for too long.
  expect(Object.keys(report.log).filter((line) => !line.includes('RedisTimeoutError'))).toEqual([])
  expect(Object.keys(report.requests.failures).filter((one) => one !== '503 redis_unavailable')).toEqual([])
  expect(report.failed).toBeLessThan(0.02 * report.requests.requests)
  expect(report.lost).toBe(0)
  expect(Object.entries(report.wrong).filter(([, count]) => count > 0)).toEqual([])
  // Slots were asked for while they moved.
  expect(report.moved).toBeGreaterThan(0)
  expect(report.keys_moved).toBeGreaterThan(199)
}, 120_000)
