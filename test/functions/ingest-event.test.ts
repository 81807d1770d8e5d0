import { describe, expect, it, type TestContext } from 'vitest'
import { eventKeys } from '../../shared/keys.ts'
import { startApp, type TestApp, type TestAppOptions, unique } from '../support/app.ts'
import { startTestBridge } from '../support/bridge.ts'
import { ADMIN_KEY, until } from '../support/hub.ts'
import { startTestRedis, testRedisUrl } from '../support/redis.ts'
import { connect } from '../support/stream.ts'

/** A hub, and a stream of its own. Nobody works on streams but `settled` of a hub that drains. */
async function start({ onTestFinished }: TestContext, options: TestAppOptions = {}, url = testRedisUrl()) {
  const app = await startApp({ ...options, env: { REDIS_URL: url, ...options.env } })
  onTestFinished(() => app[Symbol.asyncDispose]())
  const redis = connect(url)
  onTestFinished(redis.close)
  const stream = unique('events')
  const path = `/v1/events/${stream}`
  const post = async (body: unknown, type = 'application/json', headers: Record<string, string> = {}) => {
    const bytes =
      typeof body === 'string' || body instanceof Uint8Array || body instanceof ReadableStream
        ? body
        : JSON.stringify(body)
    const reply = await app.request(path, {
      method: 'POST',
      body: bytes as BodyInit,
      headers: { host: 'localhost', ...(type && { 'content-type': type }), ...headers },
      ...(body instanceof ReadableStream && { duplex: 'half' }),
    })
    return { status: reply.status, headers: reply.headers, body: await reply.json() }
  }
  const read = async (where: string) => {
    const reply = await app.get(where)
    return { status: reply.status, body: await reply.json() }
  }
  return {
    ...{ app, stream, path, post, read, redis },
    put: async (settings: object) => {
      const reply = await app.send('PUT', path, settings)
      return { status: reply.status, body: await reply.json() }
    },
    stored: (tenant = 'default') => redis.entries(eventKeys(tenant, stream).events),
  }
}

const cloudEvent = (more: object = {}) => ({
  ...{ specversion: '1.0', id: 'a-1', source: '/shop', type: 'order.made', time: '2026-01-31T12:00:00Z' },
  data: { total: 5 },
  ...more,
})

/** Waves that brought events. */
const intakes = ({ waves }: TestApp) =>
  waves.filter((calls) => calls.some((call) => 'script' in call && call.script.name === 'ingest'))

const structured = 'application/cloudevents+json'
const batched = 'application/cloudevents-batch+json'
const lines = 'application/x-ndjson'

