import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from '@redis/client'
import { describe, expect, it, type TestContext } from 'vitest'
import { eventKeys, SCHEDULES_DUE_KEY, SCHEDULES_RUNS_KEY } from '../../shared/keys.ts'
import { startTestBridge } from '../support/bridge.ts'
import { ADMIN_KEY, startLambdaHub, startNodeHub, startWorkerHub, until } from '../support/hub.ts'
import { startTestRedis } from '../support/redis.ts'
import { startSources } from '../support/sources.ts'

/** A Redis of the test's own: what is due is the whole hub's. */
async function start({ onTestFinished }: TestContext) {
  const redis = await startTestRedis()
  onTestFinished(redis.stop)
  const client = await createClient({ url: redis.url })
    .on('error', () => {})
    .connect()
  onTestFinished(() => client.destroy())
  const sources = await startSources()
  onTestFinished(sources.close)
  return {
    ...{ redis, client, sources },
    async hub(more: Record<string, string> = {}) {
      const hub = await startNodeHub({ REDIS_URL: redis.url, HUB_CLAIM_SECONDS: '2', ...more })
      onTestFinished(hub.stop)
      return hub
    },
    async events(stream: string) {
      const entries = await client.xRange(eventKeys('default', stream).events, '-', '+')
      return entries!.map(({ message }) => JSON.parse(message.event!))
    },
  }
}

