import {
  type Checkpoint,
  emptyCheckpoint,
  type SerializerProtocol,
  uuid6,
} from '@langchain/langgraph-checkpoint'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createRedisResp } from '../../../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../../../shared/drivers/redis-rest.ts'
import { langgraphKeys, langgraphNames, langgraphThreadsKey } from '../../../shared/keys.ts'
import { CheckpointSaver, type CheckpointSaverOptions } from '../../../shared/langgraph/checkpoint-saver.ts'
import type { Command, Redis, ScriptCall } from '../../../shared/ports/redis.ts'
import { scan } from '../../../shared/scan.ts'
import { unique } from '../../support/app.ts'
import { startTestBridge } from '../../support/bridge.ts'
import { patient, startTestRedis, testRedisUrl } from '../../support/redis.ts'

const metadata = { source: 'loop', step: 0, parents: {} } as const

async function start(options: Partial<CheckpointSaverOptions> = {}, driver = 'resp') {
  const url = testRedisUrl()
  const direct = patient(createRedisResp({ url }))
  onTestFinished(direct.close)
  let redis: Redis = direct
  if (driver === 'rest') {
    const bridge = await startTestBridge({ redisUrl: url })
    onTestFinished(bridge.close)
    redis = createRedisRest(bridge)
  }
  const waves: (readonly (Command | ScriptCall)[])[] = []
  const counted: Redis = {
    ...redis,
    wave(calls, waveOptions) {
      waves.push(calls)
      return redis.wave(calls, waveOptions)
    },
  }
  const tenant = unique('tenant')
  const saver = new CheckpointSaver({ redis: counted, tenant, ...options })
  const thread_id = unique('thread')
  const config = { configurable: { thread_id, checkpoint_ns: '' } }
  const keys = langgraphKeys(tenant, thread_id)
  return { saver, redis: direct, waves, tenant, thread_id, config, keys }
}

/** A checkpoint of these values, each with its version. */
function checkpointOf(
  values: Record<string, [version: number, value: unknown]>,
  more: Partial<Checkpoint> = {},
) {
  const entries = Object.entries(values)
  return {
    ...emptyCheckpoint(),
    id: uuid6(0),
    channel_values: Object.fromEntries(entries.map(([channel, [, value]]) => [channel, value])),
    channel_versions: Object.fromEntries(entries.map(([channel, [version]]) => [channel, version])),
    ...more,
  }
}

const argumentsOf = (waves: (readonly (Command | ScriptCall)[])[]) =>
  waves.flat().flatMap((call) => ('script' in call ? call.args : call))

const NAMES = ['a:{b}', 'a%3A%7Bb%7D', '*', 'two words\n"and" \\ more', '日本', '[x', '', '__proto__']