describe('POST /v1/events/{stream}: content modes', () => {
  it('takes a structured CloudEvent as it is', async (context) => {
    const { post, stored } = await start(context)
    const sent = cloudEvent({ subject: 'order-1', traceparent: '00-abc', priority: 3, urgent: true })
    const { status, body } = await post(sent, `${structured}; charset=utf-8`)
    expect(status).toBe(202)
    expect(body).toEqual({
      ...{ accepted: 1, duplicates: 0 },
      events: [{ id: 'a-1', result_id: expect.stringMatching(/^[\w-]{22}$/) }],
    })
    const [entry] = await stored()
    expect(JSON.parse(entry!.event)).toEqual(sent)
    expect(entry!.result).toBe(body.events[0].result_id)
  })

  it('takes a batch of them, in order, also an empty one', async (context) => {
    const { post, stored } = await start(context)
    const sent = [1, 2, 3].map((n) => cloudEvent({ id: `a-${n}`, data: { text: `"[{\\"}] ${n}` } }))
    const { status, body } = await post(sent, batched)
    expect(status).toBe(202)
    expect(body.events.map(({ id }: { id: string }) => id)).toEqual(['a-1', 'a-2', 'a-3'])
    expect((await stored()).map(({ event }) => JSON.parse(event))).toEqual(sent)
    expect((await post([], batched)).body).toEqual({ accepted: 0, duplicates: 0, events: [] })
  })

  it('takes binary mode: JSON and text as data, other bytes as base64, headers percent-decoded', async (context) => {
    const { post, stored } = await start(context)
    const ce = { 'ce-specversion': '1.0', 'ce-source': '/shop', 'ce-type': 'order.made' }
    await post({ total: 5 }, 'application/json', { ...ce, 'ce-id': '1', 'ce-subject': 'Z%C3%BCrich %' })
    await post('hello', 'text/plain; charset=utf-8', { ...ce, 'ce-id': '2', 'ce-myext': '"a \\"b\\""' })
    await post(new Uint8Array([0, 255, 254]), 'application/octet-stream', { ...ce, 'ce-id': '3' })
    await post('', '', { ...ce, 'ce-id': '4' })
    const [json, text, bytes, none] = (await stored()).map(({ event }) => JSON.parse(event))
    expect(json).toMatchObject({
      id: '1',
      subject: 'Zürich %',
      datacontenttype: 'application/json',
      data: { total: 5 },
    })
    expect(text).toMatchObject({
      data: 'hello',
      myext: 'a "b"',
      datacontenttype: 'text/plain; charset=utf-8',
    })
    expect(bytes).toMatchObject({ id: '3', data_base64: 'AP/+', datacontenttype: 'application/octet-stream' })
    expect(none).not.toHaveProperty('data')
  })

  it('takes plain JSON: an object is one event’s data, an array those of many; no digit is lost', async (context) => {
    const { post, stored, stream } = await start(context)
    const one = await post('{"n":12345678901234567890,"nul":"\\u0000"}')
    expect(one.body.accepted).toBe(1)
    expect((await post('[ {"n":12345678901234567890} , {"b":[[]]}]')).body.accepted).toBe(2)
    const entries = await stored()
    expect(entries.map(({ event }) => /"data":(.*)}$/.exec(event!)![1])).toEqual([
      ...['{"n":12345678901234567890,"nul":"\\u0000"}', '{"n":12345678901234567890}', '{"b":[[]]}'],
    ])
    expect(JSON.parse(entries[0]!.event)).toMatchObject({
      ...{ specversion: '1.0', id: one.body.events[0].id, source: `/v1/events/${stream}`, type: 'event' },
      ...{ time: expect.stringMatching(/^\d{4}-.*Z$/), datacontenttype: 'application/json' },
    })
  })

  it('takes what is a CloudEvent for one in plain JSON and lines too', async (context) => {
    const { post, stored } = await start(context)
    await post([cloudEvent(), { id: 'no event' }])
    await post(`${JSON.stringify(cloudEvent({ id: 'a-2' }))}\n`, lines)
    const events = (await stored()).map(({ event }) => JSON.parse(event))
    expect(events.map(({ type }) => type)).toEqual(['order.made', 'event', 'order.made'])
  })

  it('takes one event a line while they come, in parts, blank lines or not', async (context) => {
    const { app, post, stored } = await start(context)
    const encoder = new TextEncoder()
    const text = Array.from({ length: 2_500 }, (_, n) => `{"n":${n},"city":"Zürich"}\r\n\n`).join('')
    const bytes = encoder.encode(text)
    const body = new ReadableStream({
      start(controller) {
        // Pieces that cut lines, and letters, apart.
        for (let at = 0; at < bytes.length; at += 997) controller.enqueue(bytes.subarray(at, at + 997))
        controller.close()
      },
    })
    const before = intakes(app).length
    const { status, body: reply } = await post(body, lines)
    expect({ status, ...reply, events: reply.events.length }).toEqual({
      ...{ status: 202, accepted: 2_500, duplicates: 0, events: 2_500 },
    })
    expect(intakes(app).length - before).toBe(3)
    const entries = await stored()
    expect(entries.map(({ event }) => JSON.parse(event!).data.n)).toEqual(
      Array.from({ length: 2_500 }, (_, n) => n),
    )
  })

  it('leaves the list out where the sender prefers it', async (context) => {
    const { post } = await start(context)
    const { body, headers } = await post([{ n: 1 }], 'application/json', { prefer: 'return=minimal' })
    expect(body).toEqual({ accepted: 1, duplicates: 0 })
    expect(headers.get('preference-applied')).toBe('return=minimal')
  })
})

