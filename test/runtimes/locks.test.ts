import { expect, test } from 'vitest'
import { unique } from '../support/app.ts'
import { startTestBridge } from '../support/bridge.ts'
import { ADMIN_KEY, startLambdaHub, startNodeHub, startWorkerHub, until } from '../support/hub.ts'
import { testRedisUrl } from '../support/redis.ts'

/** The last: whether the runtime tells that a caller left before there was any answer. workerd hears of it when it sends, Lambda never. */
test.each([
  ['Node', 'rest', startNodeHub, true],
  ['Workers', 'resp', startWorkerHub, false],
  ['Workers', 'rest', startWorkerHub, false],
  ['Lambda', 'resp', startLambdaHub, false],
] as const)(
  '%s over %s: a lock is waited for, and what a later holder wrote is fenced',
  async (_, driver, start, hearsLeaving) => {
    await using stack = new AsyncDisposableStack()
    const bridge = await startTestBridge({ redisUrl: testRedisUrl() })
    stack.defer(bridge.close)
    const hub = await start({
      ...(driver === 'resp'
        ? { REDIS_URL: testRedisUrl() }
        : { UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token }),
      FUNCTIONS: 'platform,prompts',
    })
    stack.defer(hub.stop)
    const name = unique('lock')
    const path = `/v1/locks/${name}`
    async function call(method: string, to: string, body?: unknown, more: RequestInit = {}) {
      const reply = await fetch(hub.url + to, {
        ...{ method, body: body === undefined ? undefined : JSON.stringify(body), ...more },
        headers: {
          ...{ authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
          ...(more.headers as Record<string, string>),
        },
      })
      const text = await reply.text()
      return { status: reply.status, body: text ? JSON.parse(text) : undefined }
    }
    const queued = (count: number) =>
      until(`${count} wait`, async () => (await call('GET', path)).body.waiting === count)
    const first = await call('POST', path, { ttl_seconds: 60 })
    expect(first.status).toBe(201)
    if (hearsLeaving) {
      const hangUp = new AbortController()
      const left = call('POST', path, { ttl_seconds: 60, wait_seconds: 20 }, { signal: hangUp.signal })
      await queued(1)
      hangUp.abort()
      await left.catch(() => {})
      await queued(0)
    }
    const waits = call('POST', path, { ttl_seconds: 60, wait_seconds: 20 })
    await queued(1)
    expect((await call('DELETE', `${path}?token=${first.body.token}`)).status).toBe(204)
    const second = await waits
    expect(second.status).toBe(201)
    const write = (token: number) =>
      call(
        'PUT',
        `/v1/prompts/${name}`,
        { messages: [{ role: 'user', content: 'hi' }] },
        { headers: { 'x-hub-lock': `${name}=${token}` } },
      )
    expect((await write(second.body.token)).status).toBe(201)
    expect(await write(first.body.token)).toMatchObject({
      status: 412,
      body: { error: { code: 'lock_lost' } },
    })
  },
  60_000,
)
