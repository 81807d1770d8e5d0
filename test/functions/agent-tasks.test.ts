import { expect, onTestFinished, test } from 'vitest'
import { startApp, unique } from '../support/app.ts'
import { until } from '../support/hub.ts'
import { listen } from '../support/listen.ts'

const ADMIN = { authorization: 'Bearer the-admin-key-of-this-test' }

/** A hub, and a key of a tenant of its own. */
async function start(settings: object = {}) {
  const app = await startApp({
    env: { HUB_ADMIN_KEY: 'the-admin-key-of-this-test' },
    drains: { kickMs: 1_000, scheduledMs: 1_000 },
  })
  onTestFinished(() => app[Symbol.asyncDispose]())
  const made = await app.send('POST', '/v1/keys', { tenant: unique('tenant'), ...settings }, ADMIN)
  const { key } = (await made.json()) as { key: string }
  const header = { authorization: `Bearer ${key}` }
  const read = async (reply: Response) => ({
    status: reply.status,
    body: reply.status === 204 ? undefined : await reply.json(),
  })
  return {
    ...{ app, header },
    post: async (path: string, body: unknown, headers = {}) =>
      read(await app.send('POST', `/v1/${path}`, body, { ...header, ...headers })),
    put: async (path: string, body: unknown) => read(await app.send('PUT', `/v1/${path}`, body, header)),
    get: async (path: string) => read(await app.get(`/v1/${path}`, header)),
    async listen(path: string) {
      const heard = listen(await app.get(`/v1/realtime/${path}`, header))
      onTestFinished(heard.leave)
      return heard
    },
  }
}

const CLAIM = { executor: 'crew', lease_seconds: 60 }

test('an executor elsewhere claims a task, keeps it and reports; channels tell, also who comes later', async () => {
  const hub = await start()
  const early = await hub.listen('agent:tasks')
  await early.begun()
  expect(await hub.post('task-claims', CLAIM)).toEqual({ status: 204, body: undefined })
  const task = { id: 'a/b c', input: { city: 'Bern' }, topic: 'weather', planner: 'boss' }
  const made = await hub.post('tasks', task)
  expect(made).toMatchObject({ status: 201, body: { ...task, status: 'waiting', attempt: 0 } })
  await early.atLeast(1)
  const late = await hub.listen('agent:tasks?last_event_id=0-0')
  await late.atLeast(1)
  expect(late.events).toMatchObject([{ event: 'task' }])
  expect(late.data()).toEqual(early.data())
  const { id, ...rest } = task
  expect(late.data()).toEqual([{ task: id, attempt: 0, ...rest }])

  const claim = await hub.post('task-claims', { ...CLAIM, topics: ['weather'] })
  expect(claim).toMatchObject({ status: 200, body: { task: { ...task, attempt: 1 } } })
  const path = `tasks/${encodeURIComponent(id)}`
  expect(await hub.get(path)).toMatchObject({ body: { status: 'assigned', executor: 'crew' } })
  const renewed = await hub.put(`${path}/lease`, { attempt: 1, lease_seconds: 600 })
  expect(renewed.status).toBe(200)
  expect(renewed.body.lease_expires_at > claim.body.task.lease_expires_at).toBe(true)
  const lost = { status: 409, body: { error: { code: 'task_lost', param: 'attempt' } } }
  expect(await hub.put(`${path}/lease`, { attempt: 2, lease_seconds: 600 })).toMatchObject(lost)
  const result = { attempt: 1, status: 'done', output: [4, null] }
  expect(await hub.post(`${path}/result`, { ...result, attempt: 2 })).toMatchObject(lost)
  const over = { ...task, status: 'done', output: [4, null], executor: 'crew', attempt: 1 }
  expect(await hub.post(`${path}/result`, result)).toMatchObject({ status: 200, body: over })
  expect(await hub.post(`${path}/result`, { ...result, output: 5 })).toMatchObject({
    status: 200,
    body: over,
  })
  const events = await hub.listen('agent:events?last_event_id=0-0')
  await events.atLeast(1)
  expect(events.events).toMatchObject([{ event: 'task.done' }])
  expect(events.data()).toMatchObject([
    { task: id, status: 'done', output: [4, null], executor: 'crew', planner: 'boss', topic: 'weather' },
  ])
})

test('a claim waits for a task', async () => {
  const hub = await start()
  const claim = hub.post('task-claims', { ...CLAIM, wait_seconds: 15 })
  await new Promise((resolve) => setTimeout(resolve, 50))
  await hub.post('tasks', { id: 't1', input: 'go' })
  expect(await claim).toMatchObject({ status: 200, body: { task: { id: 't1', input: 'go' } } })
})

