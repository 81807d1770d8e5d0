import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest'
import { createHubClient, HubRequestError } from '../../../infra/client/client.ts'
import { unique } from '../../support/app.ts'
import { newTenant } from '../../support/client.ts'
import { ADMIN_KEY, type NodeHub, startNodeHub } from '../../support/hub.ts'
import { testRedisUrl } from '../../support/redis.ts'

let node: NodeHub
beforeAll(async () => {
  node = await startNodeHub({ REDIS_URL: testRedisUrl() })
})
afterAll(() => node?.stop())

/** The hub does what it is asked, and its first replies are lost on the way. */
function losing(count: number) {
  const statuses: (number | 'lost')[] = []
  const fetch: typeof globalThis.fetch = async (...args) => {
    const response = await globalThis.fetch(...args)
    const isLost = statuses.length < count
    statuses.push(isLost ? 'lost' : response.status)
    if (isLost) throw new TypeError('fetch failed')
    return response
  }
  return { fetch, statuses }
}

const failure = async (call: Promise<unknown>) => {
  const error = await call.then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(error).toBeInstanceOf(HubRequestError)
  return error as HubRequestError
}

describe('a call', () => {
  it('is typed by its route: path, query, body and reply', async () => {
    const { hub } = await newTenant(node.url)
    const written = await hub.call('PUT /v1/config/{namespace}', {
      ...{ path: { namespace: 'web' }, body: { colour: 'blue' }, query: { note: 'first' } },
    })
    expectTypeOf(written.version).toEqualTypeOf<number>()
    expect(written).toMatchObject({ version: 1, values: { colour: 'blue' }, note: 'first' })
    const none = await hub.call('DELETE /v1/config/{namespace}', { path: { namespace: 'web' } })
    expectTypeOf(none).toEqualTypeOf<undefined>()
    expect(none).toBeUndefined()
    // @ts-expect-error -- there is no such route
    void (() => hub.call('GET /v1/konfig'))
    // @ts-expect-error -- the path's name is missing
    void (() => hub.call('GET /v1/config/{namespace}', {}))
    // @ts-expect-error -- a text is no number of seconds
    void (() => hub.call('POST /v1/locks/{name}', { path: { name: 'x' }, body: { ttl_seconds: '5' } }))
    // @ts-expect-error -- this route has no body
    void (() => hub.call('GET /v1/breakers', { body: {} }))
  })

  it('encodes what its path and query hold, also lists and objects', async () => {
    const { hub } = await newTenant(node.url)
    const path = { name: 'shop', instance: 'a' }
    const body = { url: 'http://127.0.0.1:9000', ttl_seconds: 30, metadata: { zone: 'eu' } }
    await hub.call('PUT /v1/services/{name}/{instance}', { path, body })
    const of = (zone: string) =>
      hub.call('GET /v1/services/{name}', { path: { name: 'shop' }, query: { metadata: { zone } } })
    expect((await of('eu')).data).toHaveLength(1)
    expect((await of('us')).data).toHaveLength(0)
    const odd = await failure(hub.call('GET /v1/config/{namespace}', { path: { namespace: 'a/../b?c' } }))
    expect(odd).toMatchObject({ status: 400, param: 'namespace' })
  })

  it('sends what is not JSON as it is, and gives what is not JSON as a response', async () => {
    const { hub } = await newTenant(node.url)
    const stream = unique('readings')
    const sent = await hub.call('POST /v1/events/{stream}', {
      ...{ path: { stream }, raw: '{"t":1}\n{"t":2}\n', contentType: 'application/x-ndjson' },
    })
    expect(sent).toMatchObject({ accepted: 2, duplicates: 0 })
    const response = await hub.raw('GET /v1/events/{stream}/stats', { path: { stream } })
    expect(response.headers.get('content-type')).toContain('application/json')
    expect(await response.json()).toMatchObject({ length: 2 })
  })

  it('throws what the hub says is wrong: code, status, param and the request’s id', async () => {
    const { hub } = await newTenant(node.url)
    const path = { name: 'x' }
    const error = await failure(hub.call('POST /v1/locks/{name}', { path, body: { ttl_seconds: -1 } }))
    expect(error).toMatchObject({ code: 'invalid_value', status: 400, param: 'ttl_seconds', mayPass: false })
    expect(error.requestId).toMatch(/\S+/)
    expect(error.message).toContain('ttl_seconds')
    const stranger = createHubClient({ baseUrl: node.url, key: 'hub_x' })
    expect(await failure(stranger.call('GET /v1/models'))).toMatchObject({
      code: 'invalid_api_key',
      status: 401,
    })
  })

  it('ends at its deadline, and when its caller leaves', async () => {
    const { hub } = await newTenant(node.url)
    const waiting = (settings: object) =>
      hub.call('GET /v1/results/{id}', {
        path: { id: unique('r') },
        query: { wait_seconds: 20 },
        ...settings,
      })
    expect(await failure(waiting({ timeoutMs: 200 }))).toMatchObject({ code: 'timeout', status: 0 })
    const left = new AbortController()
    const call = waiting({ signal: left.signal })
    left.abort(new Error('no longer wanted'))
    await expect(call).rejects.toThrow('no longer wanted')
  })

  it('says that there is no hub, and at which address', async () => {
    const nobody = createHubClient({ baseUrl: 'http://127.0.0.1:9', timeoutMs: 500 })
    expect(await failure(nobody.call('GET /healthz'))).toMatchObject({
      ...{ code: 'unreachable', status: 0, message: expect.stringContaining('http://127.0.0.1:9') },
    })
    expect(() => createHubClient({ baseUrl: 'the hub' })).toThrow(/baseUrl/)
  })
})

