import { createClient } from '@redis/client'
import { describe, expect, it, type TestContext } from 'vitest'
import { newWebhookSecret, signWebhook } from '../../shared/webhooks/signing.ts'
import { startTestBridge } from '../support/bridge.ts'
import {
  ADMIN_KEY,
  startLambdaHub,
  startNodeHub,
  startWorkerHub,
  type TestHub,
  until,
} from '../support/hub.ts'
import { startReceiver } from '../support/receiver.ts'
import { startTestRedis } from '../support/redis.ts'

/** A Redis of its own, and a receiver that verifies all that it gets. */
async function start({ onTestFinished }: TestContext, answer?: (n: number) => { status?: number }) {
  const redis = await startTestRedis()
  onTestFinished(redis.stop)
  const client = await createClient({ url: redis.url })
    .on('error', () => {})
    .connect()
  onTestFinished(() => client.destroy())
  const secret = newWebhookSecret()
  const receiver = await startReceiver({ secret, answer })
  onTestFinished(receiver.close)
  const env = { REDIS_URL: redis.url, HUB_SECRET_KEY: 'the secret key of tests', HUB_CLAIM_SECONDS: '1' }
  return {
    ...{ redis, client, secret, receiver, env },
    webhook: { url: receiver.url, secret, allow_private: true },
    async hub() {
      const hub = await startNodeHub(env)
      onTestFinished(hub.stop)
      return hub
    },
  }
}

