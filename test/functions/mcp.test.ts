import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startApp, type TestApp, unique } from '../support/app.ts'
import { until } from '../support/hub.ts'

const HUB_ADMIN_KEY = 'an-admin-key-of-tests'
const admin = { authorization: `Bearer ${HUB_ADMIN_KEY}` }

let hub: TestApp
beforeAll(async () => {
  hub = await startApp({ env: { HUB_ADMIN_KEY } })
})
afterAll(() => hub[Symbol.asyncDispose]())

type Headers = Record<string, string>

async function post(message: unknown, headers: Headers = {}, app = hub) {
  const reply = await app.send('POST', '/mcp', message, { ...admin, ...headers })
  const text = await reply.text()
  return { status: reply.status, headers: reply.headers, body: text === '' ? undefined : JSON.parse(text) }
}

const rpc = (method: string, params: object = {}, id: unknown = 1) => ({ jsonrpc: '2.0', id, method, params })

/** As a client of 2026-07-28 says it. */
function stateless(
  method: string,
  params: { name?: string; arguments?: object } = {},
  headers: Headers = {},
) {
  const prefix = 'io.modelcontextprotocol'
  const _meta = {
    [`${prefix}/protocolVersion`]: '2026-07-28',
    [`${prefix}/clientInfo`]: { name: 'a-test', version: '1' },
    [`${prefix}/clientCapabilities`]: {},
  }
  const named: Headers = params.name === undefined ? {} : { 'mcp-name': params.name }
  const said = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': method, ...named, ...headers }
  return [rpc(method, { ...params, _meta }), said] as const
}

