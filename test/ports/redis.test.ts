import { expect, onTestFinished, test, vi } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../../shared/drivers/redis-rest.ts'
import { RedisUnavailableError } from '../../shared/errors.ts'
import type { Command, Redis } from '../../shared/ports/redis.ts'
import { startTestBridge } from '../support/bridge.ts'
import { startTestRedis } from '../support/redis.ts'
import { type RedisUnderTest, testRedis } from './redis.contract.ts'

async function openResp(url: string): Promise<RedisUnderTest> {
  const redis = createRedisResp({ url })
  return { redis, close: redis.close }
}

async function openRest(redisUrl: string): Promise<RedisUnderTest> {
  const bridge = await startTestBridge({ redisUrl })
  const redis = createRedisRest({ url: bridge.url, token: bridge.token })
  const close = async () => {
    await redis.close()
    await bridge.close()
  }
  return { redis, close }
}

testRedis('redis-resp', openResp, { otherBytes: 'stored' })
testRedis('redis-rest through the bridge', openRest, { otherBytes: 'refused' })

/** One dialogue with an empty Redis whose replies do not depend on the time. */
const DIALOGUE: Command[] = [
  ['SET', 'k', 'v', 'GET'],
  ['SET', 'k', '{"json":[1,null]}', 'GET'],
  ['APPEND', 'k', new TextEncoder().encode('é')],
  ['GET', 'k'],
  ['TYPE', 'k'],
  ['GETRANGE', 'k', 0, -2],
  ['OBJECT', 'ENCODING', 'k'],
  ['EXPIRE', 'missing', 10],
  ['HSET', 'h', 'f', 1e21, 'g', -0],
  ['HGETALL', 'h'],
  ['HINCRBY', 'h', 'f', 1],
  ['HSCAN', 'h', 0],
  ['XADD', 's', '5-1', 'a', 'b'],
  ['XADD', 's', '5-1', 'a', 'b'],
  ['XREAD', 'STREAMS', 's', '0-0'],
  ['XINFO', 'STREAM', 's'],
  ['ZADD', 'z', 'INF', 'm', 0.1, 'n'],
  ['ZRANGE', 'z', 0, -1, 'WITHSCORES'],
  ['ZRANK', 'z', 'm', 'WITHSCORE'],
  ['GEOADD', 'g', 13.361389, 38.115556, 'Palermo'],
  ['GEOPOS', 'g', 'Palermo', 'Rome'],
  ['VADD', 'v', 'VALUES', 3, 1, 2, 3, 'e'],
  ['VSIM', 'v', 'ELE', 'e', 'WITHSCORES'],
  ['VINFO', 'missing'],
  ['EVAL', "return {1.9, true, false, {err = 'MY error'}, {ok = 'FINE'}, 'x', {{}}}", 0],
  ['EVAL', 'return redis.status_reply("OK")', 0],
  ['EVAL', "return '\\255\\254text\\192\\128\\237\\160\\128'", 0],
  [
    'EVAL',
    "return {9007199254740900, '9223372036854775807', redis.call('SET', 'i', '9223372036854775806')}",
    0,
  ],
  ['INCR', 'i'],
  ['EVALSHA', 'f'.repeat(40), 0],
  ['SCRIPT', 'LOAD', 'return 1'],
  ['LPOS', 'k', 'x'],
  ['INCR', 'k'],
  ['ECHO', 'OK'],
  ['ECHO', '\ud800 alone'],
  ['PING'],
  ['COMMAND_THAT_IS_NONE', 'a'],
]

test.each([{ bytes: false }, { bytes: true }])(
  'every driver gives the same replies, with %o',
  async (options) => {
    const replies = await Promise.all(
      [openResp, openRest].map(async (open) => {
        await using server = await startTestRedis()
        const { redis, close } = await open(server.url)
        const got = await redis.wave(DIALOGUE, { ...options, timeoutMs: 5_000 })
        await close()
        return got
      }),
    )
    expect(replies[1]).toStrictEqual(replies[0])
    expect(replies[0]).toHaveLength(DIALOGUE.length)
  },
)

const WAVE: Command[] = [
  ['GET', 'a'],
  ['SET', 'a', 1],
  ['HGETALL', 'h'],
  ['XRANGE', 's', '-', '+'],
  ['GET', 'a'],
]