describe.each(['resp', 'rest'])('the checkpoint saver over %s', (driver) => {
  it('waits once for the latest state, once to store one, and once to store writes', async () => {
    const { saver, waves, config } = await start({}, driver)
    const put = await saver.put(config, checkpointOf({ a: [1, 'x'] }), metadata, { a: 1 })
    expect(waves.splice(0)).toHaveLength(1)
    await saver.putWrites(put, [['a', 'y']], 'task')
    expect(waves.splice(0)).toHaveLength(1)
    const latest = await saver.getTuple(config)
    expect(waves.splice(0)).toHaveLength(1)
    expect(latest).toMatchObject({
      checkpoint: { channel_values: { a: 'x' } },
      pendingWrites: [['task', 'a', 'y']],
    })
    expect(await saver.getTuple(put)).toEqual(latest)
    expect(waves).toHaveLength(1)
  })

  it('keeps any names, of threads, namespaces, channels and tasks, apart', async () => {
    const { saver } = await start({}, driver)
    for (const name of NAMES) {
      const configurable = { thread_id: `t${name}`, checkpoint_ns: name }
      const put = await saver.put({ configurable }, checkpointOf({ [`c${name}`]: [1, name] }), metadata, {
        [`c${name}`]: 1,
      })
      await saver.putWrites(put, [[name, `write to ${name}`]], name)
    }
    for (const name of NAMES) {
      const configurable = { thread_id: `t${name}`, checkpoint_ns: name }
      const tuples = await Array.fromAsync(saver.list({ configurable: { thread_id: `t${name}` } }))
      expect(tuples).toHaveLength(1)
      expect(tuples[0]).toEqual(await saver.getTuple({ configurable }))
      expect(tuples[0]!.config.configurable).toMatchObject(configurable)
      expect(tuples[0]!.checkpoint.channel_values).toEqual({ [`c${name}`]: name })
      expect(tuples[0]!.pendingWrites).toEqual([[name, name, `write to ${name}`]])
    }
    const all = await Array.fromAsync(saver.list({}))
    expect(all.map(({ config }) => config.configurable!.checkpoint_ns).toSorted()).toEqual(NAMES.toSorted())
  })

  it('carries bytes, and whatever a serializer of your own makes', async () => {
    const flip = (bytes: Uint8Array) => bytes.map((byte) => byte ^ 0xff)
    const serde: SerializerProtocol = {
      dumpsTyped: async (value) => ['flipped', flip(new TextEncoder().encode(JSON.stringify(value)))],
      loadsTyped: async (type, bytes) => {
        expect(type).toBe('flipped')
        return JSON.parse(new TextDecoder().decode(flip(bytes as Uint8Array)))
      },
    }
    for (const one of [undefined, serde]) {
      const { saver, config } = await start({ serde: one }, driver)
      const bytes = one ? 'text' : new Uint8Array([0, 255, 254, 10])
      const put = await saver.put(config, checkpointOf({ a: [1, bytes], b: [1, '\ufeff é \0'] }), metadata, {
        a: 1,
        b: 1,
      })
      await saver.putWrites(put, [['a', bytes]], 'task')
      const tuple = await saver.getTuple(config)
      expect(tuple!.checkpoint.channel_values).toEqual({ a: bytes, b: '\ufeff é \0' })
      expect(tuple!.metadata).toEqual(metadata)
      expect(tuple!.pendingWrites).toEqual([['task', 'a', bytes]])
    }
  })

  it('lists the newest first, by namespace, before one, by metadata that is compared deeply, and no more than asked for', async () => {
    const { saver, config, thread_id, waves } = await start({}, driver)
    const ids: string[] = []
    for (let step = 0; step < 25; step++) {
      const checkpoint_ns = step % 5 === 0 ? 'inner:1' : ''
      const checkpoint = checkpointOf({ step: [step + 1, step] })
      const given = { ...metadata, step, parents: { '': `p${step % 3}` } }
      await saver.put({ configurable: { thread_id, checkpoint_ns } }, checkpoint, given, { step: step + 1 })
      ids.unshift(checkpoint.id)
    }
    const list = async (...args: Parameters<typeof saver.list>) =>
      (await Array.fromAsync(saver.list(...args))).map(({ checkpoint }) => checkpoint.channel_values.step)
    const steps = Array.from({ length: 25 }, (_, n) => 24 - n)
    const thread = { configurable: { thread_id } }
    const before = { configurable: { checkpoint_id: ids[10] } }
    expect(await list(thread)).toEqual(steps)
    expect(await list(config)).toEqual(steps.filter((step) => step % 5 !== 0))
    expect(await list({ configurable: { thread_id, checkpoint_ns: 'inner:1' } }, { limit: 2 })).toEqual([
      20, 15,
    ])
    expect(await list(config, { before, limit: 3 })).toEqual([13, 12, 11])
    expect(await list(thread, { before, limit: 3 })).toEqual([13, 12, 11])
    expect(await list(config, { filter: { parents: { '': 'p1' } }, limit: 2 })).toEqual([22, 19])
    expect(await list(config, { filter: { step: 7, source: 'loop' } })).toEqual([7])
    expect(await list(config, { filter: { missing: null } })).toEqual([])
    expect(await list({ configurable: { thread_id, checkpoint_ns: '', checkpoint_id: ids[1] } })).toEqual([
      23,
    ])
    expect(await list({ configurable: { thread_id, checkpoint_id: ids[1] } }, { before })).toEqual([])
    expect(await list(config, { limit: 0 })).toEqual([])
    waves.length = 0
    expect(await list(config, { limit: 1 })).toEqual([24])
    expect(waves).toHaveLength(2)
  })

  it('removes a thread of 10,000 checkpoints in pages, and nothing of another one', async () => {
    const { saver, redis, tenant, config, thread_id, waves } = await start({}, driver)
    const other = { configurable: { thread_id: `${thread_id}:2`, checkpoint_ns: '' } }
    await saver.put(other, checkpointOf({ a: [1, 'x'] }), metadata, { a: 1 })
    const filler = new CheckpointSaver({ redis, tenant })
    for (let from = 0; from < 10_000; from += 500) {
      const some = Array.from({ length: 500 }, (_, n) => checkpointOf({ a: [from + n, 'x'], b: [1, 'y'] }))
      await Promise.all(some.map((one) => filler.put(config, one, metadata, one.channel_versions)))
    }
    await saver.putWrites(
      { configurable: { ...config.configurable, checkpoint_id: 'never-put' } },
      [['a', 1]],
      'task',
    )
    waves.length = 0
    await saver.deleteThread(thread_id)
    const commands = waves.flat().filter((call) => !('script' in call)) as Command[]
    expect(new Set(commands.map(([name]) => name))).toEqual(new Set(['ZRANGE', 'HGET', 'UNLINK', 'ZREM']))
    expect(Math.max(...commands.map((command) => command.length))).toBeLessThan(505)
    expect(await saver.getTuple(config)).toBeUndefined()
    expect(await keysOf(redis, tenant)).toEqual(
      await keysOfThread(redis, tenant, other.configurable.thread_id),
    )
    expect((await saver.getTuple(other))?.checkpoint.channel_values).toEqual({ a: 'x' })
  }, 60_000)
})

