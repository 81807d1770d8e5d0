import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readEnv } from '../../infra/env.ts'
import { connectRedis } from '../../infra/wire.ts'
import type { Command } from '../../shared/ports/redis.ts'
import { send } from '../../shared/send.ts'
import { startApp, type TestApp, unique } from '../support/app.ts'
import { startTestRedis } from '../support/redis.ts'

let hub: TestApp
let other: TestApp
beforeAll(async () => {
  hub = await startApp()
  other = await startApp()
})
afterAll(async () => {
  await hub[Symbol.asyncDispose]()
  await other[Symbol.asyncDispose]()
})

const put = (name: string, settings: object = {}, at = hub, headers = {}) =>
  at.send('PUT', `/v1/indexes/${name}`, settings, headers)
const get = (name: string, at = hub, headers = {}) => at.get(`/v1/indexes/${name}`, headers)
const alias = (name: string, index: unknown, at = hub) =>
  at.send('PUT', `/v1/index-aliases/${name}`, { index })
const write = (index: string, documents: unknown, at = hub) =>
  at.send('POST', `/v1/indexes/${index}/documents`, documents)
const read = async (index: string, id: string, at = hub) =>
  (await at.get(`/v1/indexes/${index}/documents/${id}`)).status

async function made(settings: object = {}, name = unique('index')) {
  const reply = await put(name, settings)
  expect(reply.status, await reply.clone().text()).toBe(201)
  return name
}
/** What a Redis itself says. */
async function ask(url: string, command: Command) {
  const { redis } = connectRedis(readEnv({ REDIS_URL: url }), { info() {}, error() {} })
  return send(redis, command, { timeoutMs: 5_000 }).finally(() => redis.close())
}

const errorOf = async (reply: Response) => ({ status: reply.status, ...(await reply.json()).error })

describe('PUT /v1/indexes/{index}', () => {
  it('makes an index, whose vectors are as long as the model makes them', async () => {
    const name = unique('index')
    const settings = { fields: { year: 'number', topic: 'tag', title: 'text' }, hot_tag: 'topic' }
    const reply = await put(name, settings)
    expect(reply.status).toBe(201)
    const index = await reply.json()
    expect(index).toEqual({
      name,
      ...settings,
      dimensions: 1536,
      metric: 'cosine',
      embedding_model: 'openai/text-embedding-3-small',
      quantization: 'none',
      chunking: { size: 1_000, overlap: 150 },
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    })
    expect(await (await get(name, other)).json()).toEqual({ ...index, documents: 0 })
    const { data } = await (await hub.get('/v1/indexes')).json()
    expect(data).toContainEqual(index)
  })

  it('again is the same index; with other settings it is refused', async () => {
    const name = await made({ fields: { a: 'tag', b: 'number' } })
    const again = await put(
      name,
      { fields: { b: 'number', a: 'tag' }, metric: 'cosine', dimensions: 1536 },
      other,
    )
    expect(again.status).toBe(200)
    for (const settings of [{}, { fields: { a: 'tag', b: 'number' }, metric: 'euclidean' }]) {
      expect(await errorOf(await put(name, settings))).toMatchObject({ status: 409, code: 'index_exists' })
    }
  })

  it('is decided once when many instances make it at the same time', async () => {
    const name = unique('race')
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        put(name, { dimensions: 8 + (i % 2), embedding_model: null }, i % 3 ? hub : other),
      ),
    )
    const statuses = replies.map(({ status }) => status)
    expect(statuses.filter((status) => status === 201)).toHaveLength(1)
    expect(statuses.filter((status) => status === 409)).toHaveLength(10)
    expect(statuses.filter((status) => status === 200)).toHaveLength(9)
  })

  it('asks a model for shorter vectors, and embeds one word where its length is not known', async () => {
    const short = await made({ dimensions: 256, embedding_model: 'openai/text-embedding-3-small' })
    expect(hub.provider.requests.at(-1)!.body).toMatchObject({ dimensions: 256 })
    expect((await (await get(short)).json()).dimensions).toBe(256)
    const calls = hub.provider.count
    const unknown = await made({ embedding_model: `openai/${unique('new')}` })
    expect((await (await get(unknown)).json()).dimensions).toBe(256)
    expect(hub.provider.count).toBe(calls + 1)
  })

  it('needs no model where documents bring their vectors', async () => {
    const name = await made({ embedding_model: null, dimensions: 3 })
    expect((await (await get(name)).json()).embedding_model).toBeNull()
  })

  const fields = (names: string[]) => ({ fields: Object.fromEntries(names.map((name) => [name, 'tag'])) })
  it.each<[string, object, string]>([
    ['an unknown type of field', { fields: { a: 'string' } }, 'fields.a'],
    ['a field that cannot be named', fields(['a-b']), 'fields.a-b'],
    ['a field of the hub', fields(['content']), 'fields.content'],
    ['a field that begins like those of the hub', fields(['_start']), 'fields._start'],
    ['too long a field', fields(['x'.repeat(65)]), `fields.${'x'.repeat(65)}`],
    ['too many fields', fields(Array.from({ length: 65 }, (_, i) => `f${i}`)), 'fields'],
    ['a hot tag that is not declared', { hot_tag: 'a' }, 'hot_tag'],
    ['a hot tag like a field of Object', { hot_tag: 'constructor' }, 'hot_tag'],
    ['a hot tag that is a number', { fields: { a: 'number' }, hot_tag: 'a' }, 'hot_tag'],
    ['no dimensions', { dimensions: 0 }, 'dimensions'],
    ['neither model nor dimensions', { embedding_model: null }, 'dimensions'],
    ['an unknown metric', { metric: 'manhattan' }, 'metric'],
    ['an unknown setting', { shards: 3 }, 'shards'],
    ['too much overlap', { chunking: { size: 100, overlap: 50 } }, 'chunking.overlap'],
  ])('refuses %s', async (_, settings, param) => {
    const name = unique('bad')
    expect(await errorOf(await put(name, settings))).toMatchObject({ status: 400, param })
    expect((await get(name)).status).toBe(404)
  })

  it('refuses what the model or the name does not allow', async () => {
    const wrong = { embedding_model: 'openai/short', dimensions: 99, fields: {} }
    const strange = await startApp({
      provider: { raw: JSON.stringify({ object: 'list', data: [{ index: 0, embedding: [1, 0, 0] }] }) },
    })
    expect(await errorOf(await put(unique('bad'), wrong, strange))).toMatchObject({
      status: 400,
      param: 'dimensions',
    })
    await strange[Symbol.asyncDispose]()
    expect(await errorOf(await put(unique('bad'), { embedding_model: 'nobody/m' }))).toMatchObject({
      status: 404,
      param: 'embedding_model',
    })
    const euclidean = unique('bad')
    expect(await errorOf(await put(euclidean, { metric: 'euclidean' }))).toMatchObject({
      status: 501,
      code: 'not_supported',
    })
    expect((await put(euclidean)).status).toBe(201) // the name is free
    expect(await errorOf(await put('a%20b'))).toMatchObject({ status: 400, param: 'index' })
    for (const name of [unique('none'), 'constructor', 'a%7Bb%7D'])
      expect(await errorOf(await get(name))).toMatchObject({
        status: 404,
        code: 'index_not_found',
        param: 'index',
      })
  })
})

