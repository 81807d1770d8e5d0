import { expect, inject, it } from 'vitest'
import { runLockTorture } from './lock-torture.ts'

it('100 contenders who often outlive their lease, killed hubs, a killed Redis: no stale write is ever accepted', async () => {
  const report = await runLockTorture({ server: inject('redisServer'), seconds: 8 })
  console.log(report)
  expect(report).toMatchObject({ contenders: 100, stale_accepted: 0, tokens_wrong: 0, held_twice: 0 })
  // It was a torture: stale writes came, and a resource without a fence took them.
  expect(report.stale_refused).toBeGreaterThan(0)
  expect(report.unfenced_stale_accepted).toBeGreaterThan(0)
  expect(report.pauses).toBeGreaterThan(0)
  expect(report.stops).toBeGreaterThan(0)
  expect(report.hub_kills).toBeGreaterThan(0)
  expect(report.acquired).toBeGreaterThan(10)
}, 120_000)
