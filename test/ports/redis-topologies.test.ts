import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import slotOf from 'cluster-key-slot'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { LocalCluster } from '../../infra/local-redis/cluster.ts'
import type { LocalSentinel } from '../../infra/local-redis/sentinel.ts'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../../shared/drivers/redis-rest.ts'
import { RedisReplyError, RedisTimeoutError, RedisUnavailableError } from '../../shared/errors.ts'
import type { Redis, Script } from '../../shared/ports/redis.ts'
import { scan } from '../../shared/scan.ts'
import { startTestBridge } from '../support/bridge.ts'
import { patient } from '../support/redis.ts'
import { startTestCluster, startTestSentinel } from '../support/topologies.ts'
import { testRedis } from './redis.contract.ts'

const openResp = async (url: string) => {
  const redis = createRedisResp({ url })
  return { redis: patient(redis), close: redis.close }
}
async function openRest(redisUrl: string) {
  const bridge = await startTestBridge({ redisUrl })
  const redis = createRedisRest(bridge)
  return { redis: patient(redis), close: () => redis.close().finally(bridge.close) }
}
testRedis('redis-resp behind Sentinel', openResp, { otherBytes: 'stored', startServers: startTestSentinel })
testRedis('redis-resp on Cluster', openResp, { otherBytes: 'stored', startServers: startTestCluster })
testRedis('redis-rest through the bridge on Cluster', openRest, {
  otherBytes: 'refused',
  startServers: startTestCluster,
})

const SLOW = { timeoutMs: 5_000 }
const SOON = { timeout: 15_000, interval: 50 }

function open(url: string): Redis {
  const redis = createRedisResp({ url, onError() {} })
  onTestFinished(redis.close)
  return redis
}

/** Calls of a command that a server has run. */
async function callsOf(command: string, node: { command(...words: string[]): Promise<unknown> }) {
  const info = (await node.command('INFO', 'commandstats')) as string
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(info)?.[1] ?? 0)
}

async function staleReads(servers: LocalSentinel | LocalCluster) {
  const redis = open(servers.url)
  await redis.wave([['SET', 'old', 'enough']], SLOW)
  const replicas = (await servers.roles()).filter(({ role }) => role === 'replica')
  const asked = () => Promise.all(replicas.map(({ node }) => callsOf('get', node)))
  const before = await asked()
  await redis.wave([['GET', 'old']])
  expect(await asked()).toEqual(before)
  // The first one only opens the connection.
  await vi.waitFor(async () => {
    expect(await redis.wave([['GET', 'old']], { stale: true })).toEqual(['enough'])
    expect(await asked()).not.toEqual(before)
  }, SOON)
  // What a replica must not do, the primary does.
  expect(await redis.wave([['INCR', 'n']], { stale: true })).toEqual([1])
}