describe('aliases', () => {
  it('lead readers and writers, here at once and elsewhere within a second', async () => {
    const [old, next, name] = [await made(), await made(), unique('alias')]
    expect(await (await alias(name, old)).json()).toEqual({ alias: name, index: old })
    await write(name, [{ id: 'a', text: 'in the old one' }])
    expect([await read(old, 'a'), await read(name, 'a'), await read(name, 'a', other)]).toEqual([
      200, 200, 200,
    ])
    await alias(name, next)
    expect(await read(name, 'a')).toBe(404)
    await expect.poll(() => read(name, 'a', other), { timeout: 2_000 }).toBe(404)
    expect((await (await get(name)).json()).name).toBe(next)
    const { data } = await (await hub.get('/v1/index-aliases')).json()
    expect(data).toContainEqual({ alias: name, index: next })
  })

  it('at every time lead to the one or the other, and to one of them in the end', async () => {
    const [a, b, name] = [await made(), await made(), unique('alias')]
    await alias(name, a)
    const flips = Array.from({ length: 30 }, (_, i) => alias(name, i % 2 ? a : b, i % 3 ? hub : other))
    const reads = Array.from({ length: 30 }, (_, i) => get(name, i % 2 ? hub : other))
    for (const reply of await Promise.all([...flips, ...reads])) expect(reply.status).toBe(200)
    expect([a, b]).toContain((await (await get(name)).json()).name)
  })

  it('share no name with an index, lead to no alias and to nothing that is not there', async () => {
    const [index, name] = [await made(), unique('alias')]
    await alias(name, index)
    expect(await errorOf(await alias(index, index))).toMatchObject({ status: 409, code: 'name_taken' })
    expect(await errorOf(await put(name))).toMatchObject({ status: 409, code: 'name_taken' })
    expect(await errorOf(await alias(unique('alias'), name))).toMatchObject({ status: 404 })
    expect(await errorOf(await alias(unique('alias'), unique('none')))).toMatchObject({ status: 404 })
    expect(await errorOf(await alias(unique('alias'), 'a b'))).toMatchObject({ status: 400, param: 'index' })
    expect(await errorOf(await alias('a%20b', index))).toMatchObject({ status: 400, param: 'alias' })
  })

  it('are removed; their index stays', async () => {
    const [index, name] = [await made(), unique('alias')]
    await alias(name, index)
    const remove = () => hub.delete(`/v1/index-aliases/${name}`)
    expect((await remove()).status).toBe(204)
    expect(await errorOf(await remove())).toMatchObject({ status: 404, code: 'alias_not_found' })
    expect((await get(name)).status).toBe(404)
    expect((await get(index)).status).toBe(200)
  })
})

