import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask, startApp, type TestApp, unique } from '../support/app.ts'

const HUB_ADMIN_KEY = 'an-admin-key-of-tests'
const admin = { authorization: `Bearer ${HUB_ADMIN_KEY}` }
const status = (response: Response) => response.headers.get('cache-status')

let hub: TestApp
beforeAll(async () => {
  hub = await startApp({ env: { HUB_ADMIN_KEY } })
})
afterAll(() => hub[Symbol.asyncDispose]())

async function newCaller(more: object = {}) {
  const tenant = unique('acme')
  const { key } = await (await hub.send('POST', '/v1/keys', { tenant, ...more }, admin)).json()
  const headers = { authorization: `Bearer ${key}` }
  return {
    tenant,
    headers,
    complete: (body: object, more: object = {}) => hub.complete(body, { ...headers, ...more }),
  }
}

describe('a completion of a stored prompt', () => {
  it('sends the rendered messages before its own, and shares an entry with the same messages written out', async () => {
    const { headers, complete } = await newCaller()
    const messages = [{ role: 'system', content: 'You speak {{language}}.' }]
    await hub.send('PUT', '/v1/prompts/greeter', { messages, labels: ['production'] }, headers)
    const own = [{ role: 'user', content: crypto.randomUUID() }]
    const prompt = { id: 'greeter', variables: { language: 'French "and {{more}}"' } }
    const reply = await complete({ model: 'openai/gpt-4o-mini', prompt, messages: own })
    expect(status(reply)).toContain('fwd=miss')
    const rendered = [{ role: 'system', content: 'You speak French "and {{more}}".' }, ...own]
    const sent = hub.provider.requests.at(-1)!.body
    expect(sent.messages).toEqual(rendered)
    expect(sent.prompt).toBeUndefined()
    expect(status(await complete({ model: 'openai/gpt-4o-mini', messages: rendered }))).toContain('; hit;')
    const purged = await hub.send(
      'POST',
      '/v1/cache/purge',
      { request: { model: 'openai/gpt-4o-mini', prompt, messages: own } },
      headers,
    )
    expect(await purged.json()).toEqual({ purged: 1 })
  })

  it.each([
    ['an unknown prompt', { id: 'nobody' }, 404, 'prompt.id'],
    ['an unknown version', { id: 'known', version: 9 }, 404, 'prompt.version'],
    ['a missing variable', { id: 'known' }, 400, 'prompt.variables.name'],
    [
      'an unknown variable',
      { id: 'known', variables: { name: 'x', other: 1 } },
      400,
      'prompt.variables.other',
    ],
  ])('%s is told', async (_, prompt, code, param) => {
    const { headers, complete } = await newCaller()
    await hub.send('PUT', '/v1/prompts/known', { messages: [{ role: 'user', content: '{{name}}' }] }, headers)
    const reply = await complete({ model: 'openai/gpt-4o-mini', prompt })
    expect([reply.status, (await reply.json()).error.param]).toEqual([code, param])
  })

  it('neither messages nor prompt is 400', async () => {
    const { complete } = await newCaller()
    const reply = await complete({ model: 'openai/gpt-4o-mini' })
    expect([reply.status, (await reply.json()).error.param]).toEqual([400, 'messages'])
  })
})

describe('a completion of an alias', () => {
  async function alias(tenant: string, definition: object, name = 'fast') {
    const reply = await hub.send('PUT', `/v1/model-routes/${name}?tenant=${tenant}`, definition, admin)
    expect(reply.status).toBeLessThan(300)
  }
  const targets = [{ model: 'openai/gpt-4o-mini' }, { model: 'local/local' }]

  it('falls back before the first token, and usage names who answered', async () => {
    const { tenant, headers, complete } = await newCaller()
    await alias(tenant, { strategy: 'ordered', targets })
    const reply = await complete(ask(undefined, { model: 'fast', mock: { status: 500 } }))
    expect(reply.status).toBe(200)
    expect((await reply.json()).choices[0].message.content).toContain('local model')
    await hub.settled()
    const { data } = await (await hub.get('/v1/usage', headers)).json()
    expect(data).toEqual([expect.objectContaining({ model: 'local/local', requests: 1 })])
  })

  it('a changed alias does not serve the old one’s answers', async () => {
    const { tenant, complete } = await newCaller()
    await alias(tenant, { strategy: 'ordered', targets: [targets[0]] })
    const body = ask(undefined, { model: 'fast' })
    await complete(body)
    expect(status(await complete(body))).toContain('; hit;')
    await alias(tenant, { strategy: 'ordered', targets: [targets[1]] })
    const reply = await complete(body)
    expect(status(reply)).toContain('fwd=miss')
    expect((await reply.json()).choices[0].message.content).toContain('local model')
  })

  it('serves a stale entry when every target fails, within its window; a fresh answer replaces it', async () => {
    const { tenant } = await newCaller()
    await alias(tenant, {
      strategy: 'ordered',
      targets: [targets[0]],
      stale_if_error_seconds: 60,
      retries: 0,
    })
    let down = false
    const text = unique('answer')
    await using other = await startApp({
      env: { HUB_ADMIN_KEY },
      provider: { behave: () => (down ? { status: 500 } : { text }) },
    })
    const { key } = await (await other.send('POST', '/v1/keys', { tenant }, admin)).json()
    const headers = { authorization: `Bearer ${key}` }
    const body = ask(undefined, { model: 'fast' })
    await other.complete(body, { ...headers, 'x-hub-cache-ttl': '1' })
    await sleep(1_200)
    down = true
    const stale = await other.complete(body, headers)
    expect(stale.status).toBe(200)
    expect(status(stale)).toMatch(/^redis-ai-hub; hit; ttl=(0|-\d+); detail=stale-if-error$/)
    expect((await stale.json()).choices[0].message.content).toBe(text)
    down = false
    const fresh = await other.complete(body, headers)
    expect(status(fresh)).toContain('fwd=miss; stored')
    expect(status(await other.complete(body, headers))).toMatch(/; hit; ttl=3\d{3};/)
  })

  it('a key that may ask only one model may not ask an alias of others', async () => {
    const { tenant, complete } = await newCaller({ models: ['openai/gpt-4o-mini'] })
    await alias(tenant, { strategy: 'ordered', targets })
    expect((await complete(ask(undefined, { model: 'fast' }))).status).toBe(403)
    await alias(tenant, { strategy: 'ordered', targets: [targets[0]] }, 'only')
    expect((await complete(ask(undefined, { model: 'only' }))).status).toBe(200)
  })
})
