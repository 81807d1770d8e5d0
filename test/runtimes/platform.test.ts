import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { unique } from '../support/app.ts'
import { startTestBridge } from '../support/bridge.ts'
import {
  ADMIN_KEY,
  startLambdaHub,
  startNodeHub,
  startWorkerHub,
  type TestHub,
  until,
} from '../support/hub.ts'
import { listen } from '../support/listen.ts'
import { testRedisUrl } from '../support/redis.ts'

type Env = Record<string, string>

const rims: { rim: string; start(env: Env): Promise<TestHub> }[] = [
  { rim: 'Node', start: startNodeHub },
  { rim: 'Workers', start: startWorkerHub },
  { rim: 'Lambda, streaming', start: (env) => startLambdaHub(env, { handler: 'streamHandler' }) },
]
const cases = rims.flatMap((rim) => (['resp', 'rest'] as const).map((driver) => ({ ...rim, driver })))

let bridge: Awaited<ReturnType<typeof startTestBridge>>
beforeAll(async () => {
  bridge = await startTestBridge({ redisUrl: testRedisUrl() })
})
afterAll(() => bridge?.close())

describe.each(cases)('$rim over $driver', ({ start, driver }) => {
  let hub: TestHub
  let member: Env
  beforeAll(async () => {
    hub = await start(
      driver === 'resp'
        ? { REDIS_URL: testRedisUrl() }
        : { UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token },
    )
    const admin = { authorization: `Bearer ${ADMIN_KEY}` }
    const { key } = await until('there is a key', async () => {
      const reply = await send('POST', 'keys', { tenant: unique('platform'), scopes: ['platform'] }, admin)
      return reply.ok && reply.json()
    })
    member = { authorization: `Bearer ${key}` }
  })
  afterAll(() => hub?.stop())

  const send = (method: string, path: string, body: unknown, headers = member) =>
    fetch(`${hub.url}/v1/${path}`, {
      ...{ method, body: JSON.stringify(body) },
      headers: { 'content-type': 'application/json', ...headers },
    })
  /** Every write here may be repeated: a new instance may refuse one where the machine is busy. */
  const done = (method: string, path: string, body: unknown) =>
    until(`${method} ${path}`, async () => (await send(method, path, body)).ok)
  const get = (path: string, headers: Env = {}) =>
    fetch(`${hub.url}/v1/${path}`, { headers: { ...member, ...headers } })
  async function watch(headers: Env = {}) {
    const heard = listen(await get('config/app', { accept: 'text/event-stream', ...headers }))
    onTestFinished(heard.leave)
    return heard
  }

  test('a configuration is followed, left, and followed again', async () => {
    await done('PUT', 'config/app', { n: 1 })
    const heard = await watch()
    await heard.atLeast(1)
    await done('PATCH', 'config/app', { n: 2 })
    await heard.atLeast(2)
    await heard.leave()
    await done('PUT', 'config/app', { n: 3 })
    await done('POST', 'config/app/rollback', { version: 1 })
    const back = await watch({ 'last-event-id': heard.lastId! })
    await back.atLeast(1)
    const told = [...heard.data(), ...back.data()].map(({ version, values }) => [version, values.n])
    expect(told).toEqual([
      [1, 1],
      [2, 2],
      [4, 1],
    ])
  })

  test('an instance is chosen, and none that is drained', async () => {
    await done('PUT', 'services/billing/a', { url: 'http://10.0.0.5', ttl_seconds: 60 })
    await done('PUT', 'services/billing/b', { url: 'http://10.0.0.6', ttl_seconds: 60, weight: 0 })
    const choice = await until('it chooses', async () => {
      const reply = await get('service-choices/billing')
      return reply.ok && reply.json()
    })
    expect(choice).toMatchObject({ instance: 'a' })
    const { error } = await (await get('service-choices/billing?exclude=a')).json()
    expect(error.code).toBe('no_healthy_instance')
  })
})
