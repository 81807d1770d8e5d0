import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readEnv } from '../../infra/env.ts'
import { connectRedis } from '../../infra/wire.ts'
import { eventKeys, scheduleKeys } from '../../shared/keys.ts'
import type { Redis } from '../../shared/ports/redis.ts'
import { send } from '../../shared/send.ts'
import { startApp, type TestApp, unique } from '../support/app.ts'
import { patient, testRedisUrl } from '../support/redis.ts'
import { S3_KEYS, type Sources, startSources } from '../support/sources.ts'

let app: TestApp
let redis: Redis
let sources: Sources

beforeAll(async () => {
  app = await startApp()
  redis = patient(connectRedis(readEnv({ REDIS_URL: testRedisUrl() }), { info() {}, error() {} }).redis)
})
afterAll(async () => {
  await app[Symbol.asyncDispose]()
  await redis.close()
})
beforeEach(async ({ onTestFinished }) => {
  sources = await startSources()
  onTestFinished(sources.close)
})

/** Off, so that no other test's hub runs it: run by hand. */
async function put(name: string, schedule: object) {
  const reply = await app.send('PUT', `/v1/schedules/${name}`, {
    every_seconds: 3_600,
    enabled: false,
    ...schedule,
  })
  return { status: reply.status, body: await reply.json() }
}

async function run(name: string) {
  const reply = await app.send('POST', `/v1/schedules/${name}/run`, '')
  return { status: reply.status, body: await reply.json() }
}

const get = async (name: string) => (await app.get(`/v1/schedules/${name}`)).json()

async function eventsOf(stream: string) {
  const entries = (await send(redis, ['XRANGE', eventKeys('default', stream).events, '-', '+'])) as [
    string,
    string[],
  ][]
  return entries.map(([, fields]) => JSON.parse(fields[fields.indexOf('event') + 1]!))
}

const cursorOf = (name: string) => send(redis, ['HGET', scheduleKeys('default', name).schedule, 'cursor'])

/** A pull into a stream of its own. */
async function pull(source: object, more: object = {}) {
  const [name, stream] = [unique('pull'), unique('pulled')]
  const { status, body } = await put(name, {
    source: { allow_private: true, ...source },
    target: { stream },
    ...more,
  })
  expect({ status, body }).toMatchObject({ status: 200 })
  return { name, stream }
}