describe('duplicates', () => {
  it('are told by source and id, in a batch, across batches and across content modes', async (context) => {
    const { post, stored } = await start(context)
    const first = await post([cloudEvent(), cloudEvent(), cloudEvent({ source: '/other' })], batched)
    expect(first.body).toMatchObject({ accepted: 2, duplicates: 1 })
    const again = await post(cloudEvent({ data: { total: 6 } }), structured)
    expect(again.body).toEqual({ accepted: 0, duplicates: 1, events: [first.body.events[0]] })
    expect(first.body.events[1]).toEqual(first.body.events[0])
    expect(first.body.events[2].result_id).not.toBe(first.body.events[0].result_id)
    expect(await stored()).toHaveLength(2)
  })

  it('are new again when their time is over, and never any with dedupe_seconds 0', async (context) => {
    const { post, put, stored, redis, stream } = await start(context)
    await put({ dedupe_seconds: 1 })
    expect((await post(cloudEvent(), structured)).body.accepted).toBe(1)
    expect((await post(cloudEvent(), structured)).body.accepted).toBe(0)
    await until('a second is over', async () => (await post(cloudEvent(), structured)).body.accepted === 1)
    expect(await redis.call('ZCARD', eventKeys('default', stream).seen)).toBe(1)
    await put({ dedupe_seconds: 0 })
    expect((await post([cloudEvent(), cloudEvent()], batched)).body.accepted).toBe(2)
    expect(await stored()).toHaveLength(4)
  })

  it('an Idempotency-Key names plain events; another one names others', async (context) => {
    const { post, stored } = await start(context)
    const send = (key: string) => post([{ n: 1 }, { n: 2 }], 'application/json', { 'idempotency-key': key })
    const first = await send('once')
    expect((await send('once')).body).toEqual({ accepted: 0, duplicates: 2, events: first.body.events })
    expect((await send('twice')).body.accepted).toBe(2)
    expect(await stored()).toHaveLength(4)
  })

  it('a stream takes ids of plain data from where it is told', async (context) => {
    const { post, put } = await start(context)
    await put({ id: 'order.id' })
    expect((await post([{ order: { id: 7 } }, { order: { id: '7' } }, { n: 1 }])).body).toMatchObject({
      ...{ accepted: 2, duplicates: 1, events: [{ id: '7' }, { id: '7' }, {}] },
    })
    const bad = await post({ order: { id: {} } })
    expect([bad.status, bad.body.error.param]).toEqual([400, 'event.order.id'])
  })
})