describe('/mcp', () => {
  it('is for pages of this hub only, key or no key', async () => {
    const from = async (origin: string) => (await post(rpc('ping'), { origin })).status
    expect(await from('https://evil.example')).toBe(403)
    expect(await from('null')).toBe(403)
    expect(await from('http://localhost')).toBe(200)
    expect(await from('http://127.0.0.1:6274')).toBe(200)
    expect((await post(rpc('ping'))).status).toBe(200)
    const { status } = await hub.request('/mcp', {
      method: 'GET',
      headers: { ...admin, host: 'hub.example', origin: 'http://localhost:6274' },
    })
    expect(status).toBe(403)
  })

  it('keeps no sessions and opens no streams', async () => {
    for (const method of ['GET', 'DELETE']) {
      const reply = await hub.request('/mcp', { method, headers: { ...admin, host: 'localhost' } })
      expect([reply.status, reply.headers.get('allow')]).toEqual([405, 'POST'])
    }
    const { headers } = await post(rpc('initialize', { protocolVersion: '2025-06-18' }))
    expect(headers.get('mcp-session-id')).toBeNull()
  })

  it('asks for a key', async () => {
    const none = await post(rpc('tools/list'), { authorization: '' })
    expect([none.status, none.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
    const body = { tenant: unique('mcp'), scopes: ['usage'] }
    const { key } = await (await hub.send('POST', '/v1/keys', body, admin)).json()
    expect(await post(rpc('tools/list'), { authorization: `Bearer ${key}` })).toMatchObject({
      status: 403,
      body: { error: { code: 'scope_missing', message: expect.stringContaining('`search`, `ask`') } },
    })
  })

  it('of a key that was revoked says so as any route does', async () => {
    const { key, id } = await (
      await hub.send('POST', '/v1/keys', { tenant: unique('mcp'), scopes: ['search'] }, admin)
    ).json()
    const list = rpc('tools/call', { name: 'list_indexes' })
    expect(await post(list, { authorization: `Bearer ${key}` })).toMatchObject({ status: 200 })
    expect((await hub.delete(`/v1/keys/${id}`, admin)).ok).toBe(true)
    expect(await post(list, { authorization: `Bearer ${key}` })).toMatchObject({ status: 401 })
  })

  it('counts a call once in the limits of its key', async () => {
    const limits = [{ on: 'requests', limit: 2, window_seconds: 3_600 }]
    const body = { tenant: unique('mcp'), scopes: ['search'], limits }
    const made = await hub.send('POST', '/v1/keys', body, admin)
    const { key } = await made.json()
    const list = () => post(rpc('tools/call', { name: 'list_indexes' }), { authorization: `Bearer ${key}` })
    const results = [await list(), await list(), await list()].map(({ body }) => body.result)
    expect(results.map(({ isError = false }) => isError)).toEqual([false, false, true])
    expect(results[2].content[0].text).toContain('rate_limit')
  })

  it('ends what a call began when its caller leaves', async () => {
    await using slow = await startApp({
      provider: { silent: 'head' },
      env: { HUB_ASK_MODEL: 'openai/gpt-4o-mini' },
    })
    const index = unique('docs')
    await slow.send('PUT', `/v1/indexes/${index}`, { embedding_model: null, dimensions: 2 })
    const text = 'A honey bee visits fifty flowers.'
    await slow.send('PUT', `/v1/indexes/${index}/documents/bees`, { text, vector: [1, 0] })
    const leaving = new AbortController()
    const question = { index, question: 'How many flowers does a honey bee visit?' }
    const asked = slow.request('/mcp', {
      method: 'POST',
      headers: { host: 'localhost', 'content-type': 'application/json' },
      body: JSON.stringify(rpc('tools/call', { name: 'ask', arguments: question })),
      signal: leaving.signal,
    })
    await until('the provider is asked', () => slow.provider.count === 1)
    leaving.abort()
    await until('it is let go', () => slow.provider.aborted === 1)
    await asked.catch(() => {})
  })

  it('offers what is deployed', async () => {
    await using small = await startApp({ env: { HUB_ADMIN_KEY, FUNCTIONS: 'face,ask' } })
    const { body } = await post(rpc('tools/list'), {}, small)
    expect(body.result.tools.map(({ name }: { name: string }) => name)).toEqual(['ask'])
    expect(await post(rpc('tools/call', { name: 'search', arguments: {} }), {}, small)).toMatchObject({
      body: { error: { code: -32602 } },
    })
  })
})

describe('JSON-RPC at /mcp', () => {
  it.each([
    ['what is no JSON', '{"jsonrpc":', 400, -32700],
    ['a batch', [rpc('ping')], 400, -32600],
    ['what is no message', { id: 1, method: 'ping' }, 400, -32600],
    ['an id that is none', rpc('ping', {}, { a: 1 }), 400, -32600],
    ['parameters that are none', { ...rpc('ping'), params: 3 }, 400, -32600],
    ['an unknown method', rpc('roots/list'), 200, -32601],
  ])('refuses %s', async (_, message, status, code) => {
    const sent = typeof message === 'string' ? message : JSON.stringify(message)
    expect(await post(sent)).toMatchObject({ status, body: { jsonrpc: '2.0', error: { code } } })
  })

  it('refuses what is not sent as JSON', async () => {
    expect(await post(rpc('ping'), { 'content-type': 'text/plain' })).toMatchObject({ status: 415 })
  })

  it('takes notifications, and answers to what it never asked', async () => {
    for (const message of [
      { jsonrpc: '2.0', method: 'notifications/initialized' },
      { jsonrpc: '2.0', id: 7, result: {} },
    ])
      expect(await post(message)).toMatchObject({ status: 202, body: undefined })
  })

  it('agrees on a revision', async () => {
    const agreed = async (protocolVersion: string) =>
      (await post(rpc('initialize', { protocolVersion }))).body.result.protocolVersion
    expect(await agreed('2025-06-18')).toBe('2025-06-18')
    expect(await agreed('2024-10-07')).toBe('2025-11-25')
    expect(await post(rpc('ping'), { 'mcp-protocol-version': '2019-01-01' })).toMatchObject({
      status: 400,
      body: { id: 1, error: { code: -32022, data: { requested: '2019-01-01' } } },
    })
  })
})

describe('revision 2026-07-28', () => {
  it('says who serves with each result', async () => {
    const [message, headers] = stateless('server/discover')
    const { body } = await post(message, headers)
    expect(body.result).toMatchObject({
      ...{ supportedVersions: ['2026-07-28'], resultType: 'complete', cacheScope: 'private' },
      _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'redis-ai-hub' } },
    })
  })

  it.each([
    ['no version', { 'mcp-protocol-version': '' }],
    ['another method', { 'mcp-method': 'tools/list' }],
    ['another name', { 'mcp-name': 'ask' }],
  ])('refuses headers with %s', async (_, more) => {
    const [message, headers] = stateless('tools/call', { name: 'list_indexes' }, more)
    expect(await post(message, headers)).toMatchObject({ status: 400, body: { error: { code: -32020 } } })
  })

  it('takes a name that is not ASCII', async () => {
    const name = 'löschen'
    const [message, headers] = stateless('tools/call', { name })
    const encoded = `=?base64?${Buffer.from(name).toString('base64')}?=`
    expect(await post(message, { ...headers, 'mcp-name': encoded })).toMatchObject({
      body: { error: { code: -32602, message: 'Unknown tool: löschen' } },
    })
  })

  it('wants the whole envelope, and knows no handshake', async () => {
    const headers = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list' }
    expect(await post(rpc('tools/list'), headers)).toMatchObject({
      status: 400,
      body: { error: { code: -32602, message: expect.stringContaining('_meta') } },
    })
    const [message, said] = stateless('ping')
    expect(await post(message, said)).toMatchObject({ status: 404, body: { error: { code: -32601 } } })
  })
})
