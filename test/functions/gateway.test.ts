import { once } from 'node:events'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { isPublicAddress } from '../../shared/drivers/outgoing-address.ts'
import { createOutgoingFetch } from '../../shared/drivers/outgoing-fetch.ts'
import { createOutgoingNode } from '../../shared/drivers/outgoing-node.ts'
import { createRouteTable } from '../../shared/http-gateway/http-route-table.ts'
import { startApp, type TestApp, unique } from '../support/app.ts'
import { startTestBridge } from '../support/bridge.ts'
import { ADMIN_KEY, type NodeHub, startNodeHub } from '../support/hub.ts'
import { startTestRedis, testRedisUrl } from '../support/redis.ts'

const admin = { authorization: `Bearer ${ADMIN_KEY}` }

let hub: TestApp
/** The same hub as a process, for what needs real connections. */
let node: NodeHub
beforeAll(async () => {
  hub = await startApp({ env: { HUB_ADMIN_KEY: ADMIN_KEY } })
  node = await startNodeHub({ REDIS_URL: testRedisUrl(), HUB_UPSTREAM_SILENCE_SECONDS: '1' })
})
afterAll(async () => {
  await node.stop()
  await hub[Symbol.asyncDispose]()
})

type Handler = (request: IncomingMessage, response: ServerResponse) => unknown

