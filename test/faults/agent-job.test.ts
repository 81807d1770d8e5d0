import { expect, inject, it } from 'vitest'
import { runAgentJob } from './agent-job.ts'

it('a planner and three executors do a job in processes that are killed again and again: all of it is done, once', async () => {
  const report = await runAgentJob({ killEveryMs: 1_500, server: inject('redisServer') })
  console.log(report)
  const { documents, questions, tasks } = report
  expect(tasks).toBe(documents + questions + 1)
  expect(report).toMatchObject({
    ...{ done: tasks, questions: 10, cited: 10, reported: 10, results: tasks },
    ...{ gaps: 0, doubled: 0, untold: 0, stuck: 0, keys: documents + 1 },
  })
  expect(report.citations).toBeGreaterThanOrEqual(10)
  expect(report.kills).toBeGreaterThan(2)
}, 240_000)
