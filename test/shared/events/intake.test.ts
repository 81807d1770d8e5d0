import { describe, expect, it, type TestContext } from 'vitest'
import { createRedisResp } from '../../../shared/drivers/redis-resp.ts'
import { compileDataSchema } from '../../../shared/events/data-schema.ts'
import { createIntake, type NewEvent } from '../../../shared/events/intake.ts'
import { createStreams, type StreamSettings } from '../../../shared/events/streams.ts'
import { eventKeys, HANDLED_STREAMS_KEY } from '../../../shared/keys.ts'
import type { Redis } from '../../../shared/ports/redis.ts'
import { unique } from '../../support/app.ts'
import { startTestRedis, testRedisUrl } from '../../support/redis.ts'
import { connect } from '../../support/stream.ts'

/** An intake of one stream with these settings; whoever was woken, and what Redis holds. */
async function start(
  { onTestFinished }: TestContext,
  settings: StreamSettings = {},
  { url = testRedisUrl(), through = (redis: Redis) => redis } = {},
) {
  const redis = createRedisResp({ url })
  const direct = connect(url)
  onTestFinished(redis.close)
  onTestFinished(direct.close)
  const stream = unique('events')
  const woken: string[] = []
  const intake = createIntake({
    redis: through(redis),
    streams: { settings: async () => settings },
    onAccepted: (_, name) => void woken.push(name),
    clock: Date,
  })
  const { events, seen } = eventKeys('default', stream)
  return {
    ...{ redis, direct, stream, events, seen, woken },
    accept: (sent: readonly NewEvent[]) => intake.accept('default', stream, sent, () => {}),
    stored: () => direct.entries(events),
  }
}

const named = (from: number, to: number, more: object = {}): NewEvent[] =>
  Array.from({ length: to - from }, (_, n) => ({ id: `e-${from + n}`, source: '/test', ...more }))

describe('accept', () => {
  it('fills in what is missing, and keeps what is there', async (context) => {
    const { accept, stored, stream } = await start(context)
    await accept([{ data: 1 }, { id: 'a', source: '/x', type: 't', time: '2026-01-01T00:00:00Z', ext: 1 }])
    const [first, second] = (await stored()).map(({ event }) => JSON.parse(event!))
    expect(first).toEqual({
      ...{
        specversion: '1.0',
        id: expect.any(String),
        source: `/v1/events/${stream}`,
        type: 'event',
        data: 1,
      },
      time: expect.any(String),
    })
    expect(second).toEqual({
      ...{ specversion: '1.0', id: 'a', source: '/x', type: 't', time: '2026-01-01T00:00:00Z', ext: 1 },
    })
  })

  it('gives an event the key at the stream’s path, where it has one', async (context) => {
    const { accept, stored } = await start(context, { key: 'data.customer.id' })
    const data = [
      { customer: { id: 'a' } },
      { customer: { id: 7 } },
      { customer: {} },
      { customer: { id: {} } },
      5,
    ]
    await accept(data.map((one) => ({ data: one })))
    expect((await stored()).map(({ key }) => key)).toEqual(['a', '7', undefined, undefined, undefined])
  })

  it('wakes who works on the stream, only for new events of one that has a handler', async (context) => {
    const { accept, woken, stream } = await start(context, { handler: { type: 'store' } })
    await accept(named(0, 1))
    await accept(named(0, 1))
    await accept([])
    expect(woken).toEqual([stream])
    const kept = await start(context)
    await kept.accept(named(0, 1))
    expect(kept.woken).toEqual([])
  })

  it('a batch of several calls is refused as a whole when the stream is full', async (context) => {
    const { accept, stored } = await start(context, { max_lag: 3_000 })
    await accept(named(0, 1_000))
    await expect(accept(named(1_000, 3_500))).rejects.toMatchObject({ status: 429, code: 'stream_full' })
    expect(await stored()).toHaveLength(1_000)
    expect(await accept(named(1_000, 3_000))).toMatchObject({ accepted: 2_000 })
  })

  it('a batch of several calls is one call a MiB', async (context) => {
    const sizes: number[] = []
    const through = (redis: Redis): Redis => ({
      ...redis,
      wave: (calls, options) => {
        sizes.push(calls.length)
        return redis.wave(calls, options)
      },
    })
    const { accept, stored } = await start(context, {}, { through })
    expect(await accept(named(0, 20, { data: 'x'.repeat(200_000) }))).toMatchObject({ accepted: 20 })
    expect(sizes).toEqual([4])
    expect(await stored()).toHaveLength(20)
  })

  it('calls that overtake the first one of their batch, where Redis did not know the script, are made again', async (context) => {
    await using own = await startTestRedis()
    // The first call does not know the script, and a neighbour loads it between that and the second.
    const through = (redis: Redis): Redis => ({
      ...redis,
      async wave(calls, options) {
        if (calls.length < 2) return redis.wave(calls, options)
        const [first, ...others] = calls
        const late = await redis.wave(others, options)
        return [...(await redis.wave([first!], options)), ...late]
      },
    })
    const { accept, stored } = await start(context, {}, { url: own.url, through })
    expect(await accept(named(0, 2_500))).toMatchObject({ accepted: 2_500, duplicates: 0 })
    expect(await stored()).toHaveLength(2_500)
  })

  it('a batch that was cut in its middle goes on where it is sent again', async (context) => {
    let cut = true
    const through = (redis: Redis): Redis => ({
      ...redis,
      async wave(calls, options) {
        if (!cut) return redis.wave(calls, options)
        cut = false
        await redis.wave(calls.slice(0, 1), options)
        throw new Error('The connection broke')
      },
    })
    const { accept, stored } = await start(context, {}, { through })
    await expect(accept(named(0, 2_500))).rejects.toThrow('The connection broke')
    expect(await stored()).toHaveLength(1_000)
    expect(await accept(named(0, 2_500))).toMatchObject({ accepted: 1_500, duplicates: 1_000 })
    expect(new Set((await stored()).map(({ result }) => result)).size).toBe(2_500)
  })

  it('many senders of the same events at once: each is stored once', async (context) => {
    const { accept, stored } = await start(context)
    const replies = await Promise.all(Array.from({ length: 20 }, () => accept(named(0, 100))))
    expect(replies.reduce((all, { accepted }) => all + accepted, 0)).toBe(100)
    expect(await stored()).toHaveLength(100)
  })
})

