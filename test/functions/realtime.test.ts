import { describe, expect, onTestFinished, test } from 'vitest'
import { toEventStream } from '../../functions/realtime-events.ts'
import { HubError } from '../../shared/errors.ts'
import type { Reading } from '../../shared/realtime/reader.ts'
import { startApp, type TestApp, unique } from '../support/app.ts'
import { until } from '../support/hub.ts'
import { type Heard, listen } from '../support/listen.ts'

const ADMIN = { authorization: 'Bearer the-admin-key-of-this-test' }

async function start(env: Record<string, string> = {}) {
  const app = await startApp({ env: { HUB_ADMIN_KEY: 'the-admin-key-of-this-test', ...env } })
  const heard: Heard[] = []
  onTestFinished(async () => {
    await Promise.all(heard.map(({ leave }) => leave()))
    await app[Symbol.asyncDispose]()
  })
  return {
    ...app,
    /** A hub key's header. */
    async key(settings: object = {}) {
      const reply = await app.send('POST', '/v1/keys', { tenant: unique('tenant'), ...settings }, ADMIN)
      expect(reply.status).toBe(201)
      const { id, key } = (await reply.json()) as { id: string; key: string }
      return { id, header: { authorization: `Bearer ${key}` } }
    },
    async listen(path: string, headers: Record<string, string> = {}) {
      const one = listen(await app.get(`/v1/realtime/${path}`, headers))
      heard.push(one)
      return one
    },
    publish: (channel: string, body: unknown, headers: Record<string, string>) =>
      published(app, channel, body, headers),
  }
}

async function published(app: TestApp, channel: string, body: unknown, headers: Record<string, string>) {
  const reply = await app.send('POST', `/v1/realtime/${channel}`, body, headers)
  expect(reply.status).toBe(201)
  return ((await reply.json()) as { id: string }).id
}

const failure = async (replying: Promise<Response>) => {
  const reply = await replying
  const { status } = reply
  const { error } = (await reply.json()) as { error: { code: string; param: string } }
  return { status, code: error.code, param: error.param }
}