describe('bad input is refused with its path, and nothing of it is stored', () => {
  const deep = `${'{"a":'.repeat(300)}1${'}'.repeat(300)}`
  it.each<[string, unknown, string, number, string | null]>([
    ['no JSON', '{', 'application/json', 400, 'body'],
    ['no object', '5', 'application/json', 400, 'body'],
    ['null', 'null', 'application/json', 400, 'body'],
    ['an empty body', '', 'application/json', 400, 'body'],
    ['an array of other things', [{ n: 1 }, 5], 'application/json', 400, 'events[1]'],
    ['an array in an array', [[{ n: 1 }]], 'application/json', 400, 'events[0]'],
    ['a nest', deep, 'application/json', 400, 'body'],
    ['bytes that are not UTF-8', new Uint8Array([0x7b, 0xff, 0x7d]), 'application/json', 400, 'body'],
    ['another content type', 'a=1', 'application/x-www-form-urlencoded', 415, null],
    ['no content type', new Uint8Array([1]), '', 415, null],
    ['one object as a batch', cloudEvent(), batched, 400, 'body'],
    ['a batch as one', [cloudEvent()], structured, 400, 'body'],
    ['no id', cloudEvent({ id: undefined }), structured, 400, 'event.id'],
    ['an empty id', cloudEvent({ id: '' }), structured, 400, 'event.id'],
    ['a number as id', [cloudEvent(), cloudEvent({ id: 5 })], batched, 400, 'events[1].id'],
    ['NUL in an id', cloudEvent({ id: 'a\u0000' }), structured, 400, 'event.id'],
    ['half a character', cloudEvent({ id: '\ud800' }), structured, 400, 'event.id'],
    ['a long id', cloudEvent({ id: 'x'.repeat(3_000) }), structured, 400, 'event.id'],
    ['another version', cloudEvent({ specversion: '0.3' }), structured, 400, 'event.specversion'],
    ['a source that is no URI', cloudEvent({ source: 'a b' }), structured, 400, 'event.source'],
    ['a time that is none', cloudEvent({ time: '2026-13-01T00:00:00Z' }), structured, 400, 'event.time'],
    ['a time of another form', cloudEvent({ time: 'yesterday' }), structured, 400, 'event.time'],
    ['a schema that is no URI', cloudEvent({ dataschema: 'x' }), structured, 400, 'event.dataschema'],
    [
      'a content type that is none',
      cloudEvent({ datacontenttype: 'x' }),
      structured,
      400,
      'event.datacontenttype',
    ],
    ['a bad name', cloudEvent({ My_ext: 'x' }), structured, 400, 'event.My_ext'],
    ['an object as attribute', cloudEvent({ ext: {} }), structured, 400, 'event.ext'],
    ['a fraction as attribute', cloudEvent({ ext: 1.5 }), structured, 400, 'event.ext'],
    ['both kinds of data', cloudEvent({ data_base64: 'AA==' }), structured, 400, 'event.data_base64'],
    ['no base64', cloudEvent({ data: undefined, data_base64: '!' }), structured, 400, 'event.data_base64'],
    ['too large', [{ n: 1 }, { text: 'x'.repeat(262_144) }], 'application/json', 413, 'events[1]'],
  ])('%s', async (_, body, type, status, param) => {
    const { onTestFinished } = await import('vitest')
    const { post, stored } = await start({ onTestFinished } as TestContext)
    const reply = await post(body, type)
    expect([reply.status, reply.body.error.param]).toEqual([status, param])
    expect(await stored()).toEqual([])
  })

  it('binary mode without one of its headers', async (context) => {
    const { post } = await start(context)
    const reply = await post({}, 'application/json', {
      'ce-id': '1',
      'ce-source': '/a',
      'ce-specversion': '1.0',
    })
    expect([reply.status, reply.body.error.param]).toEqual([400, 'ce-type'])
  })

  it('a bad name of a stream', async (context) => {
    const { app } = await start(context)
    for (const name of ['a%20b', 'a%2Fb', 'x'.repeat(65), 'a%7Bb%7D'])
      expect((await app.send('POST', `/v1/events/${name}`, {})).status).toBe(400)
  })

  it.each([
    ['is no JSON', '{"n":1}\n{"n":2}\n\n{bad}\n', 400, 0],
    ['is not UTF-8', new Uint8Array([123, 125, 10, 10, 10, 255, 10]), 400, 0],
    ['is no object', '{"n":1}\n{"n":2}\n\n5', 400, 0],
    ['is too long', `{"n":1}\n\n\n{"n":"${'x'.repeat(600_000)}"}\n`, 413, 0],
    ['is a bad CloudEvent', `{"n":1}\n\n\n${JSON.stringify(cloudEvent({ time: 'x' }))}`, 400, 0],
    ['comes after a whole part', `${'{"n":1}\n'.repeat(1_500)}{bad}`, 400, 1_000],
  ])('a line that %s: the error says which, and what was stored', async (_, body, status, count) => {
    const { onTestFinished } = await import('vitest')
    const { post, stored } = await start({ onTestFinished } as TestContext)
    const reply = await post(body, lines)
    expect(reply.status).toBe(status)
    expect(reply.body.error.param).toMatch(count ? /^line 1501/ : /^line 4/)
    expect(reply.body.error.message).toContain(`${count} events of the lines before were accepted`)
    expect(await stored()).toHaveLength(count)
  })

  it('a body above the bound is 413', async (context) => {
    const { post, stored } = await start(context, { env: { HUB_MAX_BODY_BYTES: '2048' } })
    expect((await post([{ text: 'x'.repeat(3_000) }])).status).toBe(413)
    expect(await stored()).toEqual([])
  })
})