describe('room', () => {
  it('is taken by what a group has not read, and by what it has not acknowledged', async (context) => {
    const { accept, direct, events } = await start(context, { handler: { type: 'store' }, max_lag: 10 })
    await accept(named(0, 10))
    await direct.call('XGROUP', 'CREATE', events, 'hub', '0')
    await expect(accept(named(10, 11))).rejects.toMatchObject({ status: 429 })
    const read = await direct.call('XREADGROUP', 'GROUP', 'hub', 'c', 'COUNT', 4, 'STREAMS', events, '>')
    await expect(accept(named(10, 11))).rejects.toMatchObject({ status: 429 })
    const ids = (read as [string, [string, string[]][]][])[0]![1].map(([id]) => id)
    await direct.call('XACK', events, 'hub', ...ids)
    expect(await accept(named(10, 14))).toMatchObject({ accepted: 4 })
    await expect(accept(named(14, 15))).rejects.toMatchObject({ status: 429 })
  })

  it('is judged by the length where Redis does not know the lag', async (context) => {
    const { accept, direct, events } = await start(context, { handler: { type: 'store' }, max_lag: 10 })
    await accept(named(0, 10))
    await direct.call('XGROUP', 'CREATE', events, 'hub', '0')
    const [, second] = (await direct.call('XRANGE', events, '-', '+')) as [string, string[]][]
    await direct.call('XDEL', events, second![0])
    expect(await accept(named(10, 11))).toMatchObject({ accepted: 1 })
    await expect(accept(named(11, 12))).rejects.toMatchObject({ status: 429 })
  })

  it('without a handler: events go when their time is over, but none that a group of others has to read', async (context) => {
    const { accept, direct, events, stored } = await start(context, { retention_seconds: 1 })
    const old = async (from: number) => {
      // As of long ago; whole nodes of the stream (100 entries) go at once.
      for (let n = from; n < from + 250; n++)
        await direct.call('XADD', events, `${n + 1}-0`, 'event', '{}', 'result', 'r')
    }
    await old(0)
    await accept(named(0, 1))
    expect((await stored()).length).toBeLessThan(100)
    await direct.call('DEL', events)
    await old(1_000)
    await direct.call('XGROUP', 'CREATE', events, 'theirs', '0')
    await accept(named(1, 2))
    expect(await stored()).toHaveLength(251)
    await direct.call('XREADGROUP', 'GROUP', 'theirs', 'c', 'COUNT', 250, 'NOACK', 'STREAMS', events, '>')
    await accept(named(2, 3))
    expect((await stored()).length).toBeLessThan(100)
  })

  it('with a handler: nothing is trimmed, however old', async (context) => {
    const { accept, direct, events, stored } = await start(context, {
      handler: { type: 'store' },
      retention_seconds: 0,
    })
    for (let n = 1; n <= 250; n++) await direct.call('XADD', events, `${n}-0`, 'event', '{}', 'result', 'r')
    await accept(named(0, 1))
    expect(await stored()).toHaveLength(251)
  })
})

describe('what was seen', () => {
  it('is forgotten bit by bit when its time is over, and altogether when nothing comes any more', async (context) => {
    const { accept, direct, seen } = await start(context, { dedupe_seconds: 60 })
    const members = Array.from({ length: 1_000 }, (_, n) => [n + 1, `old-${n}`]).flat()
    await direct.call('ZADD', seen, ...members)
    await accept(named(0, 10))
    expect(await direct.call('ZCARD', seen)).toBe(1_000 - 36 + 10)
    expect(await direct.call('PTTL', seen)).toBeGreaterThan(50_000)
    await accept(named(10, 1_000))
    expect(await direct.call('ZCARD', seen)).toBe(1_000)
  })
})