describe('a schedule of an event', () => {
  it('is set, listed, run, changed and removed', async () => {
    const [name, stream] = [unique('tick'), unique('ticks')]
    const source = { type: 'event', stream, data: { hello: 'world' } }
    const set = await put(name, {
      source,
      every_seconds: undefined,
      cron: '0 7 * * *',
      time_zone: 'Asia/Tokyo',
      enabled: true,
    })
    expect(set).toMatchObject({
      status: 200,
      body: { name, cron: '0 7 * * *', last_run: null, consecutive_failures: 0 },
    })
    expect(set.body.next_run).toMatch(/T22:00:00\.000Z$/)
    expect(await run(name)).toMatchObject({ status: 200, body: { status: 'ok', accepted: 1 } })
    const shown = await get(name)
    expect(shown).toMatchObject({ next_run: set.body.next_run, last_run: { status: 'ok', accepted: 1 } })
    const [event, ...others] = await eventsOf(stream)
    expect(others).toEqual([])
    expect(event).toMatchObject({
      type: 'hub.schedule',
      source: `/v1/schedules/${name}`,
      data: { hello: 'world' },
    })
    expect(event.time).toBe(shown.last_run.planned)
    const { data } = await (await app.get('/v1/schedules')).json()
    expect(data.find((one: { name: string }) => one.name === name)).toEqual(shown)
    expect((await put(name, { source, enabled: false })).body.next_run).toBeNull()
    expect((await app.delete(`/v1/schedules/${name}`)).status).toBe(204)
    expect((await app.get(`/v1/schedules/${name}`)).status).toBe(404)
    expect((await app.delete(`/v1/schedules/${name}`)).status).toBe(404)
    expect((await run(name)).status).toBe(404)
  })

  const event = { type: 'event', stream: 's' }
  const rss = { type: 'rss', url: 'https://example.com/feed' }
  it.each([
    ['cron', { every_seconds: undefined, cron: '61 * * * *', source: event }],
    ['cron', { every_seconds: undefined, source: event }],
    ['time_zone', { every_seconds: undefined, cron: '* * * * *', time_zone: 'Mars', source: event }],
    ['every_seconds', { every_seconds: 0, source: event }],
    ['source.url', { source: { ...rss, url: 'ftp://example.com/' }, target: { stream: 's' } }],
    ['source.url', { source: { ...rss, url: 'https://a:b@example.com/' }, target: { stream: 's' } }],
    ['source.url', { source: { ...rss, url: 'http://example.com/' }, target: { stream: 's' } }],
    ['source.url', { source: { ...rss, url: 'https://127.0.0.1/' }, target: { stream: 's' } }],
    [
      'source.endpoint',
      { source: { type: 's3', bucket: 'b12', endpoint: 'https://10.0.0.1' }, target: { stream: 's' } },
    ],
    [
      'source.secret_access_key',
      { source: { type: 's3', bucket: 'b12', access_key_id: 'A' }, target: { stream: 's' } },
    ],
    ['source.headers.Host', { source: { ...rss, headers: { Host: 'x' } }, target: { stream: 's' } }],
    ['source.type', { source: { type: 'ftp' }, target: { stream: 's' } }],
    ['target', { source: rss }],
    ['target', { source: event, target: { stream: 's' } }],
    ['target.stream', { source: rss, target: { stream: 'a/b' } }],
    ['evry_seconds', { evry_seconds: 1, source: event }],
  ])('refused with 400: %s of %j', async (param, schedule) => {
    const { status, body } = await put(unique('bad'), schedule)
    expect({ status, param: body.error.param }).toEqual({ status: 400, param })
  })

  it('private addresses need an admin, and an index the scope of search', async () => {
    const made = await (
      await app.send('POST', '/v1/keys', { tenant: unique('t'), scopes: ['ingest-event'] })
    ).json()
    const key = { authorization: `Bearer ${made.key}` }
    const send = async (schedule: object) =>
      (
        await app.send(
          'PUT',
          `/v1/schedules/${unique('s')}`,
          { every_seconds: 60, enabled: false, ...schedule },
          key,
        )
      ).status
    expect(await send({ source: rss, target: { stream: 's' } })).toBe(200)
    expect(await send({ source: { ...rss, allow_private: true }, target: { stream: 's' } })).toBe(403)
    expect(await send({ source: rss, target: { index: 'docs' } })).toBe(403)
  })

  it('runs in the name of its key: once that is revoked it fails, and says so', async () => {
    const tenant = unique('t')
    const made = await (
      await app.send('POST', '/v1/keys', { tenant, scopes: ['ingest-event', 'search'] })
    ).json()
    const other = await (await app.send('POST', '/v1/keys', { tenant })).json()
    const name = unique('s')
    const body = { every_seconds: 60, enabled: false, source: event }
    await app.send('PUT', `/v1/schedules/${name}`, body, { authorization: `Bearer ${made.key}` })
    await app.delete(`/v1/keys/${made.id}?tenant=${tenant}`)
    const reply = await app.send('POST', `/v1/schedules/${name}/run`, '', {
      authorization: `Bearer ${other.key}`,
    })
    expect(await reply.json()).toMatchObject({ status: 'failed', error: { code: 'invalid_api_key' } })
  })
})