test('a lease that is over: another one has the task', async () => {
  const hub = await start()
  await hub.post('tasks', { id: 't1', input: 1 })
  await hub.post('task-claims', { ...CLAIM, lease_seconds: 1 })
  const other = { ...CLAIM, executor: 'graph' }
  const taken = await until('it is free', async () => {
    await hub.app.scheduled()
    const { body } = await hub.post('task-claims', other)
    return body
  })
  expect(taken.task).toMatchObject({ id: 't1', attempt: 2 })
  expect(await hub.post('tasks/t1/result', { attempt: 1, status: 'done' })).toMatchObject({ status: 409 })
  expect(await hub.post('tasks/t1/result', { attempt: 2, status: 'failed' })).toMatchObject({
    body: { status: 'failed', output: null },
  })
})

test('the same id, or Idempotency-Key, is the same task', async () => {
  const hub = await start()
  const key = { 'idempotency-key': 'order-7' }
  const first = await hub.post('tasks', { input: 1 }, key)
  expect(first.body.id).toBe('order-7')
  expect(await hub.post('tasks', { input: 1 }, key)).toEqual(first)
  expect(await hub.post('tasks', { input: 1, id: 'order-7' })).toEqual(first)
  expect(await hub.post('tasks', { input: 2 }, key)).toMatchObject({
    status: 422,
    body: { error: { code: 'idempotency_mismatch' } },
  })
  expect((await hub.post('tasks', { input: 1 })).body.id).not.toBe(
    (await hub.post('tasks', { input: 1 })).body.id,
  )
})

test('lists the newest first, by status', async () => {
  const hub = await start()
  for (const id of ['t1', 't2', 't3']) await hub.post('tasks', { id, input: id })
  await hub.post('task-claims', CLAIM)
  const ids = async (query: string) =>
    (await hub.get(`tasks${query}`)).body.data.map(({ id }: { id: string }) => id)
  expect(await ids('')).toEqual(['t3', 't2', 't1'])
  expect(await ids('?status=waiting')).toEqual(['t3', 't2'])
  expect(await ids('?status=waiting&limit=1')).toEqual(['t3'])
  expect(await ids('?status=assigned')).toEqual(['t1'])
  expect(await ids('?status=done')).toEqual([])
})

test.each([
  ['tasks', {}, 'input'],
  ['tasks', { input: 1, id: '' }, 'id'],
  ['tasks', { input: 1, to: 'a b' }, 'to'],
  ['tasks', { input: 1, more: 1 }, 'more'],
  ['task-claims', { executor: 'crew' }, 'lease_seconds'],
  ['task-claims', { ...CLAIM, wait_seconds: 31 }, 'wait_seconds'],
  ['task-claims', { ...CLAIM, topics: ['a b'] }, 'topics[0]'],
  ['tasks/t1/result', { attempt: 0, status: 'done' }, 'attempt'],
  ['tasks/t1/result', { attempt: 1, status: 'over' }, 'status'],
])('POST /v1/%s %j is 400 at %s', async (path, body, param) => {
  const hub = await start()
  expect(await hub.post(path, body)).toMatchObject({
    status: 400,
    body: { error: { code: 'invalid_value', param } },
  })
})

test('what is not there is 404, what is too large 413, and a key needs the scope', async () => {
  const hub = await start()
  const missing = { status: 404, body: { error: { code: 'task_not_found' } } }
  expect(await hub.get('tasks/none')).toMatchObject(missing)
  expect(await hub.put('tasks/none/lease', { attempt: 1, lease_seconds: 1 })).toMatchObject(missing)
  expect(await hub.post('tasks/none/result', { attempt: 1, status: 'done' })).toMatchObject(missing)
  const large = { status: 413, body: { error: { code: 'task_too_large' } } }
  expect(await hub.post('tasks', { input: 'x'.repeat(300_000) })).toMatchObject(large)
  await hub.post('tasks', { id: 't1', input: 1 })
  await hub.post('task-claims', CLAIM)
  const result = { attempt: 1, status: 'done', output: 'x'.repeat(300_000) }
  expect(await hub.post('tasks/t1/result', result)).toMatchObject(large)
  expect(await hub.post('tasks', { input: 1 }, { 'idempotency-key': 'x'.repeat(201) })).toMatchObject({
    ...{ status: 400, body: { error: { param: 'idempotency_key' } } },
  })
  const other = await start({ scopes: ['search'] })
  expect(await other.post('tasks', { input: 1 })).toMatchObject({
    ...{ status: 403, body: { error: { code: 'scope_missing' } } },
  })
})