it('sends a value again only when it has changed', async () => {
  const { saver, waves, config } = await start()
  const document = 'x'.repeat(100_000)
  let at = await saver.put(config, checkpointOf({ document: [1, document] }), metadata, { document: 1 })
  waves.length = 0
  for (let n = 2; n < 12; n++) {
    at = await saver.put(at, checkpointOf({ document: [1, document], n: [n, n] }), metadata, { n })
  }
  expect(argumentsOf(waves).join('').length).toBeLessThan(20_000)
  expect((await saver.getTuple(at))?.checkpoint.channel_values).toEqual({ document, n: 11 })
})

it('stores a value that has no version with its own checkpoint', async () => {
  const { saver, config } = await start()
  const put = await saver.put(config, checkpointOf({}, { channel_values: { a: 1 } }), metadata, {})
  await saver.put(put, checkpointOf({}, { channel_values: { a: 2 } }), metadata, {})
  expect((await saver.getTuple(put))?.checkpoint.channel_values).toEqual({ a: 1 })
  expect((await saver.getTuple(config))?.checkpoint.channel_values).toEqual({ a: 2 })
})

it('takes writes before their checkpoint is there, which is no checkpoint until then', async () => {
  const { saver, config } = await start()
  const first = checkpointOf({ a: [1, 'first'] })
  const second = checkpointOf({ a: [2, 'second'] })
  const at = await saver.put(config, first, metadata, { a: 1 })
  const next = { configurable: { ...config.configurable, checkpoint_id: second.id } }
  await saver.putWrites(next, [['a', 'write']], 'task')
  expect((await saver.getTuple(config))?.checkpoint.id).toBe(first.id)
  expect(await saver.getTuple(next)).toBeUndefined()
  expect(await Array.fromAsync(saver.list(config))).toHaveLength(1)
  await saver.put(at, second, metadata, { a: 2 })
  expect((await saver.getTuple(config))?.pendingWrites).toEqual([['task', 'a', 'write']])
})

it('keeps the first of a task’s writes, and the last of its errors and interrupts', async () => {
  const { saver, config } = await start()
  const put = await saver.put(config, checkpointOf({}), metadata, {})
  await saver.putWrites(
    put,
    [
      ['a', 1],
      ['__interrupt__', 'first'],
    ],
    'task',
  ) // prettier-ignore
  await saver.putWrites(
    put,
    [
      ['a', 2],
      ['__interrupt__', 'second'],
    ],
    'task',
  ) // prettier-ignore
  await saver.putWrites(put, [['a', 3]], 'earlier', '~__pregel_pull, a')
  await saver.putWrites(put, [], 'nothing')
  expect((await saver.getTuple(config))?.pendingWrites).toEqual([
    ['task', '__interrupt__', 'second'],
    ['task', 'a', 1],
    ['earlier', 'a', 3],
  ])
})