async function call(hub: { url: string }, method: string, path: string, body?: unknown) {
  const reply = await fetch(hub.url + path, {
    method,
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${await reply.text()}`)
  return reply.json()
}

const tick = (stream: string) => ({ every_seconds: 1, source: { type: 'event', stream, data: {} } })

describe('schedules over two Node hubs', () => {
  it('each due time is run once, whoever runs it', async (context) => {
    const { hub, events } = await start(context)
    const [first, second] = await Promise.all([hub(), hub()])
    await call(first, 'PUT', '/v1/schedules/one', tick('ticks'))
    await call(second, 'PUT', '/v1/schedules/two', tick('ticks'))
    const found = await until('both ran a few times', async () => {
      const now = await events('ticks')
      return ['one', 'two'].every((name) => now.filter(({ id }) => id.startsWith(name)).length >= 4) && now
    })
    for (const name of ['one', 'two']) {
      const times = found.filter(({ id }) => id.startsWith(name)).map(({ time }) => Date.parse(time))
      expect(new Set(times).size).toBe(times.length)
      // None but whole seconds after the one before: none is run early, or by both.
      expect(times.slice(1).map((time, i) => (time - times[i]!) % 1_000)).toEqual(times.slice(1).map(() => 0))
    }
    const { last_run } = await call(first, 'GET', '/v1/schedules/one')
    expect(last_run).toMatchObject({ status: 'ok', accepted: 1, duplicates: 0 })
  })

  it('one is killed mid-run: another one runs it again, and no event is lost or doubled', async (context) => {
    const { hub, events, sources, client } = await start(context)
    const COUNT = 450
    for (let n = 0; n < COUNT; n++) sources.put(`object-${String(n).padStart(4, '0')}.txt`, `Content ${n}`)
    let reads = 0
    // Each object is an answer of its own, and slow enough for a kill in the middle.
    sources.misbehave = (request, response) => {
      if (!request.url!.includes('object-')) return false
      reads++
      setTimeout(() => response.writeHead(200).end('Content'), 60)
      return true
    }
    const source = {
      ...{ type: 's3', endpoint: sources.url, bucket: 'bucket', region: 'eu-test-1', fetch_content: 1_000 },
      ...{ access_key_id: 'AKIAEXAMPLE', secret_access_key: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' },
      allow_private: true,
    }
    const secret = { HUB_SECRET_KEY: 'a secret key of this test' }
    const [doomed, heir] = [await hub(secret), await hub(secret)]
    await call(doomed, 'PUT', '/v1/schedules/bucket', {
      every_seconds: 3_600,
      source,
      target: { stream: 'objects' },
    })
    const run = call(doomed, 'POST', '/v1/schedules/bucket/run').catch((error) => error)
    await until('it is in the middle', async () => (await client.xLen('events:objects')) > 50)
    await doomed.kill()
    expect(await run).toBeInstanceOf(Error)
    const soFar = await client.xLen('events:objects')
    expect(soFar).toBeLessThan(COUNT)
    // It sleeps for up to a minute; whatever is set through it wakes it.
    await call(heir, 'PUT', '/v1/schedules/other', { ...tick('others'), enabled: false })
    await until(
      'another hub has done the rest',
      async () => (await call(heir, 'GET', '/v1/schedules/bucket')).last_run ?? undefined,
      40_000,
    )
    const keys = (await events('objects')).map(({ subject }) => subject)
    expect(keys).toHaveLength(COUNT)
    expect(new Set(keys).size).toBe(COUNT)
    expect(reads).toBeLessThan(COUNT + 50) // what was taken in is not read again
    const { last_run, next_run } = await call(heir, 'GET', '/v1/schedules/bucket')
    expect(last_run.status).toBe('ok')
    expect(Date.parse(next_run)).toBeGreaterThan(Date.now() + 1_800_000)
    expect(await client.hLen(SCHEDULES_RUNS_KEY)).toBe(0)
  })

  it('what nobody was there to run is one run', async (context) => {
    const { hub, events, client } = await start(context)
    const first = await hub()
    await call(first, 'PUT', '/v1/schedules/one', { ...tick('ticks'), every_seconds: 3_600 })
    await first.stop()
    const due = Date.now() - 10 * 3_600_000
    await client.zAdd(SCHEDULES_DUE_KEY, { score: due, value: 'default/one' })
    const second = await hub()
    const [event] = await until('it ran', async () => {
      const found = await events('ticks')
      return found.length > 0 && found
    })
    expect(Date.parse(event.time)).toBe(due)
    const next = await until('it is due again', async () => {
      const score = await client.zScore(SCHEDULES_DUE_KEY, 'default/one')
      return score! > Date.now() + 60_000 && score
    })
    expect((next! - due) % 3_600_000).toBe(0)
    expect((await call(second, 'GET', '/v1/schedules/one')).last_run.accepted).toBe(1)
    expect(await events('ticks')).toHaveLength(1)
  })

  it('Redis is away for a while: the hub goes on with it', async (context) => {
    const { hub, events, redis } = await start(context)
    const only = await hub()
    await call(only, 'PUT', '/v1/schedules/one', tick('ticks'))
    await until('it runs', async () => (await events('ticks')).length > 0)
    process.kill(redis.pid, 'SIGSTOP')
    await sleep(3_000)
    process.kill(redis.pid, 'SIGCONT')
    const before = (await events('ticks')).length
    const after = await until(
      'it runs again',
      async () => {
        const found = await events('ticks')
        return found.length > before + 1 && found
      },
      30_000,
    )
    const ids = after.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
  })
})

describe('schedules where the platform wakes the hub', () => {
  it.for(['Worker', 'Lambda'] as const)(
    '%s: a due feed is pulled when its schedule fires, once',
    async (rim, context) => {
      const { redis, client, sources, events } = await start(context)
      sources.entries.push(
        { id: 'a', title: 'A', at: '2026-01-01T00:00:00Z' },
        { id: 'b', title: 'B', at: '2026-01-02T00:00:00Z' },
      )
      const bridge = await startTestBridge({ redisUrl: redis.url })
      context.onTestFinished(bridge.close)
      const env = { UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token }
      await using hub =
        rim === 'Worker' ? await startWorkerHub(env) : await startLambdaHub({ REDIS_URL: redis.url })
      const source = { type: 'rss', url: `${sources.url}/rss`, allow_private: true }
      await call(hub, 'PUT', '/v1/schedules/feed', { cron: '0 0 1 1 *', source, target: { stream: 'news' } })
      await hub.fireSchedule()
      expect(await events('news')).toEqual([])
      await client.zAdd(SCHEDULES_DUE_KEY, { score: Date.now() - 1_000, value: 'default/feed' })
      await hub.fireSchedule()
      expect((await events('news')).map(({ id }) => id)).toEqual(['a', 'b'])
      const shown = await call(hub, 'GET', '/v1/schedules/feed')
      expect(shown).toMatchObject({ consecutive_failures: 0, last_run: { status: 'ok', accepted: 2 } })
      expect(shown.next_run).toMatch(/-01-01T00:00:00\.000Z$/)
      await hub.fireSchedule()
      expect(sources.requests).toHaveLength(1)
    },
  )
})