describe('RSS and Atom', () => {
  it('each entry is one event, also when the feed has it again; 304 costs no reading', async () => {
    const { name, stream } = await pull({ type: 'rss', url: `${sources.url}/rss` })
    sources.entries.push(
      { id: 'a', title: 'One & two', at: '2026-01-01T00:00:00Z', html: '<p>First</p>' },
      { id: 'b', title: 'Three', at: '2026-01-02T00:00:00Z' },
    )
    expect((await run(name)).body).toMatchObject({ status: 'ok', accepted: 2 })
    const [a, b] = await eventsOf(stream)
    expect(a).toMatchObject({
      ...{ id: 'a', type: 'hub.pulled.rss', source: `${sources.url}/rss`, time: '2026-01-01T00:00:00.000Z' },
      data: {
        title: 'One & two',
        link: 'https://example.com/a',
        categories: ['one'],
        content: '<p>First</p>',
      },
    })
    expect(b.id).toBe('b')
    expect((await run(name)).body).toMatchObject({ status: 'ok', accepted: 0 })
    sources.entries.push({ id: 'c', title: 'Four', at: '2026-01-03T00:00:00Z' })
    expect((await run(name)).body).toMatchObject({ accepted: 1, duplicates: 2 })
    expect((await eventsOf(stream)).map(({ id }) => id)).toEqual(['a', 'b', 'c'])
    expect(sources.statuses()).toEqual([200, 304, 200])
  })

  it('what was pulled once stays known after the stream has forgotten it', async () => {
    const { name, stream } = await pull({ type: 'rss', url: `${sources.url}/rss` })
    sources.entries.push({ id: 'a', title: 'A', at: '2026-01-01T00:00:00Z' })
    await run(name)
    await send(redis, ['DEL', eventKeys('default', stream).seen])
    sources.entries.push({ id: 'b', title: 'B', at: '2026-01-01T00:00:00Z' })
    await run(name)
    expect((await eventsOf(stream)).map(({ id }) => id)).toEqual(['a', 'b'])
  })

  it('Atom with its own markup', async () => {
    const { name, stream } = await pull({ type: 'rss', url: `${sources.url}/atom` })
    sources.entries.push({ id: 'a', title: 'A', at: '2026-01-01T00:00:00Z', html: '<p>Hi <b>you</b></p>' })
    expect((await run(name)).body).toMatchObject({ status: 'ok', accepted: 1 })
    const [event] = await eventsOf(stream)
    expect(event).toMatchObject({
      id: 'urn:a',
      data: { link: `${sources.url}/a`, author: 'Ann', title: 'A' },
    })
    expect(event.data.content).toContain('<p>Hi <b>you</b></p>')
  })

  it('an index gets the text, and a changed entry again', async () => {
    const index = unique('feed')
    await app.send('PUT', `/v1/indexes/${index}`, { fields: { published: 'tag' } })
    const name = unique('pull')
    const source = { type: 'rss', url: `${sources.url}/rss`, allow_private: true }
    await put(name, { source, target: { index } })
    const entry = { id: 'a', title: 'Redis', at: '2026-01-01T00:00:00Z', html: '<p>is <b>fast</b>.</p>' }
    sources.entries.push(entry)
    expect((await run(name)).body).toMatchObject({ status: 'ok', accepted: 1, refused: 0 })
    const read = async () => (await app.get(`/v1/indexes/${index}/documents/a`)).json()
    expect(await read()).toMatchObject({
      text: '# Redis\n\nis fast.',
      metadata: { link: 'https://example.com/a' },
    })
    entry.html = '<p>is faster.</p>'
    expect((await run(name)).body).toMatchObject({ accepted: 1 })
    expect((await read()).text).toBe('# Redis\n\nis faster.')
  })
})