test('redis-rest sends a wave as one HTTP request, whatever the commands, and never again', async () => {
  await using server = await startTestRedis()
  const { redis, close } = await openRest(server.url)
  onTestFinished(close)
  await redis.wave([['PING']], { timeoutMs: 5_000 })
  const fetched = vi.spyOn(globalThis, 'fetch')
  onTestFinished(() => fetched.mockRestore())
  await redis.wave(WAVE)
  expect(fetched).toHaveBeenCalledTimes(1)
  expect(fetched.mock.calls[0]![0]).toMatch(/\/pipeline$/)
  await redis.wave([['GET', 'a']])
  expect(fetched).toHaveBeenCalledTimes(2)

  await close()
  await expect(redis.wave(WAVE)).rejects.toBeInstanceOf(RedisUnavailableError)
  expect(fetched).toHaveBeenCalledTimes(3)
})

test('redis-resp writes a wave, and the waves of one tick, at once', async () => {
  await using server = await startTestRedis()
  // No ping of the driver's own comes in between.
  const redis = createRedisResp({ url: server.url, silenceMs: 600_000 })
  onTestFinished(redis.close)
  const before = await readsProcessed(redis)
  await redis.wave(WAVE)
  await Promise.all([redis.wave(WAVE), redis.wave(WAVE)])
  // Two reads of waves, and that of the second INFO.
  expect((await readsProcessed(redis)) - before).toBe(3)
})

test('redis-resp withdraws what a signal catches before it is written', async () => {
  await using server = await startTestRedis()
  const redis = createRedisResp({ url: server.url })
  await redis.wave([['PING']], { timeoutMs: 5_000 })
  const controller = new AbortController()
  const wave = redis.wave([['INCR', 'n']], { signal: controller.signal })
  controller.abort()
  await expect(wave).rejects.toThrow(/aborted/)
  expect(await redis.wave([['EXISTS', 'n']])).toEqual([0])
  await redis.close()
})

async function readsProcessed(redis: Redis) {
  const [info] = await redis.wave([['INFO', 'stats']], { timeoutMs: 5_000 })
  return Number(/total_reads_processed:(\d+)/.exec(info as string)![1])
}

test.each(['idle', 'busy'])('redis-resp gives up an %s connection that never replies', async (use) => {
  await using server = await startTestRedis()
  const errors: string[] = []
  const onError = (error: Error) => errors.push(error.message)
  const redis = createRedisResp({ url: server.url, silenceMs: 300, onError })
  await redis.wave([['PING']], { timeoutMs: 5_000 })
  const ping = async () => (await redis.wave([['PING']], { timeoutMs: 20 }).catch(String))[0]
  process.kill(server.pid, 'SIGSTOP')
  try {
    await vi.waitFor(async () => {
      // Each write postpones the socket's own timeout.
      if (use === 'busy') await ping()
      expect(errors[0]).toMatch(use === 'busy' ? /^No reply/ : /^Socket timeout/)
    }, 5_000)
  } finally {
    process.kill(server.pid, 'SIGCONT')
  }
  await vi.waitFor(async () => expect(await ping()).toBe('PONG'), 5_000)
  await redis.close()
})

test('redis-resp refuses a wave whole when too many commands are unanswered', async () => {
  await using server = await startTestRedis()
  const redis = createRedisResp({ url: server.url })
  await redis.wave([['PING']], { timeoutMs: 5_000 })
  const many = Array.from({ length: 16_383 }, (): Command => ['PING'])
  const waiting = redis.wave(many, { timeoutMs: 5_000 })
  await expect(redis.wave([['MULTI'], ['EXEC']])).rejects.toThrow(/16383 commands are still unanswered/)
  expect(await waiting).toHaveLength(many.length)
  expect(await redis.wave([['PING']])).toEqual(['PONG'])
  await redis.close()
})

test('redis-rest says what is wrong without the token or the commands', async () => {
  await using server = await startTestRedis()
  const bridge = await startTestBridge({ redisUrl: server.url })
  onTestFinished(bridge.close)
  const redis = createRedisRest({ url: bridge.url, token: 'mistaken-token' })
  const error = await redis.wave([['SET', 'k', 'private']], { timeoutMs: 5_000 }).catch((error) => error)
  expect(error.name).toBe('RedisUnavailableError')
  expect(error.message).toMatch(/^Redis over HTTP at 127\.0\.0\.1:\d+: WRONGPASS/)
  expect(`${error.message} ${error.cause}`).not.toMatch(/mistaken-token|private/)
  await expect(redis.subscribe('c', () => {}, { timeoutMs: 5_000 })).rejects.toThrow(/status 401/)
})
