import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, type TestContext } from 'vitest'
import { createRedisResp } from '../../../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../../../shared/drivers/redis-rest.ts'
import { RedisTimeoutError } from '../../../shared/errors.ts'
import { streamKeys } from '../../../shared/keys.ts'
import type { Redis } from '../../../shared/ports/redis.ts'
import { type ConsumerGroupOptions, createConsumerGroup } from '../../../shared/streams/consumer-group.ts'
import { createDeadLetters } from '../../../shared/streams/dead-letters.ts'
import type { Handle } from '../../../shared/streams/group-worker.ts'
import { unique } from '../../support/app.ts'
import { startTestBridge } from '../../support/bridge.ts'
import { until } from '../../support/hub.ts'
import { patient, startTestRedis, testRedisUrl } from '../../support/redis.ts'

type Options = Partial<ConsumerGroupOptions> & { handle: Handle }
type OnFinished = Pick<TestContext, 'onTestFinished'>

/** A stream of its own, and consumers of its group. */
function start(
  { onTestFinished }: OnFinished,
  url = testRedisUrl(),
  given: Redis = createRedisResp({ url }),
) {
  const redis = patient(given)
  const stream = unique('stream')
  onTestFinished(async () => {
    await redis
      .wave([
        ['DEL', stream],
        ['DEL', ...Object.values(streamKeys(stream, 'g'))],
      ])
      .catch(() => {})
    await redis.close()
  })
  const errors: Record<string, unknown>[] = []
  const log = { error: (line: Record<string, unknown>) => void errors.push(line) }
  const create = (options: Options) =>
    createConsumerGroup({
      ...{ redis, stream, group: 'g', consumer: unique('consumer'), clock: Date, log },
      ...options,
    })
  return {
    ...{ redis, stream, errors, create },
    dead: createDeadLetters({ redis, stream }),
    async add(...entries: Record<string, string>[]): Promise<string[]> {
      const calls = entries.map((fields) => ['XADD', stream, '*', ...Object.entries(fields).flat()] as const)
      return (await redis.wave(calls, { timeoutMs: 5_000 })) as string[]
    },
    /** A consumer that works until the test ends, or until it is stopped. */
    run(options: Options) {
      const blocking = createRedisResp({ url })
      const stopping = new AbortController()
      const over = create({ blocking, ...options }).run(stopping.signal)
      const stop = async () => {
        stopping.abort()
        await over
        await blocking.close()
      }
      onTestFinished(stop)
      return { stop }
    },
    drain: (options: Options, seconds = 5) => create(options).drain({ untilMs: Date.now() + seconds * 1000 }),
    pending: async () => ((await redis.wave([['XPENDING', stream, 'g']]))[0] as number[])[0],
    length: async () => (await redis.wave([['XLEN', stream]]))[0],
  }
}

const numbers = (count: number, more: Record<string, string> = {}) =>
  Array.from({ length: count }, (_, n) => ({ n: String(n), ...more }))

/** A handler that notes what it saw, and does `more` with each entry. */
function noting(more: (n: number, attempt: number, signal: AbortSignal) => unknown = () => {}) {
  const seen: number[] = []
  const handle: Handle = async (entries, signal) => {
    for (const { fields, attempt } of entries) {
      seen.push(Number(fields.n))
      await more(Number(fields.n), attempt, signal)
    }
  }
  return { seen, handle }
}

const quick = { retry: { firstMs: 20, longestMs: 40 } }

