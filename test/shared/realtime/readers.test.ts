import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createRedisResp } from '../../../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../../../shared/drivers/redis-rest.ts'
import { channelKeys, resultsChannel } from '../../../shared/keys.ts'
import type { CallOptions, Command, Redis, ScriptCall } from '../../../shared/ports/redis.ts'
import { createPresence } from '../../../shared/realtime/presence.ts'
import type { Reader } from '../../../shared/realtime/reader.ts'
import { createReaders, type ReadersOptions } from '../../../shared/realtime/readers.ts'
import { createRealtime } from '../../../shared/realtime/realtime.ts'
import { unique } from '../../support/app.ts'
import { startTestBridge } from '../../support/bridge.ts'
import { until } from '../../support/hub.ts'
import { seeded } from '../../support/random.ts'
import { patient, startTestRedis, testRedisUrl } from '../../support/redis.ts'

type Setting = Partial<ReadersOptions> & { url?: string; over?: 'resp' | 'rest' }

/** One instance; `commands` are all that it sent. */
async function start({ url = testRedisUrl(), over = 'resp', ...options }: Setting = {}) {
  const driver = over === 'resp' ? createRedisResp({ url }) : await rest(url)
  const commands: (Command | ScriptCall)[] = []
  const counted: Redis = {
    ...driver,
    wave(calls: readonly (Command | ScriptCall)[], options?: CallOptions) {
      commands.push(...calls)
      return driver.wave(calls, options)
    },
  }
  const redis = options.redis ?? counted
  const presence = createPresence({ redis })
  const readers = createReaders({ presence, shares: true, ...options, redis })
  onTestFinished(async () => {
    readers.close()
    await driver.close()
  })
  return { redis, readers, commands, realtime: createRealtime({ redis: patient(driver) }) }
}

async function rest(redisUrl: string) {
  const bridge = await startTestBridge({ redisUrl })
  onTestFinished(bridge.close)
  return createRedisRest({ url: bridge.url, token: bridge.token })
}

/** Reads into `seen` until it ends; `gap` is told as it is. */
function follow(reader: Reader, seen: unknown[] = []) {
  let lastId = reader.start
  const over = (async () => {
    for (;;) {
      const reading = await reader.next(60_000)
      if (reading.kind === 'end') return
      if (reading.kind === 'gap') seen.push('gap')
      if (reading.kind !== 'messages') continue
      for (const { id, data } of reading.messages) {
        lastId = id
        seen.push(JSON.parse(data))
      }
    }
  })()
  return {
    seen,
    over,
    get lastId() {
      return lastId
    },
    async leave() {
      await reader.leave()
      await over
    },
  }
}

const countTo = (end: number, from = 0) => Array.from({ length: end - from }, (_, i) => from + i)

describe.each(['resp', 'rest'] as const)('over %s', (over) => {
  test('whoever comes and goes at any time reads each message once and in order', async () => {
    const COUNT = 600
    const random = seeded(20261123)
    const instances = await Promise.all([start({ over }), start({ over }), start({ over, shares: false })])
    const channel = unique('channel')
    const publisher = instances[0]!.realtime
    const published: { id: string; n: number }[] = []
    let isOver = false

    async function wander() {
      const seen: unknown[] = []
      let after = '0-0'
      while (!isOver || seen.length < COUNT) {
        const { readers } = instances[Math.floor(random() * instances.length)]!
        const listener = follow(await readers.open('default', channel, { after }), seen)
        const [patience, from] = [random() * 60, performance.now()]
        while (performance.now() - from < patience && seen.length < COUNT) await sleep(2)
        await listener.leave()
        after = listener.lastId ?? after
      }
      return seen
    }
    const readings = Array.from({ length: 8 }, wander)
    let n = 0
    const publish = async () => {
      while (n < COUNT) {
        const mine = n++
        published.push({ n: mine, id: await publisher.publish('default', channel, { data: mine }) })
        if (random() < 0.3) await sleep(random() * 8)
      }
    }
    await Promise.all([publish(), publish(), publish()])
    isOver = true
    const inOrder = published.toSorted((a, b) => compare(a.id, b.id)).map(({ n }) => n)
    for (const seen of await Promise.all(readings)) expect(seen).toEqual(inOrder)
  }, 60_000)

  test('a message reaches those who listen on every instance', async () => {
    const [one, two] = [await start({ over }), await start({ over })]
    const channel = unique('channel')
    const listeners = await Promise.all(
      [one, one, two].map(async ({ readers }) => follow(await readers.open('acme', channel))),
    )
    const stranger = follow(await one.readers.open('other', channel))
    await two.realtime.publish('acme', channel, { data: 'hello' })
    await until('all have it', () => listeners.every(({ seen }) => seen[0] === 'hello'))
    expect(stranger.seen).toEqual([])
  })
})

