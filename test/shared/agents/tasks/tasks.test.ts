import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it, type TestContext } from 'vitest'
import type { InboxMessage } from '../../../../shared/agents/agent.ts'
import type { NewTask, TaskAgents, TaskOutcome } from '../../../../shared/agents/tasks/task.ts'
import { createTasks } from '../../../../shared/agents/tasks/tasks.ts'
import { createRedisResp } from '../../../../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../../../../shared/drivers/redis-rest.ts'
import { HubError } from '../../../../shared/errors.ts'
import { channelKeys, taskKeys } from '../../../../shared/keys.ts'
import type { Command } from '../../../../shared/ports/redis.ts'
import { createRealtime, type Realtime } from '../../../../shared/realtime/realtime.ts'
import { unique } from '../../../support/app.ts'
import { startTestBridge } from '../../../support/bridge.ts'
import { until } from '../../../support/hub.ts'
import { patient, startTestRedis } from '../../../support/redis.ts'

/** Its own: whoever sweeps looks after the tasks of every tenant. */
let server: Awaited<ReturnType<typeof startTestRedis>>
beforeAll(async () => {
  server = await startTestRedis()
})
beforeEach(async () => {
  const redis = createRedisResp({ url: server.url })
  await redis.wave([['FLUSHALL']], { timeoutMs: 5_000 })
  await redis.close()
})
afterAll(() => server.stop())

type Driver = 'resp' | 'rest'
const LOOK_MS = 150

/** Agents and their inboxes. A message comes once by its id; an agent takes a task up by `take`. */
function inboxes(...there: string[]) {
  const boxes = new Map(there.map((agent) => [agent, new Map<string, InboxMessage>()]))
  const agents: TaskAgents = {
    async deliver(_, agent, message) {
      const box = boxes.get(agent)
      if (box && !box.has(message.id)) box.set(message.id, message)
      return box !== undefined
    },
    hasTask: async (_, agent, { id, attempt }) => boxes.get(agent)?.has(`${id}/${attempt}`) ?? false,
  }
  return {
    ...{ boxes, agents },
    of: (agent: string) => [...(boxes.get(agent)?.values() ?? [])],
    ids: (agent: string) => [...(boxes.get(agent)?.keys() ?? [])],
  }
}

async function start(
  { onTestFinished }: Pick<TestContext, 'onTestFinished'>,
  {
    driver = 'resp',
    agents = inboxes().agents,
    realtime,
    tenant = unique('tenant'),
    ...options
  }: {
    driver?: Driver
    agents?: TaskAgents
    realtime?: Realtime
    tenant?: string
    clock?: { now(): number }
  } = {},
) {
  const bridge = driver === 'rest' ? await startTestBridge({ redisUrl: server.url }) : undefined
  if (bridge) onTestFinished(bridge.close)
  const redis = patient(bridge ? createRedisRest(bridge) : createRedisResp({ url: server.url }))
  onTestFinished(redis.close)
  const errors: unknown[] = []
  const tasks = createTasks({
    ...{ redis, agents, clock: Date, lookMs: LOOK_MS, onError: (cause) => void errors.push(cause) },
    realtime: realtime ?? createRealtime({ redis }),
    ...options,
  })
  const send = async (...command: Command) => (await redis.wave([command]))[0]
  return {
    ...{ tasks, tenant, redis, errors, send },
    add: (task: Partial<NewTask> & { id: string }) => tasks.add(tenant, { input: task.id, ...task }),
    get: (id: string) => tasks.get(tenant, id),
    enlist: (executor: string, topics?: string[]) => tasks.enlist(tenant, executor, topics),
    finish: (id: string, attempt: number, executor: string, more: Partial<TaskOutcome> = {}) =>
      tasks.finish(tenant, { task: { id, attempt }, executor, status: 'done', output: `${id}!`, ...more }),
    sweep: () => tasks.sweep((options.clock ?? Date).now() + 5_000),
    /** What a reader that comes later finds behind a channel. */
    async heard(channel: string) {
      const entries = await send('XRANGE', channelKeys(tenant, channel).stream, '-', '+')
      return (entries as [string, string[]][]).map(([, [, data, , type]]) => ({
        type,
        ...JSON.parse(data!),
      }))
    },
    results: async (planner: string) =>
      ((await send('LRANGE', taskKeys(tenant).results(planner), 0, -1)) as string[]).map((text) =>
        JSON.parse(text),
      ),
  }
}