describe('behind Sentinel', () => {
  let servers: LocalSentinel
  beforeAll(async () => {
    servers = await startTestSentinel()
  })
  afterAll(() => servers.stop())

  test('the primary answers, and a replica where a caller takes what is a moment old', () =>
    staleReads(servers))

  test('a failover is followed, by subscriptions too', async () => {
    const redis = open(servers.url)
    const heard: string[] = []
    await redis.subscribe('news', (message) => heard.push(message), SLOW)
    await redis.wave(
      [
        ['SET', 'kept', 1],
        ['WAIT', 2, 5_000],
      ],
      SLOW,
    )
    const before = await servers.primary()
    await before.kill()
    const error = await redis.wave([['GET', 'kept']]).catch((error) => error)
    expect(error).toBeInstanceOf(RedisUnavailableError)
    expect(error.message).not.toContain(servers.password)

    await vi.waitFor(async () => expect(await redis.wave([['GET', 'kept']])).toEqual(['1']), SOON)
    expect(await servers.primary()).not.toBe(before)
    await vi.waitFor(async () => {
      await redis.wave([['PUBLISH', 'news', 'it goes on']])
      expect(heard).toContain('it goes on')
    }, SOON)
    await before.start()
  })

  test('a primary that stalled through a failover and wakes up gets no writes', async () => {
    const redis = open(servers.url)
    await redis.wave([['PING']], SLOW)
    const stalled = await servers.primary()
    process.kill(stalled.pid!, 'SIGSTOP')
    onTestFinished(() => {
      if (stalled.pid) process.kill(stalled.pid, 'SIGCONT')
    })
    await vi.waitFor(async () => expect(await redis.wave([['SET', 'mine', 1]])).toEqual(['OK']), SOON)
    const now = await servers.primary()
    expect(now).not.toBe(stalled)
    process.kill(stalled.pid!, 'SIGCONT')
    for (let i = 2; i <= 200; i++) {
      expect(await redis.wave([['SET', 'mine', i]], SLOW)).toEqual(['OK'])
      expect(await now.command('GET', 'mine')).toBe(String(i))
    }
  })

  test('the promoted server is the primary already while the failover goes on, whichever sentinel is asked', async () => {
    const old = await servers.primary()
    // A replica that cannot follow the new primary keeps the failover from ending.
    const replicas = servers.nodes.filter((node) => node !== old)
    const followWith = (password: string) =>
      Promise.all(replicas.map((node) => node.command('CONFIG', 'SET', 'masterauth', password)))
    await followWith('wrong')
    try {
      await old.kill()
      const told = () =>
        Promise.all(
          servers.sentinels.map((one) => one.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'mymaster')),
        )
      await vi.waitFor(async () => {
        const ports = (await told()).map((address) => Number((address as string[])[1]))
        expect(new Set(ports).size).toBe(1)
        expect(ports).not.toContain(old.port)
      }, SOON)
      for (const { port } of servers.sentinels) {
        const url = servers.url.replace(/@.*?\//, `@127.0.0.1:${port}/`)
        expect(await open(url).wave([['SET', 'mine', port]], SLOW)).toEqual(['OK'])
      }
    } finally {
      await followWith(servers.password)
      await old.start()
    }
  })

  test('the place of a primary that nobody knows is an error that says who was asked', async () => {
    const redis = open(servers.url.replace('/mymaster', '/another'))
    const error = await redis.wave([['PING']], SLOW).catch((error) => error)
    expect(error).toBeInstanceOf(RedisUnavailableError)
    expect(error.message).toMatch(
      /no sentinel of 127\.0\.0\.1:\d+.* tells where another is: .*No such master/,
    )
    expect(error.message).not.toContain(servers.sentinelPassword)
  })
})