test('a thousand readers of a channel are one subscription, and each wake-up is one XRANGE', async () => {
  await using server = await startTestRedis()
  const { readers, realtime, commands, redis } = await start({ url: server.url, checkMs: 600_000 })
  const listeners = await Promise.all(
    countTo(1000).map(async () => follow(await readers.open('default', 'news'))),
  )
  const before = commands.length
  for (const n of countTo(5)) {
    await realtime.publish('default', 'news', { data: n })
    await until('all have it', () => listeners.every(({ seen }) => seen.length === n + 1))
  }
  expect(commands.slice(before).filter((call) => 'length' in call && call[0] === 'XRANGE')).toHaveLength(5)
  const [subscribers, clients] = await redis.wave(
    [
      ['PUBSUB', 'NUMSUB', 'news'],
      ['CLIENT', 'LIST', 'TYPE', 'PUBSUB'],
    ],
    { timeoutMs: 5_000 },
  )
  expect(subscribers).toEqual(['news', 1])
  expect(String(clients).trim().split('\n')).toHaveLength(1)
  expect(readers.count()).toEqual({ readers: 1000, channels: 1 })

  await Promise.all(listeners.map(({ leave }) => leave()))
  expect(readers.count()).toEqual({ readers: 0, channels: 0 })
  await until('it has unsubscribed', async () => {
    const [left] = await redis.wave([['PUBSUB', 'NUMSUB', 'news']], { timeoutMs: 5_000 })
    return String(left) === 'news,0'
  })
})

test('one who does not read holds nothing up, and reads all of it later from the stream', async () => {
  const COUNT = 2_000
  const { readers, realtime } = await start()
  const channel = unique('channel')
  const lazy = await readers.open('default', channel)
  const eager = follow(await readers.open('default', channel))
  for (let n = 0; n < COUNT; n += 100) {
    await Promise.all(countTo(n + 100, n).map((n) => realtime.publish('default', channel, { data: n })))
  }
  await until('the other one has all', () => eager.seen.length === COUNT)
  const later = follow(lazy)
  await until('it has all', () => later.seen.length === COUNT)
  expect(later.seen.map(Number).toSorted((a, b) => a - b)).toEqual(countTo(COUNT))
}, 30_000)

test('one who falls behind what the stream keeps is told so, and goes on with what is there', async () => {
  const { readers, realtime, redis } = await start()
  const channel = unique('channel')
  const first = await realtime.publish('default', channel, { data: 0 })
  for (const n of countTo(10, 1)) await realtime.publish('default', channel, { data: n })
  await redis.wave([['XTRIM', channelKeys('default', channel).stream, 'MAXLEN', 3]])
  const back = follow(await readers.open('default', channel, { after: first }))
  await until('it has what is left', () => back.seen.length === 4)
  expect(back.seen).toEqual(['gap', 7, 8, 9])

  const all = follow(await readers.open('default', channel, { after: '0-0' }))
  await until('it has what is left', () => all.seen.length === 3)
  expect(all.seen).toEqual([7, 8, 9])
})