describe('a channel', () => {
  test('brings what is published, with its id and its type', async () => {
    const app = await start()
    const { header } = await app.key()
    const heard = await app.listen('news', header)
    await heard.begun()
    const first = await app.publish('news', { data: { text: 'two\nlines' } }, header)
    const second = await app.publish('news', { data: null, type: 'nothing.new' }, header)
    const events = await heard.atLeast(2)
    expect(events).toMatchObject([
      { id: first, data: '{"text":"two\\nlines"}' },
      { id: second, event: 'nothing.new', data: 'null' },
    ])
  })

  test('goes on after the last id, whether by header or by query, or from a time on', async () => {
    const app = await start()
    const { header } = await app.key()
    const ids: string[] = []
    for (const n of [0, 1, 2]) ids.push(await app.publish('news', { data: n }, header))
    const since = new Date(Number(ids[0]!.split('-')[0])).toISOString()
    const listeners = await Promise.all([
      app.listen('news', { ...header, 'last-event-id': ids[0]! }),
      app.listen(`news?last_event_id=${ids[0]}&since=${since}`, header),
      app.listen(`news?last_event_id=${ids[1]}`, { ...header, 'last-event-id': ids[0]! }),
    ])
    for (const heard of listeners) {
      await heard.atLeast(2)
      expect(heard.data()).toEqual([1, 2])
    }
    const fromThen = await app.listen(`news?since=${since}`, header)
    await fromThen.atLeast(3)
    expect(fromThen.data()).toEqual([0, 1, 2])
    const later = await app.listen('news', header)
    await later.begun()
    expect(later.events).toEqual([])
  })

  test('whoever left before the first message misses none', async () => {
    const app = await start()
    const { header } = await app.key()
    const heard = await app.listen('news', header)
    const lastId = await heard.begun()
    await heard.leave()
    await app.publish('news', { data: 'meanwhile' }, header)
    const back = await app.listen('news', { ...header, 'last-event-id': lastId })
    await back.atLeast(1)
    expect(back.data()).toEqual(['meanwhile'])
  })

  test('is heard on every instance', async () => {
    const [one, two] = [await start(), await start()]
    const { header } = await one.key()
    const heard = await two.listen('news', header)
    await heard.begun()
    await one.publish('news', { data: 1 }, header)
    await heard.atLeast(1)
  })

  test('a message with an Idempotency-Key is published once', async () => {
    const app = await start()
    const { header } = await app.key()
    const once = { ...header, 'idempotency-key': 'some key' }
    const first = await app.publish('news', { data: 1 }, once)
    expect(await app.publish('news', { data: 1 }, once)).toBe(first)
    expect(await failure(app.send('POST', '/v1/realtime/news', { data: 2 }, once))).toMatchObject({
      status: 422,
      code: 'idempotency_mismatch',
    })
    const all = await app.listen('news?last_event_id=0-0', header)
    await app.publish('news', { data: 3 }, header)
    await all.atLeast(2)
    expect(all.data()).toEqual([1, 3])
  })

  test('follows a stream of events', async () => {
    const app = await start()
    const { header } = await app.key()
    const heard = await app.listen('events:orders', header)
    await heard.begun()
    const path = '/v1/events/orders'
    const event = { specversion: '1.0', id: '1', source: '/shop', type: 'com.shop.paid', data: { order: 7 } }
    const cloudEvent = { ...header, 'content-type': 'application/cloudevents+json' }
    expect((await app.send('POST', path, event, cloudEvent)).status).toBe(202)
    await heard.atLeast(1)
    expect(heard.data()).toMatchObject([event])
    expect(heard.events[0]).not.toHaveProperty('event', expect.any(String))
    const back = await app.listen('events:orders?last_event_id=0-0', header)
    await back.atLeast(1)
    expect(back.events[0]).toEqual(heard.events[0])
  })

  test('what is wrong with a name, a message or a place is told', async () => {
    const app = await start()
    const { header } = await app.key()
    const post = (path: string, body: unknown) => failure(app.send('POST', path, body, header))
    const get = (path: string) => failure(app.get(path, header))
    const invalid = { status: 400, code: 'invalid_channel', param: 'channel' }
    expect(await post('/v1/realtime/events:orders', { data: 1 })).toEqual(invalid)
    expect(await post('/v1/realtime/results:orders', { data: 1 })).toEqual(invalid)
    for (const own of ['agent:tasks', 'agent:events', 'agent:ann:events']) {
      expect(await post(`/v1/realtime/${own}`, { data: 1 })).toEqual(invalid)
    }
    await app.publish('agent:ann:events:mine', { data: 1 }, header)
    expect(await post('/v1/realtime/t:acme:news', { data: 1 })).toEqual(invalid)
    for (const name of ['t:acme:news', 'a%20b', '%7Bnews%7D', 'a::b', ':', 'x'.repeat(129), 'events:a:b']) {
      expect(await get(`/v1/realtime/${name}`)).toEqual(invalid)
    }
    expect(await get('/v1/realtime/a%20b/presence')).toEqual(invalid)
    expect(await get('/v1/realtime/events:orders?as=ann')).toEqual(invalid)
    const value = (param: string) => ({ status: 400, code: 'invalid_value', param })
    expect(await post('/v1/realtime/news', {})).toEqual(value('data'))
    expect(await post('/v1/realtime/news', { data: 1, more: 1 })).toEqual(value('more'))
    expect(await post('/v1/realtime/news', { data: 1, type: 'a\nid: 1' })).toEqual(value('type'))
    expect(await post('/v1/realtime/news', { data: 1, type: 'presence' })).toEqual(value('type'))
    expect(await get('/v1/realtime/news?last_event_id=yesterday')).toEqual(value('last_event_id'))
    expect(await get(`/v1/realtime/news?last_event_id=${'9'.repeat(20)}-0`)).toEqual(value('last_event_id'))
    expect(await get('/v1/realtime/news?since=yesterday')).toEqual(value('since'))
    expect(await get('/v1/realtime/news?as=a/b')).toEqual(value('as'))
    expect(await post('/v1/realtime/news', { data: 'x'.repeat(64 * 1024) })).toEqual({
      ...{ status: 413, code: 'message_too_large', param: 'data' },
    })
  })
})

