import { expect, onTestFinished, test } from 'vitest'
import { startApp, unique } from '../support/app.ts'
import { listen } from '../support/listen.ts'

const HUB_ADMIN_KEY = 'the-admin-key-of-this-test'
const ADMIN = { authorization: `Bearer ${HUB_ADMIN_KEY}` }

async function start() {
  const app = await startApp({ env: { HUB_ADMIN_KEY } })
  onTestFinished(() => app[Symbol.asyncDispose]())
  const tenant = unique('tenant')
  const made = await app.send('POST', '/v1/keys', { tenant }, ADMIN)
  const header = { authorization: `Bearer ${(await made.json()).key}` }
  const read = async (reply: Response) => ({
    status: reply.status,
    headers: reply.headers,
    body: await reply.json(),
  })
  return {
    ...{ app, tenant, header },
    get: async (user: string) => read(await app.get(`/v1/preferences/${user}`, header)),
    patch: async (user: string, patch: unknown, headers = {}) =>
      read(await app.send('PATCH', `/v1/preferences/${user}`, patch, { ...header, ...headers })),
    declare: async (body: object) =>
      read(await app.send('PUT', `/v1/preference-types?tenant=${tenant}`, body, ADMIN)),
  }
}

test('they are read and changed in part, and keep their types', async () => {
  const { get, patch } = await start()
  const none = await get('ada')
  expect(none).toMatchObject({ status: 200, body: { user: 'ada', values: {}, version: 0 } })
  const first = await patch('ada', { theme: 'dark', size: 12, mail: { daily: false, at: [8, 20] } })
  expect(first).toMatchObject({
    status: 200,
    body: { values: { theme: 'dark', size: 12, mail: { daily: false, at: [8, 20] } }, version: 1 },
  })
  expect(first.headers.get('etag')).toBe('"1"')
  const headers = { 'content-type': 'application/merge-patch+json', 'if-match': '"1"' }
  const second = await patch('ada', { theme: null, mail: { daily: true } }, headers)
  expect(second.body).toMatchObject({ values: { size: 12, mail: { daily: true, at: [8, 20] } }, version: 2 })
  expect(second.body.values).not.toHaveProperty('theme')
  expect(await patch('ada', { size: 1 }, headers)).toMatchObject({
    ...{ status: 412, body: { error: { code: 'version_conflict', param: 'if-match' } } },
  })
  expect((await get('ada')).body).toEqual(second.body)
  expect((await get('a%2Fda%20%7Bb%7D')).body).toMatchObject({ user: 'a/da {b}', values: {} })
})

test('declared types hold: defaults are filled in, what is bad is refused with its path', async () => {
  const { app, get, patch, declare, header } = await start()
  const types = {
    theme: { type: 'string', enum: ['light', 'dark'], default: 'light' },
    size: { type: 'integer', minimum: 8 },
  }
  expect(await declare({ types, additional: false })).toMatchObject({ status: 200, body: { types } })
  expect((await get('ada')).body.values).toEqual({ theme: 'light' })
  expect((await get('ada?stored=true')).body.values).toEqual({})
  expect(await patch('ada', { size: 1 })).toMatchObject({ status: 400, body: { error: { param: 'size' } } })
  expect(await patch('ada', { font: 'a' })).toMatchObject({
    ...{ status: 400, body: { error: { code: 'unknown_preference', param: 'font' } } },
  })
  expect((await patch('ada', { size: 9 })).body.values).toEqual({ theme: 'light', size: 9 })
  expect((await get('ada?stored=true')).body.values).toEqual({ size: 9 })
  expect(await declare({ types: { a: { type: 'x' } } })).toMatchObject({
    ...{ status: 400, body: { error: { param: 'types.a.type' } } },
  })
  expect(await declare({ types: { a: { type: 'string', default: 1 } } })).toMatchObject({
    ...{ status: 400, body: { error: { param: 'types.a.default' } } },
  })
  expect((await app.send('PUT', '/v1/preference-types', { types }, header)).status).toBe(403)
})

test('other devices of the user are told, by a channel of the user’s own', async () => {
  const { app, header, get, patch } = await start()
  const { channel } = (await get('ada')).body
  expect((await get('bob')).body.channel).not.toBe(channel)
  const { token } = await (
    await app.send('POST', '/v1/realtime-tokens', { channels: [channel] }, header)
  ).json()
  using heard = listen(await app.get(`/v1/realtime/${channel}?token=${token}`))
  await heard.begun()
  await patch('ada', { theme: 'dark' })
  await patch('bob', { theme: 'light' })
  await patch('ada', { theme: null })
  await heard.atLeast(2)
  expect(heard.events.map(({ event }) => event)).toEqual(['preferences', 'preferences'])
  expect(heard.data()).toEqual([
    { version: 1, patch: { theme: 'dark' } },
    { version: 2, patch: { theme: null } },
  ])
  expect((await app.send('POST', `/v1/realtime/${channel}`, { data: 1 }, header)).status).toBe(400)
})

test('a reading is one wave, a change two', async () => {
  const { app, get, patch } = await start()
  await patch('ada', { a: 1 })
  await app.settled()
  app.waves.length = 0
  await get('ada')
  expect(app.waves).toHaveLength(1)
  app.waves.length = 0
  await patch('ada', { a: 1 }) // changes nothing, so that nobody is told
  expect(app.waves).toHaveLength(2)
})

test('a holder that lost its lock changes nothing', async () => {
  const { get, patch } = await start()
  expect((await patch('ada', { a: 1 }, { 'x-hub-lock': 'sync=7' })).status).toBe(200)
  expect(await patch('ada', { a: 2 }, { 'x-hub-lock': 'sync=6' })).toMatchObject({
    ...{ status: 412, body: { error: { code: 'lock_lost' } } },
  })
  expect((await get('ada')).body.values).toEqual({ a: 1 })
})

test.each([
  ['a name that is none', { 'a b': 1 }],
  ['no object', [1]],
  ['a name that is lost', '{"__proto__":1}'],
  ['half a character', '{"a":{"\\udc00":1}}'],
])('%s is 400', async (_, body) => {
  const { patch, get } = await start()
  expect(await patch('ada', body)).toMatchObject({ status: 400, body: { error: { param: 'body' } } })
  expect((await patch('x'.repeat(257), {})).body.error.param).toBe('user')
  expect((await get('ada')).body.version).toBe(0)
})

test('tenants are apart', async () => {
  const [one, other] = [await start(), await start()]
  await one.patch('ada', { a: 1 })
  await one.declare({ types: { b: { type: 'string', default: 'x' } } })
  expect((await other.get('ada')).body.values).toEqual({})
})
