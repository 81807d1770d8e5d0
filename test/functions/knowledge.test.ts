import { expect, onTestFinished, test } from 'vitest'
import { startApp, unique } from '../support/app.ts'
import { listen } from '../support/listen.ts'

const ADMIN = { authorization: 'Bearer the-admin-key-of-this-test' }

async function start() {
  const app = await startApp({ env: { HUB_ADMIN_KEY: 'the-admin-key-of-this-test' } })
  onTestFinished(() => app[Symbol.asyncDispose]())
  const made = await app.send('POST', '/v1/keys', { tenant: unique('tenant') }, ADMIN)
  const { id, key } = (await made.json()) as { id: string; key: string }
  const header = { authorization: `Bearer ${key}` }
  const read = async (reply: Response) => ({
    status: reply.status,
    body: reply.status === 204 ? undefined : await reply.json(),
  })
  return {
    ...{ app, id, header },
    put: async (topic: string, facts: unknown, headers = {}) =>
      read(await app.send('PUT', `/v1/knowledge/${topic}`, facts, { ...header, ...headers })),
    get: async (topic = '') => read(await app.get(`/v1/knowledge${topic}`, header)),
    delete: async (topic: string) => read(await app.delete(`/v1/knowledge/${topic}`, header)),
  }
}

test('facts are written, merged, read, listed and removed; listeners hear of it', async () => {
  const hub = await start()
  const by = `key:${hub.id}`
  const first = await hub.put('prices', { coffee: 3.5, facts: { tea: true } })
  expect(first).toEqual({
    status: 200,
    body: {
      topic: 'prices',
      facts: {
        coffee: { value: 3.5, version: 1, by, at: expect.any(String) },
        facts: { value: { tea: true }, version: 1, by, at: expect.any(String) },
      },
    },
  })
  expect((await hub.put('prices', { coffee: 4, facts: null })).body.facts).toMatchObject({
    coffee: { version: 2 },
  })
  expect(Object.keys((await hub.get('/prices')).body.facts)).toEqual(['coffee'])
  await hub.put('prices', { tea: 2, 'oat milk': 1 })
  expect(Object.keys((await hub.get('/prices?field=tea&field=oat%20milk&field=none')).body.facts)).toEqual([
    ...['oat milk', 'tea'],
  ])
  expect(await hub.get()).toEqual({
    ...{ status: 200, body: { data: [{ topic: 'prices', fields: 3 }], has_more: false } },
  })
  expect((await hub.delete('prices')).status).toBe(204)
  const missing = { status: 404, body: { error: { code: 'topic_not_found', param: 'topic' } } }
  expect(await hub.get('/prices')).toMatchObject(missing)
  expect(await hub.delete('prices')).toMatchObject(missing)
  await hub.app.settled()
  const heard = listen(await hub.app.get('/v1/realtime/agent:events?last_event_id=0-0', hub.header))
  onTestFinished(heard.leave)
  await heard.atLeast(4)
  expect(heard.events.every(({ event }) => event === 'knowledge')).toBe(true)
  expect(heard.data().at(-1)).toEqual({ topic: 'prices', deleted: true, by })
})

test('a condition that does not hold is 409 and names the field', async () => {
  const hub = await start()
  expect((await hub.put('prices?if_versions[coffee]=0', { coffee: 1 })).status).toBe(200)
  const conflict = { status: 409, body: { error: { code: 'version_conflict', param: 'coffee' } } }
  expect(await hub.put('prices?if_versions[coffee]=0', { coffee: 2 })).toMatchObject(conflict)
  expect(await hub.put('prices?if_versions[coffee]=7&if_versions[oat%20milk]=0', { tea: 2 })).toMatchObject(
    conflict,
  )
  expect((await hub.put('prices?if_versions%5Bcoffee%5D=1', { coffee: 2 })).status).toBe(200)
  expect((await hub.get('/prices')).body.facts).toMatchObject({ coffee: { value: 2, version: 2 } })
})

test('an Idempotency-Key makes a repeated write one', async () => {
  const hub = await start()
  const once = { 'idempotency-key': 'k' }
  const first = await hub.put('prices', { coffee: 1 }, once)
  expect(await hub.put('prices', { coffee: 1 }, once)).toEqual(first)
  expect(await hub.put('prices', { coffee: 2 }, once)).toMatchObject({ status: 422 })
})

test.each([
  ['prices', {}, 'body'],
  ['prices', [1], 'body'],
  ['prices', '{"__proto__": 1}', 'body'],
  ['prices', { 'a\n': 1 }, 'a\n'],
  ['a%20b', { a: 1 }, 'topic'],
  ['prices?if_versions[a]=x', { a: 1 }, 'if_versions[a]'],
  ['prices?if_version=1', { a: 1 }, 'if_version'],
])('PUT /v1/knowledge/%s %j is 400 at %s', async (topic, facts, param) => {
  const hub = await start()
  expect(await hub.put(topic, facts)).toMatchObject({
    ...{ status: 400, body: { error: { code: 'invalid_value', param } } },
  })
})

test('without a key the author is `local`', async () => {
  await using app = await startApp()
  const topic = unique('topic')
  const reply = await app.send('PUT', `/v1/knowledge/${topic}`, { a: 1 })
  expect(await reply.json()).toMatchObject({ facts: { a: { by: 'local' } } })
  expect((await app.delete(`/v1/knowledge/${topic}`)).status).toBe(204)
})