it('walks 120 ancestors of a delta channel in three waves, without values of other channels', async () => {
  const { saver, config, waves } = await start()
  let at = await saver.put(config, checkpointOf({ a: [1, ['seed']] }), metadata, { a: 1 })
  for (let n = 0; n < 120; n++) {
    await saver.putWrites(at, [['a', n]], 'task')
    at = await saver.put(at, checkpointOf({ other: [n + 2, 'x'.repeat(1_000)] }), metadata, { other: n + 2 })
  }
  waves.length = 0
  const { a } = await saver.getDeltaChannelHistory({ config, channels: ['a'] })
  expect(a).toEqual({ seed: ['seed'], writes: Array.from({ length: 120 }, (_, n) => ['task', 'a', n]) })
  expect(waves).toHaveLength(3)
})

it('another tenant neither reads, lists nor removes a thread', async () => {
  const { saver, config, thread_id, redis } = await start()
  await saver.put(config, checkpointOf({ a: [1, 'x'] }), metadata, { a: 1 })
  for (const tenant of [unique('tenant'), 'default']) {
    const other = new CheckpointSaver({ redis, tenant })
    expect(await other.getTuple(config)).toBeUndefined()
    expect(await Array.fromAsync(other.list(config))).toEqual([])
    await other.deleteThread(thread_id)
  }
  expect(await saver.getTuple(config)).toBeDefined()
})

describe('with a time to live', () => {
  it('a checkpoint expires with all that it has, and is listed no more', async () => {
    const { saver, config, redis, tenant, thread_id } = await start({ ttlSeconds: 1 })
    const put = await saver.put(config, checkpointOf({ a: [1, 'x'] }), metadata, { a: 1 })
    await saver.putWrites(put, [['a', 'y']], 'task')
    expect(await keysOf(redis, tenant)).toHaveLength(4)
    await vi.waitFor(
      async () => expect(await keysOf(redis, tenant)).toEqual([langgraphThreadsKey(tenant)]),
      10_000,
    )
    expect(await saver.getTuple(put)).toBeUndefined()
    expect(await Array.fromAsync(saver.list({}))).toEqual([])
    await saver.put({ configurable: { thread_id: 'another' } }, checkpointOf({}), metadata, {})
    const [listed] = await redis.wave([['ZSCORE', langgraphThreadsKey(tenant), thread_id]])
    expect(listed).toBeNull()
  })

  it('getting it keeps it and its values for longer, listing it does not', async () => {
    const { saver, config, redis, keys } = await start({ ttlSeconds: 1_000 })
    const first = checkpointOf({ a: [1, 'x'], b: [1, 'y'] })
    const put = await saver.put(config, first, metadata, { a: 1, b: 1 })
    const second = checkpointOf({ a: [2, 'z'], b: [1, 'y'] })
    await saver.put(put, second, metadata, { a: 2 })
    const all = [
      keys.thread,
      ...[first.id, second.id].map((id) => keys.checkpoint + langgraphNames.checkpoint('', id)),
      ...(['a:1', 'a:2', 'b:1'] as const).map((name) => `${keys.value}:${name}`),
    ]
    const shorten = () => redis.wave(all.map((key): Command => ['EXPIRE', key, 500]))
    const kept = async () => {
      const left = (await redis.wave(all.map((key): Command => ['TTL', key]))) as number[]
      return left.map((seconds) => seconds > 500)
    }
    expect(await shorten()).toEqual([1, 1, 1, 1, 1, 1])
    await Array.fromAsync(saver.list(config))
    expect(await kept()).toEqual([false, false, false, false, false, false])
    await saver.getTuple(put)
    expect(await kept()).toEqual([true, true, false, true, false, true])
    await shorten()
    await saver.putWrites(
      { configurable: { ...config.configurable, checkpoint_id: second.id } },
      [['a', 1]],
      'task',
    )
    expect(await kept()).toEqual([true, false, true, false, true, true])
  })

  it('a value that expired while a long task ran is stored again with the next checkpoint', async () => {
    const { saver, config, redis, keys } = await start({ ttlSeconds: 1_000 })
    const put = await saver.put(config, checkpointOf({ a: [1, 'x'], b: [1, 'y'] }), metadata, { a: 1, b: 1 })
    expect(await redis.wave([['UNLINK', `${keys.value}:b:1`]])).toEqual([1])
    await saver.put(put, checkpointOf({ a: [2, 'z'], b: [1, 'y'] }), metadata, { a: 2 })
    expect((await saver.getTuple(config))?.checkpoint.channel_values).toEqual({ a: 'z', b: 'y' })
    const [left] = await redis.wave([['TTL', `${keys.value}:b:1`]])
    expect(left).toBeGreaterThan(0)
  })

  it('shortens no life: what another saver keeps for ever stays whole', async () => {
    const { saver, config, redis, tenant } = await start()
    const put = await saver.put(config, checkpointOf({ a: [1, 'x'] }), metadata, { a: 1 })
    const brief = new CheckpointSaver({ redis, tenant, ttlSeconds: 1_000 })
    await brief.putWrites(put, [['a', 1]], 'task')
    await brief.put(put, checkpointOf({ a: [1, 'x'], b: [2, 'y'] }), metadata, { b: 2 })
    await brief.getTuple(put)
    const names = (await keysOf(redis, tenant)).filter((key) => key !== langgraphThreadsKey(tenant))
    const left = (await redis.wave(names.map((key): Command => ['TTL', key]))) as number[]
    expect(left.map((seconds) => seconds > 0).toSorted()).toEqual([false, false, false, true, true])
    await saver.getTuple(config)
    await saver.put(put, checkpointOf({ a: [1, 'x'], b: [2, 'y'] }), metadata, {})
    const [value] = await redis.wave([
      ['TTL', `${langgraphKeys(tenant, config.configurable.thread_id).value}:b:2`],
    ])
    expect(value).toBe(-1)
  })

  it('names of checkpoints that have expired go while others come', async () => {
    const { saver, config, redis, keys } = await start({ ttlSeconds: 1_000 })
    await redis.wave([
      ['ZADD', keys.thread, ...Array.from({ length: 50 }, (_, n) => [0, `:0-${n}`]).flat()],
    ] as Command[])
    for (let n = 0; n < 100; n++) await saver.put(config, checkpointOf({}), metadata, {})
    const [count] = await redis.wave([['ZCARD', keys.thread]])
    expect(count).toBeLessThan(110)
    const [latest] = await Array.fromAsync(saver.list(config, { limit: 1 }))
    expect(latest).toBeDefined()
  })
})

