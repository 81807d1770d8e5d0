import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import type { TaskClaim } from '../../../../shared/agents/tasks/task-claims.ts'
import { createTasks } from '../../../../shared/agents/tasks/tasks.ts'
import { createRedisResp } from '../../../../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../../../../shared/drivers/redis-rest.ts'
import type { Redis } from '../../../../shared/ports/redis.ts'
import { createRealtime } from '../../../../shared/realtime/realtime.ts'
import { claimDueScript } from '../../../../shared/scripts.generated.ts'
import { unique } from '../../../support/app.ts'
import { startTestBridge } from '../../../support/bridge.ts'
import { until } from '../../../support/hub.ts'
import { patient, startTestRedis } from '../../../support/redis.ts'

/** Its own: whoever sweeps looks after the tasks of every tenant. */
let server: Awaited<ReturnType<typeof startTestRedis>>
beforeAll(async () => {
  server = await startTestRedis()
})
afterAll(() => server.stop())

async function start(
  { onTestFinished }: Pick<TestContext, 'onTestFinished'>,
  driver: 'resp' | 'rest',
  /** Comes between the wave that finds what is due and the next one. */
  onDue?: () => Promise<unknown>,
) {
  const bridge = driver === 'rest' ? await startTestBridge({ redisUrl: server.url }) : undefined
  if (bridge) onTestFinished(bridge.close)
  const redis = patient(bridge ? createRedisRest(bridge) : createRedisResp({ url: server.url }))
  onTestFinished(redis.close)
  const tenant = unique('tenant')
  const slow: Redis = {
    ...redis,
    async wave(calls, options) {
      const replies = await redis.wave(calls, options)
      if (calls.some((call) => 'script' in call && call.script === claimDueScript)) await onDue?.()
      return replies
    },
  }
  const tasks = createTasks({
    ...{ redis: slow, realtime: createRealtime({ redis }), clock: Date, lookMs: 100, onError: () => {} },
    agents: { deliver: async () => false, hasTask: async () => false },
  })
  const done = { status: 'done', output: 1 } as const
  return {
    ...{ tasks, tenant },
    add: (id: string, more: object = {}) => tasks.add(tenant, { id, input: id, ...more }),
    get: (id: string) => tasks.get(tenant, id),
    async claim(executor: string, more: Partial<TaskClaim> = {}) {
      const { signal } = new AbortController()
      const claimed = await tasks.claim(tenant, { executor, leaseMs: 60_000, waitMs: 0, signal, ...more })
      return claimed && `${claimed.ref.id}/${claimed.ref.attempt}`
    },
    renew: (id: string, attempt: number, leaseMs = 60_000) => tasks.renew(tenant, { id, attempt }, leaseMs),
    report: (id: string, attempt: number, more: object = {}) =>
      tasks.report(tenant, { task: { id, attempt }, ...done, ...more }),
    sweep: () => tasks.sweep(Date.now() + 5_000),
  }
}

const lost = { status: 409, code: 'task_lost' }