describe.each(['resp', 'rest'] as const)('tasks over %s', (driver) => {
  it('a planner’s task goes to an executor, and its result back', async (context) => {
    const mail = inboxes('boss', 'worker')
    const hub = await start(context, { driver, agents: mail.agents })
    await hub.enlist('worker')
    await hub.add({ id: 't1', input: { city: 'Bern' }, planner: 'boss', topic: 'weather' })
    expect(mail.of('worker')).toEqual([
      {
        ...{ id: 't1/1', type: 'task', from: 'agent:boss', task: { id: 't1', attempt: 1 } },
        data: { city: 'Bern' },
      },
    ])
    expect(await hub.get('t1')).toMatchObject({ status: 'assigned', attempt: 1, executor: 'worker' })
    await hub.finish('t1', 1, 'worker', { output: { degrees: 4 } })
    expect(mail.of('boss')).toEqual([
      {
        ...{ id: 't1', type: 'task-result', from: 'agent:worker', task: { id: 't1', attempt: 1 } },
        data: { task: 't1', status: 'done', output: { degrees: 4 } },
      },
    ])
    expect(await hub.results('boss')).toMatchObject([{ task: 't1', status: 'done', output: { degrees: 4 } }])
    expect(await hub.heard('agent:tasks')).toEqual([
      {
        ...{ type: 'task', task: 't1', attempt: 0, topic: 'weather', planner: 'boss' },
        input: { city: 'Bern' },
      },
    ])
    expect(await hub.heard('agent:events')).toMatchObject([
      { type: 'task.done', task: 't1', executor: 'worker', planner: 'boss', output: { degrees: 4 } },
    ])
    expect(await hub.get('t1')).toMatchObject({
      ...{ id: 't1', status: 'done', output: { degrees: 4 }, executor: 'worker', planner: 'boss' },
    })
    expect(hub.errors).toEqual([])
  })

  it('whatever is repeated is there once', async (context) => {
    const mail = inboxes('boss', 'worker')
    const hub = await start(context, { driver, agents: mail.agents })
    await hub.add({ id: 't1', planner: 'boss' })
    await hub.add({ id: 't1', planner: 'boss' })
    await Promise.all([hub.enlist('worker'), hub.enlist('worker')])
    await hub.sweep()
    await Promise.all([hub.finish('t1', 1, 'worker'), hub.finish('t1', 1, 'worker', { output: 'another' })])
    await hub.finish('t1', 1, 'worker')
    await sleep(LOOK_MS * 1.2)
    await hub.sweep()
    expect(mail.ids('worker')).toEqual(['t1/1'])
    expect(mail.ids('boss')).toEqual(['t1'])
    expect(await hub.results('boss')).toHaveLength(1)
    expect(await hub.heard('agent:tasks')).toHaveLength(1)
    expect(await hub.heard('agent:events')).toHaveLength(1)
    await expect(hub.add({ id: 't1', input: 'something else' })).rejects.toMatchObject({
      ...{ status: 422, code: 'idempotency_mismatch' },
    })
  })

  it('200 tasks and 5 executors, over 2 processes: each has one at a time, and all are done', async (context) => {
    const names = ['e1', 'e2', 'e3', 'e4', 'e5']
    const done: string[] = []
    const inHand = new Map<string, string>()
    const broken: string[] = []
    const working: Promise<void>[] = []
    const mail = inboxes('boss', ...names)
    const agents: TaskAgents = {
      ...mail.agents,
      async deliver(tenant, agent, message) {
        if (message.type !== 'task') return mail.agents.deliver(tenant, agent, message)
        if (inHand.has(agent)) broken.push(`${agent} has ${inHand.get(agent)} and gets ${message.id}`)
        inHand.set(agent, message.id)
        await mail.agents.deliver(tenant, agent, message)
        working.push(work(agent, message))
        return true
      },
    }
    const one = await start(context, { driver, agents })
    const two = await start(context, { driver, agents, tenant: one.tenant })
    async function work(agent: string, { task }: InboxMessage) {
      await sleep(Math.random() * 5)
      inHand.delete(agent)
      done.push(task!.id)
      await (done.length % 2 ? one : two).finish(task!.id, task!.attempt, agent)
    }
    await Promise.all(names.map((name, i) => (i % 2 ? one : two).enlist(name)))
    const adders = Array.from({ length: 8 }, async (_, lane) => {
      for (let n = lane; n < 200; n += 8) await (n % 2 ? one : two).add({ id: `t${n}`, planner: 'boss' })
    })
    await Promise.all(adders)
    await until(
      'all are done',
      async () => (await one.tasks.list(one.tenant, { status: 'done', limit: 200 })).length === 200,
    )
    await Promise.all(working)
    expect(broken).toEqual([])
    expect(new Set(done).size).toBe(200)
    expect(done).toHaveLength(200)
    expect(mail.ids('boss')).toHaveLength(200)
    expect(await one.results('boss')).toHaveLength(200)
    expect([...one.errors, ...two.errors]).toEqual([])
  })

  it('a process dies after it assigned a task: another one gives it away again', async (context) => {
    const mail = inboxes('worker')
    const killed: TaskAgents = {
      ...mail.agents,
      deliver: () => Promise.reject(new Error('killed')),
    }
    const first = await start(context, { driver, agents: killed })
    await first.enlist('worker')
    await first.add({ id: 't1' })
    expect(await first.get('t1')).toMatchObject({ status: 'assigned', attempt: 1 })
    const second = await start(context, { driver, agents: mail.agents, tenant: first.tenant })
    await until('it is given away again', async () => (await second.sweep()) > 0)
    expect(mail.ids('worker')).toEqual(['t1/2'])
    expect(await second.get('t1')).toMatchObject({ status: 'assigned', attempt: 2, executor: 'worker' })
    expect(await second.heard('agent:tasks')).toMatchObject([{ attempt: 0 }, { attempt: 1 }])
  })

  it('what the first attempt says after the second began changes nothing', async (context) => {
    const mail = inboxes('boss', 'slow', 'quick')
    const hub = await start(context, { driver, agents: mail.agents })
    await hub.enlist('slow')
    await hub.add({ id: 't1', planner: 'boss' })
    mail.boxes.get('slow')!.clear() // its agent was restored from a backup, say
    await hub.tasks.dismiss(hub.tenant, 'slow')
    await hub.enlist('quick')
    expect(mail.ids('quick')).toEqual(['t1/2'])
    await hub.finish('t1', 1, 'slow', { output: 'late' })
    expect(await hub.get('t1')).toMatchObject({ status: 'assigned', attempt: 2, executor: 'quick' })
    expect(mail.of('boss')).toEqual([])
    await hub.finish('t1', 2, 'quick', { output: 'right' })
    await hub.finish('t1', 1, 'slow', { output: 'later' })
    expect(await hub.get('t1')).toMatchObject({ status: 'done', attempt: 2, output: 'right' })
    expect(mail.of('boss')).toMatchObject([{ data: { output: 'right' } }])
  })
})

