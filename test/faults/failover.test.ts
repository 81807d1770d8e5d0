import { expect, inject, it } from 'vitest'
import { runFailover } from './failover.ts'

it.each([
  { topology: 'sentinel', silenceMs: 2_000 },
  { topology: 'cluster', silenceMs: 3_000 },
] as const)(
  'the primary of $topology is killed under load: nothing wrong is answered, and only its last moments are lost',
  async ({ topology, silenceMs }) => {
    const report = await runFailover({
      ...{ topology, silenceMs, server: inject('redisServer'), hubs: 1, mostUnderWay: 64 },
      // Its replicas hear nothing any more, so that something is lost.
      cutMs: 500,
      seconds: { before: 2, after: 0.5, back: 1.5 },
    })
    const { requests, unavailable_s, completions, acknowledged, lost, log } = report
    console.log({ topology, unavailable_s, requests, completions, acknowledged, lost, log })
    expect(Object.entries(report.wrong).filter(([, count]) => count > 0)).toEqual([])
    expect(report).toMatchObject({ lost_outside: 0, unanswered: 0 })
    expect(report.lost).toBeGreaterThan(0)
    // Completions went on, without the cache.
    expect(completions.past_the_cache).toBeGreaterThan(0)
    expect(report.kinds['completion, known']!.failures).toEqual({})
    expect(report.stale_written).toBeGreaterThan(0)
    // An operator can read it: the lines are far fewer than the requests that failed.
    const lines = Object.values(log).reduce((sum, count) => sum + count)
    expect(lines).toBeLessThan(200)
    expect(Object.keys(log).some((line) => line.startsWith('Redis connection'))).toBe(true)
  },
  120_000,
)