describe('run', () => {
  it('works on what was there before and on what comes, and removes it', async (context) => {
    const { add, run, length } = start(context)
    await add(...numbers(50))
    const { seen, handle } = noting()
    run({ handle })
    await until('the first ones are seen', () => seen.length === 50)
    await add(...numbers(50))
    await until('all are seen', () => seen.length === 100)
    expect(seen.slice(0, 50).sort((a, b) => a - b)).toEqual(numbers(50).map(({ n }) => Number(n)))
    await until('the stream is empty', async () => (await length()) === 0)
  })

  it('two consumers share the work; each entry is worked on once', async (context) => {
    const { add, run } = start(context)
    const first = noting(() => sleep(1))
    const second = noting(() => sleep(1))
    run({ handle: first.handle })
    run({ handle: second.handle })
    await add(...numbers(500))
    await until('all are seen', () => first.seen.length + second.seen.length >= 500)
    expect(new Set([...first.seen, ...second.seen]).size).toBe(500)
    expect(first.seen.length + second.seen.length).toBe(500)
    expect(first.seen.length).toBeGreaterThan(0)
    expect(second.seen.length).toBeGreaterThan(0)
  })

  it('a batch handler gets up to a batch, and says of each entry how it went', async (context) => {
    const { add, run, dead } = start(context)
    await add(...numbers(20))
    const sizes: number[] = []
    const seen: number[] = []
    run({
      batch: 8,
      handle: async (entries) => {
        sizes.push(entries.length)
        return entries.map(({ fields }) => {
          if (fields.n === '5') return { failed: new Error('five is bad'), permanent: true }
          seen.push(Number(fields.n))
          return undefined
        })
      },
    })
    await until('all but one are seen', () => seen.length === 19)
    expect(Math.max(...sizes)).toBe(8)
    await until('it is a dead letter', async () => (await dead.list({ limit: 10 })).length === 1)
    const [letter] = await dead.list({ limit: 10 })
    expect(letter).toMatchObject({ cause: 'five is bad', attempts: 1, group: 'g', fields: { n: '5' } })
    expect(Date.parse(letter!.at)).toBeGreaterThan(0)
  })

  it('a failed entry is tried again later, alone, and holds up no neighbour', async (context) => {
    const { add, run, redis, stream } = start(context)
    await add(...numbers(10))
    const calls: { ns: string[]; attempt: number; at: number }[] = []
    run({
      batch: 10,
      concurrency: 1,
      retry: { firstMs: 300, longestMs: 300 },
      handle: async (entries) => {
        calls.push({
          ns: entries.map(({ fields }) => fields.n!),
          attempt: entries[0]!.attempt,
          at: performance.now(),
        })
        return entries.map(({ fields, attempt }) =>
          fields.n === '0' && attempt < 3 ? { failed: 'not yet' } : undefined,
        )
      },
    })
    await until('three attempts', () => calls.length === 3)
    expect(calls[0]!.ns).toHaveLength(10)
    expect(calls.slice(1).map(({ ns }) => ns)).toEqual([['0'], ['0']])
    expect(calls.map(({ attempt }) => attempt)).toEqual([1, 2, 3])
    // Half of the wait at least; how late it may come is not asserted.
    expect(calls[1]!.at - calls[0]!.at).toBeGreaterThanOrEqual(149)
    expect(calls[2]!.at - calls[1]!.at).toBeGreaterThanOrEqual(149)
    const { failures } = streamKeys(stream, 'g')
    await until('its attempts are forgotten', async () => (await redis.wave([['HLEN', failures]]))[0] === 0)
  })

  it('waits as long as the handler asks', async (context) => {
    const { add, drain, pending } = start(context)
    await add({ n: '1' })
    const handle: Handle = async (entries) =>
      entries.map(() => ({ failed: 'slow down', retryAfterMs: 60_000 }))
    await drain({ handle, ...quick })
    const { seen, handle: well } = noting()
    await sleep(100)
    await drain({ handle: well, ...quick })
    expect(seen).toEqual([])
    expect(await pending()).toBe(1)
  })

  it('a poison entry goes to the dead letters after its attempts, and comes back by replay', async (context) => {
    const { add, run, dead, length } = start(context)
    let heals = false
    const attempts: number[] = []
    const announced: string[] = []
    const { seen, handle } = noting((n, attempt) => {
      if (n !== 3 || heals) return
      attempts.push(attempt)
      throw new Error('poison')
    })
    run({
      handle,
      retry: { attempts: 4, firstMs: 10, longestMs: 20 },
      onDead: async ({ fields }, cause) => void announced.push(`${fields.n} ${cause}`),
    })
    const ids = await add(...numbers(10, { keep: 'me' }))
    await until('it is dead', async () => (await dead.list({ limit: 10 })).length === 1)
    const [letter] = await dead.list({ limit: 10 })
    expect(letter).toMatchObject({
      entryId: ids[3],
      cause: 'poison',
      attempts: 4,
      fields: { n: '3', keep: 'me' },
    })
    expect(attempts).toEqual([1, 2, 3, 4])
    expect(announced).toEqual(['3 poison'])
    expect(seen.filter((n) => n !== 3)).toHaveLength(9)
    heals = true
    expect(await dead.replay([letter!.id, '1-1'])).toEqual([letter!.id])
    await until('it is done', async () => seen.length === 9 + 5 && (await length()) === 0)
    expect(await dead.list({ limit: 10 })).toEqual([])
  })

  it('a handler that outlives claimIdleMs keeps its entry', async (context) => {
    const { add, run } = start(context)
    const slow = noting(() => sleep(1_500))
    const other = noting()
    run({ handle: slow.handle, claimIdleMs: 300 })
    await add({ n: '1' })
    await until('it is begun', () => slow.seen.length === 1)
    run({ handle: other.handle, claimIdleMs: 300 })
    await sleep(1_500)
    expect(other.seen).toEqual([])
    expect(slow.seen).toEqual([1])
  })

  it("takes over a dead consumer's entries, and a handler of who was only asleep hears of it", async (context) => {
    const { add, run, redis, stream, create } = start(context)
    await add(...numbers(3))
    await create({ handle: async () => {} }).create()
    // As of a process that died: it read, and never spoke again.
    await redis.wave([['XREADGROUP', 'GROUP', 'g', 'the-dead', 'STREAMS', stream, '>']])
    const heard = Promise.withResolvers<unknown>()
    const asleep = noting((n, _attempt, signal) => {
      if (n !== 9) return
      signal.addEventListener('abort', () => heard.resolve(signal.reason))
      return heard.promise
    })
    run({ handle: asleep.handle, claimIdleMs: 200 })
    await until('they are taken over', () => asleep.seen.length === 3)
    expect(asleep.seen).toEqual([0, 1, 2])
    const [id] = await add({ n: '9' })
    await until('it is begun', () => asleep.seen.length === 4)
    await redis.wave([['XCLAIM', stream, 'g', 'another', 0, id!]])
    expect(String(await heard.promise)).toContain('taken the entry over')
  })

  it('what it was given in a reply that never came is worked on all the same', async (context) => {
    const { add, run, redis, stream, create } = start(context)
    await add(...numbers(3))
    await create({ handle: async () => {} }).create()
    await redis.wave([['XREADGROUP', 'GROUP', 'g', 'me', 'COUNT', 2, 'STREAMS', stream, '>']])
    const { seen, handle } = noting()
    run({ handle, consumer: 'me', claimIdleMs: 200 })
    await until('all are seen', () => seen.length === 3)
    expect(seen).toEqual([2, 0, 1])
  })

  it('a read whose reply is lost loses neither entries nor the order of a key', async (context) => {
    const { add, run } = start(context)
    const { wave, ...rest } = createRedisResp({ url: testRedisUrl() })
    context.onTestFinished(rest.close)
    let losses = 0
    const blocking: Redis = {
      ...rest,
      async wave(calls, options) {
        const replies = await wave(calls, options)
        const isRead = calls.some((call) => 'length' in call && call[0] === 'XREADGROUP')
        if (!isRead || replies[0] === null || ++losses > 3) return replies
        throw new RedisTimeoutError('lost')
      },
    }
    const { seen, handle } = noting()
    run({ blocking, handle, keyOf: () => 'one', prefetch: 10 })
    await add(...numbers(60))
    await until('all are seen', () => seen.length >= 60)
    expect(seen).toEqual(numbers(60).map(({ n }) => Number(n)))
    expect(losses).toBeGreaterThan(3)
  })

  it('an entry that kills its consumers goes to the dead letters in the end', async (context) => {
    const { add, drain, create, redis, stream, dead } = start(context)
    await add({ n: '1' })
    await create({ handle: async () => {} }).create()
    await redis.wave([['XREADGROUP', 'GROUP', 'g', 'dead-0', 'STREAMS', stream, '>']])
    const ids = (await redis.wave([['XPENDING', stream, 'g', '-', '+', 1]]))[0] as string[][]
    for (let n = 1; n <= 2; n++) await redis.wave([['XCLAIM', stream, 'g', `dead-${n}`, 0, ids[0]![0]!]])
    await sleep(20)
    const { seen, handle } = noting()
    await drain({ handle, claimIdleMs: 10, retry: { takeovers: 2 } })
    expect(seen).toEqual([])
    expect(await dead.list({ limit: 1 })).toMatchObject([
      { fields: { n: '1' }, cause: expect.stringContaining('died') },
    ])
  })

  it('stops gracefully: what runs ends, the rest is left to others at once', async (context) => {
    const { add, run, drain, redis, stream } = start(context)
    const release = Promise.withResolvers<void>()
    const first = noting(() => release.promise)
    const { stop } = run({ handle: first.handle, concurrency: 1, batch: 1, prefetch: 10 })
    await add(...numbers(10))
    await until('one is begun', () => first.seen.length === 1)
    const stopped = stop()
    release.resolve()
    await stopped
    expect(first.seen).toEqual([0])
    const second = noting()
    await drain({ handle: second.handle, concurrency: 1 })
    expect(second.seen).toEqual(numbers(9).map(({ n }) => Number(n) + 1))
    const [consumers] = await redis.wave([['XINFO', 'CONSUMERS', stream, 'g']])
    expect((consumers as string[][]).map(([, name]) => name)).not.toContainEqual(
      expect.stringContaining('consumer-'),
    )
  })

  it('at the stop deadline what still runs is told to end, and counts as no failure', async (context) => {
    const { add, run, drain } = start(context)
    const { seen, handle } = noting((_n, _attempt, signal) => sleep(60_000, undefined, { signal }))
    const { stop } = run({ handle, stopMs: 50 })
    await add({ n: '1' })
    await until('it is begun', () => seen.length === 1)
    await stop()
    const attempts: number[] = []
    await drain({ handle: async ([entry]) => void attempts.push(entry!.attempt) })
    expect(attempts).toEqual([1])
  })

  it('never removes what another group has not read', async (context) => {
    const { add, run, redis, stream, length } = start(context)
    await redis.wave([['XGROUP', 'CREATE', stream, 'slow', '0', 'MKSTREAM']])
    await add(...numbers(10))
    const { seen, handle } = noting()
    const { stop } = run({ handle })
    await until('all are seen', () => seen.length === 10)
    await stop()
    expect(await length()).toBe(10)
    await redis.wave([['XREADGROUP', 'GROUP', 'slow', 's', 'COUNT', 4, 'STREAMS', stream, '>']])
    const ids = ((await redis.wave([['XPENDING', stream, 'slow', '-', '+', 10]]))[0] as string[][]).map(
      ([id]) => id!,
    )
    await redis.wave([['XACK', stream, 'slow', ids[0]!, ids[1]!, ids[3]!]])
    await run({ handle }).stop()
    expect(await length()).toBe(8) // the third is pending, whatever was done after it
  })

  it('keeps processed entries for as long as it is told', async (context) => {
    const { add, drain, length } = start(context)
    await add(...numbers(3))
    await drain({ handle: async () => {}, keepMs: 60_000 })
    expect(await length()).toBe(3)
    await sleep(5)
    await drain({ handle: async () => {}, keepMs: 1 })
    expect(await length()).toBe(0)
  })

  it('makes its group anew after Redis has forgotten everything', async (context) => {
    await using own = await startTestRedis()
    const { add, run, redis } = start(context, own.url)
    const { seen, handle } = noting()
    const { stop } = run({ handle })
    await add({ n: '1' })
    await until('the first is seen', () => seen.length === 1)
    await redis.wave([['FLUSHALL']])
    await add({ n: '2' })
    await until('the second is seen', () => seen.length === 2)
    await stop()
  })

  it('goes on after Redis was restarted, and loses nothing', async (context) => {
    const directory = await mkdtemp(join(tmpdir(), 'hub-redis-'))
    context.onTestFinished(() => rm(directory, { recursive: true, force: true }))
    await using own = await startTestRedis({ persist: true, directory })
    const { add, run, length } = start(context, own.url)
    const { seen, handle } = noting(() => sleep(2))
    const { stop } = run({ handle, concurrency: 2, claimIdleMs: 1_000 })
    await add(...numbers(400))
    await until('some are seen', () => seen.length > 50)
    await own.stop()
    await sleep(300)
    const { port, password } = own
    await using again = await startTestRedis({ persist: true, port, password, directory })
    expect(again.url).toBe(own.url)
    await until(
      'all are seen',
      async () => new Set(seen).size === 400 && (await length().catch(() => 1)) === 0,
    )
    await stop()
  }, 60_000)
})

