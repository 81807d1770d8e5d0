import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readEnv } from '../../infra/env.ts'
import { connectRedis } from '../../infra/wire.ts'
import { credentialsKey } from '../../shared/keys.ts'
import { ask, readSse, startApp, type TestApp, textOf, unique } from '../support/app.ts'
import { type Behaviour, startProvider } from '../support/provider.ts'
import { testRedisUrl } from '../support/redis.ts'

const ADMIN = 'an-admin-key-of-tests'
const admin = { authorization: `Bearer ${ADMIN}` }
/** Breakers are shared: providers of names that no other test has. */
const [one, two] = [unique('one'), unique('two')]
const env: Record<string, string> = {
  HUB_ADMIN_KEY: ADMIN,
  HUB_KEY_SECRET: 'a-secret-of-tests',
  HUB_SECRET_KEY: 'the secret key of tests',
  TEST_KEY: 'sk-of-the-environment',
}
let hub: TestApp
let second: Awaited<ReturnType<typeof startProvider>>
let behaviour: Behaviour = {}
beforeAll(async () => {
  second = await startProvider({ text: 'I am the second.', behave: () => behaviour })
  const first = await startProvider()
  await first.close()
  env.HUB_PROVIDERS = JSON.stringify({
    [one]: { base_url: first.url, key_env: 'TEST_KEY' },
    [two]: { base_url: second.url, key_env: 'TEST_KEY', models: { m: { input: 1, cached: 1, output: 2 } } },
  })
  hub = await startApp({ env })
})
afterAll(async () => {
  await hub[Symbol.asyncDispose]()
  await second.close()
})

const put = (path: string, body: object) => hub.send('PUT', path, body, admin)
const down = { targets: [{ model: `${one}/m` }] }
const both = { targets: [{ model: `${one}/m` }, { model: `${two}/m` }] }

async function member() {
  const tenant = unique('tenant')
  const { key } = await (await hub.send('POST', '/v1/keys', { tenant }, admin)).json()
  return { tenant, headers: { authorization: `Bearer ${key}` } }
}

describe('/v1/model-routes', () => {
  it('are written, read, listed and deleted, each tenant’s own', async () => {
    const { tenant } = await member()
    const path = `/v1/model-routes/fast?tenant=${tenant}`
    const reply = await put(path, { ...both, retries: 1 })
    expect(reply.status).toBe(200)
    const route = await reply.json()
    expect(route).toMatchObject({ alias: 'fast', strategy: 'ordered', retries: 1, stale_if_error_seconds: 0 })
    expect(route.targets[0]).toEqual({ model: `${one}/m`, weight: 1 })
    expect(await (await hub.get(path, admin)).json()).toEqual(route)
    expect(await (await hub.get(`/v1/model-routes?tenant=${tenant}`, admin)).json()).toEqual({
      data: [route],
    })
    expect((await hub.get(`/v1/model-routes/fast?tenant=${unique('other')}`, admin)).status).toBe(404)
    expect((await hub.delete(path, admin)).status).toBe(204)
    expect((await hub.delete(path, admin)).status).toBe(404)
  })

  it.each([
    ['no target', { targets: [] }, 'targets'],
    ['an unknown provider', { targets: [{ model: `${two}/m` }, { model: 'nobody/m' }] }, 'targets[1].model'],
    ['a provider without a key here', { targets: [{ model: 'cohere/command-a' }] }, 'targets[0].model'],
    ['a model that the provider does not have', { targets: [{ model: 'local/nope' }] }, 'targets[0].model'],
    ['another alias, or itself', { targets: [{ model: 'bad' }] }, 'targets[0].model'],
    ['a weight of nothing', { targets: [{ model: `${two}/m`, weight: 0 }] }, 'targets[0].weight'],
    [
      'a credential that is not there',
      { targets: [{ model: `${two}/m`, credential: 'gone' }] },
      'targets[0].credential',
    ],
    [
      'a timeout below zero',
      { targets: [{ model: `${two}/m`, timeouts: { total_ms: -1 } }] },
      'targets[0].timeouts.total_ms',
    ],
    ['retries without end', { targets: [{ model: `${two}/m` }], retries: 1000 }, 'retries'],
    ['a field that is not known', { ...both, colour: 'red' }, 'colour'],
  ])('%s is 400', async (_, body, param) => {
    const reply = await put('/v1/model-routes/bad', body)
    expect(reply.status).toBe(400)
    expect((await reply.json()).error.param).toBe(param)
  })

  it('an alias with a brace is 400; a hub key without admin is 403', async () => {
    expect((await put('/v1/model-routes/a%7Bb%7D', both)).status).toBe(400)
    const { headers } = await member()
    expect((await hub.get('/v1/model-routes', headers)).status).toBe(403)
  })
})