describe('a source on a bad day: a failure that GET shows, and a cursor that stays', () => {
  const BAD: [string, Sources['misbehave'], object, string][] = [
    [
      'it is cut off',
      (_, r) => !!r.writeHead(200, { 'content-type': 'text/xml' }).end('<rss><channel><item><title>x'),
      {},
      'invalid_xml',
    ],
    [
      'it is a web page',
      (_, r) => !!r.writeHead(200).end('<html><body>Sorry</body></html>'),
      {},
      'invalid_feed',
    ],
    [
      'it is huge',
      (_, r) => !!r.writeHead(200).end(`<rss>${' '.repeat(200_000)}</rss>`),
      { max_bytes: 100_000 },
      'source_too_large',
    ],
    [
      'it is slow',
      (_, response) => {
        response.writeHead(200)
        const timer = setInterval(() => response.write(' '), 50)
        response.on('close', () => clearInterval(timer))
        return true
      },
      { timeout_seconds: 0.5 },
      'source_timeout',
    ],
    ['it answers 500', (_, r) => !!r.writeHead(500).end(), {}, 'source_failed'],
    ['it is gone', (_, r) => !!r.writeHead(404).end(), {}, 'source_not_found'],
    ['it hangs up', (_, r) => !!r.socket!.destroy(), {}, 'upstream_unreachable'],
    ['it redirects for ever', (_, r) => !!r.writeHead(302, { location: '/rss' }).end(), {}, 'source_failed'],
    [
      'entities that grow',
      (_, r) => !!r.writeHead(200).end('<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><rss>&b;&b;'),
      {},
      'invalid_xml',
    ],
  ]
  it.each(BAD)('%s', async (_, misbehave, more, code) => {
    const { name, stream } = await pull({ type: 'rss', url: `${sources.url}/rss`, ...more })
    sources.entries.push({ id: 'a', title: 'A', at: '2026-01-01T00:00:00Z' })
    await run(name)
    const cursor = await cursorOf(name)
    expect(cursor).toBeTypeOf('string')
    sources.entries.push({ id: 'b', title: 'B', at: '2026-01-01T00:00:00Z' })
    sources.misbehave = misbehave
    expect((await run(name)).body).toMatchObject({ status: 'failed', accepted: 0, error: { code } })
    expect(await cursorOf(name)).toBe(cursor)
    await run(name)
    expect(await get(name)).toMatchObject({ consecutive_failures: 2, last_error: { code } })
    sources.misbehave = () => false
    expect((await run(name)).body).toMatchObject({ status: 'ok', accepted: 1 })
    expect(await get(name)).toMatchObject({ consecutive_failures: 0, last_error: { code } })
    expect((await eventsOf(stream)).map(({ id }) => id)).toEqual(['a', 'b'])
  })

  it('a run that another one overtook moves no cursor back', async () => {
    const { name } = await pull({ type: 'rss', url: `${sources.url}/rss` })
    sources.entries.push({ id: 'a', title: 'A', at: '2026-01-01T00:00:00Z' })
    const theirs = JSON.stringify({ of: 'another run', at: {} })
    sources.misbehave = (_, response) => {
      const key = scheduleKeys('default', name).schedule
      void send(redis, ['HSET', key, 'cursor', theirs]).then(() => response.writeHead(200).end('<rss></rss>'))
      return true
    }
    expect((await run(name)).body).toMatchObject({ status: 'failed', error: { code: 'schedule_overtaken' } })
    expect(await cursorOf(name)).toBe(theirs)
  })

  it('Retry-After holds', async () => {
    const { name } = await pull({ type: 'rss', url: `${sources.url}/rss` }, { enabled: true })
    sources.misbehave = (_, response) => !!response.writeHead(429, { 'retry-after': '7200' }).end()
    const { body } = await run(name)
    expect(body).toMatchObject({ status: 'failed', error: { message: expect.stringContaining('429') } })
    expect(Date.parse((await get(name)).next_run) - Date.parse(body.finished)).toBe(7_200_000)
    await app.delete(`/v1/schedules/${name}`)
  })

  it('a redirect to another origin goes without the source’s headers, and to a private address not at all', async () => {
    const other = await startSources()
    other.entries.push({ id: 'a', title: 'A', at: '2026-01-01T00:00:00Z' })
    sources.misbehave = (_, response) => !!response.writeHead(307, { location: `${other.url}/rss` }).end()
    const { name } = await pull({
      type: 'rss',
      url: `${sources.url}/rss`,
      headers: { 'X-Api-Key': 'secret' },
    })
    expect((await run(name)).body).toMatchObject({ status: 'ok', accepted: 1 })
    expect(sources.requests[0]!.headers['x-api-key']).toBe('secret')
    expect(other.requests[0]!.headers['x-api-key']).toBeUndefined()
    await other.close()
  })

  it('secret headers are sealed in Redis and masked in replies', async () => {
    const headers = { Authorization: 'Bearer very-secret', 'X-Plain': 'shown' }
    const { name } = await pull({ type: 'rss', url: `${sources.url}/rss`, headers })
    expect((await get(name)).source.headers).toEqual({ Authorization: '***', 'X-Plain': 'shown' })
    expect(await send(redis, ['HGET', 'schedules', name])).not.toContain('very-secret')
    await run(name)
    expect(sources.requests[0]!.headers).toMatchObject({
      authorization: 'Bearer very-secret',
      'x-plain': 'shown',
    })
  })
})

