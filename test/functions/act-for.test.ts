import { expect, onTestFinished, test } from 'vitest'
import { startApp, unique } from '../support/app.ts'
import { startReceiver } from '../support/receiver.ts'

const HUB_ADMIN_KEY = 'the-admin-key-of-this-test'
const ADMIN = { authorization: `Bearer ${HUB_ADMIN_KEY}` }

async function start() {
  const app = await startApp({ env: { HUB_ADMIN_KEY } })
  onTestFinished(() => app[Symbol.asyncDispose]())
  const tenant = unique('tenant')
  const forTenant = { ...ADMIN, 'x-hub-act-for': tenant }
  const acts = async () => {
    await app.settled()
    const reply = await app.get(`/v1/audit?tenant=${tenant}`, ADMIN)
    return ((await reply.json()) as { data: Record<string, unknown>[] }).data
  }
  return { app, tenant, forTenant, acts }
}

test('the admin key acts for a tenant that it names, in its data, and that is recorded', async () => {
  const { app, tenant, forTenant, acts } = await start()
  expect(
    (await app.send('PUT', '/v1/agents/helper', { role: 'custom', model: 'local' }, forTenant)).status,
  ).toBeLessThan(300)
  const { key } = await (await app.send('POST', '/v1/keys', { tenant }, ADMIN)).json()
  expect((await app.get('/v1/agents/helper', { authorization: `Bearer ${key}` })).status).toBe(200)
  expect((await app.get('/v1/agents/helper/steps', forTenant)).status).toBe(200)
  expect((await app.get('/v1/agents/helper', ADMIN)).status).toBe(404)

  const asked = {
    model: 'openai/gpt-4o-mini',
    messages: [{ role: 'user', content: unique('Where is Oslo?') }],
  }
  expect((await app.send('POST', '/v1/chat/completions', asked, forTenant)).status).toBe(200)
  await app.settled()
  const logged = await (await app.get(`/v1/requests?tenant=${tenant}`, ADMIN)).json()
  expect(logged.data).toHaveLength(1)
  expect((await app.get(`/v1/requests/${logged.data[0].id}`, forTenant)).status).toBe(200)

  expect((await acts()).map(({ actor, action, status }) => [actor, action, status])).toEqual([
    ['admin', 'GET /v1/requests/{id}', 200],
    ['admin', 'POST /v1/chat/completions', 200],
    ['admin', 'POST /v1/keys', expect.any(Number)],
    ['admin', 'PUT /v1/agents/{id}', 200],
  ])
})

test('what is sent to a tenant’s stream is the tenant’s, whatever tenant its data names', async () => {
  const { app, forTenant, acts } = await start()
  const event = { type: 'order.placed', tenant: 'another', data: {} }
  const reply = await app.send('POST', '/v1/queues/mails/jobs', { data: event, tenant: 'another' }, forTenant)
  expect((await acts()).map(({ action, status }) => [action, status])).toEqual([
    ['POST /v1/queues/{queue}/jobs', reply.status],
  ])
})

test('through MCP too, and through the gateway, whose upstream does not hear of it', async () => {
  const { app, tenant, forTenant, acts } = await start()
  await app.send('PUT', '/v1/agents/helper', { role: 'custom', model: 'local' }, forTenant)
  const call = { name: 'remember', arguments: { agent: 'helper', text: 'Oslo is north.' } }
  const rpc = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: call }
  const accept = 'application/json, text/event-stream'
  const said = await (await app.send('POST', '/mcp', rpc, { ...forTenant, accept })).json()
  expect([said.result?.isError ?? false, said.error]).toEqual([false, undefined])

  const upstream = await startReceiver()
  onTestFinished(upstream.close)
  const route = { path: `/${tenant}/`, upstream: upstream.url, allow_private: true }
  expect((await app.send('PUT', `/v1/routes/${tenant}`, route, ADMIN)).status).toBeLessThan(300)
  const reply = await app.send('POST', `/gateway/${tenant}/orders`, { n: 1 }, forTenant)
  expect(reply.status).toBe(200)
  expect(upstream.received[0]!.headers).not.toHaveProperty('x-hub-act-for')
  expect((await acts()).map(({ action }) => action)).toContain('POST /gateway/*')
})

test('nobody else does, not even a key with the scope `admin`', async () => {
  const { app, tenant } = await start()
  for (const scopes of [undefined, ['admin', 'agent-step'], ['agent-step']]) {
    const { key } = await (await app.send('POST', '/v1/keys', { tenant, scopes }, ADMIN)).json()
    for (const wanted of [tenant, 'default', unique('other')]) {
      const headers = { authorization: `Bearer ${key}`, 'x-hub-act-for': wanted }
      const reply = await app.get('/v1/agents', headers)
      expect([reply.status, (await reply.json()).error.code]).toEqual([403, 'scope_missing'])
    }
  }
  const reply = await app.get('/v1/agents', { 'x-hub-act-for': tenant })
  expect(reply.status).toBe(401)
})

test.each(['', 'a b', 'a:b', '../x', 'x'.repeat(200), '{a}'])('`%s` is no tenant', async (name) => {
  const { app } = await start()
  const reply = await app.get('/v1/agents', { ...ADMIN, 'x-hub-act-for': name })
  expect([reply.status, (await reply.json()).error.param]).toEqual([400, 'x-hub-act-for'])
})