describe('order', () => {
  const byKey: Options['keyOf'] = ({ fields }) => fields.key

  it('is kept per key while keys go side by side, also past a failure', async (context) => {
    const { add, run } = start(context)
    const done = new Map<string, number[]>()
    let most = 0
    let running = 0
    run({
      keyOf: byKey,
      concurrency: 16,
      ...quick,
      handle: async ([entry]) => {
        most = Math.max(most, ++running)
        await sleep(Math.random() * 3)
        running--
        const { key, n } = entry!.fields as { key: string; n: string }
        if (Number(n) % 7 === 0 && entry!.attempt === 1) throw new Error('again')
        done.set(key, [...(done.get(key) ?? []), Number(n)])
      },
    })
    await add(...Array.from({ length: 300 }, (_, n) => ({ key: `key-${n % 10}`, n: String(n) })))
    await until('all are done', () => [...done.values()].flat().length === 300)
    for (const list of done.values()) expect(list).toEqual(list.toSorted((a, b) => a - b))
    expect(most).toBeGreaterThan(1)
  })

  it('holds across consumers: one works, another stands by and takes over in order', async (context) => {
    const { add, run } = start(context)
    const done: { who: string; key: string; n: number }[] = []
    const handle =
      (who: string): Handle =>
      async ([entry]) => {
        await sleep(1)
        const { key, n } = entry!.fields as { key: string; n: string }
        if (n === '20' && entry!.attempt < 3) throw new Error('again')
        done.push({ who, key, n: Number(n) })
      }
    const more = { keyOf: byKey, concurrency: 4, retry: { firstMs: 100 }, claimIdleMs: 600 }
    const first = run({ ...more, handle: handle('first') })
    await add(...Array.from({ length: 400 }, (_, n) => ({ key: `key-${n % 4}`, n: String(n) })))
    await until('it works', () => done.length > 10)
    run({ ...more, handle: handle('second') })
    await until('one key waits for a retry', () => done.length > 100)
    expect(new Set(done.map(({ who }) => who))).toEqual(new Set(['first']))
    await first.stop()
    await until('all are done', () => done.length === 400)
    expect(done.at(-1)!.who).toBe('second')
    for (const key of ['key-0', 'key-1', 'key-2', 'key-3']) {
      const list = done.filter((one) => one.key === key).map(({ n }) => n)
      expect(list).toEqual(list.toSorted((a, b) => a - b))
    }
  })

  it('when the active consumer dies, its entries come first', async (context) => {
    const { add, run, create, redis, stream } = start(context)
    await create({ handle: async () => {} }).create()
    await add(...numbers(10, { key: 'a' }))
    // As of a process that died with the lease and five entries in hand.
    const { lease } = streamKeys(stream, 'g')
    await redis.wave([
      ['HSET', lease, 'holder', 'the-dead'],
      ['PEXPIRE', lease, 300],
      ['XREADGROUP', 'GROUP', 'g', 'the-dead', 'COUNT', 5, 'STREAMS', stream, '>'],
    ])
    const { seen, handle } = noting(() => sleep(1))
    run({ handle, keyOf: byKey, claimIdleMs: 300, concurrency: 4 })
    await until('all are seen', () => seen.length === 10)
    expect(seen).toEqual(numbers(10).map(({ n }) => Number(n)))
  })

  it('a poison entry holds up its key until it is a dead letter, and no other key', async (context) => {
    const { add, run, dead } = start(context)
    const { seen, handle } = noting((n) => {
      if (n === 0) throw new Error('poison')
    })
    run({ handle, keyOf: byKey, retry: { attempts: 3, firstMs: 200, longestMs: 200 } })
    await add({ key: 'a', n: '0' }, { key: 'a', n: '1' }, { key: 'b', n: '2' })
    await until('all are seen', () => seen.includes(1))
    expect(seen).toEqual([0, 2, 0, 0, 1])
    expect(await dead.list({ limit: 10 })).toHaveLength(1)
  })

  it('an entry that somebody else settled frees its key', async (context) => {
    const { add, run, redis, stream } = start(context)
    const { seen, handle } = noting((n) => {
      if (n === 0) throw new Error('again')
    })
    run({ handle, keyOf: byKey, retry: { firstMs: 60_000 }, claimIdleMs: 600 })
    const [id] = await add({ key: 'a', n: '0' }, { key: 'a', n: '1' })
    const waits = async () => {
      const [list] = await redis.wave([['XPENDING', stream, 'g', '-', '+', 1, 'waiting']])
      return (list as unknown[]).length === 1
    }
    await until('it waits', waits)
    await redis.wave([['XACK', stream, 'g', id!]])
    await until('the next of its key is seen', () => seen.includes(1))
  })
})