describe('JSON over HTTP', () => {
  const item = (n: number) => ({ id: `i${n}`, n, text: `Item ${n}`, at: `2026-01-0${n}T00:00:00Z` })
  const json = { type: 'http-json', items: 'data.items', next: 'next', next_parameter: 'cursor', time: 'at' }

  it('page after page; a run that may read few goes on where it stopped, then asks for what is newer', async () => {
    const paged = await startSources({ pageSize: 2 })
    paged.items.push(...[1, 2, 3, 4, 5].map(item))
    const source = {
      ...json,
      url: `${paged.url}/items`,
      max_pages: 2,
      since: { parameter: 'since', path: 'n' },
    }
    const { name, stream } = await pull(source)
    expect((await run(name)).body).toMatchObject({ status: 'ok', accepted: 4, more: true })
    expect((await run(name)).body).toMatchObject({ status: 'ok', accepted: 1 })
    paged.items.push(item(6))
    expect((await run(name)).body).toMatchObject({ accepted: 1 })
    const events = await eventsOf(stream)
    expect(events.map(({ id }) => id)).toEqual(['i1', 'i2', 'i3', 'i4', 'i5', 'i6'])
    expect(events[0]).toMatchObject({ time: '2026-01-01T00:00:00.000Z', data: item(1) })
    expect(paged.requests.map(({ url }) => url)).toEqual([
      '/items',
      '/items?cursor=2',
      '/items?cursor=4',
      '/items?since=5',
    ])
    await paged.close()
  })

  it('an ETag holds for a list of one page', async () => {
    const { name } = await pull({ ...json, url: `${sources.url}/items` })
    sources.items.push(item(1))
    await run(name)
    expect((await run(name)).body).toMatchObject({ accepted: 0, duplicates: 0 })
    expect(sources.statuses()).toEqual([200, 304])
  })

  it('what led to a page no longer does: the list is read anew, and nothing doubled', async () => {
    const paged = await startSources({ pageSize: 2 })
    paged.items.push(...[1, 2, 3].map(item))
    const { name, stream } = await pull({ ...json, url: `${paged.url}/items`, max_pages: 1 })
    await run(name)
    let refused = 0
    paged.misbehave = (request, response) =>
      request.url!.includes('cursor=2') && refused++ === 0 && !!response.writeHead(410).end()
    expect((await run(name)).body).toMatchObject({ status: 'ok', accepted: 0, duplicates: 2, more: true })
    expect((await run(name)).body).toMatchObject({ status: 'ok', accepted: 1 })
    expect((await eventsOf(stream)).map(({ id }) => id)).toEqual(['i1', 'i2', 'i3'])
    await paged.close()
  })

  it.each([
    ['no JSON', 'nonsense', 'no JSON'],
    ['no list', '{"data":{}}', 'no list'],
    ['pages in a circle', '{"data":{"items":[]},"next":"0"}', 'without an end'],
  ])('%s', async (_, body, message) => {
    sources.misbehave = (_, response) => !!response.writeHead(200).end(body)
    const { name } = await pull({ ...json, url: `${sources.url}/items` })
    const { error } = (await run(name)).body
    expect(error).toMatchObject({ code: 'source_failed', message: expect.stringContaining(message) })
  })

  it('where a runtime counts calls a run takes in a part, and the next one the rest', async () => {
    await using counted = await startApp({ countsCalls: true, env: { HUB_REDIS_CALLS: '40' } })
    const { name, stream } = await pull({ ...json, time: undefined, url: `${sources.url}/items` })
    sources.items.push(...Array.from({ length: 450 }, (_, n) => ({ id: `i${n}`, n: n + 1 })))
    const go = async () => (await counted.send('POST', `/v1/schedules/${name}/run`, '')).json()
    expect(await go()).toMatchObject({ accepted: 200, more: true })
    expect(await go()).toMatchObject({ accepted: 200, more: true })
    expect(await go()).toMatchObject({ accepted: 50, duplicates: 400 })
    expect(new Set((await eventsOf(stream)).map(({ id }) => id)).size).toBe(450)
    expect(await go()).toMatchObject({ accepted: 0, duplicates: 0 }) // 304
  })

  it('a next page at another origin is refused: the headers are not for it', async () => {
    sources.misbehave = (_, response) =>
      !!response.writeHead(200).end('{"data":{"items":[]},"next":"https://example.org/"}')
    const { name } = await pull({ ...json, next_parameter: undefined, url: `${sources.url}/items` })
    expect((await run(name)).body.error.message).toContain('is not at')
  })

  it('a Link header leads on', async () => {
    sources.items.push(item(1))
    sources.misbehave = (request, response) =>
      !request.url!.includes('page=2') &&
      !!response
        .writeHead(200, { link: '</x>; rel="last", </items?page=2>; title="a"; rel="next"' })
        .end(`[${JSON.stringify(item(9))}]`)
    const { name } = await pull({ type: 'http-json', url: `${sources.url}/items` })
    const { body } = await run(name)
    expect(body.error.message).toContain('no list') // of page 2, which is an object
    expect(body.accepted).toBe(1)
  })

  it('an item that the stream refuses does not hold up the others', async () => {
    const { name, stream } = await pull({ ...json, url: `${sources.url}/items` })
    await app.send('PUT', `/v1/events/${stream}`, { schema: { properties: { n: { type: 'integer' } } } })
    sources.items.push(item(1), { id: 'bad', n: 1.5 }, item(2))
    const { body } = await run(name)
    expect(body).toMatchObject({ status: 'ok', accepted: 2, refused: 1, first_refusal: { id: 'bad' } })
    expect((await eventsOf(stream)).map(({ id }) => id)).toEqual(['i1', 'i2'])
  })
})