describe('schema', () => {
  const schema = {
    type: 'object',
    properties: {
      price: { type: 'number', minimum: 0 },
      items: { type: 'array', items: { $ref: '#/$defs/item' } },
    },
    required: ['price'],
    $defs: { item: { type: 'object', properties: { sku: { type: 'string', pattern: '^[A-Z]+$' } } } },
  }

  it('is 422 with the path, for the whole batch', async (context) => {
    const { post, put, stored } = await start(context)
    expect((await put({ schema })).status).toBe(200)
    const bad = await post([{ price: 1 }, { price: 1, items: [{ sku: 'A' }, { sku: 'b' }] }])
    expect([bad.status, bad.body.error.code, bad.body.error.param]).toEqual([
      ...[422, 'schema_violation', 'events[1].items[1].sku'],
    ])
    const missing = await post(cloudEvent({ data: {} }), structured)
    expect([missing.status, missing.body.error.param]).toEqual([422, 'event.data'])
    expect((await post(cloudEvent({ data: undefined }), structured)).status).toBe(422)
    expect(await stored()).toEqual([])
    expect((await post({ price: 1, items: [{ sku: 'AB' }] })).status).toBe(202)
  })
})

describe('settings', () => {
  it('are put, read, listed and deleted, of one tenant alone', async (context) => {
    const admin = { authorization: `Bearer ${ADMIN_KEY}` }
    const { app, path, stream } = await start(context, { env: { HUB_ADMIN_KEY: ADMIN_KEY } })
    const { key } = await (await app.send('POST', '/v1/keys', { tenant: unique('other') }, admin)).json()
    const other = { authorization: `Bearer ${key}` }
    const settings = { handler: { type: 'store' }, key: 'subject', max_lag: 5, retry: { attempts: 3 } }
    const put = await app.send('PUT', path, settings, other)
    expect([put.status, await put.json()]).toEqual([200, { name: stream, ...settings }])
    expect(await (await app.get(path, other)).json()).toEqual({ name: stream, ...settings })
    expect(await (await app.get('/v1/events', other)).json()).toEqual({
      data: [{ name: stream, ...settings }],
    })
    expect(await (await app.get(path, admin)).json()).toEqual({ name: stream })
    expect((await app.delete(path, other)).status).toBe(204)
    expect(await (await app.get(path, other)).json()).toEqual({ name: stream })
    expect(await (await app.get('/v1/events', other)).json()).toEqual({ data: [] })
  })

  it.each<[string, object, string]>([
    ['an unknown handler', { handler: { type: 'nope' } }, 'handler.type'],
    ['a handler of Object', { handler: { type: 'constructor' } }, 'handler.type'],
    ['an unknown field', { hander: {} }, 'hander'],
    ['a bad path', { key: 'a..b' }, 'key'],
    ['no events', { max_lag: 0 }, 'max_lag'],
    ['a long time', { retention_seconds: 1e9 }, 'retention_seconds'],
    ['a negative one', { dedupe_seconds: -1 }, 'dedupe_seconds'],
    ['many attempts', { retry: { attempts: 1_000 } }, 'retry.attempts'],
    ['a schema of a bad type', { schema: { type: 'strin' } }, 'schema.type'],
    ['a recursive one', { schema: { properties: { a: { $ref: '#' } } } }, 'schema'],
    ['one that points elsewhere', { schema: { $ref: 'https://example.com/x' } }, 'schema.$ref'],
    ['one that points to nothing', { schema: { $ref: '#/$defs/x' } }, 'schema'],
  ])('%s is refused with its path', async (_, settings, param) => {
    const { onTestFinished } = await import('vitest')
    const { put } = await start({ onTestFinished } as TestContext)
    const reply = await put(settings)
    expect([reply.status, reply.body.error.param]).toEqual([400, param])
  })
})

