import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { unique } from '../support/app.ts'
import { startTestBridge } from '../support/bridge.ts'
import { ADMIN_KEY, startLambdaHub, startNodeHub, startWorkerHub, type TestHub } from '../support/hub.ts'
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
    const reply = await send('POST', 'keys', { tenant: unique('platform'), scopes: ['platform'] }, admin)
    member = { authorization: `Bearer ${(await reply.json()).key}` }
  })
  afterAll(() => hub?.stop())

  const send = (method: string, path: string, body: unknown, headers = member) =>
    fetch(`${hub.url}/v1/${path}`, {
      ...{ method, body: JSON.stringify(body) },
      headers: { 'content-type': 'application/json', ...headers },
    })
  const get = (path: string, headers: Env = {}) =>
    fetch(`${hub.url}/v1/${path}`, { headers: { ...member, ...headers } })
  async function watch(headers: Env = {}) {
    const heard = listen(await get('config/app', { accept: 'text/event-stream', ...headers }))
    onTestFinished(heard.leave)
    return heard
  }

  test('a configuration is followed, left, and followed again', async () => {
    await send('PUT', 'config/app', { n: 1 })
    const heard = await watch()
    await heard.atLeast(1)
    await send('PATCH', 'config/app', { n: 2 })
    await heard.atLeast(2)
    await heard.leave()
    await send('PUT', 'config/app', { n: 3 })
    await send('POST', 'config/app/rollback', { version: 1 })
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
    await send('PUT', 'services/billing/a', { url: 'http://10.0.0.5', ttl_seconds: 60 })
    await send('PUT', 'services/billing/b', { url: 'http://10.0.0.6', ttl_seconds: 60, weight: 0 })
    expect(await (await get('services/billing/choice')).json()).toMatchObject({ instance: 'a' })
    expect((await get('services/billing/choice?exclude=a')).status).toBe(503)
  })
})
