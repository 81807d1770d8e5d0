import { afterEach, describe, expect, it } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { ask, readSse, startApp, type TestApp, textOf } from '../support/app.ts'
import { startTestRedis } from '../support/redis.ts'

type TestRedis = Awaited<ReturnType<typeof startTestRedis>>

const ADMIN = 'an-admin-key-of-tests'
const open: AsyncDisposable[] = []
afterEach(async () => {
  for (const resource of open.splice(0).reverse()) await resource[Symbol.asyncDispose]()
})

async function start(env: Record<string, string> = {}): Promise<{ redis: TestRedis; hub: TestApp }> {
  const redis = await startTestRedis()
  open.push(redis)
  const hub = await startApp({ env: { REDIS_URL: redis.url, ...env } })
  open.push(hub)
  return { redis, hub }
}

const status = (response: Response) => response.headers.get('cache-status')

/** What the hub added to the provider's own time. */
async function timed<T>(work: Promise<T>): Promise<[T, number]> {
  const start = performance.now()
  return [await work, performance.now() - start]
}

describe('Redis stalls', () => {
  it('completions still answer, past the cache, within 250 ms of waiting; service resumes by itself', async () => {
    const { redis, hub } = await start()
    const body = ask()
    await hub.complete(body)
    await hub.settled()
    process.kill(redis.pid, 'SIGSTOP')
    const replies = await Promise.all([
      timed(hub.complete(ask())),
      timed(hub.complete(body)),
      timed(
        hub
          .complete({ ...ask(), stream: true })
          .then(async (reply) => ({ reply, events: await readSse(reply) })),
      ),
    ])
    process.kill(redis.pid, 'SIGCONT')
    const [[fresh, freshMs], [known, knownMs], [{ reply: streamed, events }, streamedMs]] = replies
    for (const reply of [fresh, known, streamed]) {
      expect(reply.status).toBe(200)
      expect(status(reply)).toBe('redis-ai-hub; fwd=bypass')
    }
    expect(events.at(-1)).toBe('[DONE]')
    expect(textOf(events).length).toBeGreaterThan(0)
    // 250 ms are promised; the rest is room for a busy machine, not for a second wait.
    for (const ms of [freshMs, knownMs, streamedMs]) expect(ms).toBeLessThan(450)
    await expect.poll(async () => status(await hub.complete(body)), { timeout: 5_000 }).toContain('; hit;')
  })

  it('stalls between look and end: the answer is not held back', async () => {
    const { redis, hub } = await start()
    const running = timed(hub.complete(ask(undefined, { mock: { delayMs: 600 } })))
    await expect.poll(() => hub.provider.count).toBe(1)
    process.kill(redis.pid, 'SIGSTOP')
    const [reply, ms] = await running
    process.kill(redis.pid, 'SIGCONT')
    expect(reply.status).toBe(200)
    expect(ms).toBeLessThan(600 + 450)
  })
})

describe('Redis goes away', () => {
  it('completions still answer at once, readiness says degraded, and service resumes by itself', async () => {
    const { redis, hub } = await start()
    expect((await hub.get('/readyz')).status).toBe(200)
    const body = ask()
    await hub.complete(body)
    await hub.settled()
    await redis.stop()
    const [reply, ms] = await timed(hub.complete(body))
    expect(reply.status).toBe(200)
    expect(status(reply)).toBe('redis-ai-hub; fwd=bypass')
    expect(ms).toBeLessThan(450)
    const ready = await hub.get('/readyz')
    expect([ready.status, (await ready.json()).status]).toEqual([200, 'degraded'])
    open.push(await startTestRedis({ port: redis.port, password: redis.password }))
    await expect
      .poll(async () => status(await hub.complete(body)), { timeout: 10_000, interval: 200 })
      .toContain('; hit;')
    expect((await (await hub.get('/readyz')).json()).status).toBe('ok')
  })

  it('equal calls of one process still share one provider call', async () => {
    const { redis, hub } = await start()
    await redis.stop()
    const body = ask(undefined, { mock: { delayMs: 200 } })
    const replies = await Promise.all(Array.from({ length: 10 }, () => hub.complete(body)))
    expect(new Set(await Promise.all(replies.map((reply) => reply.text()))).size).toBe(1)
  })

  it('an instance that never saw Redis is not ready, and answers completions', async () => {
    const { redis, hub } = await start()
    await redis.stop()
    expect((await hub.get('/readyz')).status).toBe(503)
    expect((await hub.complete(ask())).status).toBe(200)
  })

  it('a key that was verified here lately is served; one that was not gets 503', async () => {
    const { redis, hub } = await start({ HUB_ADMIN_KEY: ADMIN })
    const create = async () =>
      (
        await (
          await hub.send('POST', '/v1/keys', { tenant: 'acme' }, { authorization: `Bearer ${ADMIN}` })
        ).json()
      ).key
    const [seen, unseen] = [await create(), await create()]
    const as = (key: string) => hub.complete(ask(), { authorization: `Bearer ${key}` })
    expect((await as(seen)).status).toBe(200)
    await redis.stop()
    expect((await as(seen)).status).toBe(200)
    const refused = await as(unseen)
    expect([refused.status, (await refused.json()).error.code]).toEqual([503, 'redis_unavailable'])
    expect((await as(ADMIN)).status).toBe(200)
  })

  it('HUB_REDIS_DOWN=refuse refuses instead', async () => {
    const { redis, hub } = await start({ HUB_REDIS_DOWN: 'refuse' })
    await redis.stop()
    const reply = await hub.complete(ask())
    expect([reply.status, (await reply.json()).error.code]).toEqual([503, 'redis_unavailable'])
    expect(hub.provider.count).toBe(0)
  })
})