describe('a completion by alias', () => {
  it('falls back before the first token, is cached under the alias, and again after the alias changed', async () => {
    const { tenant, headers } = await member()
    const body = ask(undefined, { model: 'fast' })
    await put(`/v1/model-routes/fast?tenant=${tenant}`, both)
    const made = await hub.complete(body, headers)
    expect((await made.json()).choices[0].message.content).toBe('I am the second.')
    expect(made.headers.get('cache-status')).toContain('fwd=miss; stored')
    expect((await hub.complete(body, headers)).headers.get('cache-status')).toContain('; hit;')
    const streamed = await hub.complete({ ...body, stream: true }, headers)
    expect(textOf(await readSse(streamed))).toBe('I am the second.')
    await put(`/v1/model-routes/fast?tenant=${tenant}`, { targets: [{ model: `${two}/m` }] })
    expect((await hub.complete(body, headers)).headers.get('cache-status')).toContain('fwd=miss')
  })

  it('all targets down is the last one’s error, as HTTP status also for a stream', async () => {
    const { tenant, headers } = await member()
    await put(`/v1/model-routes/down?tenant=${tenant}`, down)
    const reply = await hub.complete(ask(undefined, { model: 'down', stream: true }), headers)
    expect(reply.status).toBe(502)
    expect((await reply.json()).error.code).toBe('provider_unreachable')
  })

  it('a stale entry stands in while every target fails, as long as the alias allows', async () => {
    const { tenant, headers } = await member()
    const path = `/v1/model-routes/fast?tenant=${tenant}`
    await put(path, { targets: [{ model: `${two}/m` }], stale_if_error_seconds: 60 })
    const body = ask(undefined, { model: 'fast' })
    const call = (more: object = {}) =>
      hub.complete({ ...body, ...more }, { ...headers, 'x-hub-cache-ttl': '1' })
    expect((await call()).status).toBe(200)
    await new Promise((resolve) => setTimeout(resolve, 2_100))
    behaviour = { status: 500 }
    for (const more of [{}, { stream: true }]) {
      const stale = await call(more)
      expect(stale.status).toBe(200)
      expect(stale.headers.get('cache-status')).toMatch(/; hit; ttl=-\d+; detail=stale-if-error/)
      expect(await stale.text()).toContain('I am the second.')
    }
    behaviour = { status: 400 }
    expect((await call()).status).toBe(400)
    behaviour = {}
    expect((await call()).headers.get('cache-status')).toContain('fwd=')
    expect((await call()).headers.get('cache-status')).toContain('detail=exact')
  })

  it('a hit is one wave, whether or not the aliases are asked for in it', async () => {
    const { tenant, headers } = await member()
    await put(`/v1/model-routes/fast?tenant=${tenant}`, both)
    const body = ask(undefined, { model: 'fast' })
    await hub.complete(body, headers)
    await hub.settled()
    for (const pauseMs of [0, 600]) {
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
      hub.waves.length = 0
      expect((await hub.complete(body, headers)).headers.get('cache-status')).toContain('; hit;')
      expect(
        hub.waves.filter((wave) => wave.some((call) => !('script' in call) && call[0] === 'GET')),
      ).toHaveLength(1)
      expect(hub.waves[0]!.some((call) => !('script' in call) && call[0] === 'HGETALL')).toBe(pauseMs > 0)
      await hub.settled()
    }
  })

  it('an alias that another instance changed leads elsewhere within a second', async () => {
    await using other = await startApp({ env })
    const { tenant, headers } = await member()
    const call = () => other.complete(ask(undefined, { model: 'fast' }), headers)
    await put(`/v1/model-routes/fast?tenant=${tenant}`, { targets: [{ model: `${two}/m` }] })
    expect((await call()).status).toBe(200)
    await put(`/v1/model-routes/fast?tenant=${tenant}`, down)
    const changed = performance.now()
    await expect.poll(async () => (await call()).status, { interval: 50 }).toBe(502)
    expect(performance.now() - changed).toBeLessThan(1_000)
  })

  it('a key may use an alias that it names, or whose every model it names', async () => {
    const tenant = unique('tenant')
    await put(`/v1/model-routes/fast?tenant=${tenant}`, both)
    const status = async (models: string[]) => {
      const { key } = await (await hub.send('POST', '/v1/keys', { tenant, models }, admin)).json()
      return (await hub.complete(ask(undefined, { model: 'fast' }), { authorization: `Bearer ${key}` }))
        .status
    }
    expect(await status(['fast'])).toBe(200)
    expect(await status([`${one}/m`, `${two}/m`])).toBe(200)
    expect(await status([`${two}/m`])).toBe(403)
  })
})