describe.each(['resp', 'rest'])('drain over %s', (driver) => {
  async function startOn({ onTestFinished }: OnFinished) {
    if (driver === 'resp') return start({ onTestFinished })
    const bridge = await startTestBridge({ redisUrl: testRedisUrl() })
    const redis = createRedisRest({ url: bridge.url, token: bridge.token })
    const started = start({ onTestFinished }, undefined, redis)
    onTestFinished(bridge.close)
    return started
  }

  it('works until nothing is left, and leaves no consumer behind', async (context) => {
    const { add, drain, redis, stream, length } = await startOn(context)
    await add(...numbers(30))
    const { seen, handle } = noting()
    expect(await drain({ handle })).toEqual({ settled: 30 })
    expect(seen).toHaveLength(30)
    expect(await length()).toBe(0)
    expect((await redis.wave([['XINFO', 'CONSUMERS', stream, 'g']]))[0]).toEqual([])
    expect(await drain({ handle })).toEqual({ settled: 0 })
  })

  it('retries in a later drain, when it is due', async (context) => {
    const { add, drain } = await startOn(context)
    await add({ n: '1' })
    const attempts: number[] = []
    const handle: Handle = async ([entry]) => {
      attempts.push(entry!.attempt)
      if (entry!.attempt < 3) throw new Error('again')
    }
    await until('it is done', async () => (await drain({ handle, ...quick })) && attempts.length === 3)
    expect(attempts).toEqual([1, 2, 3])
  })

  it('ends at its time, and what it was at is there for the next one', async (context) => {
    const { add, create, drain } = await startOn(context)
    await add(...numbers(3))
    const slow = noting((_n, _attempt, signal) => sleep(60_000, undefined, { signal }))
    await create({ handle: slow.handle, concurrency: 1 }).drain({ untilMs: Date.now() + 200 })
    const { seen, handle } = noting()
    await drain({ handle })
    expect(seen.sort()).toEqual([0, 1, 2])
  })

  it('with keys: two at the same time keep the order, and leave nothing behind', async (context) => {
    const { add, drain, length } = await startOn(context)
    const seen: number[] = []
    const handle: Handle = async ([entry]) => {
      await sleep(2)
      seen.push(Number(entry!.fields.n))
    }
    await add(...numbers(20, { key: 'a' }))
    const keyOf: Options['keyOf'] = ({ fields }) => fields.key
    const first = drain({ handle, keyOf })
    await until('it works', () => seen.length > 2)
    const second = (async () => {
      await add({ key: 'a', n: '20' })
      return drain({ handle, keyOf })
    })()
    await Promise.all([first, second])
    expect(seen).toEqual(Array.from({ length: 21 }, (_, n) => n))
    expect(await length()).toBe(0)
  })
})