/** An upstream of one test, and what it was sent. */
async function startUpstream(handler: Handler = (_, response) => response.end('ok')) {
  const seen: IncomingMessage[] = []
  const server = http.createServer((request, response) => {
    seen.push(request)
    handler(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((closed) => server.close(closed))
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen }
}

/** A route of one test's own, since all tests share the hub's routes. The path that it takes. */
async function route(
  upstream: string,
  { id = unique('route'), ...more }: { id?: string; [field: string]: unknown } = {},
  through: Pick<TestApp, 'send'> = hub,
): Promise<string> {
  const body = { path: `/${id}/`, upstream, strip_prefix: true, allow_private: true, ...more }
  const reply = await through.send('PUT', `/v1/routes/${id}`, body, admin)
  expect(reply.status, await reply.clone().text()).toBe(200)
  onTestFinished(async () => void (await hub.delete(`/v1/routes/${id}`, admin)))
  return `/gateway/${id}`
}

/** A key of a tenant of its own. */
async function newKey(body: object = {}): Promise<{ key: string; id: string; tenant: string }> {
  return (await hub.send('POST', '/v1/keys', { tenant: unique('acme'), ...body }, admin)).json()
}

const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
const get = (path: string, headers: Record<string, string> = {}, from = hub) =>
  from.get(path, { ...admin, ...headers })

describe('routes', () => {
  it('are set, read, listed and removed; secret headers are not shown again', async () => {
    const id = unique('r')
    const body = {
      path: '/x/',
      upstream: 'https://api.example.com/v1',
      headers: { 'X-Api-Key': 's', accept: 'a/b' },
    }
    const put = await hub.send('PUT', `/v1/routes/${id}`, body, admin)
    const shown = { id, ...body, headers: { 'X-Api-Key': '***', accept: 'a/b' } }
    expect([put.status, await put.json()]).toEqual([200, shown])
    expect(await (await get(`/v1/routes/${id}`)).json()).toEqual(shown)
    const { data } = await (await get('/v1/routes')).json()
    expect(data).toContainEqual(shown)
    expect((await hub.delete(`/v1/routes/${id}`, admin)).status).toBe(204)
    expect((await hub.delete(`/v1/routes/${id}`, admin)).status).toBe(404)
    expect((await get(`/v1/routes/${id}`)).status).toBe(404)
  })

  it('are an admin’s', async () => {
    const { key } = await newKey()
    const reply = await hub.send(
      'PUT',
      '/v1/routes/x',
      { path: '/', upstream: 'https://a.example' },
      bearer(key),
    )
    expect([reply.status, (await reply.json()).error.code]).toEqual([403, 'scope_missing'])
  })

  it.each([
    ['no path', { path: undefined }, 'path'],
    ['a path without its slash', { path: 'api' }, 'path'],
    ['a path that climbs', { path: '/api/../x' }, 'path'],
    ['a path with an expression', { path: '/:id{[0-9]+}' }, 'path'],
    ['a wildcard inside', { path: '/a/*/b' }, 'path'],
    ['no upstream', { upstream: undefined }, 'upstream'],
    ['another scheme', { upstream: 'file:///etc/passwd' }, 'upstream'],
    ['credentials in the upstream', { upstream: 'https://a:b@api.example.com' }, 'upstream'],
    ['a query in the upstream', { upstream: 'https://api.example.com/?a=1' }, 'upstream'],
    ['plain http', { upstream: 'http://api.example.com' }, 'upstream'],
    ['this machine', { upstream: 'https://localhost:8443' }, 'upstream'],
    ['a private address', { upstream: 'https://10.1.2.3' }, 'upstream'],
    ['the metadata service', { upstream: 'https://169.254.169.254/latest' }, 'upstream'],
    ['a loopback in hexadecimal', { upstream: 'https://0x7f000001' }, 'upstream'],
    ['a mapped loopback', { upstream: 'https://[::ffff:127.0.0.1]' }, 'upstream'],
    ['a hop-by-hop header', { headers: { Connection: 'close' } }, 'headers.Connection'],
    ['a header with a line break', { headers: { 'x-a': 'a\r\nx-b: b' } }, 'headers["x-a"]'],
    ['the mask as a value', { headers: { 'x-key': '***' } }, 'headers["x-key"]'],
    ['an unknown method', { method: 'BREW' }, 'method'],
    ['a limit of nothing', { limit: { limit: 0, window_seconds: 60 } }, 'limit.limit'],
    ['a host with a port', { host: 'a.example:80' }, 'host'],
    ['an unknown field', { colour: 'red' }, 'colour'],
  ])('%s is 400', async (_, more, param) => {
    const body = { path: '/api/', upstream: 'https://api.example.com', ...more }
    const reply = await hub.send('PUT', '/v1/routes/bad', body, admin)
    expect([reply.status, (await reply.json()).error.param]).toEqual([400, param])
  })

  it('with a name that is none are 400', async () => {
    const reply = await hub.send(
      'PUT',
      '/v1/routes/a%7Bb',
      { path: '/', upstream: 'https://a.example' },
      admin,
    )
    expect([reply.status, (await reply.json()).error.param]).toEqual([400, 'id'])
  })

  it('the most specific one wins: host, then path, then method', () => {
    const { match } = createRouteTable(
      [
        { id: 'all', path: '/' },
        { id: 'api', path: '/api/' },
        { id: 'api-get', path: '/api/', method: 'GET' },
        { id: 'v1', path: '/api/v1' },
        { id: 'user', path: '/users/:id' },
        { id: 'me', path: '/users/me' },
        { id: 'files', path: '/files/*' },
        { id: 'elsewhere', path: '/', host: 'b.example' },
      ].map((each) => ({ upstream: 'https://a.example', ...each })),
    )
    const found = (text: string) => {
      const [method = '', url = ''] = text.split(' ')
      const { hostname, pathname } = new URL(url, 'https://a.example')
      return match(method, hostname, pathname)?.id
    }
    expect(found('POST /api')).toBe('api')
    expect(found('POST /api/x')).toBe('api')
    expect(found('GET /api/x')).toBe('api-get')
    expect(found('HEAD /api/x')).toBe('api-get')
    expect(found('GET /apix')).toBe('all')
    expect(found('GET /api/v1/x')).toBe('v1')
    expect(found('GET /users/7')).toBe('user')
    expect(found('GET /users/7/x')).toBe('all')
    expect(found('GET /users/me')).toBe('me')
    expect(found('GET /files/a/b')).toBe('files')
    expect(found('GET https://b.example/files/a')).toBe('elsewhere')
  })

  it('that are written elsewhere hold here within a second, and serve on while Redis is away', async () => {
    const redis = await startTestRedis()
    const env = { REDIS_URL: redis.url, HUB_ADMIN_KEY: ADMIN_KEY }
    await using here = await startApp({ env })
    const there = await startApp({ env })
    const upstream = await startUpstream()
    const body = { path: '/hot/', upstream: upstream.url, allow_private: true }
    expect((await get('/gateway/hot/', {}, here)).status).toBe(404)
    await there.send('PUT', '/v1/routes/hot', body, admin)
    expect((await get('/gateway/hot/', {}, there)).status).toBe(200)
    await sleep(1_000)
    expect((await get('/gateway/hot/', {}, here)).status).toBe(200)
    await there.delete('/v1/routes/hot', admin)
    expect((await get('/gateway/hot/', {}, there)).status).toBe(404)
    // A busy instance learns it without waiting.
    const start = Date.now()
    while ((await get('/gateway/hot/', {}, here)).status === 200) await sleep(20)
    expect(Date.now() - start).toBeLessThan(1_100)
    await there.send('PUT', '/v1/routes/hot', body, admin)
    await there[Symbol.asyncDispose]()
    await sleep(1_000)
    expect((await get('/gateway/hot/', {}, here)).status).toBe(200)
    await redis.stop()
    await sleep(1_000)
    expect((await get('/gateway/hot/', {}, here)).status).toBe(200)
  })
})

describe('what the upstream is sent', () => {
  it('is method, rest of the path, query and body as they came', async () => {
    const upstream = await startUpstream(async (request, response) => {
      const body = await Array.fromAsync(request)
      response.end(`${request.method} ${request.url} ${Buffer.concat(body)}`)
    })
    const path = await route(`${upstream.url}/base/`)
    const said = async (reply: Promise<Response>) => (await reply).text()
    expect(await said(get(`${path}/a%20b/c?x=1&y=%2F`))).toBe('GET /base/a%20b/c?x=1&y=%2F ')
    expect(await said(get(path))).toBe('GET /base/ ')
    expect(await said(hub.send('PATCH', `${path}/p`, '{"a":1}', admin))).toBe('PATCH /base/p {"a":1}')
    expect(await said(hub.send('DELETE', `${path}/p`, 'why', admin))).toBe('DELETE /base/p why')
    expect(await said(hub.delete(`${path}/p`, admin))).toBe('DELETE /base/p ')
  })

  it('keeps, cuts or cuts a part of the path, as strip_prefix says', async () => {
    const upstream = await startUpstream((request, response) => response.end(request.url))
    const id = unique('s')
    const paths: string[] = []
    for (const strip_prefix of [false, true, `/${id}`]) {
      await route(upstream.url, { id, path: `/${id}/v1/:thing`, strip_prefix })
      paths.push(await (await get(`/gateway/${id}/v1/x`)).text())
    }
    expect(paths).toEqual([`/${id}/v1/x`, '/x', '/v1/x'])
  })

  it('is neither the hub’s credential nor what belongs to the connection, and the truth about the client', async () => {
    const upstream = await startUpstream()
    const path = await route(upstream.url, { headers: { 'x-api-key': "the upstream's" } })
    const headers = {
      ...admin,
      host: 'localhost:8787',
      connection: 'keep-alive, x-gone',
      'x-gone': '1',
      te: 'trailers',
      'proxy-authorization': 'Basic x',
      'keep-alive': 'timeout=5',
      'x-forwarded-for': '1.2.3.4',
      'x-forwarded-port': '1',
      'x-real-ip': '1.2.3.4',
      'x-hub-tenant': 'other',
      forwarded: 'for=1.2.3.4',
      via: '1.1 cdn',
      'x-api-key': "the client's",
      'x-kept': 'yes',
      'x-request-id': 'req-1',
    }
    const url = `http://localhost:8787${path}/`
    await hub.app.request(url, { headers }, { defer() {}, clientAddress: '2001:db8::7' })
    const seen = upstream.seen[0]!.headers
    const id = /\((.*)\)/.exec(String(seen.via))?.[1]
    expect(seen).toMatchObject({
      host: new URL(upstream.url).host,
      'x-api-key': "the upstream's",
      'x-kept': 'yes',
      'x-request-id': 'req-1',
      'x-forwarded-for': '2001:db8::7',
      'x-forwarded-host': 'localhost:8787',
      'x-forwarded-proto': 'http',
      forwarded: 'for="[2001:db8::7]";host="localhost:8787";proto=http',
      via: `1.1 cdn, 1.1 redis-ai-hub (${id})`,
    })
    expect(id).toMatch(/^[0-9a-f]{12}$/)
    const gone = [
      'authorization',
      'x-gone',
      'te',
      'proxy-authorization',
      'x-real-ip',
      'x-hub-tenant',
      'x-forwarded-port',
    ]
    expect(Object.keys(seen).filter((name) => gone.includes(name))).toEqual([])
  })

  it.each([
    ['//evil.example/x', 200],
    ['/@evil.example', 200],
    ['/a;b', 200],
    ['/x%0d%0aX-Bad:1', 200],
    ['/..%2f..%2fadmin', 400],
    ['/%2e%2e%2fadmin', 400],
    ['/a%5c..%5cadmin', 400],
  ])('%s never leaves the upstream or its base path', async (trick, status) => {
    const upstream = await startUpstream()
    const path = await route(`${upstream.url}/base`)
    expect((await get(path + trick)).status).toBe(status)
    for (const { url } of upstream.seen) expect(url).toBe(`/base${trick}`)
    expect((await get(`${path}/../../../v1/routes`)).status).not.toBe(502)
  })
})

describe('what the client is sent', () => {
  it('is the upstream’s answer, without what belongs to the connection; redirects are not followed', async () => {
    const upstream = await startUpstream((_, response) => {
      response.writeHead(302, [
        ...['location', 'https://elsewhere.example/'],
        ...['set-cookie', 'a=1', 'set-cookie', 'b=2'],
        ...['connection', 'keep-alive, x-gone', 'x-gone', '1', 'proxy-authenticate', 'Basic'],
        ...['x-kept', 'yes', 'x-request-id', 'theirs'],
      ])
      response.end('moved')
    })
    const reply = await get(await route(upstream.url), { 'x-request-id': 'ours' })
    expect([reply.status, await reply.text()]).toEqual([302, 'moved'])
    expect(reply.headers.getSetCookie()).toEqual(['a=1', 'b=2'])
    const { 'x-kept': kept, location, via, 'x-request-id': id, ...rest } = Object.fromEntries(reply.headers)
    expect([kept, location, via, id]).toEqual([
      'yes',
      'https://elsewhere.example/',
      '1.1 redis-ai-hub',
      'ours',
    ])
    expect(
      Object.keys(rest).filter((name) => /gone|connection|proxy|keep-alive|transfer/.test(name)),
    ).toEqual([])
  })

  it('is an error with a way out where there is no route or no upstream', async () => {
    const nowhere = await get(`/gateway/${unique('none')}`)
    expect([nowhere.status, (await nowhere.json()).error.code]).toEqual([404, 'route_not_found'])
    const down = await get(await route('http://127.0.0.1:9'))
    expect([down.status, (await down.json()).error.code]).toEqual([502, 'upstream_unreachable'])
  })

  it('is 401 without a key and 403 without the scope, also where there is no route', async () => {
    const { key } = await newKey({ scopes: ['search'] })
    const { key: good } = await newKey({ scopes: ['gateway'] })
    const upstream = await startUpstream()
    const path = await route(upstream.url)
    for (const url of [path, `/gateway/${unique('none')}`]) {
      expect((await hub.get(url)).status).toBe(401)
      expect((await hub.get(url, bearer(key))).status).toBe(403)
    }
    expect(upstream.seen).toHaveLength(0)
    expect((await hub.get(path, bearer(good))).status).toBe(200)
  })

  it('is 429 over the route’s limit, for each key its own', async () => {
    const upstream = await startUpstream()
    const path = await route(upstream.url, {
      limit: { limit: 2, window_seconds: 3600, algorithm: 'fixed_window' },
    })
    const [a, b] = [await newKey(), await newKey()]
    const replies = [a, a, a, b].map(
      ({ key }) =>
        () =>
          hub.get(path, bearer(key)),
    )
    const got: Response[] = []
    for (const ask of replies) got.push(await ask())
    expect(got.map(({ status }) => status)).toEqual([200, 200, 429, 200])
    expect(got[0]!.headers.get('ratelimit')).toMatch(/^"route-.*";r=1;t=\d+$/)
    expect(Number(got[2]!.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(upstream.seen).toHaveLength(3)
  })
})

describe('addresses', () => {
  it.each(
    `127.0.0.1 127.9.9.9 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 0.1.2.3
     224.0.0.1 255.255.255.255 240.0.0.1 192.0.0.1 192.0.2.1 198.18.0.1 ::1 :: ::ffff:8.8.8.8 ::ffff:127.0.0.1 ::127.0.0.1
     64:ff9b::7f00:1 64:ff9b:1::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1 2002:7f00:1::1 2001::1 2001:db8::1 100::1 localhost`.split(
      /\s+/,
    ),
  )('%s is not public', (address) => expect(isPublicAddress(address)).toBe(false))

  it.each(['8.8.8.8', '1.1.1.1', '172.32.0.1', '2606:4700:4700::1111', '2a00:1450::1'])(
    '%s is public',
    (address) => expect(isPublicAddress(address)).toBe(true),
  )

  it('are judged when the connection is made: a name that leads home is refused, whatever else it leads to', async () => {
    let connections = 0
    const server = createServer(() => connections++).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const answers = [
      [{ address: '127.0.0.1', family: 4 }],
      [
        { address: '8.8.8.8', family: 4 },
        { address: '127.0.0.1', family: 4 },
      ],
    ]
    let asked = 0
    const outgoing = createOutgoingNode({
      silenceMs: 1_000,
      lookup: (_name, _options, callback) => callback(null, answers[asked++ % 2]!),
    })
    await using rebound = await startApp({ env: { HUB_ADMIN_KEY: ADMIN_KEY }, outgoing })
    const path = await route(`https://rebind.example:${port}`, { allow_private: false }, rebound)
    for (const _ of answers) {
      const reply = await get(path, {}, rebound)
      expect([reply.status, (await reply.json()).error.code]).toEqual([502, 'upstream_refused'])
    }
    server.close()
    expect([asked, connections]).toEqual([2, 0])
  })

  it('are not lent: a connection that a route was allowed is not another route’s', async () => {
    const upstream = await startUpstream()
    expect((await get(await route(upstream.url))).status).toBe(200)
    const outgoing = createOutgoingNode({ silenceMs: 1_000 })
    const request = { method: 'GET', headers: new Headers(), body: null, signal: AbortSignal.timeout(1_000) }
    const url = new URL(upstream.url)
    expect((await outgoing.send({ ...request, url, allowPrivate: true })).status).toBe(200)
    await expect(outgoing.send({ ...request, url, allowPrivate: false })).rejects.toThrow(/refused/)
  })

  it('on a runtime that only fetches, private literals and local names are refused', async () => {
    const upstream = await startUpstream((_, response) => response.end('fetched'))
    await using fetching = await startApp({
      env: { HUB_ADMIN_KEY: ADMIN_KEY },
      outgoing: createOutgoingFetch({ silenceMs: 1_000 }),
    })
    const path = await route(upstream.url, {}, fetching)
    expect(await (await get(path, {}, fetching)).text()).toBe('fetched')
    const sent = await fetching.send('POST', path, 'text', admin)
    expect([sent.status, upstream.seen[1]!.method]).toEqual([200, 'POST'])
    for (const host of ['127.0.0.1', 'localhost', '[::1]', 'metadata.google.internal']) {
      const reply = await fetching.send(
        'PUT',
        '/v1/routes/x',
        { path: '/x', upstream: `https://${host}` },
        admin,
      )
      expect(reply.status, host).toBe(400)
    }
  })
})

const call = (path: string, init: RequestInit = {}) =>
  fetch(node.url + path, { ...init, headers: { ...admin, ...init.headers } })
/** Through the process itself, where it holds at once. */
const nodeRoute = (upstream: string, more: Record<string, unknown> = {}) =>
  route(upstream, more, {
    send: (method, path, body, headers) =>
      call(path, {
        method,
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json', ...headers },
      }),
  })

describe('over real connections', () => {
  it('an answer streams: its beginning is here before its end is made', async () => {
    let finish = () => {}
    const upstream = await startUpstream((_, response) => {
      response.write('first')
      finish = () => response.end(' last')
    })
    const path = await nodeRoute(upstream.url)
    const reply = await call(path)
    const reader = reply.body!.getReader()
    expect(Buffer.from((await reader.read()).value!).toString()).toBe('first')
    finish()
    expect(Buffer.from((await reader.read()).value!).toString()).toBe(' last')
    expect((await reader.read()).done).toBe(true)
  })

  it('a request streams: its beginning is there before its end is sent', async () => {
    const { promise: begun, resolve } = Promise.withResolvers<string>()
    const upstream = await startUpstream(async (request, response) => {
      const all: Buffer[] = []
      for await (const chunk of request) {
        all.push(chunk)
        resolve(String(chunk))
      }
      response.end(Buffer.concat(all))
    })
    const path = await nodeRoute(upstream.url)
    const request = http.request(node.url + path, {
      method: 'PUT',
      headers: { ...admin },
    })
    request.write('first')
    expect(await begun).toBe('first')
    await sleep(1_500) // the client is slow: that is not the upstream's silence
    request.end(' last')
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    expect(response.statusCode).toBe(200)
    expect(Buffer.concat(await Array.fromAsync(response)).toString()).toBe('first last')
  })

  it('a client that leaves ends the upstream’s work, before and within the answer', async () => {
    let open = 0
    const upstream = await startUpstream((request, response) => {
      open++
      response.on('close', () => open--)
      if (request.url !== '/silent') response.write('x')
    })
    const path = await nodeRoute(upstream.url)
    for (const rest of ['/silent', '/begun']) {
      const left = new AbortController()
      const reply = call(path + rest, { signal: left.signal })
      reply.catch(() => {})
      await expect.poll(() => open).toBe(1)
      if (rest === '/begun') await (await reply).body!.getReader().read()
      left.abort()
      await expect.poll(() => open, { timeout: 3_000 }).toBe(0)
    }
  })

  it.each([
    ['with a length', { 'content-length': '100' }],
    ['in chunks', {}],
  ])('an answer %s that is cut breaks, and does not end', async (_, headers) => {
    const upstream = await startUpstream((_, response) => {
      response.writeHead(200, { 'cache-control': 'max-age=60', ...headers })
      response.write('part')
      setTimeout(() => response.destroy(), 50)
    })
    const path = await nodeRoute(upstream.url, { cache: true })
    for (const _ of [1, 2]) {
      const reply = await call(path)
      expect([reply.status, reply.headers.get('cache-status')]).toEqual([
        200,
        expect.stringContaining('fwd=miss'),
      ])
      await expect(reply.text()).rejects.toThrow()
    }
    expect(upstream.seen).toHaveLength(2)
    expect((await fetch(`${node.url}/healthz`)).status).toBe(200)
  })

  it('an answer that falls silent breaks, one that never begins is 504', async () => {
    const upstream = await startUpstream(
      (request, response) => request.url === '/begun' && response.write('x'),
    )
    const path = await nodeRoute(upstream.url)
    const never = await call(path)
    expect([never.status, (await never.json()).error.code]).toEqual([504, 'upstream_timeout'])
    const begun = await call(`${path}/begun`)
    await expect(begun.text()).rejects.toThrow()
  })

  it('an answer without end is not collected: a client that does not read holds the upstream back', async () => {
    let sent = 0
    const chunk = Buffer.alloc(65_536)
    const upstream = await startUpstream((_, response) => {
      const pour = () => {
        do sent += chunk.length
        while (response.write(chunk))
      }
      response.on('drain', pour)
      pour()
    })
    const path = await nodeRoute(upstream.url, { cache: true })
    const reply = await call(path)
    const reader = reply.body!.getReader()
    await reader.read()
    await sleep(300)
    const held = sent
    await sleep(300)
    expect(sent).toBe(held)
    expect(held).toBeLessThan(30_000_000)
    for (let read = 0; read < 60_000_000; ) read += (await reader.read()).value!.length
    expect(sent).toBeGreaterThan(held)
    await reader.cancel()
  })

  it('a route back to the hub is 508', async () => {
    const id = unique('loop')
    const self = await nodeRoute(node.url, { path: `/${id}/`, strip_prefix: false })
    expect(self).toBeTruthy()
    const direct = await call(`/gateway/${id}/x`)
    expect([direct.status, (await direct.json()).error.code]).toEqual([508, 'loop_detected'])
    // By another name, and through another gateway that adds to Via as it should.
    const between = await startUpstream((request, response) => {
      const headers = {
        ...request.headers,
        ...admin,
        host: 'localhost',
        via: `${request.headers.via}, 1.1 other`,
      }
      const onward = http.request(`${node.url}/gateway/${id}-b/x`, { headers }, (reply) => {
        response.writeHead(reply.statusCode!)
        reply.pipe(response)
      })
      onward.end()
    })
    await nodeRoute(between.url, { path: `/${id}-b/` })
    expect((await call(`/gateway/${id}-b/x`)).status).toBe(508)
    expect(between.seen).toHaveLength(1)
  })

  it.each([
    [
      'length and chunks',
      'Content-Length: 5\r\nTransfer-Encoding: chunked',
      '0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n',
    ],
    ['two lengths', 'Content-Length: 5\r\nContent-Length: 40', 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a disguised encoding', 'Transfer-Encoding: xchunked', '0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n'],
    ['a space before the colon', 'Transfer-Encoding : chunked', '0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n'],
    ['a bare line feed', 'X-A: 1\nTransfer-Encoding: chunked', '0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n'],
  ])('a request with %s smuggles nothing', async (_, headers, body) => {
    const upstream = await startUpstream()
    const path = await nodeRoute(upstream.url)
    const { hostname, port } = new URL(node.url)
    const socket = connect(Number(port), hostname)
    const said = Array.fromAsync(socket)
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: ${hostname}\r\nAuthorization: ${admin.authorization}\r\n${headers}\r\n\r\n${body}`,
    )
    await sleep(300)
    socket.end()
    expect(Buffer.concat(await said).toString()).toMatch(/^HTTP\/1\.1 400/)
    expect(upstream.seen).toHaveLength(0)
  })

  it('TRACE, which would show what a route adds, is 405', async () => {
    const upstream = await startUpstream()
    const path = await nodeRoute(upstream.url)
    const [reply] = await once(
      http.request(node.url + path, { method: 'TRACE', headers: admin }).end(),
      'response',
    )
    expect([reply.statusCode, upstream.seen.length]).toEqual([405, 0])
    reply.resume()
  })

  it('a body is framed, and none is made up', async () => {
    const upstream = await startUpstream()
    const path = await nodeRoute(upstream.url)
    await call(path, { method: 'DELETE' })
    await call(path, { method: 'DELETE', body: 'x' })
    await call(path, { method: 'POST' })
    await call(path, { method: 'PUT', body: new Blob(['chunks']).stream(), duplex: 'half' } as RequestInit)
    const frames = upstream.seen.map(({ headers }) => [
      headers['content-length'],
      headers['transfer-encoding'],
    ])
    expect(frames.slice(0, 3)).toEqual([
      [undefined, undefined],
      ['1', undefined],
      ['0', undefined],
    ])
    expect(frames[3]!.filter(Boolean)).toHaveLength(1)
  })
})

describe('the cache', () => {
  /** An upstream that counts, with these headers. */
  const counting = async (headers: Record<string, string>, more: Record<string, unknown> = {}) => {
    let count = 0
    const upstream = await startUpstream((_, response) => {
      response.writeHead(200, headers)
      response.end(`${++count}`)
    })
    return { upstream, path: await route(upstream.url, { cache: true, ...more }) }
  }
  /** Body and Cache-Status; what the answer left to do is done. */
  const ask = async (path: string, headers: Record<string, string> = {}, from = hub) => {
    const reply = await get(path, headers, from)
    const text = await reply.text()
    await from.settled()
    const cache = reply.headers.get('cache-status')?.replace('redis-ai-hub; ', '')
    return { text, cache, status: reply.status, headers: reply.headers }
  }
  const texts = async (path: string, ...requests: Record<string, string>[]) => {
    const got: string[] = []
    for (const headers of requests) got.push((await ask(path, headers)).text)
    return got.join(' ')
  }

  it('answers within max-age, with Age, for GET and HEAD; binary bodies come back as they were', async () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i)
    const upstream = await startUpstream((_, response) => {
      response.writeHead(200, { 'cache-control': 'Max-Age=60', 'content-type': 'image/x', 'x-a': 'b' })
      response.end(bytes)
    })
    const path = await route(upstream.url, { cache: true })
    expect((await ask(path)).cache).toBe('fwd=miss') // in chunks: whether it would fit was not known
    const hit = await get(path)
    expect(hit.headers.get('cache-status')).toMatch(/^redis-ai-hub; hit; ttl=(60|59)$/)
    expect(Object.fromEntries(hit.headers)).toMatchObject({
      age: expect.stringMatching(/^[01]$/),
      'content-type': 'image/x',
      'x-a': 'b',
      'content-length': '256',
    })
    expect(new Uint8Array(await hit.arrayBuffer())).toEqual(bytes)
    const head = await hub.app.request(
      `http://localhost${path}`,
      { method: 'HEAD', headers: admin },
      { defer() {} },
    )
    expect([head.headers.get('content-length'), await head.text()]).toEqual(['256', ''])
    expect(head.headers.get('cache-status')).toContain('; hit;')
    expect(upstream.seen).toHaveLength(1)
  })

  it('is asked only where the route says so, and keeps tenants, queries and hosts apart', async () => {
    const { path } = await counting({ 'cache-control': 'max-age=60' }, { cache: false })
    expect(await ask(path)).toMatchObject({ text: '1', cache: undefined })
    expect(await ask(path)).toMatchObject({ text: '2', cache: undefined })
    const cached = await counting({ 'cache-control': 'max-age=60', 'content-length': '1' })
    expect(await ask(cached.path)).toMatchObject({ text: '1', cache: 'fwd=miss; stored' })
    expect(await texts(cached.path, {}, bearer((await newKey()).key), {})).toBe('1 2 1')
    expect(await texts(`${cached.path}?a`, {}, { host: 'b.example' }, {})).toBe('3 3 3')
    const elsewhere = await hub.app.request(
      `http://b.example${cached.path}`,
      { headers: admin },
      { defer() {} },
    )
    expect(await elsewhere.text()).toBe('4')
  })

  it.each([
    ['no-store', { 'cache-control': 'no-store, max-age=60' }],
    ['No-Store', { 'cache-control': 'max-age=60, No-Store' }],
    ['private', { 'cache-control': 'Private, max-age=60' }],
    ['Set-Cookie', { 'cache-control': 'public, max-age=60', 'set-cookie': 'a=1' }],
    ['Vary: *', { 'cache-control': 'max-age=60', vary: '*' }],
    ['no lifetime', {}],
    ['a lifetime of its own guess', { 'last-modified': 'Mon, 01 Jan 2024 00:00:00 GMT' }],
    ['s-maxage=0', { 'cache-control': 's-maxage=0, max-age=60' }],
  ])('stores nothing under %s', async (_, headers) => {
    const { path } = await counting(headers)
    expect(await texts(path, {}, {})).toBe('1 2')
  })

  it('stores no answer to a foreign credential unless it is public; the hub’s own key is none', async () => {
    await using keyless = await startApp()
    const through = { send: (m: string, p: string, b: unknown) => keyless.send(m, p, b) }
    for (const [control, expected] of [
      ['max-age=60', '2'],
      ['public, max-age=60', '1'],
      ['s-maxage=60', '1'],
    ] as const) {
      let count = 0
      const upstream = await startUpstream((_, response) => {
        response.writeHead(200, { 'cache-control': control })
        response.end(`${++count}`)
      })
      const path = await route(upstream.url, { cache: true }, through)
      await ask(path, bearer('sk-theirs'), keyless)
      expect((await ask(path, bearer('sk-theirs'), keyless)).text, control).toBe(expected)
    }
    const { path } = await counting(
      { 'cache-control': 'max-age=60' },
      { headers: { authorization: 'Basic x' } },
    )
    expect(await texts(path, {}, {})).toBe('1 2')
  })

  it('keeps variants apart, at one wave each', async () => {
    const upstream = await startUpstream((request, response) => {
      response.writeHead(200, { 'cache-control': 'max-age=60', vary: 'Accept-Language' })
      response.end(`${request.headers['accept-language']} ${upstream.seen.length}`)
    })
    const path = await route(upstream.url, { cache: true })
    const [de, en] = [{ 'accept-language': 'de' }, { 'accept-language': 'en' }]
    expect(await texts(path, de, en, de, en)).toBe('de 1 en 2 de 1 en 2')
    hub.waves.length = 0
    const { key, tenant } = await newKey()
    expect(tenant).toBeTruthy()
    await texts(path, { ...de, ...bearer(key) }, { ...en, ...bearer(key) })
    await ask(path) // the routes are fresh
    hub.waves.length = 0
    expect((await ask(path, { ...de, ...bearer(key) })).cache).toMatch(/^hit/)
    expect(hub.waves.map((wave) => wave.map((call) => ('script' in call ? '' : call[0])).join(' '))).toEqual([
      'HMGET GET GET',
    ])
    // Another instance does not know yet by what it varies.
    await using other = await startApp({ env: { HUB_ADMIN_KEY: ADMIN_KEY } })
    expect(await ask(path, en, other)).toMatchObject({ text: 'en 2', cache: expect.stringMatching(/^hit/) })
  })

  it('validates what is stale: 304 from the upstream renews it, and the client’s own validators get 304', async () => {
    let etag = '"a"'
    const upstream = await startUpstream((request, response) => {
      const known = request.headers['if-none-match'] === etag
      response.writeHead(known ? 304 : 200, {
        'cache-control': 'max-age=1',
        etag,
        'x-n': `${upstream.seen.length}`,
      })
      response.end(known ? undefined : `body ${etag}`)
    })
    const path = await route(upstream.url, { cache: true })
    await ask(path)
    const known = await ask(path, { 'if-none-match': 'W/"a", "b"' })
    expect(known).toMatchObject({ text: '', cache: expect.stringMatching(/^hit/), status: 304 })
    expect(known.headers.get('etag')).toBe('"a"')
    expect(await ask(path, { 'if-none-match': '"b"' })).toMatchObject({ text: 'body "a"', status: 200 })
    await sleep(1_100)
    const renewed = await ask(path, { 'if-none-match': '"b"' })
    expect(renewed).toMatchObject({
      text: 'body "a"',
      cache: 'fwd=stale; fwd-status=304; stored',
      status: 200,
    })
    expect(renewed.headers.get('x-n')).toBe('2')
    expect(upstream.seen[1]!.headers['if-none-match']).toBe('"a"')
    expect((await ask(path)).cache).toMatch(/^hit/)
    etag = '"c"'
    await sleep(1_100)
    expect(await ask(path, { 'if-none-match': '"a"' })).toMatchObject({
      text: 'body "c"',
      cache: expect.stringMatching(/^fwd=stale/),
    })
    expect(upstream.seen).toHaveLength(3)
  })

  it('obeys the request: no-cache, max-age, no-store, only-if-cached, parts', async () => {
    const { path } = await counting({ 'cache-control': 'max-age=60', etag: '"x"', 'content-length': '1' })
    expect(await ask(path, { 'cache-control': 'only-if-cached' })).toMatchObject({
      cache: 'fwd=miss',
      status: 504,
    })
    expect(await ask(path, { 'cache-control': 'no-store' })).toMatchObject({
      text: '1',
      cache: 'fwd=request',
    })
    expect(await ask(path)).toMatchObject({ text: '2', cache: 'fwd=miss; stored' })
    expect(await ask(path, { 'cache-control': 'no-cache' })).toMatchObject({
      text: '3',
      cache: 'fwd=request; stored',
    })
    expect(await ask(path, { 'cache-control': 'max-age=0' })).toMatchObject({
      text: '4',
      cache: 'fwd=request; stored',
    })
    expect(await ask(path, { 'cache-control': 'only-if-cached' })).toMatchObject({
      text: '4',
      cache: expect.stringMatching(/^hit; ttl=(59|60)$/),
    })
    expect(await ask(path, { range: 'bytes=0-1' })).toMatchObject({ text: '5', cache: 'fwd=bypass' })
    expect(await ask(path)).toMatchObject({ text: '4', cache: expect.stringMatching(/^hit; ttl=(59|60)$/) })
  })

  it('is emptied of a URL by an unsafe method that succeeds, variants included', async () => {
    let status = 500
    const upstream = await startUpstream((request, response) => {
      response.writeHead(request.method === 'POST' ? status : 200, {
        'cache-control': 'max-age=60',
        vary: 'x-v',
      })
      response.end(`${upstream.seen.length}`)
    })
    const path = await route(upstream.url, { cache: true })
    const [a, b] = [{ 'x-v': 'a' }, { 'x-v': 'b' }]
    expect(await texts(path, a, b, a)).toBe('1 2 1')
    await hub.send('POST', path, {}, admin)
    expect(await texts(path, a, b)).toBe('1 2')
    status = 204
    await hub.send('POST', path, {}, admin)
    expect(await texts(path, a, b)).toBe('5 6')
  })

  it('stands in for an upstream that fails, as long as stale-if-error allows', async () => {
    let fail: 'no' | 'status' | 'cut' = 'no'
    const upstream = await startUpstream((_, response) => {
      if (fail === 'cut') return response.destroy()
      response.writeHead(fail === 'status' ? 503 : 200, { 'cache-control': 'max-age=1, stale-if-error=60' })
      response.end(`${upstream.seen.length}`)
    })
    const path = await route(upstream.url, { cache: true })
    await ask(path)
    await sleep(1_100)
    fail = 'status'
    expect(await ask(path)).toMatchObject({
      text: '1',
      cache: 'fwd=stale; fwd-status=503; detail=stale-if-error',
      status: 200,
    })
    fail = 'cut'
    expect(await ask(path)).toMatchObject({
      text: '1',
      cache: 'fwd=stale; detail=stale-if-error',
      status: 200,
    })
    expect((await ask(path, { 'cache-control': 'no-cache' })).status).toBe(502)
    const strict = await startUpstream((_, response) => {
      const headers = { 'cache-control': 'max-age=1, stale-if-error=60, must-revalidate' }
      response.writeHead(strict.seen.length > 1 ? 503 : 200, headers).end('x')
    })
    const strictPath = await route(strict.url, { cache: true })
    await ask(strictPath)
    expect((await ask(strictPath)).cache).toMatch(/^hit/)
    await sleep(1_100)
    expect((await ask(strictPath)).status).toBe(503)
  })

  it('stores no body over its bound', async () => {
    const { path } = await counting({ 'cache-control': 'max-age=60' }, { cache: { max_bytes: 1 } })
    expect(await texts(path, {}, {})).toBe('1 1')
    for (const headers of [{}, { 'content-length': '2' }] as Record<string, string>[]) {
      let count = 0
      const upstream = await startUpstream((_, response) => {
        response.writeHead(200, { 'cache-control': 'max-age=60', ...headers })
        response.write('x')
        response.end(`${++count}`)
      })
      const long = await route(upstream.url, { cache: { max_bytes: 1 } })
      expect(await texts(long, {}, {})).toBe('x1 x2')
    }
  })

  it('is shared by instances on both drivers', async () => {
    const bridge = await startTestBridge({ redisUrl: testRedisUrl() })
    await using rest = await startApp({
      env: {
        HUB_ADMIN_KEY: ADMIN_KEY,
        REDIS_URL: '',
        UPSTASH_REDIS_REST_URL: bridge.url,
        UPSTASH_REDIS_REST_TOKEN: bridge.token,
      },
    })
    const { path } = await counting({ 'cache-control': 'max-age=60' })
    await expect.poll(async () => (await rest.get('/readyz')).status).toBe(200)
    await ask(path, {}, rest)
    expect(await ask(path)).toMatchObject({ text: '1', cache: expect.stringMatching(/^hit/) })
    expect(await ask(path, {}, rest)).toMatchObject({ text: '1', cache: expect.stringMatching(/^hit/) })
    await bridge.close()
  })

  it('is passed by while Redis is away, within 250 ms', async () => {
    const redis = await startTestRedis()
    await using away = await startApp({ env: { REDIS_URL: redis.url, HUB_ADMIN_KEY: ADMIN_KEY } })
    const upstream = await startUpstream((_, response) => {
      response.writeHead(200, { 'cache-control': 'max-age=60' }).end(`${upstream.seen.length}`)
    })
    const body = { path: '/away/', upstream: upstream.url, allow_private: true, cache: true }
    await away.send('PUT', '/v1/routes/away', body, admin)
    expect((await ask('/gateway/away/', {}, away)).text).toBe('1')
    expect((await ask('/gateway/away/', {}, away)).text).toBe('1')
    process.kill(redis.pid, 'SIGSTOP')
    const start = performance.now()
    expect(await ask('/gateway/away/', {}, away)).toMatchObject({ text: '2', cache: 'fwd=bypass' })
    expect(performance.now() - start).toBeLessThan(450)
    process.kill(redis.pid, 'SIGCONT')
    await expect.poll(async () => (await ask('/gateway/away/', {}, away)).cache).toMatch(/^hit/)
    await redis.stop()
    expect(await ask('/gateway/away/', {}, away)).toMatchObject({ text: '3', cache: 'fwd=bypass' })
  })
})

describe('authz', () => {
  it('admits by key and scope, whatever method, body and path came, in one wave', async () => {
    const { key, id, tenant } = await newKey({ scopes: ['gateway'] })
    for (const method of ['GET', 'POST', 'DELETE', 'OPTIONS']) {
      for (const path of ['/v1/authz', '/v1/authz/any/path?x=1']) {
        hub.waves.length = 0
        const reply = await hub.app.request(
          `http://localhost${path}`,
          { method, headers: bearer(key) },
          { defer() {} },
        )
        expect([reply.status, await reply.text()]).toEqual([200, ''])
        expect([reply.headers.get('x-hub-tenant'), reply.headers.get('x-hub-key-id')]).toEqual([tenant, id])
        expect(hub.waves).toHaveLength(1)
      }
    }
    const owner = await get('/v1/authz')
    expect([owner.headers.get('x-hub-tenant'), owner.headers.get('x-hub-key-id')]).toEqual([
      'default',
      'admin',
    ])
  })

  it('refuses with 401, 403 and 429, and says why', async () => {
    const stranger = await hub.get('/v1/authz')
    expect([stranger.status, stranger.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
    const { key: narrow } = await newKey({ scopes: ['search'] })
    const refused = await hub.get('/v1/authz', bearer(narrow))
    expect([refused.status, (await refused.json()).error.code]).toEqual([403, 'scope_missing'])
    const { key } = await newKey({ limits: [{ on: 'requests', limit: 3, window_seconds: 3600 }] })
    const statuses: number[] = []
    for (const _ of [1, 2, 3, 4]) statuses.push((await hub.get('/v1/authz', bearer(key))).status)
    expect(statuses).toEqual([200, 200, 200, 429])
    const limited = await hub.get('/v1/authz', bearer(key))
    expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await limited.json()).error.code).toBe('rate_limit_exceeded')
  })
})

describe('a service as the upstream', () => {
  /** An instance that is called `id`. */
  async function startInstance(id: string) {
    const { url, seen } = await startUpstream(async (request, response) => {
      const parts: Buffer[] = []
      for await (const part of request) parts.push(part)
      response.end(JSON.stringify({ id, path: request.url, body: Buffer.concat(parts).toString() }))
    })
    return { id, url, seen }
  }
  /** Of the default tenant, as an admin is. */
  async function register(service: string, id: string, url: string, more: object = {}) {
    const reply = await hub.send(
      'PUT',
      `/v1/services/${service}/${id}`,
      { url, ttl_seconds: 60, ...more },
      admin,
    )
    expect(reply.status).toBeLessThan(300)
    onTestFinished(async () => void (await hub.delete(`/v1/services/${service}/${id}`, admin)))
  }

  /** Where nobody listens. */
  async function deadUrl() {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    await new Promise((closed) => server.close(closed))
    return `http://127.0.0.1:${port}`
  }

  it('each request goes to an instance that is well, by weight', async () => {
    const service = unique('billing')
    const [a, b, drained, ill] = await Promise.all(['a', 'b', 'drained', 'ill'].map(startInstance))
    await register(service, 'a', `${a!.url}/base/`, { weight: 3 })
    await register(service, 'b', `${b!.url}/base`)
    await register(service, 'drained', drained!.url, { weight: 0 })
    await register(service, 'ill', ill!.url, { status: 'critical' })
    const at = await route(`service://${service}/api`)
    const replies = await Promise.all(Array.from({ length: 200 }, () => get(`${at}/orders/7?x=%20`)))
    const bodies = await Promise.all(replies.map((reply) => reply.json()))
    expect(new Set(bodies.map(({ path }) => path))).toEqual(new Set(['/base/api/orders/7?x=%20']))
    expect(drained!.seen.length + ill!.seen.length).toBe(0)
    expect(a!.seen.length + b!.seen.length).toBe(200)
    expect(a!.seen.length).toBeGreaterThan(110) // 150 on the average, with a standard deviation of 6
    expect(b!.seen.length).toBeGreaterThan(10)
  })

  it('one that takes no connections is passed over, and the whole body comes to another', async () => {
    const service = unique('billing')
    const alive = await startInstance('alive')
    await register(service, 'dead', await deadUrl(), { weight: 1_000_000 })
    await register(service, 'alive', alive.url)
    const at = await nodeRoute(`service://${service}`)
    const body = 'x'.repeat(300_000)
    for (const chunked of [false, true]) {
      const reply = await fetch(`${node.url}${at}/`, {
        ...{ method: 'POST', headers: admin, duplex: 'half' },
        body: chunked ? new Blob([body]).stream() : body,
      } as RequestInit)
      expect([reply.status, await reply.json()]).toEqual([200, { id: 'alive', path: '/', body }])
    }
    expect((await (await get(`${at}/`)).json()).id).toBe('alive')
    expect(alive.seen).toHaveLength(3)
  })

  it('what reached an instance is sent to no other', async () => {
    const service = unique('billing')
    const breaking = await startUpstream((request) => request.socket.destroy())
    const alive = await startInstance('alive')
    await register(service, 'breaking', breaking.url, { weight: 1_000_000 })
    await register(service, 'alive', alive.url)
    const at = await route(`service://${service}`)
    const reply = await hub.send('POST', `${at}/`, { a: 1 }, admin)
    expect([reply.status, (await reply.json()).error.code]).toEqual([502, 'upstream_unreachable'])
    expect([breaking.seen.length, alive.seen.length]).toEqual([1, 0])
  })

  it('where nobody is well it is 503, and 502 where nobody takes connections', async () => {
    const service = unique('billing')
    const at = await route(`service://${service}`)
    const nobody = await get(`${at}/`)
    expect([nobody.status, (await nobody.json()).error.code]).toEqual([503, 'no_healthy_instance'])
    const another = unique('billing')
    await register(another, 'dead', await deadUrl())
    const reply = await get(`${await route(`service://${another}`)}/`)
    expect([reply.status, (await reply.json()).error.code]).toEqual([502, 'upstream_unreachable'])
  })

  it('follows who comes and goes', async () => {
    const service = unique('billing')
    const [a, b] = await Promise.all(['a', 'b'].map(startInstance))
    const at = await route(`service://${service}`)
    const answers = async () => (await (await get(`${at}/`)).json()).id
    await register(service, 'a', a!.url)
    expect(await answers()).toBe('a')
    await register(service, 'b', b!.url)
    await hub.delete(`/v1/services/${service}/a`, admin)
    await expect.poll(answers, { timeout: 10_000 }).toBe('b')
  })

  it('private addresses of instances need the route’s leave, and those of other tenants are not heard', async () => {
    const service = unique('billing')
    const { key } = await newKey()
    const { url, seen } = await startInstance('a')
    await hub.send('PUT', `/v1/services/${service}/a`, { url, ttl_seconds: 60 }, bearer(key))
    const at = await route(`service://${service}`, { allow_private: false })
    expect((await get(`${at}/`, bearer(key))).status).toBe(503)
    const own = unique('billing')
    await register(own, 'a', url)
    const reply = await get(`${await route(`service://${own}`, { allow_private: false })}/`)
    expect([reply.status, (await reply.json()).error.code]).toEqual([502, 'upstream_refused'])
    expect(seen).toEqual([])
  })

  it('an answer is cached for the service, whichever instance gave it', async () => {
    const service = unique('billing')
    const instances = await Promise.all(
      ['a', 'b'].map(async (id) => {
        const fresh = { 'cache-control': 'max-age=60' }
        const { url, seen } = await startUpstream((_, response) => response.writeHead(200, fresh).end(id))
        await register(service, id, url)
        return seen
      }),
    )
    const at = await route(`service://${service}`, { cache: true })
    const first = await (await get(`${at}/`)).text()
    await hub.settled()
    for (let i = 0; i < 8; i++) expect(await (await get(`${at}/`)).text()).toBe(first)
    expect(instances.flat()).toHaveLength(1)
  })

  it.each([
    ['no name', 'service:///api'],
    ['a name that cannot be one', 'service://a%3Ab/api'],
    ['a port', 'service://billing:80/api'],
    ['a query', 'service://billing/api?a=1'],
    ['somebody', 'service://ann@billing/api'],
  ])('%s is told', async (_, upstream) => {
    const reply = await hub.send('PUT', '/v1/routes/bad', { path: '/bad/', upstream }, admin)
    expect([reply.status, (await reply.json()).error.param]).toEqual([400, 'upstream'])
  })

  it('leads back to the hub: 508', async () => {
    const service = unique('billing')
    await register(service, 'hub', node.url)
    const at = await nodeRoute(`service://${service}`)
    const reply = await fetch(`${node.url}${at}/`, { headers: admin })
    expect([reply.status, (await reply.json()).error.code]).toEqual([508, 'loop_detected'])
  })
})