describe.each(['resp', 'rest'] as const)('executors from outside over %s', (driver) => {
  it('claim the oldest task that they take, each task once', async (context) => {
    const hub = await start(context, driver)
    await hub.add('t1', { topic: 'poems' })
    await hub.add('t2', { topic: 'maths' })
    await hub.add('t3', { to: 'crew' })
    await hub.add('t4')
    expect(await hub.claim('chain', { topics: ['maths', 'logic'] })).toBe('t2/1')
    expect(await hub.claim('chain', { topics: [] })).toBe('t4/1')
    expect(await hub.claim('chain', { topics: ['maths'] })).toBeUndefined()
    const both = await Promise.all([hub.claim('chain'), hub.claim('graph')])
    expect(both.toSorted()).toEqual(['t1/1', undefined])
    expect(await hub.claim('crew')).toBe('t3/1')
    expect(await hub.get('t3')).toMatchObject({ status: 'assigned', executor: 'crew', attempt: 1 })
  })

  it('report, and may repeat it; what they claimed is no one else’s to report', async (context) => {
    const hub = await start(context, driver)
    await hub.add('t1')
    await hub.claim('chain')
    await expect(hub.report('t1', 2)).rejects.toMatchObject(lost)
    await hub.report('t1', 1, { output: { n: 1 } })
    await hub.report('t1', 1, { output: 'another' })
    expect(await hub.get('t1')).toMatchObject({ status: 'done', output: { n: 1 }, executor: 'chain' })
    await expect(hub.report('none', 1)).rejects.toMatchObject({ status: 404 })
    await expect(hub.renew('none', 1)).rejects.toMatchObject({ status: 404 })
    await expect(hub.renew('t1', 1)).rejects.toMatchObject(lost)
  })

  it('keep a task as long as they renew its lease; then it is another’s, and the late one is told', async (context) => {
    const hub = await start(context, driver)
    await hub.add('t1')
    await hub.claim('chain', { leaseMs: 100 })
    const before = Date.now()
    expect(await hub.renew('t1', 1, 400)).toBeGreaterThanOrEqual(before + 400)
    await sleep(150)
    await hub.sweep()
    expect(await hub.get('t1')).toMatchObject({ status: 'assigned', attempt: 1 })
    await until('its lease is over', async () => {
      await hub.sweep()
      return (await hub.get('t1')).status === 'waiting'
    })
    await expect(hub.renew('t1', 1)).rejects.toMatchObject(lost)
    await expect(hub.report('t1', 1)).rejects.toMatchObject(lost)
    expect(await hub.claim('graph')).toBe('t1/2')
    await expect(hub.renew('t1', 1)).rejects.toMatchObject(lost)
    await expect(hub.report('t1', 1)).rejects.toMatchObject(lost)
    await hub.report('t1', 2)
    expect(await hub.get('t1')).toMatchObject({ status: 'done', executor: 'graph', attempt: 2 })
  })

  it('wait for a task to come; who leaves claims nothing', async (context) => {
    const hub = await start(context, driver)
    const waiting = hub.claim('chain', { waitMs: 15_000 })
    const leaving = new AbortController()
    const left = hub.claim('graph', { waitMs: 15_000, topics: ['none'], signal: leaving.signal })
    await sleep(50)
    await hub.add('t1')
    expect(await waiting).toBe('t1/1')
    leaving.abort()
    expect(await left).toBeUndefined()
    expect(await hub.claim('chain', { waitMs: 50 })).toBeUndefined()
  })

  it('an agent of the hub is given its tasks, and claims none', async (context) => {
    const hub = await start(context, driver)
    await hub.tasks.enlist(hub.tenant, 'worker', undefined)
    await expect(hub.claim('worker')).rejects.toMatchObject({ status: 409, code: 'executor_enlisted' })
  })
})

it('a lease that is renewed while a sweep looks at its end holds', async (context) => {
  const hub = await start(context, 'resp')
  await hub.add('t1')
  await hub.claim('chain', { leaseMs: 20 })
  await sleep(30)
  const { tasks } = await start(context, 'resp', () => hub.renew('t1', 1))
  await tasks.sweep(Date.now() + 5_000)
  expect(await hub.get('t1')).toMatchObject({ status: 'assigned', attempt: 1 })
  await hub.report('t1', 1)
})

it('what an agent has in hand is not an outsider’s to report or to keep', async ({ onTestFinished }) => {
  const redis = createRedisResp({ url: server.url })
  onTestFinished(redis.close)
  const tenant = unique('tenant')
  const tasks = createTasks({
    ...{ redis, realtime: createRealtime({ redis }), clock: Date, onError: () => {} },
    agents: { deliver: async () => true, hasTask: async () => true },
  })
  await tasks.enlist(tenant, 'worker', undefined)
  await tasks.add(tenant, { id: 't1', input: 1 })
  const task = { id: 't1', attempt: 1 }
  await expect(tasks.report(tenant, { task, status: 'done', output: 1 })).rejects.toMatchObject(lost)
  await expect(tasks.renew(tenant, task, 1_000)).rejects.toMatchObject(lost)
  expect(await tasks.get(tenant, 't1')).toMatchObject({ status: 'assigned', executor: 'worker' })
})