describe('on Cluster', () => {
  let servers: LocalCluster
  beforeAll(async () => {
    servers = await startTestCluster()
  })
  afterAll(() => servers.stop())

  /** Keys of these slots' owners, one each. */
  async function spread(redis: Redis): Promise<string[]> {
    const keys = await redis.nodes(SLOW)
    expect(keys).toHaveLength(3)
    return keys
  }

  test('a wave reaches every node, its replies come in order, and one error hides no other', async () => {
    const redis = open(servers.url)
    const keys = Array.from({ length: 300 }, (_, i) => `spread:${i}`)
    await redis.wave(
      keys.map((key, i) => ['SET', key, i]),
      SLOW,
    )
    const replies = await redis.wave([...keys.map((key) => ['GET', key] as const), ['MGET', 'a', 'b']], SLOW)
    expect(replies.slice(0, 300)).toEqual(keys.map((_, i) => String(i)))
    expect(replies[300]).toBeInstanceOf(RedisReplyError)
    expect(replies[300]).toMatchObject({ code: 'CROSSSLOT' })

    const seen = new Set<string>()
    for await (const page of scan(redis, 'spread:*', { count: 50, ...SLOW }))
      for (const key of page) seen.add(key)
    expect([...seen].sort()).toEqual([...keys].sort())
  })

  test('over HTTP they are one server: a scan sees all keys, and a transaction holds keys of one slot', async () => {
    const bridge = await startTestBridge({ redisUrl: servers.url })
    const redis = createRedisRest(bridge)
    onTestFinished(() => redis.close().finally(bridge.close))
    const keys = Array.from({ length: 300 }, (_, i) => `http:${i}`)
    await redis.wave(
      keys.map((key, i) => ['SET', key, i]),
      SLOW,
    )
    const seen = new Set<string>()
    for await (const page of scan(redis, 'http:*', { count: 50, ...SLOW }))
      for (const key of page) seen.add(key)
    expect([...seen].sort()).toEqual([...keys].sort())

    const transact = async (...commands: string[][]) => {
      const init = {
        method: 'POST',
        body: JSON.stringify(commands),
        headers: { authorization: `Bearer ${bridge.token}` },
      }
      return (await fetch(`${bridge.url}/multi-exec`, init)).json()
    }
    expect(await transact(['SET', '{tx}:1', 'a'], ['GET', '{tx}:1'])).toEqual([
      { result: 'OK' },
      { result: 'a' },
    ])
    expect(await transact(['SET', 'tx:1', 'b'], ['SET', 'tx:2', 'c'])).toEqual({
      error: expect.stringMatching(/^CROSSSLOT/),
    })
    expect(await redis.wave([['EXISTS', 'tx:1']], SLOW)).toEqual([0])
  })

  test('commands without a key go near the one that is named', async () => {
    const redis = open(servers.url)
    const nodes = await spread(redis)
    const ids = await Promise.all(nodes.map((near) => redis.wave([['CLUSTER', 'MYID']], { near, ...SLOW })))
    expect(new Set(ids.flat()).size).toBe(3)
  })

  test('a replica answers where a caller takes what is a moment old', async () => {
    // A young Cluster does not list them yet.
    await vi.waitFor(async () => {
      const ranges = (await servers.nodes[0]!.command('CLUSTER', 'SLOTS')) as unknown[][]
      expect(ranges.map((range) => range.length)).toEqual([4, 4, 4])
    }, SOON)
    await staleReads(servers)
  })

  test('what a wave begins waits for what promises to look after it', async () => {
    const redis = open(servers.url)
    const [first, second] = await spread(redis)
    const stalled = await servers.ownerOf(slotOf(first!))
    const calls = [
      ['SET', `{${first}}:promise`, 1],
      ['SET', `{${second}}:begun`, 1],
    ] as const
    await redis.wave(
      [
        ['DEL', `{${first}}:promise`],
        ['DEL', `{${second}}:begun`],
      ],
      SLOW,
    ) // connects
    const begun = async () => (await redis.wave([['EXISTS', `{${second}}:begun`]], SLOW))[0]
    process.kill(stalled.pid!, 'SIGSTOP')
    try {
      await expect(redis.wave(calls, { ordered: true, timeoutMs: 100 })).rejects.toBeInstanceOf(
        RedisTimeoutError,
      )
      expect(await begun()).toBe(0)
      await expect(redis.wave(calls, { timeoutMs: 100 })).rejects.toBeInstanceOf(RedisTimeoutError)
      expect(await begun()).toBe(1)
    } finally {
      process.kill(stalled.pid!, 'SIGCONT')
    }
    await vi.waitFor(
      async () => expect(await redis.wave(calls, { ordered: true })).toEqual(['OK', 'OK']),
      SOON,
    )
  })

  test('slots move under load and no call fails, be it of one key or of several', async () => {
    const [redis, writer] = [open(servers.url), open(servers.url)]
    const source = "redis.call('INCR', KEYS[1]) return redis.call('INCR', KEYS[2])"
    const both: Script = {
      name: 'both',
      keyCount: 2,
      source,
      sha: createHash('sha1').update(source).digest('hex'),
    }
    const slots = Array.from({ length: 80 }, (_, i) => i)
    const keys: string[] = []
    for (let i = 0; keys.length < 152; i++) if (slotOf(`moving:${i}`) < slots.length) keys.push(`moving:${i}`)
    const failures: unknown[] = []
    const rounds: number[] = keys.map(() => 0)
    let running = true
    const load = Array.from({ length: 8 }, async (_, n) => {
      for (let i = n; running; i = (i + 8) % keys.length) {
        const key = keys[i]!
        const driver = n % 2 ? redis : writer
        const [made] = await driver
          .wave([{ script: both, keys: [key, `{${key}}:2`], args: [] }], SLOW)
          .catch((error) => [error])
        const [read] = await driver.wave([['GET', key]], SLOW).catch((error) => [error])
        rounds[i]!++
        if (made !== rounds[i] || read !== String(rounds[i])) failures.push([made, read])
        await sleep(1)
      }
    })
    const [from] = slots
    const before = await servers.ownerOf(from!)
    const to = (await servers.roles()).find(({ node, role }) => role === 'primary' && node !== before)!.node
    expect(await servers.migrateSlots({ slots, to })).toBeGreaterThan(50)
    await servers.migrateSlots({ slots, to: before, keysAtOnce: 1 })
    running = false
    await Promise.all(load)
    expect(failures).toEqual([])
    expect(rounds.reduce((sum, n) => sum + n)).toBeGreaterThan(500)
  })

  test('a key that is not here yet is asked for where its slot is going', async () => {
    const redis = open(servers.url)
    const slot = slotOf('fresh')
    const from = await servers.ownerOf(slot)
    const to = (await servers.roles()).find(({ node, role }) => role === 'primary' && node !== from)!.node
    const [source, target] = await Promise.all([from, to].map((node) => node.command('CLUSTER', 'MYID')))
    await to.command('CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', source as string)
    await from.command('CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', target as string)
    expect(await redis.wave([['SET', 'fresh', 'made']], SLOW)).toEqual(['OK'])
    expect(
      await redis.wave(
        [
          ['GET', 'fresh'],
          ['GET', '{fresh}:none'],
        ],
        SLOW,
      ),
    ).toEqual(['made', null])
    for (const node of [to, from])
      await node.command('CLUSTER', 'SETSLOT', String(slot), 'NODE', target as string)
    expect(await redis.wave([['GET', 'fresh']], SLOW)).toEqual(['made'])
  })

  test('a failover is followed, by subscriptions too, and the others serve on meanwhile where the Cluster lets them', async () => {
    const redis = open(servers.url)
    const heard: string[] = []
    await redis.subscribe('news', (message) => heard.push(message), SLOW)
    const before = await servers.ownerOf(slotOf('kept'))
    await redis.wave([['SET', 'kept', 1]], SLOW)
    await redis.wave([['WAIT', 1, 5_000]], { near: 'kept', ...SLOW })
    await before.kill()
    const error = await redis.wave([['GET', 'kept']]).catch((error) => error)
    expect(error).toBeInstanceOf(RedisUnavailableError)
    expect(error.message).not.toContain(servers.password)
    await vi.waitFor(async () => expect(await redis.wave([['GET', 'kept']])).toEqual(['1']), SOON)
    await vi.waitFor(async () => {
      await redis.wave([['PUBLISH', 'news', 'it goes on']])
      expect(heard).toContain('it goes on')
    }, SOON)

    // As a replica of who took its place: it answers no reads of the primary's.
    await before.start()
    await servers.whenWhole()
    for (let i = 0; i < 50; i++) {
      expect(
        await redis.wave(
          [
            ['SET', 'kept', i],
            ['GET', 'kept'],
          ],
          SLOW,
        ),
      ).toEqual(['OK', String(i)])
    }
  })

  test('nodes that are not there are an error that names them', async () => {
    const redis = open('redis+cluster://default:secret@127.0.0.1:1,127.0.0.1:2')
    const error = await redis.wave([['GET', 'k']], SLOW).catch((error) => error)
    expect(error).toBeInstanceOf(RedisUnavailableError)
    expect(error.message).toMatch(/127\.0\.0\.1:1, 127\.0\.0\.1:2.*ECONNREFUSED/)
    expect(error.message).not.toContain('secret')
  })
})