describe('who may', () => {
  test('a key reads and writes the channels that it was made for, in its tenant', async () => {
    const app = await start()
    const tenant = unique('tenant')
    const all = await app.key({ tenant })
    const some = await app.key({ tenant, channels: { read: ['news', 'agent:*'], write: [] } })
    const other = await app.key({ scopes: ['search'] })
    const forbidden = { status: 403, code: 'channel_forbidden' }
    expect(await failure(app.get('/v1/realtime/newspaper', some.header))).toMatchObject(forbidden)
    expect(await failure(app.get('/v1/realtime/orders/presence', some.header))).toMatchObject(forbidden)
    expect(await failure(app.send('POST', '/v1/realtime/news', { data: 1 }, some.header))).toMatchObject(
      forbidden,
    )
    expect(await failure(app.get('/v1/realtime/news', other.header))).toMatchObject({
      ...{ status: 403, code: 'scope_missing' },
    })
    expect((await app.get('/v1/realtime/news')).status).toBe(401)

    const stranger = await app.listen('agent:logs', (await app.key()).header)
    const heard = await app.listen('agent:logs', some.header)
    await Promise.all([heard.begun(), stranger.begun()])
    await app.publish('agent:logs', { data: 1 }, all.header)
    await heard.atLeast(1)
    expect(stranger.events).toEqual([])
    expect(await (await app.get(`/v1/keys/${some.id}`, ADMIN)).json()).toMatchObject({
      channels: { read: ['news', 'agent:*'], write: [] },
    })
  })

  async function tokenOf(app: TestApp, header: Record<string, string>, body: object) {
    const reply = await app.send('POST', '/v1/realtime-tokens', body, header)
    return { status: reply.status, ...((await reply.json()) as { token: string; expires_at: string }) }
  }

  test('a token opens its channels to a browser, for reading, under its name', async () => {
    const app = await start()
    const tenant = unique('tenant')
    const { header } = await app.key({ tenant, channels: { read: ['chat:*'] } })
    const { token, status } = await tokenOf(app, header, { channels: ['chat:1', 'chat:room.*'], as: 'ann' })
    expect(status).toBe(201)
    const reply = await app.get(`/v1/realtime/chat:1?as=ann&token=${token}`, { origin: 'https://shop.test' })
    expect(reply.headers.get('access-control-allow-origin')).toBe('*')
    using heard = listen(reply)
    await heard.atLeast(1)
    expect(heard.data()).toEqual([{ event: 'join', as: 'ann' }])

    const forbidden = { status: 403, code: 'channel_forbidden' }
    const get = (path: string) => failure(app.get(`/v1/realtime/${path}token=${token}`))
    expect(await get('chat:12?')).toMatchObject(forbidden)
    expect(await get('chat:1?as=bob&')).toMatchObject(forbidden)
    expect(await get('chat:1/presence?')).toMatchObject({ status: 401 })
    expect(await failure(app.send('POST', `/v1/realtime/chat:1?token=${token}`, { data: 1 }))).toMatchObject({
      status: 401,
    })
    for (const channels of [['news'], ['*'], ['cha*']]) {
      expect(await failure(app.send('POST', '/v1/realtime-tokens', { channels }, header))).toMatchObject(
        forbidden,
      )
    }
  })

  test('a token that was changed, or made elsewhere, opens nothing', async () => {
    const app = await start()
    const elsewhere = await start({ HUB_KEY_SECRET: 'another secret' })
    const { header } = await app.key()
    const { token } = await tokenOf(app, header, { channels: ['news'] })
    const [grant = '', mac] = token.slice('hubrt_'.length).split('.')
    const text = Buffer.from(grant, 'base64url').toString().replace('news', 'gold')
    const forged = `hubrt_${Buffer.from(text).toString('base64url')}.${mac}`
    const foreign = await tokenOf(elsewhere, (await elsewhere.key()).header, { channels: ['gold'] })
    for (const bad of [forged, foreign.token, 'hubrt_', 'hubrt_x', '', `${token}x`, token.slice(0, -1)]) {
      const reply = await app.get(`/v1/realtime/gold?token=${bad}`)
      expect(reply.headers.get('access-control-allow-origin')).toBe('*') // the page may read why
      expect(await failure(Promise.resolve(reply))).toMatchObject({ status: 401, code: 'invalid_token' })
    }
  })

  test('a token ends, and with it the connection that it opened', async () => {
    const app = await start()
    const { header } = await app.key()
    const { token } = await tokenOf(app, header, { channels: ['news'], ttl_seconds: 1 })
    const heard = await app.listen(`news?token=${token}`)
    await until('it ends', () => heard.ended)
    expect(heard.events.at(-1)).toMatchObject({ event: 'end' })
    expect(heard.data().at(-1).error.code).toBe('token_expired')
    expect(await failure(app.get(`/v1/realtime/news?token=${token}`))).toMatchObject({
      ...{ status: 401, code: 'token_expired' },
    })
  })

  test('a token of a revoked key opens nothing', async () => {
    const app = await start()
    const { id, header } = await app.key()
    const { token } = await tokenOf(app, header, { channels: ['news'] })
    expect((await app.delete(`/v1/keys/${id}`, ADMIN)).status).toBe(204)
    expect(await failure(app.get(`/v1/realtime/news?token=${token}`))).toMatchObject({ status: 401 })
  })
})

