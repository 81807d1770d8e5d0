import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import http, { type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { unique } from '../support/app.ts'
import { ADMIN_KEY, type NodeHub, startNodeHub } from '../support/hub.ts'
import { startNginx, type TestNginx } from '../support/nginx.ts'
import { testRedisUrl } from '../support/redis.ts'

/** infra/gateways/nginx.conf in a real nginx, in front of the hub and of a service that knows no keys. */
let hub: NodeHub
let nginx: TestNginx
const seen: IncomingMessage[] = []
const service = http.createServer(async (request, response) => {
  seen.push(request)
  if (request.url === '/fails') response.writeHead(500)
  if (request.url === '/unauthorized') response.writeHead(401)
  response.write('first')
  for await (const chunk of request) response.write(chunk)
  response.end()
})
const placeOf = (server: http.Server) => `127.0.0.1:${(server.address() as AddressInfo).port}`
const sample = (hub: string) =>
  readFileSync(new URL('../../infra/gateways/nginx.conf', import.meta.url), 'utf8')
    .replace('127.0.0.1:8787', hub)
    .replace('127.0.0.1:9000', placeOf(service))

beforeAll(async () => {
  service.listen(0, '127.0.0.1')
  await once(service, 'listening')
  hub = await startNodeHub({ REDIS_URL: testRedisUrl() })
  nginx = await startNginx(sample(new URL(hub.url).host))
}, 300_000)
afterAll(async () => {
  await nginx?.[Symbol.asyncDispose]()
  await hub?.stop()
  service.closeAllConnections()
  service.close()
})
beforeEach(() => {
  seen.length = 0
})

const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
const call = (path: string, headers: Record<string, string> = {}, init: RequestInit = {}) =>
  fetch(nginx.url + path, { ...init, headers })

async function newKey(body: object = {}): Promise<{ key: string; id: string; tenant: string }> {
  const headers = { ...bearer(ADMIN_KEY), 'content-type': 'application/json' }
  const sent = JSON.stringify({ tenant: unique('acme'), ...body })
  return (await fetch(`${nginx.url}/v1/keys`, { method: 'POST', headers, body: sent })).json()
}

const error = async (reply: Response) => [reply.status, (await reply.json()).error.code]

it('admits whom the hub admits, tells the service who that is, and keeps the key from it', async () => {
  const { key, id, tenant } = await newKey()
  const reply = await call('/a/path?x=1', {
    ...bearer(key),
    'x-hub-tenant': 'other',
    'x-forwarded-for': '1.2.3.4',
  })
  expect([reply.status, await reply.text()]).toEqual([200, 'first'])
  expect(seen[0]).toMatchObject({
    url: '/a/path?x=1',
    headers: { 'x-hub-tenant': tenant, 'x-hub-key-id': id, 'x-forwarded-for': '127.0.0.1' },
  })
  expect(seen[0]!.headers.authorization).toBeUndefined()
  const posted = await call('/', bearer(key), { method: 'POST', body: ' and last' })
  expect(await posted.text()).toBe('first and last')
})

it('refuses whom the hub refuses: strangers, unknown keys, keys without the scope, revoked ones', async () => {
  const none = await call('/')
  expect([none.headers.get('www-authenticate'), ...(await error(none))]).toEqual([
    'Bearer',
    401,
    'invalid_api_key',
  ])
  expect(await error(await call('/', bearer('hub_unknown')))).toEqual([401, 'invalid_api_key'])
  const { key: narrow } = await newKey({ scopes: ['search'] })
  expect(await error(await call('/', bearer(narrow)))).toEqual([403, 'scope_missing'])
  const { key, id } = await newKey()
  await call(`/v1/keys/${id}`, bearer(ADMIN_KEY), { method: 'DELETE' })
  expect(await error(await call('/', bearer(key)))).toEqual([401, 'invalid_api_key'])
  expect((await call('/_hub/authz', bearer(ADMIN_KEY))).status).toBe(404)
  expect(seen).toHaveLength(0)
})

it('limits as the hub says', async () => {
  const { key } = await newKey({
    limits: [{ on: 'requests', limit: 3, window_seconds: 60, algorithm: 'fixed_window' }],
  })
  const replies: Response[] = []
  for (const _ of [1, 2, 3, 4]) replies.push(await call('/', bearer(key)))
  const statuses = replies.map(({ status }) => status)
  // The fourth, unless a new minute began meanwhile.
  if (statuses[3] === 200)
    replies.push(
      ...[await call('/', bearer(key)), await call('/', bearer(key)), await call('/', bearer(key))],
    )
  const last = replies.at(-1)!
  expect(await error(last)).toEqual([429, 'rate_limit_exceeded'])
  expect(Number(last.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(last.headers.get('ratelimit')).toMatch(/^"key-requests-60";r=0;t=\d+$/)
  expect(replies[0]!.headers.get('ratelimit-policy')).toBe('"key-requests-60";q=3;w=60')
})

it('leaves the service’s own errors to it', async () => {
  for (const [path, status] of [
    ['/fails', 500],
    ['/unauthorized', 401],
  ] as const) {
    const reply = await call(path, bearer(ADMIN_KEY))
    expect([reply.status, await reply.text()]).toEqual([status, 'first'])
  }
})

it('streams both ways, to the service and through the hub', async () => {
  const request = http.request(nginx.url, { method: 'PUT', headers: bearer(ADMIN_KEY) })
  request.write(' and')
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  let said = ''
  response.on('data', (chunk) => (said += chunk))
  await expect.poll(() => said).toBe('first and')
  request.end(' last')
  await expect.poll(() => said).toBe('first and last')
  const completion = await call(
    '/v1/chat/completions',
    { ...bearer(ADMIN_KEY), 'content-type': 'application/json' },
    {
      method: 'POST',
      body: JSON.stringify({
        model: 'local',
        stream: true,
        messages: [{ role: 'user', content: unique('hello') }],
      }),
    },
  )
  expect(await completion.text()).toMatch(/^data: \{.*data: \[DONE\]\n\n$/s)
})

it('lets nobody in while the hub is away', async () => {
  const server = http.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const nowhere = placeOf(server)
  server.close()
  await using alone = await startNginx(sample(nowhere))
  const reply = await fetch(alone.url, { headers: bearer(ADMIN_KEY) })
  expect(await error(reply)).toEqual([503, 'hub_unavailable'])
  expect(seen).toHaveLength(0)
})
