import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startApp, type TestApp, unique } from '../support/app.ts'

const ADMIN = 'an-admin-key-of-tests'
const admin = { authorization: `Bearer ${ADMIN}` }
const env = { HUB_ADMIN_KEY: ADMIN, HUB_SECRET_KEY: 'the secret key of tests' }
let hub: TestApp
beforeAll(async () => {
  hub = await startApp({ env })
})
afterAll(() => hub[Symbol.asyncDispose]())

/** A key of a tenant of its own. */
async function member(more: object = {}) {
  const reply = await hub.send('POST', '/v1/keys', { tenant: unique('tenant'), ...more }, admin)
  return { authorization: `Bearer ${(await reply.json()).key}` }
}

const rule = {
  on: { stream: 'readings' },
  when: { type: 'threshold', path: 'data.celsius', op: 'gt', value: 30 },
}

describe('an alert rule', () => {
  it('is set, read, listed and removed, by its tenant alone', async () => {
    const [one, two] = [await member(), await member()]
    const put = await hub.send('PUT', '/v1/alerts/hot', rule, one)
    expect(put.status).toBe(200)
    const shown = await put.json()
    expect(shown).toEqual({
      ...{ name: 'hot', ...rule, cooldown_seconds: 60 },
      ...{ created_at: expect.any(String), updated_at: shown.created_at },
    })
    expect(await (await hub.get('/v1/alerts/hot', one)).json()).toEqual(shown)
    expect(await (await hub.get('/v1/alerts', one)).json()).toEqual({ data: [shown] })
    expect((await hub.get('/v1/alerts/hot', two)).status).toBe(404)
    expect(await (await hub.get('/v1/alerts', two)).json()).toEqual({ data: [] })
    expect((await hub.delete('/v1/alerts/hot', two)).status).toBe(404)
    expect((await hub.delete('/v1/alerts/hot', one)).status).toBe(204)
    expect((await hub.delete('/v1/alerts/hot', one)).status).toBe(404)
  })

  it('shows the secret that it made once, and one that was given never', async () => {
    const key = await member()
    const url = 'https://example.com/hook'
    const put = async (webhook: object) => {
      const reply = await hub.send('PUT', '/v1/alerts/hot', { ...rule, webhook }, key)
      return (await reply.json()).webhook
    }
    const made = await put({ url })
    expect(made.secret).toMatch(/^whsec_/)
    expect(await put({ url })).toEqual({ url })
    const given = `whsec_${btoa('x'.repeat(32))}`
    expect(await put({ url, secret: given })).toEqual({ url })
    expect(await (await hub.get('/v1/alerts', key)).text()).not.toContain(given)
    // Another receiver does not get the secret of the one before.
    expect((await put({ url: 'https://example.org/' })).secret).toMatch(/^whsec_/)
  })

  it('may call into the hub’s own network by an admin’s word only', async () => {
    const webhook = { url: 'http://127.0.0.1:9/', allow_private: true }
    const put = async (body: object, key: Record<string, string>) =>
      hub.send('PUT', `/v1/alerts/${unique('alert')}`, { ...rule, ...body }, key)
    expect((await put({ webhook }, await member())).status).toBe(403)
    const key = await member({ scopes: ['ingest-event', 'admin'] })
    expect((await put({ webhook }, key)).status).toBe(200)
    expect((await put({}, await member({ scopes: ['embed'] }))).status).toBe(403)
  })

  it.each([
    ['no condition', { when: undefined }, 'when'],
    ['an unknown one', { when: { type: 'anomaly' } }, 'when.type'],
    ['an unknown comparison', { when: { ...rule.when, op: '~' } }, 'when.op'],
    ['a rate of nothing', { when: { type: 'rate', count: 0, window_seconds: 1 } }, 'when.count'],
    ['a list as threshold', { when: { ...rule.when, value: [1] } }, 'when.value'],
    ['nothing to look at', { on: {} }, 'on'],
    ['a stream with a brace', { on: { stream: 'a{b}' } }, 'on.stream'],
    ['plain HTTP', { webhook: { url: 'http://example.com/' } }, 'webhook.url'],
    ['a private address', { webhook: { url: 'https://10.0.0.1/' } }, 'webhook.url'],
    ['no URL', { webhook: { url: 'file:///etc/passwd' } }, 'webhook.url'],
    [
      'a weak secret',
      { webhook: { url: 'https://example.com/', secret: 'whsec_c2hvcnQ=' } },
      'webhook.secret',
    ],
    ['a field that is not there', { colour: 'red' }, 'colour'],
  ])('with %s is 400', async (_, change, param) => {
    const reply = await hub.send('PUT', '/v1/alerts/hot', { ...rule, ...change }, admin)
    expect(reply.status).toBe(400)
    expect((await reply.json()).error.param).toBe(param)
  })

  it('with a bad name is 400', async () => {
    expect((await hub.send('PUT', '/v1/alerts/a%7Bb', rule, admin)).status).toBe(400)
  })

  it('is one of a hundred at most', async () => {
    const key = await member()
    for (let i = 0; i < 100; i++) await hub.send('PUT', `/v1/alerts/a${i}`, rule, key)
    const reply = await hub.send('PUT', '/v1/alerts/one-more', rule, key)
    expect([reply.status, (await reply.json()).error.code]).toEqual([422, 'too_many_alerts'])
    expect((await hub.send('PUT', '/v1/alerts/a1', rule, key)).status).toBe(200)
  })

  it('without HUB_SECRET_KEY has no webhook, and says what to set', async () => {
    await using plain = await startApp({ env: { ...env, HUB_SECRET_KEY: undefined } })
    const body = { ...rule, webhook: { url: 'https://example.com/' } }
    const key = await member()
    const reply = await plain.send('PUT', '/v1/alerts/hot', body, key)
    expect(reply.status).toBe(501)
    expect((await reply.json()).error.message).toContain('HUB_SECRET_KEY')
    expect((await plain.send('PUT', '/v1/alerts/hot', rule, key)).status).toBe(200)
  })
})
