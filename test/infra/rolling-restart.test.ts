import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { ask, unique } from '../support/app.ts'
import { startBalancedHubs } from '../support/balanced-hubs.ts'
import { ADMIN_KEY, until } from '../support/hub.ts'
import { listen } from '../support/listen.ts'
import { startProvider } from '../support/provider.ts'
import { testRedisUrl } from '../support/redis.ts'

/** Three real hubs over one Redis behind a real nginx, under a constant load over connections that are kept. */
const TEXT = 'A streamed answer takes as long as its model does, and is heard to its end.'
let provider: Awaited<ReturnType<typeof startProvider>>
let balanced: Awaited<ReturnType<typeof startBalancedHubs>>
let load: ReturnType<typeof startLoad>

beforeAll(async () => {
  provider = await startProvider({
    text: TEXT,
    record: false,
    behave: (_, { stream }) => ({ delayMs: stream ? 100 : 10 }), // 1.5 s: longer than a turn of the restart
  })
  balanced = await startBalancedHubs({
    REDIS_URL: testRedisUrl(),
    OPENAI_API_KEY: 'sk-test',
    OPENAI_BASE_URL: provider.url,
  })
}, 300_000)
afterAll(async () => {
  await balanced?.[Symbol.asyncDispose]()
  await provider?.close()
})
beforeEach(() => {
  load = startLoad(balanced.nginx.url)
})

it('restarts one after the other without a failed request, and no stream is cut', async () => {
  const channel = unique('news')
  const follower = follow(channel)
  await until('the follower listens', async () => {
    await load.post(`/v1/realtime/${channel}`, { data: 0 })
    return follower.heard.length > 0
  })
  const publisher = load.repeat(1, 50, (n) => load.post(`/v1/realtime/${channel}`, { data: n }))
  await until('each instance has served', () => balanced.names.every((name) => load.served.get(name)))

  for (const [i, hub] of balanced.hubs.entries()) {
    const stopped = hub.stop()
    await until('it says that it goes', async () => {
      const reply = await fetch(`${hub.url}/readyz`)
      return reply.status === 503 && (await reply.json()).status === 'draining'
    })
    await stopped
    expect(hub.process.exitCode).toBe(0)
    const before = load.served.get(balanced.names[i]!)
    await balanced.again(i)
    await until('it serves again', () => load.served.get(balanced.names[i]!)! > before! + 20)
  }
  await load.stop()
  const published = await publisher
  await until('the follower has heard the last', () => follower.heard.at(-1) === published)
  await follower.stop()
  load.report('Rolling restart of three hubs')
  expect(load.failures).toEqual([])
  // Nothing twice, nothing missed, over the connections that the restarts ended.
  expect(follower.heard.filter((n) => n > 0)).toEqual(Array.from({ length: published }, (_, i) => i + 1))
  expect(follower.connections).toBeGreaterThan(1)
}, 90_000)

it('a crash fails what ran there and cannot be repeated, and nothing after it', async () => {
  await until('each instance has served', () => balanced.names.every((name) => load.served.get(name)))
  await balanced.hubs[0]!.kill()
  const before = load.requests
  await until('the others carry on', () => load.requests > before + 200)
  const early = load.failures.length
  await until('the others carry on', () => load.requests > before + 400)
  await load.stop()
  load.report('SIGKILL of one of three')
  // No more than one of each loop: a POST that was sent is not sent again.
  expect(load.failures.length).toBeLessThanOrEqual(load.loops)
  expect(load.failures.filter((line) => line.startsWith('GET'))).toEqual([])
  expect(load.failures.length).toBe(early)
  await balanced.again(0)
}, 60_000)

