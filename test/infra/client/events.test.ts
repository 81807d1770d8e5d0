import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createHubClient, type HubEvent, HubRequestError } from '../../../infra/client/client.ts'
import { newTenant, startAgainAt } from '../../support/client.ts'
import { type NodeHub, startNodeHub, until } from '../../support/hub.ts'
import { startProxy } from '../../support/proxy.ts'
import { testRedisUrl } from '../../support/redis.ts'

const env = { REDIS_URL: testRedisUrl() }

let node: NodeHub
beforeAll(async () => {
  node = await startNodeHub(env)
})
afterAll(() => node?.stop())

/** Reads on in the background. */
function collect<T>(events: AsyncGenerator<T>) {
  const heard: T[] = []
  const over = (async () => {
    for await (const event of events) heard.push(event)
  })()
  over.catch(() => {})
  return { heard, over }
}
const dataOf = (events: HubEvent[]) => events.map(({ data }) => data)

describe('following a channel', () => {
  it('misses nothing and hears nothing twice, though the hub is killed and starts again', async () => {
    const mortal = await startNodeHub(env)
    onTestFinished(() => mortal.stop())
    const { hub } = await newTenant(mortal.url)
    const left = new AbortController()
    const errors: string[] = []
    const { heard, over } = collect(
      hub.follow('GET /v1/realtime/{channel}', {
        ...{ path: { channel: 'news' }, signal: left.signal },
        onError: ({ code }) => errors.push(code),
      }),
    )
    const publish = (data: number) =>
      hub.call('POST /v1/realtime/{channel}', {
        ...{ path: { channel: 'news' }, body: { data, type: 'tick' }, retries: 20 },
      })
    // Until it listens, it hears nothing.
    await until('it listens', async () => {
      await publish(0)
      return heard.length > 0
    })
    heard.length = 0
    await publish(1)
    await until('the first', () => heard.some(({ data }) => data === 1))
    await mortal.kill()
    const [again] = await Promise.all([
      startAgainAt(mortal.url, env),
      (async () => {
        for (let n = 2; n <= 20; n++) await publish(n)
      })(),
    ])
    onTestFinished(() => again.stop())
    await until('the last', () => heard.some(({ data }) => data === 20))
    expect(dataOf(heard).filter((data) => data !== 0)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
    expect(heard.at(-1)).toMatchObject({ type: 'tick', id: expect.stringMatching(/^\d+-\d+$/) })
    expect(errors).toContain('unreachable')
    left.abort()
    await over
  }, 120_000)

  it('goes on from where another reader was, and leaves the connection when its loop is left', async () => {
    const { hub } = await newTenant(node.url)
    const path = { channel: 'news' }
    const ids: string[] = []
    for (const data of ['a', 'b', 'c'])
      ids.push((await hub.call('POST /v1/realtime/{channel}', { path, body: { data } })).id)
    const heard: HubEvent[] = []
    for await (const event of hub.follow('GET /v1/realtime/{channel}', {
      ...{ path, lastEventId: ids[0], query: { as: 'reader' } },
    })) {
      heard.push(event)
      if (heard.length === 2) break
    }
    expect(dataOf(heard)).toEqual(['b', 'c'])
    await until('it has left', async () => {
      const { data } = await hub.call('GET /v1/realtime/{channel}/presence', { path })
      return data.length === 0
    })
  })

  it('asks for another token when one is over, and sends no header that a browser would ask leave for', async () => {
    const { hub } = await newTenant(node.url)
    const sent: { url: URL; headers: Headers }[] = []
    const fetch: typeof globalThis.fetch = (url, init) => {
      sent.push({ url: new URL(String(url)), headers: new Headers(init?.headers) })
      return globalThis.fetch(url, init)
    }
    const page = createHubClient({ baseUrl: node.url, fetch })
    const left = new AbortController()
    const tokens: string[] = []
    let asked = 0
    let isOut = false
    const { heard, over } = collect(
      page.follow('GET /v1/realtime/{channel}', {
        ...{ path: { channel: 'news' }, signal: left.signal },
        async token() {
          if (++asked === 1) throw new TypeError('fetch failed') // as where the page's own server is away
          if (isOut) return undefined
          const body = { channels: ['news'], ttl_seconds: 1 }
          const { token } = await hub.call('POST /v1/realtime-tokens', { body })
          tokens.push(token)
          return token
        },
      }),
    )
    onTestFinished(() => left.abort())
    let n = 0
    await until('it came back twice', async () => {
      await hub.call('POST /v1/realtime/{channel}', { path: { channel: 'news' }, body: { data: ++n } })
      return tokens.length > 2
    })
    const last = n
    await until('all of them', () => heard.some(({ data }) => data === last))
    const [first] = dataOf(heard) as [number]
    expect(dataOf(heard).slice(0, last - first + 1)).toEqual(
      Array.from({ length: last - first + 1 }, (_, i) => first + i),
    )
    expect(sent.flatMap(({ headers }) => [...headers.keys()])).toEqual([])
    expect(sent.at(-1)!.url.searchParams.get('last_event_id')).toMatch(/^\d+-\d+$/)
    isOut = true
    await over // with the token that it has
  }, 30_000)

  it('ends with the reason where it may not go on', async () => {
    const { hub, admin, id } = await newTenant(node.url)
    const refused = collect(
      createHubClient({ baseUrl: node.url, key: 'hub_x' }).follow('GET /v1/realtime/{channel}', {
        path: { channel: 'news' },
      }),
    )
    await expect(refused.over).rejects.toMatchObject({ code: 'invalid_api_key', status: 401 })
    await admin.call('DELETE /v1/keys/{id}', { path: { id } })
    const revoked = collect(hub.follow('GET /v1/realtime/{channel}', { path: { channel: 'news' } }))
    await expect(revoked.over).rejects.toBeInstanceOf(HubRequestError)
  })

  it('takes a silent connection for dead', async () => {
    const { key, hub } = await newTenant(node.url)
    const proxy = await startProxy(node.url)
    onTestFinished(proxy.close)
    const errors: string[] = []
    const left = new AbortController()
    onTestFinished(() => left.abort())
    const through = createHubClient({ baseUrl: proxy.url, key, timeoutMs: 1_000 })
    const { heard } = collect(
      through.follow('GET /v1/realtime/{channel}', {
        ...{ path: { channel: 'news' }, silenceMs: 500, signal: left.signal },
        onError: ({ code }) => errors.push(code),
      }),
    )
    const publish = (data: number) =>
      hub.call('POST /v1/realtime/{channel}', { path: { channel: 'news' }, body: { data } })
    await until('it listens', async () => {
      await publish(0)
      return heard.length > 0
    })
    proxy.stall()
    await until('it is silent', () => errors.includes('stream_silent'))
    await publish(1)
    proxy.resume()
    await until('what came meanwhile', () => heard.some(({ data }) => data === 1))
  }, 30_000)
})

it('a configuration is there at once, then each change, and undefined once it is deleted', async () => {
  const { hub } = await newTenant(node.url)
  const path = { namespace: 'web' }
  const put = (colour: string) => hub.call('PUT /v1/config/{namespace}', { path, body: { colour } })
  await put('red')
  const seen: unknown[] = []
  for await (const config of hub.watchConfig('web')) {
    seen.push(config?.values.colour)
    if (config === undefined) break
    if (config.version === 1) await put('blue')
    else await hub.call('DELETE /v1/config/{namespace}', { path })
  }
  expect(seen).toEqual(['red', 'blue', undefined])
})

it('the events of one reply end with it', async () => {
  const { admin } = await newTenant(node.url)
  const body = { model: 'local', messages: [{ role: 'user' as const, content: 'hello' }], stream: true }
  const events: HubEvent[] = []
  for await (const event of admin.stream('POST /v1/chat/completions', { body })) events.push(event)
  expect(events.length).toBeGreaterThan(2)
  expect(events.at(-1)).toMatchObject({ type: 'message', data: '[DONE]' })
  const notThere = admin.stream('POST /v1/chat/completions', { body: { ...body, model: 'nobody/m' } })
  await expect(notThere.next()).rejects.toMatchObject({ status: 404 })
  expect(node.logs()).not.toContain('unhandled')
})