describe('S3', () => {
  const s3 = () => ({ type: 's3', endpoint: sources.url, bucket: 'bucket', region: 'eu-test-1', ...S3_KEYS })

  it('new and changed objects, over pages, signed', async () => {
    const paged = await startSources({ pageSize: 2 })
    for (const key of ['a b+c/ü (1).txt', 'b.txt', 'c.txt']) paged.put(key, `Content of ${key}`)
    const { name, stream } = await pull({ ...s3(), endpoint: paged.url, fetch_content: 1_000 })
    expect((await run(name)).body).toMatchObject({ status: 'ok', accepted: 3 })
    const [first] = await eventsOf(stream)
    expect(first).toMatchObject({
      ...{ type: 'hub.pulled.s3', source: 's3://bucket', subject: 'a b+c/ü (1).txt' },
      data: { bucket: 'bucket', key: 'a b+c/ü (1).txt', size: 27, content: 'Content of a b+c/ü (1).txt' },
    })
    paged.put('b.txt', 'Changed')
    paged.put('aa.txt', 'New, in the middle')
    expect((await run(name)).body).toMatchObject({ accepted: 2, duplicates: 2 })
    expect((await eventsOf(stream)).slice(3).map(({ data }) => data.key)).toEqual(['aa.txt', 'b.txt'])
    await paged.close()
  })

  it('`append` goes on after the last key', async () => {
    sources.put('2026/01', 'x')
    const { name } = await pull({ ...s3(), listing: 'append', prefix: '2026/' })
    await run(name)
    sources.put('2026/02', 'y')
    expect((await run(name)).body).toMatchObject({ accepted: 1, duplicates: 0 })
    expect(sources.requests.at(-1)!.url).toContain('start-after=2026%2F01')
  })

  it('a wrong key is a failure; the right one is neither in Redis nor in replies', async () => {
    sources.put('a', 'x')
    const { name } = await pull({ ...s3(), secret_access_key: 'wrong' })
    expect((await run(name)).body).toMatchObject({
      status: 'failed',
      error: { message: expect.stringContaining('403') },
    })
    const { body } = await put(name, {
      source: { ...s3(), allow_private: true },
      target: { stream: unique('s') },
    })
    expect(body.source.secret_access_key).toBe('***')
    expect(await send(redis, ['HGET', 'schedules', name])).not.toContain(S3_KEYS.secret_access_key)
    expect((await run(name)).body).toMatchObject({ status: 'ok', accepted: 1 })
  })

  it('an index gets texts as documents; what is none is refused and counted', async () => {
    const index = unique('bucket')
    await app.send('PUT', `/v1/indexes/${index}`, { fields: {} })
    sources.put('page.html', '<h1>Title</h1><p>Text</p>')
    sources.put('notes.md', '# Notes')
    sources.put('photo.jpg', 'no text')
    const name = unique('pull')
    await put(name, { source: { ...s3(), allow_private: true }, target: { index } })
    const { body } = await run(name)
    expect(body).toMatchObject({ status: 'ok', accepted: 2, refused: 1, first_refusal: { id: 'photo.jpg' } })
    const page = await (await app.get(`/v1/indexes/${index}/documents/page.html`)).json()
    expect(page).toMatchObject({ text: '# Title\n\nText', metadata: { bucket: 'bucket', key: 'page.html' } })
  })
})