describe('streams', () => {
  const handlers = { store: { settings: { safeParse: () => ({}) }, batch: 1 } } as never

  it('are handled as long as they have a handler', async (context) => {
    const { redis, stream } = await start(context)
    const streams = createStreams({ redis, handlers })
    const isHandled = async () =>
      (await streams.handled()).some((one) => one.stream === stream && one.tenant === 't')
    await streams.put('t', stream, { handler: { type: 'store' } })
    expect(await isHandled()).toBe(true)
    await streams.put('t', stream, { max_lag: 5 })
    expect([await isHandled(), await streams.settings('t', stream)]).toEqual([false, { max_lag: 5 }])
    await streams.put('t', stream, { handler: { type: 'store' } })
    await streams.delete('t', stream)
    expect([await isHandled(), await streams.settings('t', stream)]).toEqual([false, {}])
  })

  it('stay handled where somebody gives a handler while another one takes it away', async (context) => {
    const { redis, direct, stream } = await start(context)
    const other = createStreams({ redis, handlers })
    let first = true
    const slow: Redis = {
      ...redis,
      async wave(calls, options) {
        if (!first) return redis.wave(calls, options)
        first = false
        // Between setting and saying so.
        const [set, ...rest] = calls
        const begun = await redis.wave([set!], options)
        await other.put('t', stream, { handler: { type: 'store' } })
        return [...begun, ...(await redis.wave(rest, options))]
      },
    }
    await createStreams({ redis: slow, handlers }).put('t', stream, {})
    expect(await direct.call('SISMEMBER', HANDLED_STREAMS_KEY, `t/${stream}`)).toBe(1)
    await other.delete('t', stream)
  })
})

describe('a schema', () => {
  it.each<[string, object, unknown, string | undefined]>([
    ['a pattern', { properties: { a: { pattern: '^[^@]+@[^@]+\\.[^@]+$' } } }, { a: 'x' }, '.a'],
    [
      'a long text before a pattern',
      { properties: { a: { pattern: '^x+$' } } },
      { a: 'x'.repeat(300) },
      '.a',
    ],
    ['a pattern, another type', { properties: { a: { pattern: '^x+$' } } }, { a: 5 }, undefined],
    ['uniqueItems', { properties: { a: { uniqueItems: true } } }, { a: [1, 2, 1] }, '.a'],
    [
      'many items that shall differ',
      { properties: { a: { uniqueItems: true } } },
      { a: new Array(2_000).fill(0) },
      '.a',
    ],
    ['a name by pattern', { patternProperties: { '^n_': { type: 'number' } } }, { n_a: 'x' }, '.n_a'],
    ['a long name', { patternProperties: { '^n_': {} } }, { ['n'.repeat(300)]: 1 }, ''],
    ['an optional part', { pattern: '^\\d+(\\.\\d+)?$' }, '1.5', undefined],
    ['an $id and no other document', { $id: 'https://example.com/s', type: 'object' }, {}, undefined],
    ['false', { properties: { a: false } }, { a: 1 }, '.a'],
  ])('%s', (_, schema, data, path) => {
    expect(compileDataSchema(schema)(data)?.path).toBe(path)
  })

  const nested = (levels: number): object => (levels === 0 ? {} : { not: nested(levels - 1) })
  const doubling = {
    $defs: Object.fromEntries(
      Array.from({ length: 40 }, (_, n) => [
        `d${n}`,
        n === 0 ? {} : { allOf: [{ $ref: `#/$defs/d${n - 1}` }, { $ref: `#/$defs/d${n - 1}` }] },
      ]),
    ),
    $ref: '#/$defs/d39',
  }
  it.each<[string, object]>([
    ['(a+)+', { pattern: '^(a+)+$' }],
    ['(a|a)*', { pattern: '^(a|a)*$' }],
    ['((a?){30}){1}', { pattern: '^(a?){30}$' }],
    ['many optional parts', { pattern: `^${'a?'.repeat(30)}${'a'.repeat(30)}$` }],
    ['many repetitions', { pattern: '^.*a.*b.*c.*d$' }],
    ['a nest behind a named group', { pattern: '^(?<x>[a-z]+)*$' }],
    ['a look-ahead', { pattern: '^(?=a+)a+$' }],
    ['a back-reference', { pattern: '^(a+)\\1$' }],
    ['no regular expression', { pattern: '(' }],
    ['a pattern of names', { patternProperties: { '^(a+)+$': {} } }],
    ['a loop', { $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } }, $ref: '#/$defs/a' }],
    ['a doubling', doubling],
    ['a deep nest', nested(100)],
    ['a large one', { enum: Array.from({ length: 3_000 }, (_, n) => n) }],
    ['a huge one', { description: 'x'.repeat(70_000) }],
    ['a keyword of a bad type', { properties: 5 }],
    ['a bad bound', { minimum: '5' }],
  ])('%s is refused', (_, schema) => {
    expect(() => compileDataSchema(schema)).toThrow(
      expect.objectContaining({ status: 400, code: 'invalid_schema' }),
    )
  })
})