describe('who gets which task', () => {
  it('its topic among the executor’s, or none on either side; a task nobody takes holds up no other', async (context) => {
    const mail = inboxes('any', 'maths', 'poems')
    const hub = await start(context, { agents: mail.agents })
    for (let n = 0; n < 150; n++) await hub.add({ id: `odd${n}`, topic: 'odd' })
    await hub.enlist('maths', ['maths', 'logic'])
    await hub.enlist('poems', ['poems'])
    await hub.add({ id: 'sum', topic: 'logic' })
    await hub.add({ id: 'plain' })
    await hub.add({ id: 'ode', topic: 'poems' })
    expect(mail.ids('maths')).toEqual(['sum/1'])
    expect(mail.ids('poems')).toEqual(['plain/1'])
    await hub.finish('plain', 1, 'poems')
    expect(mail.ids('poems')).toEqual(['plain/1', 'ode/1'])
    await hub.enlist('any')
    expect(mail.ids('any')).toEqual(['odd0/1'])
    await hub.finish('odd0', 1, 'any')
    expect(mail.ids('any')).toEqual(['odd0/1', 'odd1/1'])
  })

  it('the oldest task first, the executor that is idle for longest first', async (context) => {
    const mail = inboxes('a', 'b', 'c')
    const hub = await start(context, { agents: mail.agents })
    for (const name of ['b', 'c', 'a']) {
      await hub.enlist(name)
      await sleep(3)
    }
    for (const id of ['t1', 't2', 't3', 't4', 't5']) await hub.add({ id })
    expect([mail.ids('b'), mail.ids('c'), mail.ids('a')]).toEqual([['t1/1'], ['t2/1'], ['t3/1']])
    await hub.finish('t2', 1, 'c')
    expect(mail.ids('c')).toEqual(['t2/1', 't4/1'])
  })

  it('the one that it names: an executor when it is idle, another agent at once, and who comes later', async (context) => {
    const mail = inboxes('worker', 'other', 'custom')
    const hub = await start(context, { agents: mail.agents })
    await hub.enlist('worker', [])
    await hub.enlist('other')
    await hub.add({ id: 't1', to: 'worker', topic: 'whatever' })
    await hub.add({ id: 't2', to: 'worker' })
    await hub.add({ id: 't3', to: 'custom' })
    await hub.add({ id: 't4', to: 'custom' })
    await hub.add({ id: 't5', to: 'nobody' })
    expect(mail.ids('worker')).toEqual(['t1/1'])
    expect(mail.ids('other')).toEqual([])
    expect(mail.ids('custom')).toEqual(['t3/1', 't4/1'])
    expect(await hub.get('t5')).toMatchObject({ status: 'waiting', attempt: 0 })
    await hub.finish('t1', 1, 'worker')
    expect(mail.ids('worker')).toEqual(['t1/1', 't2/1'])
    await hub.finish('t3', 1, 'custom')
    expect(await hub.get('t3')).toMatchObject({ status: 'done' })
    mail.boxes.set('nobody', new Map())
    await hub.tasks.dismiss(hub.tenant, 'nobody') // as whoever puts an agent that is no executor says
    expect(mail.ids('nobody')).toEqual(['t5/1'])
    expect(hub.errors).toEqual([])
  })

  it('an executor that is gone is dismissed, and another one gets the task', async (context) => {
    const mail = inboxes('b')
    const hub = await start(context, { agents: mail.agents })
    await hub.enlist('a')
    await sleep(3)
    await hub.enlist('b')
    await hub.add({ id: 't1' })
    expect(mail.ids('b')).toEqual(['t1/1'])
    await hub.add({ id: 't2' })
    expect(await hub.get('t2')).toMatchObject({ status: 'waiting', attempt: 0 })
  })

  it('settings that change while it works change nothing of that', async (context) => {
    const mail = inboxes('a')
    const hub = await start(context, { agents: mail.agents })
    await hub.enlist('a', ['old'])
    await hub.add({ id: 't1', topic: 'old' })
    await hub.add({ id: 't2', topic: 'old' })
    await hub.add({ id: 't3', topic: 'new' })
    await hub.enlist('a', ['new'])
    expect(mail.ids('a')).toEqual(['t1/1'])
    await hub.finish('t1', 1, 'a')
    expect(mail.ids('a')).toEqual(['t1/1', 't3/1'])
  })
})

