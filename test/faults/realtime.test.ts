import { readFileSync } from 'node:fs'
import { Agent, request } from 'undici'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { startApp, unique } from '../support/app.ts'
import { startTestBridge } from '../support/bridge.ts'
import {
  ADMIN_KEY,
  type NodeHub,
  startLambdaHub,
  startNodeHub,
  startWorkerHub,
  type TestHub,
  until,
} from '../support/hub.ts'
import { listen } from '../support/listen.ts'
import { testRedisUrl } from '../support/redis.ts'

const headersOf = (key = ADMIN_KEY) => ({
  authorization: `Bearer ${key}`,
  'content-type': 'application/json',
})

async function follow(hub: TestHub, path: string, { key, lastId }: { key?: string; lastId?: string } = {}) {
  const headers = { ...headersOf(key), ...(lastId && { 'last-event-id': lastId }) }
  return listen(await fetch(`${hub.url}/v1/realtime/${path}`, { headers }))
}

async function post(hub: TestHub, path: string, body: object): Promise<{ id: string; key: string }> {
  const reply = await fetch(hub.url + path, {
    ...{ method: 'POST', headers: headersOf(), body: JSON.stringify(body) },
  })
  expect(reply.status).toBe(201)
  return reply.json() as Promise<{ id: string; key: string }>
}

const publish = (hub: TestHub, channel: string, data: unknown) =>
  post(hub, `/v1/realtime/${channel}`, { data })

const residentBytes = (pid: number) =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024

let bridge: Awaited<ReturnType<typeof startTestBridge>>
beforeAll(async () => {
  bridge = await startTestBridge({ redisUrl: testRedisUrl() })
})
afterAll(() => bridge?.close())

describe.concurrent('two Node hubs', () => {
  let other: NodeHub
  beforeAll(async () => {
    other = await startNodeHub({ REDIS_URL: testRedisUrl() })
  })
  afterAll(() => other?.stop())

  test('who was on one that is killed is soon gone, and the channel is told', async () => {
    await using hub = await startNodeHub({ REDIS_URL: testRedisUrl() })
    const room = unique('room')
    using ann = await follow(hub, `${room}?as=ann`)
    using bob = await follow(other, `${room}?as=bob`)
    await bob.begun()
    await ann.atLeast(2)
    await hub.kill()
    const left = () => bob.data().some(({ event, as }) => event === 'leave' && as === 'ann')
    await until('ann is gone', left, 60_000)
    const present = await fetch(`${other.url}/v1/realtime/${room}/presence`, { headers: headersOf() })
    expect(await present.json()).toMatchObject({ data: [{ as: 'bob', connections: 1 }] })
  }, 90_000)

  test('a key that is revoked on one loses its connection to the other', async () => {
    await using app = await startApp({ env: { HUB_ADMIN_KEY: ADMIN_KEY } })
    const { id, key } = await post(other, '/v1/keys', { tenant: unique('tenant') })
    using heard = await follow(other, 'news', { key })
    await heard.begun()
    expect((await app.delete(`/v1/keys/${id}`, headersOf())).status).toBe(204)
    await until('its stream ends', () => heard.ended, 60_000)
    expect(heard.data().at(-1)).toMatchObject({ error: { code: 'invalid_api_key' } })
  }, 90_000)

  test('one that stops ends its streams, and the other goes on after the last id', async () => {
    await using hub = await startNodeHub({ REDIS_URL: testRedisUrl() })
    const channel = unique('channel')
    using heard = await follow(hub, channel)
    await heard.begun()
    await publish(other, channel, 1)
    await heard.atLeast(1)
    await hub.stop()
    await until('it has ended', () => heard.ended)
    await publish(other, channel, 2)
    using back = await follow(other, channel, { lastId: heard.lastId })
    await publish(other, channel, 3)
    await back.atLeast(2)
    expect(back.data()).toEqual([2, 3])
  }, 60_000)

  test('who leaves is no longer present', async () => {
    const room = unique('room')
    const left = new AbortController()
    const path = `${other.url}/v1/realtime/${room}`
    using heard = listen(await fetch(`${path}?as=ann`, { headers: headersOf(), signal: left.signal }))
    await heard.atLeast(1)
    left.abort()
    const presence = () => fetch(`${path}/presence`, { headers: headersOf() })
    await until('she is gone', async () => (await (await presence()).text()) === '{"data":[]}', 40_000)
  }, 60_000)
})