describe('Redis turns read-only', () => {
  it('hits are still served, misses go past the cache, and service resumes by itself', async () => {
    const { redis, hub } = await start()
    const body = ask()
    await hub.complete(body)
    await hub.settled()
    const operator = createRedisResp({ url: redis.url })
    await operator.wave([['REPLICAOF', '127.0.0.1', '1']])
    expect(status(await hub.complete(body))).toContain('; hit;')
    const miss = await hub.complete(ask())
    expect([miss.status, status(miss)]).toEqual([200, 'redis-ai-hub; fwd=bypass'])
    await operator.wave([['REPLICAOF', 'NO', 'ONE']])
    await operator.close()
    expect(status(await hub.complete(ask()))).toBe('redis-ai-hub; fwd=miss; stored')
  })

  it('out of memory: answers go on, unstored', async () => {
    const { redis, hub } = await start()
    const operator = createRedisResp({ url: redis.url })
    await operator.wave([
      ['SETRANGE', 'filler', 20_000_000, 'x'],
      ['CONFIG', 'SET', 'maxmemory', '10mb'],
    ])
    await operator.close()
    const reply = await hub.complete(ask())
    expect([reply.status, status(reply)]).toEqual([200, 'redis-ai-hub; fwd=bypass'])
  })
})

describe('one server for state and cache', () => {
  it('stops cache writes at 80 % of maxmemory, so that state still fits', async () => {
    const { redis, hub } = await start()
    const operator = createRedisResp({ url: redis.url })
    const [, info] = await operator.wave([
      ['SETRANGE', 'filler', 20_000_000, 'x'],
      ['INFO', 'memory'],
    ])
    const used = Number(/used_memory:(\d+)/.exec(info as string)![1])
    await operator.wave([['CONFIG', 'SET', 'maxmemory', Math.floor(used / 0.85)]])
    await operator.close()
    await hub.complete(ask()) // looks
    await hub.settled()
    const body = ask()
    expect(status(await hub.complete(body))).toBe('redis-ai-hub; fwd=miss')
    expect(status(await hub.complete(body))).toBe('redis-ai-hub; fwd=miss')
    expect((await hub.send('POST', '/v1/keys', { tenant: 'acme' })).status).toBe(201)
  })

  it('a cache server of its own may go away alone: keys are still checked', async () => {
    const { hub: _, redis } = await start()
    const cache = await startTestRedis()
    const hub = await startApp({
      env: { REDIS_URL: redis.url, HUB_CACHE_REDIS_URL: cache.url, HUB_ADMIN_KEY: ADMIN },
    })
    open.push(hub)
    const admin = { authorization: `Bearer ${ADMIN}` }
    const { id, key } = await (await hub.send('POST', '/v1/keys', { tenant: 'acme' }, admin)).json()
    const body = ask()
    const as = () => hub.complete(body, { authorization: `Bearer ${key}` })
    await as()
    expect(status(await as())).toContain('; hit;')
    await cache.stop()
    expect(status(await as())).toBe('redis-ai-hub; fwd=bypass')
    await hub.delete(`/v1/keys/${id}`, admin)
    expect((await as()).status).toBe(401)
  })
})
