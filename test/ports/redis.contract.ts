import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { RedisReplyError, RedisTimeoutError, RedisUnavailableError } from '../../shared/errors.ts'
import type { Command, Redis, Script } from '../../shared/ports/redis.ts'
import { startTestRedis } from '../support/redis.ts'

export interface RedisUnderTest {
  redis: Redis
  close(): Promise<void>
}

export interface RedisTraits {
  /** What happens to an argument that is not UTF-8. */
  otherBytes: 'stored' | 'refused'
  /** Several servers: what they do when one of them stalls or goes away is tested where they are. One server by default. */
  startServers?: () => Promise<{ url: string; stop(): Promise<unknown> }>
}

/**
 * What every driver of the Redis port must do, against a real server. A rejection that nobody handles fails the run.
 *
 * @example testRedis('redis-resp', async (url) => { … }, { otherBytes: 'stored' })
 */
export function testRedis(
  name: string,
  createDriver: (url: string) => Promise<RedisUnderTest>,
  traits: RedisTraits,
) {
  describe(name, () => {
    let server: Awaited<ReturnType<NonNullable<RedisTraits['startServers']>>>
    let subject: RedisUnderTest
    let redis: Redis
    const one = async (...command: Command) => (await redis.wave([command]))[0]

    beforeAll(async () => {
      server = await (traits.startServers ?? startTestRedis)()
      subject = await createDriver(server.url)
      redis = subject.redis
      await redis.wave([['PING']], { timeoutMs: 5_000 })
    })
    afterAll(async () => {
      await subject.close()
      await server.stop()
    })

    describe('types', () => {
      test('strings, with expiry and NX', async () => {
        expect(
          await redis.wave([
            ['SET', '{s}', 'one', 'PX', 60_000, 'NX'],
            ['SET', '{s}', 'two', 'NX'],
            ['GET', '{s}'],
            ['PTTL', '{s}:missing'],
            ['INCRBY', '{s}:n', 41],
            ['INCRBYFLOAT', '{s}:f', 0.5],
            ['MGET', '{s}', '{s}:missing', '{s}:n'],
            ['DEL', '{s}', '{s}:n', '{s}:f'],
          ]),
        ).toEqual(['OK', null, 'one', -2, 41, '0.5', ['one', null, '41'], 3])
      })

      test('hashes, lists, sets and sorted sets', async () => {
        expect(
          await redis.wave([
            ['HSET', 'h', 'a', 1, 'b', ''],
            ['HGETALL', 'h'],
            ['HMGET', 'h', 'a', 'z'],
            ['HGETALL', 'missing'],
            ['RPUSH', 'l', 'x', 'y', 'z'],
            ['LRANGE', 'l', 0, -1],
            ['LPOP', 'missing'],
            ['SADD', 'set', 'm', 'm'],
            ['SISMEMBER', 'set', 'm'],
            ['ZADD', 'z', 1.5, 'p', 2, 'q'],
            ['ZRANGE', 'z', 0, -1, 'WITHSCORES'],
            ['ZSCORE', 'z', 'p'],
          ]),
        ).toEqual([
          ...[2, ['a', '1', 'b', ''], ['1', null], []],
          ...[3, ['x', 'y', 'z'], null],
          ...[1, 1],
          ...[2, ['p', '1.5', 'q', '2'], '1.5'],
        ])
      })

      test('streams with consumer groups', async () => {
        const entry = ['1-1', ['type', 'born', 'note', '']]
        expect(
          await redis.wave([
            ['XGROUP', 'CREATE', 'x', 'g', 0, 'MKSTREAM'],
            ['XADD', 'x', '1-1', 'type', 'born', 'note', ''],
            ['XREADGROUP', 'GROUP', 'g', 'BLOCK', 'COUNT', 10, 'STREAMS', 'x', '>'],
            ['XREADGROUP', 'GROUP', 'g', 'BLOCK', 'COUNT', 10, 'STREAMS', 'x', '>'],
            ['XPENDING', 'x', 'g'],
            ['XAUTOCLAIM', 'x', 'g', 'other', 0, '0-0'],
            ['XACK', 'x', 'g', '1-1'],
            ['XRANGE', 'x', '-', '+'],
            ['XINFO', 'GROUPS', 'x'],
          ]),
        ).toEqual([
          ...['OK', '1-1', [['x', [entry]]], null],
          ...[[1, '1-1', '1-1', [['BLOCK', '1']]], ['0-0', [entry], []], 1, [entry]],
          [expect.arrayContaining(['name', 'g', 'consumers', 2, 'pending', 0, 'entries-read', 1, 'lag', 0])],
        ])
      })

      test('vector sets', async () => {
        expect(
          await redis.wave([
            ['VADD', 'v', 'VALUES', 2, 1, 0, 'east', 'SETATTR', '{"warm":true}'],
            ['VADD', 'v', 'VALUES', 2, 0, 1, 'north'],
            ['VCARD', 'v'],
            ['VSIM', 'v', 'VALUES', 2, 1, 0.1, 'COUNT', 1],
            ['VSIM', 'v', 'VALUES', 2, 1, 0, 'WITHSCORES', 'FILTER', '.warm'],
            ['VGETATTR', 'v', 'east'],
            ['VREM', 'v', 'north'],
          ]),
        ).toEqual([1, 1, 2, ['east'], ['east', '1'], '{"warm":true}', 1])
      })

      test('text arrives as it was sent', async () => {
        const texts = [
          '',
          'OK',
          'null',
          '{"a":1}',
          '9007199254740993',
          '1.0',
          'T0s=',
          '\ufeff→ 😀\u0000\r\n"\\',
          ' ',
        ]
        const got = await redis.wave([
          ...texts.map((text) => ['SET', `t:${text}`, text] as Command),
          ...texts.map((text) => ['GET', `t:${text}`] as Command),
        ])
        expect(got.slice(texts.length)).toEqual(texts)
        expect(await one('EVAL', "return {'OK', {false, {'', 1}}, {}}", 0)).toEqual([
          'OK',
          [null, ['', 1]],
          [],
        ])
      })

      test('an integer that JavaScript cannot hold is an error, not another integer', async () => {
        const [kept, large] = await redis.wave([
          ['INCRBY', 'n', '9007199254740900'],
          ['INCRBY', 'n', 93],
        ])
        expect(kept).toBe(9_007_199_254_740_900)
        expect(large).toBeInstanceOf(RedisReplyError)
        expect(await one('GET', 'n')).toBe('9007199254740993')
      })
    })

    describe('waves', () => {
      test('keep the order of the calls, and one of none needs no server', async () => {
        const many = Array.from({ length: 500 }, (_, i): Command => ['ECHO', i])
        expect(await redis.wave(many, { timeoutMs: 2_000 })).toEqual(many.map((_, i) => String(i)))
        expect(await redis.wave([])).toEqual([])
      })

      test('hold error replies as values beside the other replies', async () => {
        const replies = await redis.wave([
          ['SET', 'w', 'text'],
          ['LPUSH', 'w', 'x'],
          ['NOSUCHCOMMAND'],
          ['GET'],
          ['EVAL', "return {1, redis.error_reply('CUSTOM of mine'), 'after'}", 0],
          ['GET', 'w'],
        ])
        expect(replies[0]).toBe('OK')
        expect(replies[1]).toMatchObject({ name: 'RedisReplyError', code: 'WRONGTYPE' })
        expect(replies[2]).toMatchObject({ code: 'ERR', message: expect.stringContaining("'NOSUCHCOMMAND'") })
        expect(replies[3]).toMatchObject({ code: 'ERR', message: expect.stringContaining('wrong number') })
        expect(replies[4]).toEqual([
          1,
          expect.objectContaining({ code: 'CUSTOM', message: 'CUSTOM of mine' }),
          'after',
        ])
        expect(replies[5]).toBe('text')
      })

      test('of many callers do not mix', async () => {
        const work = Array.from({ length: 100 }, async (_, i) => {
          const key = `mix:${i}`
          return redis.wave(
            [
              ['SET', key, i],
              ['GET', key],
            ],
            { timeoutMs: 5_000 },
          )
        })
        expect(await Promise.all(work)).toEqual(work.map((_, i) => ['OK', String(i)]))
      })
    })

    describe('scripts', () => {
      const add = script('add', 1, "return redis.call('INCRBY', KEYS[1], ARGV[1])")
      const fail = script('fail', 1, "return redis.error_reply('REFUSED by script')")

      test('are sent by SHA, and whole when the server does not know them, alone', async () => {
        const near = 'sum'
        await redis.wave([['SCRIPT', 'FLUSH']], { near })
        const wave = () =>
          redis.wave([
            ['INCR', 'neighbours'],
            { script: add, keys: ['sum'], args: [2] },
            { script: fail, keys: ['sum'], args: [] },
            ['INCR', 'neighbours'],
          ])
        const refused = expect.objectContaining({ code: 'REFUSED' })
        expect(await wave()).toEqual([1, 2, refused, 2])
        expect(await redis.wave([['SCRIPT', 'EXISTS', add.sha, fail.sha]], { near })).toEqual([[1, 1]])
        expect(await wave()).toEqual([3, 4, refused, 4])
      })

      test('that the server does not know yet keep their place in the wave', async () => {
        const fresh = script('fresh', 1, `redis.call('SET', KEYS[1], '${crypto.randomUUID()}') return 1`)
        const [, seen, last] = await redis.wave([
          { script: fresh, keys: ['{place}'], args: [] },
          ['SET', '{place}', 'after', 'GET'],
          ['GET', '{place}'],
        ])
        expect([seen, last]).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/), 'after'])
      })

      test('read the time and publish', async () => {
        const both = script('both', 0, "return {#redis.call('TIME'), redis.call('PUBLISH', 'nobody', 'x')}")
        expect(await redis.wave([{ script: both, keys: [], args: [] }])).toEqual([[2, 0]])
      })
    })

    describe('bytes', () => {
      const every = Uint8Array.from({ length: 256 }, (_, i) => i)

      test('of all values come back exactly', async () => {
        const make =
          "local t = {} for i = 0, 255 do t[#t + 1] = string.char(i) end return {table.concat(t), 1, {'é'}}"
        const [reply, status, nil] = await redis.wave(
          [
            ['EVAL', make, 0],
            ['SET', 'b', 'OK'],
            ['GET', 'missing'],
          ],
          { bytes: true },
        )
        expect(reply).toStrictEqual([every, 1, [new TextEncoder().encode('é')]])
        expect(status).toStrictEqual(new TextEncoder().encode('OK'))
        expect(nil).toBeNull()
      })

      test('that are text go in as arguments', async () => {
        const text = new TextEncoder().encode('\ufeffé😀')
        expect(
          await redis.wave([
            ['SET', 'b', text.subarray(0)],
            ['STRLEN', 'b'],
            ['GET', 'b'],
          ]),
        ).toEqual(['OK', 9, '\ufeffé😀'])
      })

      test(`that are not text are ${traits.otherBytes}`, async () => {
        await one('DEL', 'b')
        const set = redis.wave([['SET', 'b', every]])
        if (traits.otherBytes === 'refused') {
          await expect(set).rejects.toThrow(/encode these bytes/)
          expect(await one('EXISTS', 'b')).toBe(0)
        } else {
          await set
          expect(await redis.wave([['GET', 'b']], { bytes: true })).toStrictEqual([every])
        }
      })
    })

    describe('pub/sub', () => {
      test('brings messages of the channel until closed', async () => {
        const [mine, other]: string[][] = [[], []]
        const subscriptions = await Promise.all([
          redis.subscribe('news,1', (message) => mine!.push(message), { timeoutMs: 5_000 }),
          redis.subscribe('news,1', (message) => other!.push(message), { timeoutMs: 5_000 }),
        ])
        await redis.wave([
          ['PUBLISH', 'news', 'not mine'],
          ['PUBLISH', 'news,1', '{"a":"b,c"}'],
          ['PUBLISH', 'news,1', 'é\n😀'],
        ])
        await vi.waitFor(() =>
          expect([mine, other]).toEqual([
            ['{"a":"b,c"}', 'é\n😀'],
            ['{"a":"b,c"}', 'é\n😀'],
          ]),
        )
        await subscriptions[0]!.close()
        await one('PUBLISH', 'news,1', 'later')
        await vi.waitFor(() => expect(other).toContain('later'))
        expect(mine).not.toContain('later')
        await subscriptions[1]!.close()
        await vi.waitFor(async () => expect(await one('PUBSUB', 'NUMSUB', 'news,1')).toEqual(['news,1', 0]))
      })

      test('a signal ends the wait for it', async () => {
        await expect(
          redis.subscribe('c', () => {}, { signal: AbortSignal.abort(new Error('gone')) }),
        ).rejects.toThrow('gone')
      })
    })

    describe('signals', () => {
      test('an aborted one sends nothing', async () => {
        const wave = redis.wave([['INCR', 'aborted']], { signal: AbortSignal.abort(new Error('gone')) })
        await expect(wave).rejects.toThrow('gone')
        expect(await one('EXISTS', 'aborted')).toBe(0)
      })

      test('one that stays quiet is left without listeners', async () => {
        const { signal } = new AbortController()
        const [add, remove] = [vi.spyOn(signal, 'addEventListener'), vi.spyOn(signal, 'removeEventListener')]
        await redis.wave([['PING'], ['PING'], ['PING']], { signal })
        // Each listener leaves with a call of its own; a second call for one that has left does no harm.
        expect(remove.mock.calls.length).toBeGreaterThanOrEqual(add.mock.calls.length)
      })
    })

    if (traits.startServers) return

    describe('a server that stalls', () => {
      test('ends the wait at the deadline or by signal, and serves again afterwards', async () => {
        const server = await startTestRedis()
        const { redis, close } = await createDriver(server.url)
        onTestFinished(() => close().finally(server.stop))
        await redis.wave([['PING']], { timeoutMs: 5_000 })
        process.kill(server.pid, 'SIGSTOP')
        onTestFinished(() => void process.kill(server.pid, 'SIGCONT'))
        const controller = new AbortController()
        const started = performance.now()
        const elapsed = () => performance.now() - started
        const waits = [
          redis
            .wave([['INCR', 'stalled']], { timeoutMs: 100 })
            .catch((error) => ({ error, after: elapsed() })),
          redis.wave([['INCR', 'stalled']]).catch((error) => ({ error, after: elapsed() })),
          redis
            .wave([['INCR', 'stalled']], { timeoutMs: 5_000, signal: controller.signal })
            .catch((error) => ({ error, after: elapsed() })),
        ]
        setTimeout(() => controller.abort(new Error('gone')), 50)
        const [short, usual, aborted] = (await Promise.all(waits)) as { error: Error; after: number }[]
        expect(aborted!.error.message).toBe('gone')
        expect(aborted!.after).toBeLessThan(1_000)
        expect(short!.error).toBeInstanceOf(RedisTimeoutError)
        expect(short!.after).toBeGreaterThan(90)
        expect(short!.after).toBeLessThan(usual!.after)
        expect(usual!.error).toBeInstanceOf(RedisTimeoutError)
        expect(usual!.after).toBeGreaterThan(240)
        expect(usual!.after).toBeLessThan(1_000)

        process.kill(server.pid, 'SIGCONT')
        // Replies to the abandoned commands arrive first, and must not be taken for this one's.
        expect(await redis.wave([['ECHO', 'back']], { timeoutMs: 2_000 })).toEqual(['back'])
      })
    })

    describe('a server that goes away', () => {
      test('fails calls fast and resumes by itself, subscriptions too', async () => {
        const first = await startTestRedis()
        const { port, password } = first
        const { redis, close } = await createDriver(first.url)
        onTestFinished(close)
        const messages: string[] = []
        await redis.subscribe('c', (message) => messages.push(message), { timeoutMs: 5_000 })
        await redis.wave([['PING']], { timeoutMs: 5_000 })

        await first.stop()
        await vi.waitFor(async () => {
          const started = performance.now()
          const error = await redis.wave([['PING']], { timeoutMs: 5_000 }).catch((error) => error)
          expect(error).toBeInstanceOf(RedisUnavailableError)
          expect(error).not.toBeInstanceOf(RedisTimeoutError)
          expect(error.message).not.toContain(password)
          expect(performance.now() - started).toBeLessThan(1_000)
        })

        await using _second = await startTestRedis({ port, password })
        const resumed = { timeout: 10_000, interval: 50 }
        await vi.waitFor(async () => expect(await redis.wave([['PING']])).toEqual(['PONG']), resumed)
        await vi.waitFor(async () => {
          await redis.wave([['PUBLISH', 'c', 'hello again']])
          expect(messages).toContain('hello again')
        }, resumed)
      })

      test('that never was fails calls with its place', async () => {
        const { redis, close } = await createDriver('redis://default:secret@127.0.0.1:1')
        onTestFinished(close)
        const error = await redis.wave([['PING']], { timeoutMs: 2_000 }).catch((error) => error)
        expect(error).toBeInstanceOf(RedisUnavailableError)
        expect(error.message).toMatch(/127\.0\.0\.1:1\b.*ECONNREFUSED/)
        expect(error.message).not.toContain('secret')
      })

      test('closed by us, it stays closed', async () => {
        const { redis, close } = await createDriver(server.url)
        await redis.wave([['PING']], { timeoutMs: 5_000 })
        await redis.close()
        await close()
        await sleep(0)
        await expect(redis.wave([['PING']])).rejects.toBeInstanceOf(RedisUnavailableError)
      })
    })
  })
}

function script(name: string, keyCount: number, source: string): Script {
  return { name, keyCount, source, sha: createHash('sha1').update(source).digest('hex') }
}