describe('presence', () => {
  test('tells who is there, who came and who left, over all instances', async () => {
    const [one, two] = [await start(), await start()]
    const { header } = await one.key()
    const present = async () => {
      const { data } = (await (await one.get('/v1/realtime/room/presence', header)).json()) as {
        data: { as: string; connections: number }[]
      }
      return data.map(({ as, connections }) => `${as} ${connections}`)
    }
    const watcher = await one.listen('room', header)
    await watcher.begun()
    const ann = await one.listen('room?as=ann', header)
    const annToo = await two.listen('room?as=ann', header)
    const bob = await two.listen('room?as=bob', header)
    await watcher.atLeast(2)
    expect(await present()).toEqual(['ann 2', 'bob 1'])
    await ann.leave()
    await bob.leave()
    await until('bob has left', () => watcher.events.length >= 3)
    await until('one ann is left', async () => String(await present()) === 'ann 1')
    await annToo.leave()
    await until('ann has left', () => watcher.events.length >= 4)
    expect(watcher.events.every(({ event }) => event === 'presence')).toBe(true)
    expect(watcher.data().map(({ event, as }) => `${event} ${as}`)).toEqual([
      ...['join ann', 'join bob', 'leave bob', 'leave ann'],
    ])
    expect(await present()).toEqual([])
  })
})

describe('the event stream', () => {
  const quietReader = (readings: Reading[] = []) => {
    let asked = 0
    return {
      start: '1-1',
      get asked() {
        return asked
      },
      async next(): Promise<Reading> {
        asked++
        return readings.shift() ?? { kind: 'quiet' }
      },
      leave: async () => {},
    }
  }

  test('ends with the reason when the reader may not listen any longer', async () => {
    let [ended, checks] = [0, 0]
    const stream = toEventStream({
      ...{ reader: quietReader(), signal: new AbortController().signal, onEnd: () => void ended++ },
      async check() {
        if (++checks > 2) throw new HubError({ code: 'invalid_api_key', status: 401, message: 'Revoked.' })
        return 0
      },
      checkAfterMs: 0,
    })
    using heard = listen(new Response(stream))
    await heard.over
    expect(heard.comments).toHaveLength(2)
    expect(heard.events).toMatchObject([{ event: 'end' }])
    expect(heard.data()[0].error.code).toBe('invalid_api_key')
    expect({ ended, checks }).toEqual({ ended: 1, checks: 3 })
  })

  test('reads nothing ahead of a client that takes nothing', async () => {
    const message = { id: '1-2', data: JSON.stringify('x'.repeat(60_000)) }
    const readings = Array.from({ length: 50 }, () => ({ kind: 'messages' as const, messages: [message] }))
    const reader = quietReader(readings)
    const stream = toEventStream({
      ...{
        reader,
        signal: new AbortController().signal,
        check: async () => 60_000,
        checkAfterMs: 60_000,
        onEnd: () => {},
      },
    })
    const client = stream.getReader()
    await client.read()
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(reader.asked).toBeLessThanOrEqual(2)
    await client.cancel()
  })
})