describe('/v1/credentials', () => {
  it('are encrypted at rest, never shown, and what the tenant’s calls are made with', async () => {
    const { tenant, headers } = await member()
    const path = `/v1/credentials/${two}/main?tenant=${tenant}`
    const secret = `sk-${unique('secret')}`
    const body = ask(undefined, { model: `${two}/m` })
    await hub.complete(body, headers)
    const reply = await put(path, { api_key: secret })
    expect(reply.status).toBe(200)
    const { redis } = connectRedis(readEnv({ REDIS_URL: testRedisUrl() }), { info() {}, error() {} })
    const [stored] = await redis.wave([['HGETALL', credentialsKey(tenant)]])
    await redis.close()
    const shown = [
      reply,
      await hub.get(path, admin),
      await hub.get(`/v1/credentials?tenant=${tenant}`, admin),
    ]
    const texts = await Promise.all(shown.map((response) => response.text()))
    expect(JSON.stringify(stored)).toContain('sealed')
    expect(JSON.stringify([stored, texts])).not.toContain(secret)
    expect(texts[1]).toContain(`"id":"main"`)
    // Bought with another credential, the entry is no answer of this one.
    const again = await hub.complete(body, headers)
    expect(again.headers.get('cache-status')).toContain('fwd=miss')
    expect(second.requests.at(-1)!.headers.authorization).toBe(`Bearer ${secret}`)
    expect((await hub.delete(path, admin)).status).toBe(204)
    await hub.complete(ask(undefined, { model: `${two}/m` }), headers)
    expect(second.requests.at(-1)!.headers.authorization).toBe('Bearer sk-of-the-environment')
    expect(JSON.stringify(hub.lines)).not.toContain(secret)
  })

  it('of a provider that the environment has no key for make it callable', async () => {
    const tenant = unique('tenant')
    const path = `/v1/model-routes/it?tenant=${tenant}`
    const route = { targets: [{ model: 'cohere/command-a', credential: 'main' }] }
    expect((await put(path, route)).status).toBe(400)
    await put(`/v1/credentials/cohere/main?tenant=${tenant}`, { api_key: 'sk-x' })
    expect((await put(path, route)).status).toBe(200)
  })

  it.each([
    ['an unknown provider', '/v1/credentials/nobody/main', { api_key: 'x' }, 'provider'],
    ['a provider without keys', '/v1/credentials/local/main', { api_key: 'x' }, 'provider'],
    ['an id with a brace', '/v1/credentials/openai/a%7Bb', { api_key: 'x' }, 'id'],
    ['a key that no header can carry', '/v1/credentials/openai/main', { api_key: 'a\nb' }, 'api_key'],
    ['an address', '/v1/credentials/openai/main', { api_key: 'x', base_url: 'http://10.0.0.1' }, 'base_url'],
  ])('%s is 400', async (_, path, body, param) => {
    const reply = await put(path, body)
    expect(reply.status).toBe(400)
    expect((await reply.json()).error.param).toBe(param)
  })

  it('without HUB_SECRET_KEY they are refused, with the way out', async () => {
    await using plain = await startApp({ env: { ...env, HUB_SECRET_KEY: undefined } })
    const reply = await plain.send('PUT', `/v1/credentials/${two}/main`, { api_key: 'x' }, admin)
    expect(reply.status).toBe(501)
    expect((await reply.json()).error.message).toContain('HUB_SECRET_KEY')
  })
})

describe('/v1/breakers', () => {
  it('are opened and closed by hand, and listed', async () => {
    const { tenant, headers } = await member()
    await put(`/v1/model-routes/fast?tenant=${tenant}`, { targets: [{ model: `${two}/m` }] })
    const status = async () => (await hub.complete(ask(undefined, { model: 'fast' }), headers)).status
    expect(await status()).toBe(200)
    const set = async (body: object, name = `${two}/m`) =>
      (await hub.send('POST', `/v1/breakers/${name}`, body, admin)).json()
    expect(await set({ state: 'open', seconds: 60 })).toEqual({
      ...{ name: `${two}/m`, tenant: 'default', state: 'open', manual: true },
      ...{ seconds_left: 60, succeeded: 0, failed: 0 },
    })
    const refused = await hub.complete(ask(undefined, { model: 'fast' }), headers)
    expect(refused.status).toBe(503)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(50)
    expect((await refused.json()).error.code).toBe('breaker_open')
    const { data } = await (await hub.get('/v1/breakers', admin)).json()
    expect(data).toContainEqual(expect.objectContaining({ name: `${two}/m`, manual: true }))
    expect(await set({ state: 'auto' }, encodeURIComponent(`${two}/m`))).toMatchObject({
      state: 'closed',
      manual: false,
    })
    expect(await status()).toBe(200)
    expect((await hub.send('POST', `/v1/breakers/${two}/m`, { state: 'ajar' }, admin)).status).toBe(400)
  })
})