describe('back-pressure', () => {
  it('is 429 with Retry-After when too many wait, all of a batch or none; a duplicate is no new one', async (context) => {
    const { post, put, stored } = await start(context)
    await put({ handler: { type: 'store' }, max_lag: 5 })
    expect(
      (
        await post(
          [1, 2, 3].map((n) => cloudEvent({ id: `${n}` })),
          batched,
        )
      ).status,
    ).toBe(202)
    const full = await post(
      [4, 5, 6].map((n) => cloudEvent({ id: `${n}` })),
      batched,
    )
    expect([full.status, full.body.error.code]).toEqual([429, 'stream_full'])
    expect(Number(full.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await stored()).toHaveLength(3)
    expect(
      (
        await post(
          [3, 4, 5].map((n) => cloudEvent({ id: `${n}` })),
          batched,
        )
      ).body.accepted,
    ).toBe(2)
    expect(
      (
        await post(
          [1, 2, 3].map((n) => cloudEvent({ id: `${n}` })),
          batched,
        )
      ).body.duplicates,
    ).toBe(3)
    const never = await post(Array.from({ length: 6 }, () => ({})))
    expect([never.status, never.body.error.code]).toEqual([413, 'batch_too_large'])
    expect(await stored()).toHaveLength(5)
  })

  it('what was worked on makes room', async (context) => {
    const { app, post, put, read, path } = await start(context, {
      drains: { kickMs: 5_000, scheduledMs: 5_000 },
    })
    await put({ handler: { type: 'store' }, max_lag: 5 })
    for (let round = 0; round < 3; round++) {
      expect((await post(Array.from({ length: 5 }, () => ({ round })))).status).toBe(202)
      await app.settled()
    }
    expect((await read(`${path}/stats`)).body).toEqual({
      ...{ length: 15, groups: [{ name: 'hub', lag: 0, pending: 0 }], dead: 0 },
    })
  })
})

describe('GET …/stats', () => {
  it('of a stream that nobody sent to is nothing', async (context) => {
    const { read, path } = await start(context)
    expect((await read(`${path}/stats`)).body).toEqual({ length: 0, groups: [], dead: 0 })
  })
})

describe('GET /v1/results/{id}', () => {
  it('is there once the event was worked on; who waits gets it then', async (context) => {
    const { app, post, put, read } = await start(context, { drains: { kickMs: 5_000, scheduledMs: 5_000 } })
    const { body } = await post({ n: 1 }) // no handler yet: nobody works on it
    const id = body.events[0].result_id
    expect(await read(`/v1/results/${id}`)).toMatchObject({
      status: 404,
      body: { error: { code: 'result_not_found' } },
    })
    const waiting = read(`/v1/results/${id}?wait_seconds=20`)
    await put({ handler: { type: 'store' } })
    await until('the settings are seen', async () => {
      await post({ n: 2 })
      await app.settled()
      return (await read(`/v1/results/${id}`)).status === 200
    })
    expect(await waiting).toMatchObject({
      status: 200,
      body: { id, status: 'done', event_id: body.events[0].id },
    })
  })

  it.each(['-1', '31', 'x'])('wait_seconds=%s is refused', async (seconds) => {
    const { onTestFinished } = await import('vitest')
    const { read } = await start({ onTestFinished } as TestContext)
    expect((await read(`/v1/results/x?wait_seconds=${seconds}`)).status).toBe(400)
  })
})

describe('dead letters', () => {
  /** Dead ones as a group leaves them: `orders` n = 1 … count. */
  async function withDead(context: TestContext, count: number) {
    const started = await start(context)
    await started.redis.bury(eventKeys('default', started.stream).events, count)
    const replay = async (body: unknown) => {
      const reply = await started.app.send('POST', `${started.path}/dead/replay`, body)
      return { status: reply.status, body: await reply.json() }
    }
    return { ...started, replay, dead: (query = '') => started.read(`${started.path}/dead${query}`) }
  }

  it('are read in pages, oldest first', async (context) => {
    const { dead } = await withDead(context, 5)
    const first = await dead('?limit=3')
    expect(first.body.data.map((one: { event: { id: string } }) => one.event.id)).toEqual(['1', '2', '3'])
    expect(first.body.data[0]).toMatchObject({ cause: 'bad 1', attempts: 8, result_id: 'result-1' })
    const second = await dead(`?limit=3&after=${first.body.next}`)
    expect(second.body.data).toHaveLength(2)
    expect(second.body.next).toBeNull()
    expect((await dead('?after=x')).status).toBe(400)
  })

  it('are replayed by id: they are back in the stream, once', async (context) => {
    const { dead, replay, stored } = await withDead(context, 3)
    const [, second] = (await dead()).body.data
    expect(await replay({ ids: [second.id] })).toEqual({
      status: 200,
      body: { replayed: 1, ids: [second.id] },
    })
    expect((await replay({ ids: [second.id] })).body).toEqual({ replayed: 0, ids: [] })
    expect((await stored()).map(({ result }) => result)).toEqual(['result-2'])
    expect((await dead()).body.data).toHaveLength(2)
  })

  it.each<[string, object, string[]]>([
    ['cause', { cause: 'bad 1' }, ['result-1', 'result-10']],
    ['type', { type: 'odd' }, ['result-1', 'result-3', 'result-5', 'result-7', 'result-9']],
    [
      'time',
      { after: '2026-01-01T00:00:02Z', before: '2026-01-01T02:00:05+02:00' },
      ['result-3', 'result-4'],
    ],
    ['cause and type', { cause: '5', type: 'even' }, []],
    ['all', {}, Array.from({ length: 10 }, (_, n) => `result-${n + 1}`)],
  ])('are replayed by filter: %s', async (_, filter, expected) => {
    const { onTestFinished } = await import('vitest')
    const { dead, replay, stored } = await withDead({ onTestFinished } as TestContext, 10)
    expect((await replay({ filter })).body).toEqual({ replayed: expected.length, next: null })
    expect((await stored()).map(({ result }) => result)).toEqual(expected)
    expect((await dead()).body.data).toHaveLength(10 - expected.length)
  })

  it('are replayed in several calls where there are many', async (context) => {
    const { dead, replay } = await withDead(context, 1_600)
    const first = await replay({ filter: {} })
    expect(first.body).toEqual({ replayed: 1_500, next: expect.any(String) })
    expect((await replay({ filter: {}, after: first.body.next })).body).toEqual({ replayed: 100, next: null })
    expect((await dead()).body.data).toEqual([])
  })

  it.each([
    {},
    { ids: [] },
    { ids: ['x'] },
    { filter: { why: 'x' } },
    { filter: { before: 'then' } },
    { ids: ['1-1'], filter: {} },
  ])('%j is refused', async (body) => {
    const { onTestFinished } = await import('vitest')
    const { replay } = await withDead({ onTestFinished } as TestContext, 1)
    expect((await replay(body)).status).toBe(400)
  })
})

describe('tenants', () => {
  it('see nothing of each other’s events, duplicates and results; a key needs the scope', async (context) => {
    const admin = { authorization: `Bearer ${ADMIN_KEY}` }
    const { app, post, path, stored } = await start(context, { env: { HUB_ADMIN_KEY: ADMIN_KEY } })
    const tenant = unique('tenant')
    const keyOf = async (settings: object) => {
      const made = await (await app.send('POST', '/v1/keys', settings, admin)).json()
      return { authorization: `Bearer ${made.key}` }
    }
    const member = await keyOf({ tenant, scopes: ['ingest-event'] })
    const stranger = await keyOf({ tenant, scopes: ['search'] })
    expect((await post(cloudEvent(), structured, member)).body.accepted).toBe(1)
    expect((await post(cloudEvent(), structured, admin)).body.accepted).toBe(1)
    expect([(await stored(tenant)).length, (await stored()).length]).toEqual([1, 1])
    expect((await post(cloudEvent(), structured, stranger)).status).toBe(403)
    expect((await post(cloudEvent(), structured)).status).toBe(401)
    expect((await (await app.get(`${path}/stats`, member)).json()).length).toBe(1)
  })
})

describe('waves', () => {
  it('a batch is one wave, also a large one', async (context) => {
    const { app, post } = await start(context)
    await post({}) // its settings are remembered
    for (const count of [1, 100, 3_000]) {
      const before = intakes(app).length
      expect((await post(Array.from({ length: count }, (_, n) => ({ n })))).body.accepted).toBe(count)
      expect(intakes(app).length - before).toBe(1)
      expect(intakes(app).at(-1)!.length).toBe(Math.ceil(count / 1_000))
    }
  })
})

describe('Redis over HTTP', () => {
  it('does the same', async (context) => {
    const bridge = await startTestBridge({ redisUrl: testRedisUrl() })
    context.onTestFinished(bridge.close)
    const env = {
      REDIS_URL: undefined,
      UPSTASH_REDIS_REST_URL: bridge.url,
      UPSTASH_REDIS_REST_TOKEN: bridge.token,
    }
    const { post, put, read, path, stored } = await start(context, { env })
    await put({ max_lag: 2_000 })
    expect((await post([cloudEvent({ data: 'Zürich 😀\u0000' }), cloudEvent()], batched)).body).toMatchObject(
      {
        ...{ accepted: 1, duplicates: 1 },
      },
    )
    expect((await post(Array.from({ length: 1_500 }, (_, n) => ({ n })))).body.accepted).toBe(1_500)
    expect((await post(Array.from({ length: 1_500 }, (_, n) => ({ n })))).status).toBe(429)
    expect((await read(`${path}/stats`)).body).toEqual({ length: 1_501, groups: [], dead: 0 })
    expect(JSON.parse((await stored())[0]!.event).data).toBe('Zürich 😀\u0000')
  })
})

describe('Redis away', () => {
  it('is 503, and nothing of the batch is there when it is back; the same batch goes in then', async (context) => {
    const redis = await startTestRedis()
    context.onTestFinished(redis.stop)
    const { post, stored } = await start(context, {}, redis.url)
    await post({}) // its settings are remembered
    const batch = Array.from({ length: 2_500 }, (_, n) => cloudEvent({ id: `e-${n}` }))
    process.kill(redis.pid, 'SIGSTOP')
    const stalled = await post(batch, batched)
    process.kill(redis.pid, 'SIGCONT')
    expect([stalled.status, stalled.body.error.code]).toEqual([503, 'redis_unavailable'])
    // Its outcome is unknown, and repeating it is safe.
    const again = await until('it goes in', async () => {
      const reply = await post(batch, batched)
      return reply.status === 202 && reply.body
    })
    expect(again.accepted + again.duplicates).toBe(2_500)
    expect(await stored()).toHaveLength(2_501)
  })

  it('gone: 503 at once', async (context) => {
    const redis = await startTestRedis()
    const { post } = await start(context, {}, redis.url)
    await post({})
    await redis.stop()
    const gone = await post([cloudEvent()], batched)
    expect([gone.status, gone.body.error.code]).toEqual([503, 'redis_unavailable'])
    expect(gone.headers.get('retry-after')).toBe('1')
  })

  it('full: 503 redis_full, and what is there stays', async (context) => {
    const redis = await startTestRedis()
    context.onTestFinished(redis.stop)
    const { post, stored, redis: direct } = await start(context, {}, redis.url)
    await post({})
    await direct.call('CONFIG', 'SET', 'maxmemory', '1')
    const full = await post([cloudEvent()], batched)
    expect([full.status, full.body.error.code]).toEqual([503, 'redis_full'])
    expect(await stored()).toHaveLength(1)
  })
})