it('waits for a Redis that comes back in time, and says so when it does not', async () => {
  await using first = await startTestRedis()
  const { port, password } = first
  const redis = createRedisResp({ url: first.url })
  onTestFinished(redis.close)
  const saver = new CheckpointSaver({ redis, tenant: 'acme', timeoutMs: 20_000 })
  const config = { configurable: { thread_id: 't' } }
  await saver.put(config, checkpointOf({ a: [1, 'x'] }), metadata, { a: 1 })
  await first.stop()
  const impatient = new CheckpointSaver({ redis, tenant: 'acme', timeoutMs: 100 })
  await expect(impatient.getTuple(config)).rejects.toThrow(/No connection to Redis/)
  const putting = saver.put(config, checkpointOf({ a: [2, 'y'] }), metadata, { a: 2 })
  await using _second = await startTestRedis({ port, password })
  await putting
  expect((await saver.getTuple(config))?.checkpoint.channel_values).toEqual({ a: 'y' })
})

it('says what is missing', async () => {
  const { saver } = await start()
  await expect(saver.put({}, checkpointOf({}), metadata, {})).rejects.toThrow(/thread_id is missing/)
  await expect(saver.putWrites({ configurable: { thread_id: 't' } }, [], 'task')).rejects.toThrow(
    /checkpoint_id is missing/,
  )
})

async function keysOf(redis: Redis, tenant: string): Promise<string[]> {
  const found: string[] = []
  for await (const keys of scan(redis, `*t:${tenant}:*`, { count: 10_000, timeoutMs: 5_000 }))
    found.push(...keys)
  return found.toSorted()
}

/** With the list of threads. */
async function keysOfThread(redis: Redis, tenant: string, threadId: string) {
  const { thread } = langgraphKeys(tenant, threadId)
  const all = await keysOf(redis, tenant)
  return all.filter(
    (key) => key === thread || key.startsWith(`{${thread}}`) || key === langgraphThreadsKey(tenant),
  )
}