describe('what goes wrong', () => {
  it('an executor that works on it keeps it, one that lost it five times does not: then it has failed', async (context) => {
    const mail = inboxes('boss', 'worker')
    const hub = await start(context, { agents: mail.agents })
    await hub.enlist('worker')
    await hub.add({ id: 't1', planner: 'boss' })
    await sleep(LOOK_MS * 1.2)
    expect(await hub.sweep()).toBe(1)
    expect(await hub.get('t1')).toMatchObject({ attempt: 1 })
    const over = async () => {
      mail.boxes.get('worker')!.clear()
      await hub.sweep()
      return (await hub.get('t1')).status === 'failed'
    }
    await until('it has failed', over)
    expect(await hub.get('t1')).toMatchObject({ attempt: 5, error: expect.stringContaining('5 times') })
    expect(mail.of('boss')).toMatchObject([
      { data: { task: 't1', status: 'failed', output: null, error: expect.any(String) } },
    ])
    expect(await hub.heard('agent:events')).toMatchObject([{ type: 'task.failed', task: 't1' }])
    mail.boxes.get('worker')!.clear()
    await hub.add({ id: 't2' })
    expect(mail.ids('worker')).toEqual(['t2/1'])
  })

  it('a process dies before it told anybody: a sweep tells', async (context) => {
    const mail = inboxes('boss', 'worker')
    const publish = () => Promise.reject(new Error('killed'))
    const killed = await start(context, {
      realtime: { publish },
      agents: {
        ...mail.agents,
        deliver: (...call) => (call[1] === 'boss' ? publish() : mail.agents.deliver(...call)),
      },
    })
    await killed.enlist('worker')
    await killed.add({ id: 't1', planner: 'boss' })
    await killed.add({ id: 't2' })
    await killed.finish('t1', 1, 'worker')
    expect(killed.errors.length).toBeGreaterThan(0)
    expect(mail.of('boss')).toEqual([])
    const hub = await start(context, { agents: mail.agents, tenant: killed.tenant })
    await until('all is told', async () => {
      await hub.sweep()
      return (await hub.heard('agent:events')).length > 0 && (await hub.heard('agent:tasks')).length > 1
    })
    expect(mail.ids('boss')).toEqual(['t1'])
    expect((await hub.heard('agent:tasks')).map(({ task }) => task).toSorted()).toEqual(['t1', 't2'])
    expect(await hub.heard('agent:events')).toMatchObject([{ task: 't1', status: 'done' }])
    await hub.finish('t2', 1, 'worker')
    await sleep(LOOK_MS * 1.2)
    await hub.sweep()
    expect(await hub.send('ZCARD', taskKeys(hub.tenant).due)).toBe(0)
  })

  it('an executor whose inbox takes no more gets it later, and no attempt is counted', async (context) => {
    let full = true
    const mail = inboxes('worker', 'custom')
    const refusal = new HubError({ code: 'inbox_full', status: 429, message: 'Full.' })
    const hub = await start(context, {
      agents: {
        ...mail.agents,
        deliver: (...call) => (full ? Promise.reject(refusal) : mail.agents.deliver(...call)),
      },
    })
    await hub.enlist('worker')
    await hub.add({ id: 't1' })
    expect(await hub.get('t1')).toMatchObject({ status: 'waiting', attempt: 0 })
    full = false
    await hub.sweep()
    expect(mail.ids('worker')).toEqual(['t1/1'])
  })

  it('nobody takes it for a week: it has failed', async (context) => {
    const mail = inboxes('boss')
    const clock = { now: () => Date.now() + 7 * 86_400_000 }
    const hub = await start(context, { agents: mail.agents, clock })
    await hub.add({ id: 't1', planner: 'boss', topic: 'none' })
    await until('it has failed', async () => (await hub.sweep()) > 0)
    expect(await hub.get('t1')).toMatchObject({ status: 'failed', error: expect.stringContaining('7 days') })
    expect(mail.ids('boss')).toEqual(['t1'])
    expect(await hub.tasks.list(hub.tenant, { status: 'waiting', limit: 10 })).toEqual([])
    expect(await hub.send('ZCARD', taskKeys(hub.tenant).index)).toBe(2)
  })

  it('an output that is too large is a failure, and a large one is read with the task', async (context) => {
    const mail = inboxes('worker')
    const hub = await start(context, { agents: mail.agents })
    await hub.enlist('worker')
    await hub.add({ id: 't1', input: 'i'.repeat(100_000) })
    await hub.finish('t1', 1, 'worker', { output: 'o'.repeat(100_000) })
    expect(await hub.heard('agent:tasks')).toEqual([{ type: 'task', task: 't1', attempt: 0 }])
    expect((await hub.heard('agent:events'))[0]).not.toHaveProperty('output')
    expect((await hub.get('t1')).output).toHaveLength(100_000)
    await hub.add({ id: 't2' })
    await hub.finish('t2', 1, 'worker', { output: 'o'.repeat(300_000) })
    expect(await hub.get('t2')).toMatchObject({ status: 'failed', error: expect.stringContaining('bytes') })
    await expect(hub.add({ id: 't3', input: 'i'.repeat(300_000) })).rejects.toMatchObject({ status: 413 })
    await expect(hub.add({ id: 't3', to: 'a b' })).rejects.toMatchObject({ status: 400, param: 'to' })
    await expect(hub.get('t3')).rejects.toMatchObject({ status: 404, code: 'task_not_found' })
  })
})