test('readers that take nothing cost a hub no memory and hold nobody up', async () => {
  const [READERS, MESSAGES, BYTES] = [100, 300, 60_000]
  await using hub = await startNodeHub({ REDIS_URL: testRedisUrl() })
  const channel = unique('channel')
  const agent = new Agent({ connections: null, bodyTimeout: 0 })
  onTestFinished(() => agent.destroy())
  const open = async () => {
    const url = `${hub.url}/v1/realtime/${channel}`
    return (await request(url, { headers: headersOf(), dispatcher: agent })).body
  }
  const lazy = await Promise.all(Array.from({ length: READERS }, open))
  using eager = await follow(hub, channel)
  await eager.begun()
  const before = residentBytes(hub.process.pid!)
  for (let n = 0; n < MESSAGES; n++) await publish(hub, channel, `${n} ${'x'.repeat(BYTES)}`)
  await eager.atLeast(MESSAGES)
  // Kept for each of them it would be 1.8 GB.
  expect(residentBytes(hub.process.pid!) - before).toBeLessThan((READERS * MESSAGES * BYTES) / 6)

  const late: string[] = []
  let rest = ''
  for await (const chunk of lazy[0]!) {
    const blocks = (rest + chunk).split('\n\n')
    rest = blocks.pop()!
    for (const block of blocks) late.push(...(/^data: "(\d+) x/m.exec(block)?.slice(1) ?? []))
    if (late.length === MESSAGES) break
  }
  expect(late).toEqual(Array.from({ length: MESSAGES }, (_, n) => `${n}`))
}, 90_000)

describe.concurrent.each([
  { rim: 'Workers over REST', start: startWorkerHub, over: 'rest' },
  { rim: 'Workers over RESP', start: startWorkerHub, over: 'resp' },
] as const)('$rim', ({ start, over }) => {
  test('messages arrive while the stream lasts; it ends with its calls, and nothing is missed', async () => {
    const redis =
      over === 'rest'
        ? { UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token }
        : { REDIS_URL: testRedisUrl() }
    await using hub = await start({ ...redis, HUB_REDIS_CALLS: '12' })
    const channel = unique('channel')
    const seen: unknown[] = []
    let [lastId, connections, sent] = ['', 0, 0]
    while (seen.length < 20) {
      using heard = await follow(hub, channel, { lastId })
      connections++
      await heard.begun()
      while (!heard.ended && sent < 20) {
        await publish(hub, channel, sent++)
        await until('it is heard', () => heard.ended || seen.length + heard.events.length >= sent)
      }
      await until('it is heard', () => heard.ended || seen.length + heard.events.length >= sent)
      seen.push(...heard.data())
      lastId = heard.lastId ?? lastId
    }
    expect(seen).toEqual(Array.from({ length: 20 }, (_, n) => n))
    expect(connections).toBeGreaterThan(1)
  }, 60_000)

  test('who leaves is no longer present', async () => {
    const redis =
      over === 'rest'
        ? { UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token }
        : { REDIS_URL: testRedisUrl() }
    await using hub = await start(redis)
    const room = unique('room')
    const heard = await follow(hub, `${room}?as=ann`)
    await heard.atLeast(1)
    await heard.leave()
    const presence = () => fetch(`${hub.url}/v1/realtime/${room}/presence`, { headers: headersOf() })
    await until('she is gone', async () => (await (await presence()).text()) === '{"data":[]}', 40_000)
  }, 60_000)
})

test.concurrent('Lambda hands over what came in its time, and the next call goes on', async () => {
  await using hub = await startLambdaHub({ REDIS_URL: testRedisUrl() })
  const channel = unique('channel')
  await publish(hub, channel, 1)
  await publish(hub, channel, 2)
  using heard = await follow(hub, channel, { lastId: '0-0' })
  await until('it is over', () => heard.ended, 40_000)
  expect(heard.data()).toEqual([1, 2])
}, 60_000)