/** Reads a channel as an EventSource does: it comes back with the last id that it saw. */
function follow(channel: string) {
  const heard: number[] = []
  const over = new AbortController()
  let connections = 0
  let lastId: string | undefined
  const running = (async () => {
    while (!over.signal.aborted) {
      connections++
      const reply = await fetch(`${balanced.nginx.url}/v1/realtime/${channel}`, {
        headers: { authorization: `Bearer ${ADMIN_KEY}`, ...(lastId && { 'last-event-id': lastId }) },
        signal: over.signal,
      })
      if (reply.status === 503) continue // as `busy`, below
      const connection = listen(reply)
      const collect = setInterval(() => heard.push(...connection.events.splice(0).map(numberOf)), 20)
      await connection.over
      clearInterval(collect)
      heard.push(...connection.events.splice(0).map(numberOf))
      lastId = connection.lastId
    }
  })().catch((error) => {
    if (!over.signal.aborted) throw error
  })
  return {
    heard,
    get connections() {
      return connections
    },
    stop() {
      over.abort()
      return running
    },
  }
}

const numberOf = ({ data }: { data: string }) => JSON.parse(data) as number

/** Loops that ask one thing after the other until `stop`, over kept connections. */
function startLoad(url: string) {
  const failures: string[] = []
  const served = new Map<string, number>()
  const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' }
  const running: Promise<number>[] = []
  const begun = performance.now()
  let stopped = false
  let requests = 0
  let elsewhere = 0
  let busy = 0

  async function call(method: string, path: string, body?: object, isWhole = (_: string) => true) {
    requests++
    try {
      const reply = await fetch(url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) })
      const text = await reply.text()
      const tried = (reply.headers.get('x-instance') ?? '').split(', ')
      if (tried.length > 1) elsewhere++
      const by = tried.at(-1)!
      served.set(by, (served.get(by) ?? 0) + 1)
      // A machine that is busy for longer than a request waits for Redis: the hub's own answer, whole.
      if (reply.status === 503 && text.includes('redis_unavailable')) busy++
      else if (!reply.ok || !isWhole(text))
        failures.push(`${method} ${path} ${reply.status} ${text.slice(-200)}`)
    } catch (error) {
      failures.push(`${method} ${path} ${error} ${(error as Error).cause}`)
    }
  }
  const post = (path: string, body: object, isWhole?: (text: string) => boolean) =>
    call('POST', path, body, isWhole)

  /** So many loops, with a pause after each call; resolves with the number of calls when the load has stopped. */
  function repeat(loops: number, pauseMs: number, one: (n: number) => Promise<void>): Promise<number> {
    let n = 0
    const loop = async () => {
      while (!stopped) {
        await one(++n)
        await sleep(pauseMs)
      }
      return n
    }
    const all = Array.from({ length: loops }, loop)
    running.push(...all)
    return Promise.all(all).then(() => n)
  }
  const stream = unique('load')
  void repeat(2, 5, () => call('GET', '/v1/models'))
  void repeat(2, 5, () => post(`/v1/events/${stream}`, { some: 'data' }))
  void repeat(2, 5, () => post('/v1/chat/completions', ask(), (text) => text.includes(TEXT)))
  void repeat(4, 5, () => post('/v1/chat/completions', ask(undefined, { stream: true }), isWholeStream))

  return {
    ...{ failures, served, post, repeat },
    get requests() {
      return requests
    },
    get loops() {
      return running.length
    },
    async stop() {
      stopped = true
      await Promise.all(running)
    },
    report(what: string) {
      const seconds = (performance.now() - begun) / 1000
      const each = [...served].map(([name, count]) => `${name || 'none'} ${count}`).join(', ')
      console.log(
        `${what}: ${requests} requests in ${seconds.toFixed(1)} s, ${failures.length} failed, ${busy} refused as Redis was slow, ` +
          `${elsewhere} went to another instance; served by ${each}`,
      )
    },
  }
}

function isWholeStream(text: string): boolean {
  const data = text.split('\n\n').flatMap((event) => (event.startsWith('data: ') ? [event.slice(6)] : []))
  const words = data
    .slice(0, -1)
    .map((chunk) => JSON.parse(chunk).choices[0]?.delta.content ?? '')
    .join('')
  return data.at(-1) === '[DONE]' && words === TEXT
}