describe('what is kept', () => {
  it('100,000 tasks wait, and no more', async (context) => {
    const hub = await start(context)
    const { index } = taskKeys(hub.tenant)
    for (let n = 0; n < 100_000; n += 1_000) {
      const members = Array.from({ length: 1_000 }, (_, i) => [
        0,
        `waiting ${String(n + i).padStart(15, '0')} x`,
      ])
      await hub.send('ZADD', index, ...members.flat())
    }
    await expect(hub.add({ id: 't1' })).rejects.toMatchObject({ status: 429, code: 'too_many_tasks' })
  })

  it('10,000 that are over, for a week; 1,000 results of a planner', async (context) => {
    const hub = await start(context)
    const { tasks, index } = taskKeys(hub.tenant)
    await hub.add({ id: 'before' })
    const ended = (id: string, number: number, at: number): Command[] => [
      ['HSET', tasks, `body:${id}`, `{"id":"${id}"}`, `state:${id}`, stateOf(number)],
      ['ZADD', index, 0, `done ${pad(number)} ${id}`, 0, `ended ${pad(at)} ${id}`],
    ]
    const pad = (number: number) => String(number).padStart(15, '0')
    const stateOf = (number: number) =>
      JSON.stringify({
        status: 'done',
        attempt: 1,
        number: pad(number),
        offers: ['any'],
        created: 1,
        updated: 1,
      })
    const now = Date.now()
    for (let n = 0; n < 10_050; n += 1_005) {
      await hub.redis.wave(
        Array.from({ length: 1_005 }, (_, i) => ended(`t${n + i}`, 100 + n + i, now - 20_000 + n + i)).flat(),
      )
    }
    await hub.redis.wave(ended('old', 50, now - 8 * 86_400_000))
    await hub.sweep()
    await expect(hub.get('old')).rejects.toMatchObject({ status: 404 })
    await expect(hub.get('t49')).rejects.toMatchObject({ status: 404 })
    expect(await hub.get('t50')).toMatchObject({ id: 't50', status: 'done' })
    expect((await hub.tasks.list(hub.tenant, { limit: 3 })).map(({ id }) => id)).toEqual([
      't10049',
      't10048',
      't10047',
    ])
    expect((await hub.tasks.list(hub.tenant, { status: 'waiting', limit: 3 })).map(({ id }) => id)).toEqual([
      'before',
    ])
    const list = taskKeys(hub.tenant).results('boss')
    await hub.send('RPUSH', list, ...Array.from({ length: 1_000 }, () => 'null'))
    await hub.add({ id: 'one', planner: 'boss' })
    await hub.enlist('x')
    const claimed = await hub.tasks.claim(hub.tenant, claimOf('outsider'))
    expect(claimed?.task.id).toBe('before')
    const second = await hub.tasks.claim(hub.tenant, claimOf('outsider'))
    await hub.tasks.report(hub.tenant, { task: second!.ref, status: 'failed', output: 'why' })
    expect((await hub.results('boss')).filter(Boolean)).toMatchObject([
      { task: 'one', status: 'failed', output: 'why' },
    ])
    expect(await hub.send('LLEN', list)).toBe(1_000)
    expect(await hub.send('TTL', list)).toBeGreaterThan(6 * 86_400)
  })

  const claimOf = (executor: string) => ({
    ...{ executor, leaseMs: 5_000, waitMs: 0, signal: new AbortController().signal },
  })
})