describe('a call whose reply is lost', () => {
  it('is repeated with one Idempotency-Key, and done once', async () => {
    const { fetch, statuses } = losing(2)
    const admin = createHubClient({ baseUrl: node.url, key: ADMIN_KEY, fetch })
    const tenant = unique('tenant')
    const { id } = await admin.call('POST /v1/keys', { body: { tenant } })
    expect(statuses).toEqual(['lost', 'lost', 201])
    const { data } = await admin.call('GET /v1/keys', { query: { tenant } })
    expect(data.map((key) => key.id)).toEqual([id])
  })

  it('is not repeated where it might be done twice, unless its caller knows better', async () => {
    const { key, hub } = await newTenant(node.url)
    const lossy = losing(1)
    const careful = createHubClient({ baseUrl: node.url, key, fetch: lossy.fetch })
    const told = { path: { name: 'x' }, body: { outcome: 'failure' } } as const
    const error = await failure(careful.call('POST /v1/app-breakers/{name}/calls', told))
    expect(error).toMatchObject({ code: 'unreachable' })
    const breaker = await hub.call('GET /v1/app-breakers/{name}', { path: { name: 'x' } })
    expect([lossy.statuses, breaker.failed]).toEqual([['lost'], 1])
    const again = losing(1)
    const bold = createHubClient({ baseUrl: node.url, key, fetch: again.fetch })
    await bold.call('POST /v1/app-breakers/{name}/calls', { ...told, idempotent: true })
    expect(again.statuses).toEqual(['lost', 200])
  })

  it('is given up after its repetitions, and where the next one would come past its deadline', async () => {
    const { key } = await newTenant(node.url)
    const few = losing(9)
    const hub = createHubClient({ baseUrl: node.url, key, fetch: few.fetch })
    await failure(hub.call('GET /v1/config', { retries: 1 }))
    expect(few.statuses).toHaveLength(2)
    const short = losing(9)
    const hurried = createHubClient({ baseUrl: node.url, key, fetch: short.fetch, timeoutMs: 60 })
    await failure(hurried.call('GET /v1/config'))
    expect(short.statuses).toHaveLength(1)
  })

  it('is repeated when the hub says so where it is over a limit, also a POST', async () => {
    const limits = [{ on: 'requests', limit: 1, window_seconds: 1, algorithm: 'fixed_window' }]
    const { key } = await newTenant(node.url, { limits })
    const { fetch, statuses } = losing(0)
    const hub = createHubClient({ baseUrl: node.url, key, fetch })
    const ask = () => hub.call('POST /v1/app-breakers/{name}/permits', { path: { name: 'x' } })
    await Promise.all([ask(), ask(), ask()])
    expect(statuses).toContain(429)
  })

  it('is not waited for past its deadline', async () => {
    const { hub } = await newTenant(node.url, {
      limits: [{ on: 'requests', limit: 1, window_seconds: 3600 }],
    })
    const ask = () => hub.call('POST /v1/app-breakers/{name}/permits', { path: { name: 'x' } })
    await ask()
    const error = await failure(ask())
    expect(error).toMatchObject({ status: 429, mayPass: true })
    expect(error.retryAfterMs).toBeGreaterThan(30_000)
  })
})