describe('DELETE /v1/indexes/{index}', () => {
  it('ends it and its aliases at once; the name is free once all is removed', async () => {
    const [index, name] = [await made({ fields: { topic: 'tag' }, hot_tag: 'topic' }), unique('alias')]
    await alias(name, index)
    await write(index, [
      { id: 'a', text: 'one', metadata: { topic: 'x' } },
      { id: 'b', text: 'two' },
    ])
    await hub.settled()
    expect((await hub.delete(`/v1/indexes/${index}`)).status).toBe(204)
    expect((await get(index)).status).toBe(404)
    expect((await get(name)).status).toBe(404)
    expect((await write(index, [{ id: 'c', text: 'three' }])).status).toBe(404)
    expect((await hub.delete(`/v1/indexes/${index}`)).status).toBe(404)
    await hub.settled()
    expect((await put(index, { fields: { year: 'number' } })).status).toBe(201)
    expect(await (await get(index)).json()).toMatchObject({ documents: 0, fields: { year: 'number' } })
    expect(await read(index, 'a')).toBe(404)
    expect((await get(name)).status).toBe(404)
  })

  it('leaves no key behind', async () => {
    await using redis = await startTestRedis()
    await using local = await startApp({ env: { REDIS_URL: redis.url } })
    const keys = async () => {
      const all = (await ask(redis.url, ['KEYS', '*'])) as string[]
      return all.filter((key) => !/^(embed|usage)/.test(key)).sort()
    }
    const before = await keys()
    await put('gone', { fields: { topic: 'tag', year: 'number', title: 'text' }, hot_tag: 'topic' }, local)
    const metadata = { topic: ['x', 'y'], year: 2020, title: 'A title' }
    await write(
      'gone',
      Array.from({ length: 5 }, (_, i) => ({ id: `d${i}`, text: `Text ${i}`, metadata })),
      local,
    )
    await write('gone', [{ id: 'd0', text: 'Another text', metadata }], local)
    await local.settled()
    expect((await keys()).length).toBeGreaterThan(before.length + 5)
    await local.delete('/v1/indexes/gone')
    await local.settled()
    // The definition is kept for a day, for writers that were slow.
    expect((await keys()).filter((key) => !['indexes', 'sweeps'].includes(key))).toEqual(before)
  })

  it('a name whose removal has not ended is refused for a while, and free after the sweep', async () => {
    await using redis = await startTestRedis()
    await using local = await startApp({ env: { REDIS_URL: redis.url } })
    await put('slow', {}, local)
    await write('slow', [{ id: 'a', text: 'x' }], local)
    // As if the one who marked it had died there.
    const text = (await ask(redis.url, ['HGET', 'indexes', 'slow'])) as string
    await ask(redis.url, ['HSET', 'indexes', 'slow', text.replace('"ready"', '"deleting"')])
    await using fresh = await startApp({ env: { REDIS_URL: redis.url } })
    const reply = await put('slow', {}, fresh)
    expect(reply.headers.get('retry-after')).toBe('1')
    expect(await errorOf(reply)).toMatchObject({ status: 409, code: 'index_deleting' })
    await fresh.scheduled()
    expect((await put('slow', {}, fresh)).status).toBe(201)
    expect(await read('slow', 'a', fresh)).toBe(404)
  })
})

describe('indexes', () => {
  it('are their tenant’s own', async () => {
    await using guarded = await startApp({ env: { HUB_ADMIN_KEY: 'the-admin-key-of-the-tests' } })
    const member = async (tenant: string, scopes = ['search']) => {
      const admin = { authorization: 'Bearer the-admin-key-of-the-tests' }
      const { key } = await (await guarded.send('POST', '/v1/keys', { tenant, scopes }, admin)).json()
      return { authorization: `Bearer ${key}` }
    }
    const [one, two] = [await member(unique('tenant')), await member(unique('tenant'))]
    const name = unique('mine')
    expect((await put(name, {}, guarded, one)).status).toBe(201)
    expect((await get(name, guarded, two)).status).toBe(404)
    expect((await put(name, { quantization: 'int8' }, guarded, two)).status).toBe(201)
    expect((await (await get(name, guarded, one)).json()).quantization).toBe('none')
    expect((await (await guarded.get('/v1/indexes', two)).json()).data).toHaveLength(1)
    expect((await get(name, guarded, await member(unique('tenant'), ['embed']))).status).toBe(403)
  })

  it('Redis away: 503, and nothing is taken for missing', async () => {
    const redis = await startTestRedis()
    await using local = await startApp({ env: { REDIS_URL: redis.url } })
    await put('there', {}, local)
    await redis.stop()
    await expect.poll(async () => (await get('there', local)).status, { timeout: 5_000 }).toBe(503)
    expect((await put('new', {}, local)).status).toBe(503)
  })
})