test('an id that this channel never gave does not hide what comes', async () => {
  const { readers, realtime } = await start()
  const channel = unique('channel')
  const ahead = follow(await readers.open('default', channel, { after: '99999999999999-0' }))
  await realtime.publish('default', channel, { data: 'news' })
  await until('it has it', () => ahead.seen.length === 2)
  expect(ahead.seen).toEqual(['gap', 'news'])
})

test('a Redis that stops and starts again loses nothing for those who listen', async () => {
  const server = await startTestRedis({ persist: true })
  const { readers, realtime } = await start({ url: server.url, checkMs: 500 })
  const listener = follow(await readers.open('default', 'news'))
  await realtime.publish('default', 'news', { data: 'before' })
  await until('it has it', () => listener.seen.length === 1)
  const port = server.port
  const { directory } = server
  const kept = await startAgain()
  onTestFinished(() => kept.stop())
  await until('it serves again', () =>
    realtime.publish('default', 'news', { data: 'after', once: 'x' }).then(
      () => true,
      () => false,
    ),
  )
  await realtime.publish('default', 'news', { data: 'and on' })
  await until('it goes on', () => listener.seen.length === 3)
  expect(listener.seen).toEqual(['before', 'after', 'and on'])

  async function startAgain() {
    process.kill(server.pid, 'SIGTERM')
    return until('it is back', () =>
      startTestRedis({ persist: true, port, directory }).catch(() => undefined),
    )
  }
})

test('while Redis is away nobody begins to listen', async () => {
  const { readers } = await start({ url: 'redis://127.0.0.1:1' })
  await expect(readers.open('default', 'news')).rejects.toThrow(/No connection to Redis/)
  expect(readers.count()).toEqual({ readers: 0, channels: 0 })
})

describe('where each request stands alone', () => {
  test('it ends when its calls are used up, and whoever comes back misses nothing', async () => {
    const { readers, realtime } = await start({ shares: false, callBudget: 8 })
    const channel = unique('channel')
    const seen: unknown[] = []
    let [after, connections] = ['0-0', 0]
    const publishing = (async () => {
      for (const n of countTo(40)) {
        await realtime.publish('default', channel, { data: n })
        await sleep(5)
      }
    })()
    while (seen.length < 40) {
      const listener = follow(await readers.open('default', channel, { after }), seen)
      connections++
      await Promise.race([listener.over, until('all', () => seen.length === 40)])
      after = listener.lastId ?? after
      if (seen.length === 40) await listener.leave()
    }
    await publishing
    expect(seen).toEqual(countTo(40))
    expect(connections).toBeGreaterThan(2)
  })

  test('without subscriptions it polls', async () => {
    const driver = createRedisResp({ url: testRedisUrl() })
    onTestFinished(driver.close)
    const redis: Redis = { ...driver, subscribe: async () => Promise.reject(new Error('not here')) }
    const { readers, realtime } = await start({ shares: false, redis })
    const channel = unique('channel')
    const listener = follow(await readers.open('default', channel))
    await realtime.publish('default', channel, { data: 'news' })
    await until('it has it', () => listener.seen.length === 1)
    await listener.leave()
  })

  test('it ends after the time that the runtime gives it', async () => {
    const { readers } = await start({ shares: false, longestMs: 100 })
    await follow(await readers.open('default', unique('channel'))).over
  })
})

test('results are told to those who listen now, without ids', async () => {
  const { readers, redis } = await start()
  const stream = unique('orders')
  const reader = await readers.open('acme', `results:${stream}`)
  const listener = follow(reader)
  expect(reader.start).toBeUndefined()
  await redis.wave([['PUBLISH', resultsChannel('acme', stream), '{"id":"r1"}']])
  await until('it has it', () => listener.seen.length === 1)
  expect(listener.seen).toEqual([{ id: 'r1' }])
})

function compare(a: string, b: string): number {
  const [aMs, aN] = a.split('-').map(Number) as [number, number]
  const [bMs, bN] = b.split('-').map(Number) as [number, number]
  return aMs - bMs || aN - bN
}