async function call(hub: TestHub, method: string, path: string, body?: unknown) {
  const reply = await fetch(hub.url + path, {
    method,
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  return { status: reply.status, body: await reply.json() }
}

async function put(hub: TestHub, name: string, rule: object) {
  expect(await call(hub, 'PUT', `/v1/alerts/${name}`, rule)).toMatchObject({ status: 200 })
}

const hot = (webhook: object) => ({
  ...{ on: { stream: 'readings' }, cooldown_seconds: 0, webhook },
  when: { type: 'threshold', path: 'data.celsius', op: 'gt', value: 30 },
})

describe('alerts of hubs that are killed', () => {
  it('reach the channel and the webhook, each of them, signed', { timeout: 90_000 }, async (context) => {
    const { hub, webhook, receiver, client } = await start(context)
    let [one, two] = [await hub(), await hub()]
    await put(one, 'hot', hot(webhook))
    const accepted = new Set<string>()
    for (let i = 0; i < 60; i++) {
      const event = {
        specversion: '1.0',
        id: `e-${i}`,
        source: '/test',
        type: 'reading',
        data: { celsius: 31 },
      }
      const reply = await fetch(`${one.url}/v1/events/readings`, {
        method: 'POST',
        headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/cloudevents+json' },
        body: JSON.stringify(event),
      })
      expect(reply.status).toBe(202)
      accepted.add(event.id)
      if (i % 20 === 10) {
        await one.kill() // in the middle of what it does
        one = two
        two = await hub()
      }
    }
    const told = () => new Set(receiver.received.map(({ body }) => (body.data.event as { id: string }).id))
    // One that two hubs died on, or whose attempts failed twice, waits for its third attempt: five minutes.
    const planned = async () => {
      const [group] = await client.xInfoGroups('webhooks:out')
      const pending = await client.xPendingRange('webhooks:out', group!.name, '-', '+', 100)
      const waiting = await Promise.all(pending.map(({ id }) => client.xRange('webhooks:out', id, id)))
      return waiting.flat().map((entry) => JSON.parse(entry!.message.body!).data.event.id as string)
    }
    const isThere = () => told().size === accepted.size
    await until('all are told', isThere, 30_000).catch(async () => {
      const later = await planned()
      console.log(
        `Planned for later: ${later}`,
        JSON.stringify(await client.hGetAll('{webhooks:out}:failures:deliver')),
      )
      expect(later.length).toBeLessThan(5)
      expect([...new Set([...told(), ...later])].sort()).toEqual([...accepted].sort())
    })
    expect(receiver.refused).toEqual([])
    // An alert has one id, by which its doubles are told.
    expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(told().size)
    await until(
      'the channel has all',
      async () => (await client.xLen('stream:alerts')) === accepted.size,
      30_000,
    )
  })

  it('of a rate count over both; an absence is noticed', { timeout: 60_000 }, async (context) => {
    const { hub, webhook, receiver } = await start(context)
    const [one, two] = [await hub(), await hub()]
    const on = { stream: 'readings' }
    await put(one, 'many', { on, when: { type: 'rate', count: 10, window_seconds: 60 }, webhook })
    await put(two, 'silent', { on, when: { type: 'absence', seconds: 4 }, webhook })
    const send = async (hub: TestHub) => {
      expect((await call(hub, 'POST', '/v1/events/readings', { n: 1 })).status).toBe(202)
    }
    for (let i = 0; i < 5; i++) await Promise.all([send(one), send(two)])
    const types = () => receiver.received.map(({ body }) => body.data.type)
    await until('the rate was told', () => types().includes('rate'))
    await until('the silence was told', () => types().includes('absence'), 30_000)
    expect(types()).toEqual(['rate', 'absence'])
  })

  it('are delivered again, after five seconds, by who lives', { timeout: 60_000 }, async (context) => {
    const { hub, webhook, receiver } = await start(context, (n) => ({ status: n === 1 ? 500 : 200 }))
    const one = await hub()
    await put(one, 'hot', hot(webhook))
    await call(one, 'POST', '/v1/events/readings', { celsius: 31 })
    await until('the first attempt', () => receiver.received.length === 1)
    await one.kill()
    await hub()
    await until('the second attempt', () => receiver.received.length === 2, 30_000)
    const [first, second] = receiver.received
    expect(second!.id).toBe(first!.id)
    expect(second!.text).toBe(first!.text)
  })
})

describe('what a receiver does not want', () => {
  it('an admin sees with its cause, and sends again', async (context) => {
    let status = 410
    const { hub, webhook, receiver } = await start(context, () => ({ status }))
    const one = await hub()
    await put(one, 'hot', hot(webhook))
    await call(one, 'POST', '/v1/events/readings', { celsius: 31 })
    const path = '/v1/deliveries/dead'
    const [dead] = await until('it is dead', async () => {
      const { data } = (await call(one, 'GET', path)).body
      return data.length > 0 && data
    })
    const cause = 'The receiver answered 410'
    expect(dead).toMatchObject({ tenant: 'default', url: receiver.url, cause, attempts: 1 })
    status = 200
    await put(one, 'hot', hot(webhook)) // calls it again from here on
    expect((await call(one, 'POST', `${path}/replay`, { ids: [dead.id] })).body).toEqual({ ids: [dead.id] })
    await until('it is taken', () => receiver.received.length === 2)
    expect(receiver.received.map(({ id }) => id)).toEqual([dead.webhook_id, dead.webhook_id])
    expect((await call(one, 'GET', path)).body).toEqual({ data: [], next: null })
  })
})

describe('where nothing runs between requests', () => {
  const tell = async (hub: TestHub, { webhook, receiver }: Awaited<ReturnType<typeof start>>) => {
    await put(hub, 'hot', hot(webhook))
    expect((await call(hub, 'POST', '/v1/events/readings', { celsius: 31 })).status).toBe(202)
    await until('it is told', () => receiver.received.length === 1)
    expect(receiver.received[0]!.body).toMatchObject({
      type: 'alert.fired',
      data: { rule: 'hot', value: 31 },
    })
    // And the bytes of a webhook come through as they were signed.
    const source = { scheme: 'standard', secret: webhook.secret, target: { stream: 'hooks' } }
    const { path } = (await call(hub, 'PUT', '/v1/webhooks/partner', source)).body
    for (const type of ['application/json', 'application/octet-stream']) {
      const body = JSON.stringify({ type: 'greeting', text: 'grüß dich 👋' })
      const headers = signWebhook({ id: type, at: Date.now(), body, secrets: [webhook.secret] })
      const post = (text: string) =>
        fetch(hub.url + path, { method: 'POST', headers: { ...headers, 'content-type': type }, body: text })
      expect([(await post(body)).status, (await post(`${body} `)).status]).toEqual([202, 401])
    }
  }

  it('a Worker tells after the request that brought the event', { timeout: 90_000 }, async (context) => {
    const all = await start(context)
    const bridge = await startTestBridge({ redisUrl: all.redis.url })
    context.onTestFinished(bridge.close)
    const hub = await startWorkerHub({
      ...{ UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token },
      HUB_SECRET_KEY: all.env.HUB_SECRET_KEY,
    })
    context.onTestFinished(hub.stop)
    await tell(hub, all)
  })

  it('so does a Lambda, and its schedule notices a silence', { timeout: 90_000 }, async (context) => {
    const all = await start(context)
    const hub = await startLambdaHub(all.env)
    context.onTestFinished(hub.stop)
    await tell(hub, all)
    const { webhook, receiver } = all
    await put(hub, 'silent', { on: { stream: 'readings' }, when: { type: 'absence', seconds: 1 }, webhook })
    await until('the silence is told', async () => {
      await hub.fireSchedule()
      return receiver.received.length === 2
    })
    expect(receiver.received[1]!.body.data).toMatchObject({ rule: 'silent', type: 'absence' })
  })
})
