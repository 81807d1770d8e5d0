import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createClient } from '@redis/client'
import { Redis as Upstash } from '@upstash/redis'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { readBridgeEnv } from '../../infra/redis-rest/env.ts'
import { startTestBridge } from '../support/bridge.ts'
import { startTestRedis } from '../support/redis.ts'

const READ_ONLY = 'the-read-only-token'

let server: Awaited<ReturnType<typeof startTestRedis>>
let bridge: Awaited<ReturnType<typeof startTestBridge>>

beforeAll(async () => {
  server = await startTestRedis()
  bridge = await startTestBridge({ redisUrl: server.url, readOnlyToken: READ_ONLY, maxBodyBytes: 100_000 })
  await bridge.ready()
})
afterAll(async () => {
  await bridge.close()
  await server.stop()
})

/** What `curl` would do; a body that is not bytes is sent as JSON. */
async function ask(
  path: string,
  body?: unknown,
  { token = bridge.token, ...headers }: Record<string, string> = {},
) {
  const response = await fetch(`${bridge.url}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { ...(token && { authorization: `Bearer ${token}` }), ...headers },
    body:
      body === undefined || body instanceof Uint8Array
        ? (body as Uint8Array<ArrayBuffer>)
        : JSON.stringify(body),
  })
  return { status: response.status, headers: response.headers, body: await response.json() }
}

describe('@upstash/redis with its default settings', () => {
  const client = () => new Upstash({ url: bridge.url, token: bridge.token, enableTelemetry: false })

  test('reads and writes, values being JSON', async () => {
    const redis = client()
    expect(await redis.set('u', { list: [1, 'é'] }, { ex: 60 })).toBe('OK')
    expect(await redis.get('u')).toEqual({ list: [1, 'é'] })
    expect(await redis.get('missing')).toBeNull()
    await redis.hset('u:h', { a: 1, b: 'two', c: { d: true } })
    expect(await redis.hgetall('u:h')).toEqual({ a: 1, b: 'two', c: { d: true } })
    await redis.zadd('u:z', { score: 1.5, member: 'm' })
    expect(await redis.zrange('u:z', 0, -1, { withScores: true })).toEqual(['m', 1.5])
    expect(await redis.xadd('u:x', '1-1', { field: 'value' })).toBe('1-1')
    expect(await redis.xrange('u:x', '-', '+')).toEqual({ '1-1': { field: 'value' } })
    await expect(redis.lpush('u', 'x')).rejects.toThrow(/WRONGTYPE/)
  })

  test('pipelines, automatically and explicitly', async () => {
    const redis = client()
    await Promise.all([redis.set('p', 1), redis.incr('p')])
    expect(await Promise.all([redis.get('p'), redis.exists('p'), redis.ttl('p')])).toEqual([2, 1, -1])
    expect(await redis.pipeline().set('p', 'x').get('p').echo('OK').exec()).toEqual(['OK', 'x', 'OK'])
    const [pushed, got] = await redis.pipeline().lpush('p', 1).get('p').exec({ keepErrors: true })
    expect(pushed.error).toMatch(/^WRONGTYPE/)
    expect(got.result).toBe('x')
  })

  test('runs transactions that others do not come between', async () => {
    const redis = client()
    const steps = Array.from({ length: 20 }, () => redis.multi().incr('m').incr('m').exec<[number, number]>())
    const pairs = await Promise.all(steps)
    expect(pairs.every(([first, second]) => second === first + 1)).toBe(true)
    expect(await redis.get('m')).toBe(40)
  })

  test('subscribes to channels and patterns', async () => {
    const redis = client()
    const seen: unknown[] = []
    const [channel, pattern] = [redis.subscribe('ch:1'), redis.psubscribe<{ n: number }>('ch:*')]
    const confirmed = Promise.all(
      [channel, pattern].map(
        (it) =>
          new Promise((done) => {
            it.on('subscribe', done)
            it.on('psubscribe', done)
          }),
      ),
    )
    channel.on('message', ({ channel, message }) => seen.push([channel, message]))
    pattern.on('pmessage', ({ pattern, channel, message }) => seen.push([pattern, channel, message]))
    expect(await confirmed).toEqual([1, 1])
    expect(await redis.publish('ch:1', { n: 1 })).toBe(2)
    await vi.waitFor(() => expect(seen).toHaveLength(2))
    expect(seen).toEqual(
      expect.arrayContaining([
        ['ch:1', { n: 1 }],
        ['ch:*', 'ch:1', { n: 1 }],
      ]),
    )
    await Promise.all([channel.unsubscribe(), pattern.unsubscribe()])
    await vi.waitFor(async () => {
      expect((await ask('/', ['PUBSUB', 'NUMPAT'])).body).toEqual({ result: 0 })
      expect((await ask('/', ['PUBSUB', 'NUMSUB', 'ch:1'])).body).toEqual({ result: ['ch:1', 0] })
    })
  })
})

describe('the protocol', () => {
  test('answers one command with 200 or 400', async () => {
    expect(await ask('/', ['SET', 'k', 'v'])).toMatchObject({ status: 200, body: { result: 'OK' } })
    expect(await ask('/', ['LPUSH', 'k', 'v'])).toMatchObject({
      status: 400,
      body: { error: expect.stringMatching(/^WRONGTYPE/) },
    })
    expect(await ask('/', ['GET', 'missing'])).toMatchObject({ status: 200, body: { result: null } })
  })

  test('answers a pipeline with 200, errors beside results', async () => {
    const { status, body } = await ask('/pipeline', [
      ['GET', 'k'],
      ['NOPE'],
      ['BLPOP', 'l', 1],
      ['INCR', 'pi'],
      ['TIME'],
    ])
    expect(status).toBe(200)
    expect(body).toEqual([
      { result: 'v' },
      { error: expect.stringMatching(/^ERR unknown command/) },
      { error: expect.stringMatching(/^ERR Command is not available: 'BLPOP'/) },
      { result: 1 },
      { result: [expect.any(String), expect.any(String)] },
    ])
  })

  test('runs a transaction whole or not at all', async () => {
    const good = await ask('/multi-exec', [
      ['SET', 'tx', 1],
      ['LPUSH', 'tx', 'x'],
      ['INCR', 'tx'],
    ])
    expect(good).toMatchObject({
      status: 200,
      body: [{ result: 'OK' }, { error: expect.stringMatching(/^WRONGTYPE/) }, { result: 2 }],
    })
    for (const bad of [['GET'], ['CONFIG', 'GET', '*'], ['EXEC'], ['BLPOP', 'l', 0]]) {
      expect(await ask('/multi-exec', [['SET', 'tx', 'lost'], bad])).toMatchObject({
        status: 400,
        body: { error: expect.any(String) },
      })
    }
    expect((await ask('/', ['GET', 'tx'])).body).toEqual({ result: '2' })
  })

  test('takes commands as a path, with body and query', async () => {
    expect((await ask('/set/path%20key/a%2Fb/EX/60')).body).toEqual({ result: 'OK' })
    expect((await ask('/get/path%20key')).body).toEqual({ result: 'a/b' })
    expect((await ask('/set/path?EX=60', new TextEncoder().encode('from body'))).body).toEqual({
      result: 'OK',
    })
    expect(
      (
        await ask('/pipeline', [
          ['GET', 'path'],
          ['TTL', 'path'],
        ])
      ).body,
    ).toEqual([{ result: 'from body' }, { result: 60 }])
  })

  test('encodes every string in base64 but an OK at the top', async () => {
    const headers = { 'upstash-encoding': 'base64' }
    const { body } = await ask('/', ['EVAL', "return {'OK', 1, false, {'\\255'}}", 0], headers)
    expect(body).toEqual({ result: ['T0s=', 1, null, ['/w==']] })
    expect((await ask('/', ['SET', 'k', 'v'], headers)).body).toEqual({ result: 'OK' })
    expect((await ask('/', ['PING'], headers)).body).toEqual({ result: 'UE9ORw==' })
  })

  test('keeps the digits of a number', async () => {
    const raw = new TextEncoder().encode('["SET","digits",12345678901234567890.10]')
    await ask('/', raw)
    expect((await ask('/', ['GET', 'digits'])).body).toEqual({ result: '12345678901234567890.10' })
  })

  test('gives the sync token back', async () => {
    const { headers } = await ask('/', ['PING'], { 'upstash-sync-token': 'abc' })
    expect(headers.get('upstash-sync-token')).toBe('abc')
  })

  test.each([
    ['malformed JSON', '/', new TextEncoder().encode('["GET"'), 400],
    ['no command', '/', [], 400],
    ['an object as an argument', '/', ['SET', 'k', {}], 400],
    ['an empty pipeline', '/pipeline', [], 400],
    ['a pipeline that is none', '/pipeline', { a: 1 }, 400],
    ['a pipeline of words', '/pipeline', ['GET', 'k'], 400],
    [
      'a body that is not UTF-8',
      '/',
      Uint8Array.from([...Buffer.from('["SET","k","'), 0xff, ...Buffer.from('"]')]),
      400,
    ],
    ['a path that is not UTF-8', '/set/k/%ff', undefined, 400],
    ['a body that is too large', '/', ['SET', 'k', 'x'.repeat(100_001)], 413],
    ['a channel without a name', '/subscribe/', undefined, 400],
  ])('refuses %s', async (_, path, body, status) => {
    const answer = await ask(path, body)
    expect(answer.status).toBe(status)
    expect(answer.body).toEqual({ error: expect.stringMatching(/^ERR /) })
  })

  test('answers 504 and 503 when Redis stalls or is gone', async () => {
    await using mortal = await startTestRedis()
    const slow = await startTestBridge({ redisUrl: mortal.url, timeoutMs: 100 })
    onTestFinished(slow.close)
    await vi.waitFor(() => slow.ready())
    const get = () => fetch(`${slow.url}/get/k?_token=${slow.token}`)
    await vi.waitFor(async () => expect((await get()).status).toBe(200))
    process.kill(mortal.pid, 'SIGSTOP')
    const stalled = await get().finally(() => process.kill(mortal.pid, 'SIGCONT'))
    expect(stalled.status).toBe(504)
    await mortal.stop()
    await vi.waitFor(async () => expect((await get()).status).toBe(503))
  })
})

describe('access', () => {
  test('needs a token, as a header or in the query', async () => {
    for (const token of ['', 'mistaken', `${bridge.token}x`]) {
      expect(await ask('/', ['PING'], { token })).toMatchObject({
        status: 401,
        body: { error: expect.stringMatching(/auth token/) },
      })
      expect((await ask('/subscribe/c', undefined, { token })).status).toBe(401)
    }
    expect((await ask(`/ping?_token=${bridge.token}`, undefined, { token: '' })).body).toEqual({
      result: 'PONG',
    })
  })

  test.each([
    ['SET', 'k', 'x'],
    ['DEL', 'k'],
    ['PUBLISH', 'c', 'x'],
    ['EVAL', "return redis.call('SET', 'k', 'x')", '0'],
    ['EVAL_RO', "return redis.call('SET', 'k', 'x')", '0'],
    ['VADD', 'v', 'VALUES', '1', '1', 'e'],
    ['XADD', 'x', '*', 'a', 'b'],
    ['SCRIPT', 'FLUSH'],
    ['FLUSHALL'],
  ])('of the read-only token does not reach %s', async (...command) => {
    await ask('/', ['SET', 'k', 'v'])
    const answer = await ask('/', command, { token: READ_ONLY })
    expect(answer).toMatchObject({
      status: 400,
      body: { error: expect.stringMatching(/NOPERM|ACL failure|not allowed|can't run/i) },
    })
    expect((await ask('/multi-exec', [command], { token: READ_ONLY })).body).toEqual(
      command[0] === 'EVAL_RO' ? [{ error: expect.any(String) }] : { error: expect.stringMatching(/NOPERM/) },
    )
    expect((await ask('/', ['GET', 'k'], { token: READ_ONLY })).body).toEqual({ result: 'v' })
  })

  test('of the read-only token reads', async () => {
    await ask('/pipeline', [
      ['VADD', 'v:r', 'VALUES', 1, 1, 'e'],
      ['XADD', 'x:r', '1-1', 'a', 'b'],
    ])
    const reads = [
      ['VSIM', 'v:r', 'ELE', 'e'],
      ['XREAD', 'STREAMS', 'x:r', 0],
      ['EVAL_RO', "return redis.call('GET', 'k')", 0],
      ['SCAN', 0],
    ]
    for (const { error } of (await ask('/pipeline', reads, { token: READ_ONLY })).body)
      expect(error).toBeUndefined()
    expect((await ask('/multi-exec', [['GET', 'k']], { token: READ_ONLY })).body).toEqual([{ result: 'v' }])
  })

  test.each([
    ...[
      'CONFIG GET *',
      'FLUSHALL',
      'FLUSHDB',
      'SHUTDOWN NOSAVE',
      'KEYS *',
      'DEBUG SLEEP 0',
      'ACL LIST',
      'SAVE',
    ],
    ...[
      'MODULE LIST',
      'REPLICAOF NO ONE',
      'CLUSTER RESET',
      'MIGRATE h 1 k 0 1',
      'FUNCTION FLUSH',
      'SCRIPT DEBUG YES',
    ],
    ...[
      'SUBSCRIBE c',
      'MONITOR',
      'BLPOP l 0',
      'WATCH k',
      'MULTI',
      'EXEC',
      'SELECT 1',
      'AUTH x',
      'HELLO 3',
      'CLIENT ID',
    ],
    ...[
      'RESET',
      'QUIT',
      'client reply off',
      'XREAD BLOCK 0 STREAMS x $',
      'xreadgroup group g c block 1 streams x >',
    ],
    'WAIT 1 0',
  ])('of no token reaches %s', async (line) => {
    const answer = await ask('/', line.split(' '))
    expect(answer).toMatchObject({
      status: 400,
      body: { error: expect.stringMatching(/^NOPERM|is not available|DEBUG command not allowed/) },
    })
    const script = await ask('/', ['EVAL', 'return redis.call(unpack(ARGV))', 0, ...line.split(' ')])
    // In a script XREAD does not block, and the selected database ends with it.
    if (!/xread|select/i.test(line)) expect(script.status).toBe(400)
    expect((await ask('/', ['PING'])).body).toEqual({ result: 'PONG' })
  })

  test('is by users in Redis that come back when they are deleted', async () => {
    const admin = await createClient({ url: server.url }).connect()
    onTestFinished(() => admin.destroy())
    expect(await admin.sendCommand(['ACL', 'USERS'])).toEqual(['default', 'hub-bridge', 'hub-bridge-ro'])
    await admin.sendCommand(['ACL', 'DELUSER', 'hub-bridge', 'hub-bridge-ro'])
    await vi.waitFor(async () => expect((await ask('/', ['PING'])).status).toBe(200), 5_000)
    await vi.waitFor(
      async () => expect((await ask('/', ['GET', 'k'], { token: READ_ONLY })).status).toBe(200),
      5_000,
    )
  })

  test('is shared by several bridges', async () => {
    const second = await startTestBridge({ redisUrl: server.url })
    const redis = new Upstash({ url: second.url, token: second.token })
    expect(await redis.ping()).toBe('PONG')
    await second.close()
    const admin = await createClient({ url: server.url }).connect()
    onTestFinished(() => admin.destroy())
    await admin.sendCommand(['CLIENT', 'KILL', 'USER', 'hub-bridge'])
    await vi.waitFor(async () => expect((await ask('/', ['PING'])).status).toBe(200), 5_000)
  })
})

describe('scripts that allow key locking', () => {
  const source = "#!lua flags=allow-key-locking\nreturn redis.call('INCR', KEYS[1])"
  const sha = createHash('sha1').update(source).digest('hex')

  test('run by EVAL, and afterwards by the SHA of the original', async () => {
    expect((await ask('/', ['EVALSHA', sha, 1, 'rl'])).body).toEqual({
      error: expect.stringMatching(/^NOSCRIPT/),
    })
    expect((await ask('/', ['EVAL', source, 1, 'rl'])).body).toEqual({ result: 1 })
    expect((await ask('/', ['EVALSHA', sha.toUpperCase(), 1, 'rl'])).body).toEqual({ result: 2 })
    expect(
      (
        await ask('/pipeline', [
          ['evalsha', sha, 1, 'rl'],
          ['SCRIPT', 'EXISTS', sha],
        ])
      ).body,
    ).toEqual([{ result: 3 }, { result: [1] }])
    expect((await ask('/multi-exec', [['EVALSHA', sha, 1, 'rl']])).body).toEqual([{ result: 4 }])
  })

  test('are loaded under the SHA of the original, and learnt again by another bridge', async () => {
    expect((await ask('/', ['SCRIPT', 'LOAD', source])).body).toEqual({ result: sha })
    const second = await startTestBridge({ redisUrl: server.url })
    onTestFinished(second.close)
    const redis = new Upstash({ url: second.url, token: second.token })
    const script = redis.createScript<number>(source)
    const before = Number(await redis.get('rl'))
    expect(await script.exec(['rl'], [])).toBe(before + 1)
    expect(await redis.evalsha(sha, ['rl'], [])).toBe(before + 2)
  })

  test('keep their other flags, and other scripts their text', async () => {
    const both = "#!lua flags=no-writes,allow-key-locking\nreturn redis.call('INCR', KEYS[1])"
    expect((await ask('/', ['EVAL', both, 1, 'rl'])).body).toEqual({
      error: expect.stringMatching(/read-only/),
    })
    expect((await ask('/', ['EVAL', "return '#!lua flags=allow-key-locking'", 0])).body).toEqual({
      result: '#!lua flags=allow-key-locking',
    })
  })
})

describe('npm run bridge', () => {
  test('names every bad variable at once', () => {
    const bad = { REDIS_URL: 'http://x', PORT: '99999' }
    expect(() => readBridgeEnv(bad)).toThrow(/REDIS_URL:.*\n.*PORT:/)
    const same = { REDIS_URL: 'redis://h:1', HUB_BRIDGE_TOKEN: 'one', HUB_BRIDGE_READONLY_TOKEN: 'one' }
    expect(() => readBridgeEnv(same)).toThrow(/HUB_BRIDGE_READONLY_TOKEN: must differ/)
    expect(() => readBridgeEnv({ REDIS_URL: '' })).toThrow(/REDIS_URL/)
    expect(readBridgeEnv({ REDIS_URL: 'redis://h:1' })).toEqual({
      REDIS_URL: 'redis://h:1',
      PORT: 8079,
      HOST: '127.0.0.1',
    })
  })

  test('prints what to paste, serves and ends by signal', async () => {
    const child = spawn(
      process.execPath,
      [fileURLToPath(new URL('../../infra/redis-rest.ts', import.meta.url))],
      {
        env: { PATH: process.env.PATH, REDIS_URL: server.url, PORT: '0' },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    onTestFinished(() => void child.kill('SIGKILL'))
    let line = ''
    for await (line of createInterface(child.stdout)) if (line.includes('TOKEN')) break
    const [, url, token] = /^UPSTASH_REDIS_REST_URL=(\S+) UPSTASH_REDIS_REST_TOKEN=(\S+)$/.exec(line)!
    expect(line).not.toContain(server.password)
    expect(await new Upstash({ url, token }).ping()).toBe('PONG')
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
  })
})
