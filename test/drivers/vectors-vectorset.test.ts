import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../../shared/drivers/redis-rest.ts'
import { createVectorsVectorset } from '../../shared/drivers/vectors-vectorset.ts'
import { toAttributes, toExpression } from '../../shared/drivers/vectorset-filter.ts'
import { HubError } from '../../shared/errors.ts'
import { type Filter, matches } from '../../shared/filters.ts'
import { vectorKeys as keys } from '../../shared/keys.ts'
import type { Command, Redis, ScriptCall } from '../../shared/ports/redis.ts'
import type { Chunk, VectorIndex } from '../../shared/ports/vectors.ts'
import { unique } from '../support/app.ts'
import { startTestBridge } from '../support/bridge.ts'
import { seeded } from '../support/random.ts'
import { startTestRedis, testRedisUrl } from '../support/redis.ts'

type Wave = readonly (Command | ScriptCall)[]

const PATIENT = { timeoutMs: 20_000 }

const toIndex = (settings: Partial<VectorIndex> = {}): VectorIndex => ({
  tenant: 'default',
  name: unique('index'),
  dimensions: 2,
  metric: 'cosine',
  fields: { topic: 'tag', size: 'number', title: 'text' },
  partitions: 1,
  quantization: 'none',
  ...settings,
})

const toChunk = (documentId: string, given: Partial<Chunk> = {}): Chunk => ({
  ...{ documentId, version: 1, n: 0, text: 'text', fields: {}, hash: {} },
  vector: Float32Array.of(1, 0),
  ...given,
})

/** A Redis that notes its waves and breaks off where it is told to. */
function recording(redis: Redis, breaksAt = Number.POSITIVE_INFINITY): Redis & { waves: Wave[] } {
  const waves: Wave[] = []
  return {
    ...redis,
    waves,
    async wave(calls, options) {
      if (waves.length >= breaksAt) throw new Error('the process died')
      waves.push(calls)
      return redis.wave(calls, options)
    },
  }
}

let redis: Redis
beforeAll(() => {
  redis = createRedisResp({ url: testRedisUrl() })
})
afterAll(() => redis.close())

function open(options: { breaksAt?: number } = {}) {
  const recorded = recording(redis, options.breaksAt)
  return { ...createVectorsVectorset({ reads: recorded, writes: recorded, keys }), waves: recorded.waves }
}

describe('vectors are sent', () => {
  const chunk = toChunk('a', { vector: Float32Array.of(1, -0.5), fields: { topic: ['x y', 'z'], size: 5 } })
  const attributes = '{"h0":1,"a0":5,"a1":["x%20y","z"]}'

  test('as bytes, outside of transactions and beside other commands', async () => {
    const store = open()
    const index = toIndex({ hotTag: 'topic' })
    await store.put(index, [chunk], PATIENT)
    const commands = store.waves.flat() as Command[]
    const vector = Uint8Array.of(0, 0, 128, 63, 0, 0, 0, 191) // little-endian 1 and -0.5
    const added = commands.filter(([name]) => name === 'VADD')
    expect(added).toEqual(
      [undefined, 'x y', 'z'].map((tag) => [
        ...['VADD', keys.vectors(index, 0, tag), 'FP32', vector, 'a#1.0', 'NOQUANT'],
        ...['SETATTR', attributes],
      ]),
    )
    expect(commands.map(([name]) => name)).not.toContain('MULTI')
  })

  test('as text where the connection carries only that, in int8 where the index says so', async () => {
    await using server = await startTestRedis()
    const bridge = await startTestBridge({ redisUrl: server.url })
    onTestFinished(bridge.close)
    const rest = recording(createRedisRest({ url: bridge.url, token: bridge.token }))
    const store = createVectorsVectorset({ reads: rest, writes: rest, keys })
    const index = toIndex({ quantization: 'int8' })
    await store.put(index, [chunk], PATIENT)
    await store.search(index, { vector: chunk.vector, limit: 3, timeoutMs: 5_000 })
    const key = keys.vectors(index, 0)
    expect(rest.waves.at(-2)).toEqual([
      ['VADD', key, 'VALUES', 2, 1, -0.5, 'a#1.0', 'Q8', 'SETATTR', attributes],
    ])
    expect(rest.waves.at(-1)).toEqual([
      ['VSIM', key, 'VALUES', 2, 1, -0.5, 'WITHSCORES', 'COUNT', 3, 'EF', 200],
    ])
  })

  test('one by one, so that nobody else waits for more than one', async () => {
    const store = open()
    const chunks = Array.from({ length: 4 }, (_, i) => toChunk(`d${i}`))
    await store.put(toIndex(), chunks, PATIENT)
    const adding = store.waves.filter((wave) => wave.some((call) => (call as Command)[0] === 'VADD'))
    expect(adding.map((wave) => wave.length)).toEqual([1, 1, 1, 1])
  })
})

describe('what was put', () => {
  test('is there again when a Redis with an append-only file starts anew', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'hub-aof-'))
    onTestFinished(() => rm(directory, { recursive: true, force: true }))
    const index = toIndex({ hotTag: 'topic' })
    const search = { vector: Float32Array.of(1, 0), limit: 10, timeoutMs: 5_000 }
    const found: (number | undefined)[] = []
    for (const isFirst of [true, false]) {
      await using server = await startTestRedis({ directory, persist: true })
      const own = createRedisResp({ url: server.url })
      const store = createVectorsVectorset({ reads: own, writes: own, keys })
      const chunks = [
        toChunk('a', { fields: { topic: 'x' } }),
        toChunk('b', { vector: Float32Array.of(0, 1) }),
      ]
      if (isFirst) await store.put(index, chunks, PATIENT)
      if (isFirst) await store.remove(index, [chunks[1]!], PATIENT)
      found.push((await store.search(index, search)).vector?.length)
      await own.close()
    }
    expect(found).toEqual([1, 1])
  })
})

describe('a search asks Redis once', () => {
  const topics: Filter = { type: 'in', key: 'topic', value: ['x', 'y'] }
  test.each([
    ['by vector', { vector: Float32Array.of(1, 0) }, 1],
    ['by text', { text: 'some words to find' }, 1],
    ['by values of the hot tag', { vector: Float32Array.of(1, 0), filter: topics }, 1],
  ])('%s, over all partitions', async (_, query, waves) => {
    const store = open()
    const index = toIndex({ partitions: 4, hotTag: 'topic' })
    const chunks = Array.from({ length: 12 }, (_, i) =>
      toChunk(`d${i}`, { text: 'words', fields: { topic: 'x' } }),
    )
    await store.put(index, chunks, PATIENT)
    store.waves.length = 0
    const found = await store.search(index, { limit: 20, timeoutMs: 5_000, ...query })
    expect((found.vector ?? found.text)!.length).toBe(12)
    expect(store.waves).toHaveLength(waves)
  })
})

describe('a filter is planned by what it leaves', () => {
  const ROWS = 3_000
  const index = toIndex({
    dimensions: 4,
    hotTag: 'topic',
    fields: { topic: 'tag', kind: 'tag', size: 'number' },
  })
  const random = seeded(5)
  const vector = () => Float32Array.from({ length: 4 }, () => random() * 2 - 1)
  const kindOf = (row: number) => (row % 2 ? 'odd' : 'even')
  const chunks = Array.from({ length: ROWS }, (_, i) =>
    toChunk(`d${i}`, {
      vector: vector(),
      fields: { topic: `t${i % 3}`, kind: kindOf(i), size: i },
    }),
  )
  let store: ReturnType<typeof open>
  beforeAll(async () => {
    store = open()
    await store.put(index, chunks, { timeoutMs: 60_000 })
  }, 60_000)

  const odd: Filter = { type: 'eq', key: 'kind', value: 'odd' }
  const hot: Filter = { type: 'eq', key: 'topic', value: 't1' }
  const below = (value: number): Filter => ({ type: 'lt', key: 'size', value })
  const and = (...filters: Filter[]): Filter => ({ type: 'and', filters })

  test.each([
    ['nothing', undefined, 'knn', true],
    ['a value of the hot tag', hot, 'hot-tag', true],
    ['several values of the hot tag', { type: 'in', key: 'topic', value: ['t0', 't2'] }, 'hot-tag', true],
    ['few by a number', below(30), 'score', false],
    ['few of the hot tag', and(hot, below(30)), 'score', false],
    ['few by one of two parts', and(odd, below(30)), 'score', false],
    ['none', { type: 'eq', key: 'kind', value: 'neither' }, 'score', false],
    ['many', odd, 'filter', true],
    ['many of the hot tag', and(odd, hot), 'hot-tag-filter', true],
    ['all but some', { type: 'ne', key: 'kind', value: 'odd' }, 'filter', true],
    [
      'little of what leaves much alone',
      and({ type: 'gte', key: 'size', value: ROWS / 2 - 10 }, below(ROWS / 2 + 10)),
      'filter-score',
      false,
    ],
  ] as [string, Filter | undefined, string, boolean][])('%s', async (_, filter, name, approximate) => {
    const query = vector()
    const { vector: hits, plan } = await store.search(index, {
      vector: query,
      limit: 30,
      filter,
      timeoutMs: 10_000,
    })
    expect(plan).toMatchObject([{ side: 'vector', name, approximate }])
    const ids = new Set(hits!.map(({ documentId }) => documentId))
    const nearest = await exactly(query, filter, 30)
    const missed = nearest.filter((id) => !ids.has(id))
    expect(missed.length).toBeLessThanOrEqual(approximate ? 1 : 0)
    expect(hits!.length).toBe(nearest.length)
  })

  async function exactly(query: Float32Array, filter: Filter | undefined, limit: number) {
    const passing = chunks.filter(({ fields }) => !filter || matches(filter, fields))
    const scores = await store.similarity(index, query, passing, PATIENT)
    const order = passing.map(({ documentId }, i) => [documentId, scores[i]!] as const)
    return order
      .sort(([, a], [, b]) => b - a)
      .slice(0, limit)
      .map(([id]) => id)
  }

  test('and where FILTER finds too few among too many to look at, it walks further', async () => {
    const forced = createVectorsVectorset({ reads: redis, writes: redis, keys, scoredOneByOne: 0 })
    const filter = and(odd, { type: 'eq', key: 'kind', value: 'even' })
    const { vector: hits, plan } = await forced.search(index, {
      ...{ vector: vector(), filter },
      ...{ limit: 5, timeoutMs: 10_000 },
    })
    expect(hits).toEqual([])
    expect(
      plan[0]!.commands.filter((line) => line.startsWith('VSIM')).map((line) => line.split(' ').at(-1)),
    ).toEqual(['400', '20000'])
  })
})

describe('FILTER', () => {
  const index = toIndex({ fields: { tag: 'tag', n: 'number', words: 'text' } })

  test('finds every attribute, also of a field that is missing', () => {
    expect(toAttributes(index, {})).toBe('{"h0":0,"a0":0,"a1":[]}')
    expect(toAttributes(index, { n: -1, tag: '', words: 'x' })).toBe('{"h0":1,"a0":-1,"a1":["%"]}')
  })

  test.each<[Filter, string]>([
    [{ type: 'eq', key: 'tag', value: 'a "b"' }, '("a%20%22b%22" in .a1)'],
    [{ type: 'nin', key: 'tag', value: ['a', true] }, '!("a" in .a1 or "true" in .a1)'],
    [{ type: 'gt', key: 'n', value: 1e21 }, '(.h0 and (.a0 > 1e21))'],
    [{ type: 'eq', key: 'n', value: -1.5e-7 }, '(.h0 and (.a0 in [-0.00000015]))'],
    [{ type: 'ne', key: 'n', value: 3 }, '!(.h0 and (.a0 in [3]))'],
  ])('reads %j', (filter, expression) => {
    expect(toExpression(index, filter)).toBe(expression)
  })

  test('refuses a number that it cannot write, rather than another number', () => {
    const filter: Filter = { type: 'lt', key: 'n', value: 1e-300 }
    expect(() => toExpression(index, filter)).toThrow(
      expect.objectContaining({ status: 501, code: 'not_supported' }),
    )
  })

  test('compares small and large numbers exactly', async () => {
    const numbers = [1e-7, 1.0000000000000002e-7, -2.5e-20, 1e21, 5e-324, Number.MAX_VALUE, 0.1, 0]
    const store = createVectorsVectorset({ reads: redis, writes: redis, keys, scoredOneByOne: 0 })
    const own = { ...index, name: unique('index') }
    await store.put(
      own,
      numbers.map((n, i) => toChunk(`d${i}`, { fields: { n } })),
      PATIENT,
    )
    for (const [i, value] of numbers.entries()) {
      if (value === 5e-324) continue // refused
      const filter: Filter = { type: 'eq', key: 'n', value }
      const found = await store.search(own, {
        vector: Float32Array.of(1, 0),
        limit: 9,
        filter,
        timeoutMs: 5_000,
      })
      expect(found.vector!.map(({ documentId }) => documentId)).toEqual([`d${i}`])
    }
  })
})

describe('text', () => {
  const index = toIndex({ fields: { kind: 'tag' } })
  let store: ReturnType<typeof open>
  beforeAll(async () => {
    store = open()
    // The rare kind has the longest texts, so it is at the end of the list of `common`.
    const chunks = Array.from({ length: 1_300 }, (_, i) =>
      toChunk(`d${i}`, {
        text: i < 5 ? `common ${'filler '.repeat(40)}` : `common word${i}`,
        fields: { kind: i < 5 ? 'rare' : 'usual' },
      }),
    )
    await store.put(index, chunks, { timeoutMs: 60_000 })
  }, 60_000)
  const search = (text: string, filter?: Filter) =>
    store.search(index, { text, filter, limit: 10, timeoutMs: 5_000 })

  test('reads the best of a long list only, and says so', async () => {
    const { text, plan } = await search('common')
    expect(text).toHaveLength(10)
    expect(plan).toMatchObject([{ side: 'text', name: 'postings', approximate: true }])
    expect(plan[0]!.why).toMatch(/only the 1000 chunks/)
    expect((await search('word7')).plan).toMatchObject([{ approximate: false }])
  })

  test('finds what passes a filter below the end of a cut list', async () => {
    const { text, plan } = await search('common', { type: 'eq', key: 'kind', value: 'rare' })
    expect(text!.map(({ documentId }) => documentId).sort()).toEqual(['d0', 'd1', 'd2', 'd3', 'd4'])
    expect(plan).toMatchObject([{ name: 'weigh-filtered', approximate: false }])
  })

  test('of a long query searches the rarest words, and says so', async () => {
    const words = Array.from({ length: 60 }, (_, i) => `word${i + 100}`)
    const { text, plan } = await search(['common', 'filler', ...words, 'unheard'].join(' '))
    expect(plan[0]!.why).toMatch(/of 62 words the 32 rarest/)
    expect(text!.every(({ documentId }) => Number(documentId.slice(1)) >= 100)).toBe(true)
  })
})

describe('a process that dies', () => {
  const index = () => toIndex({ partitions: 2, hotTag: 'topic' })
  const chunks = Array.from({ length: 20 }, (_, i) =>
    toChunk(`d${i}`, { text: `text of ${i}`, fields: { topic: ['t', `t${i}`], size: i, title: 'a title' } }),
  )
  const left = async (name: string) => {
    const keys: string[] = []
    for (let cursor = '0'; ; ) {
      const [reply] = await redis.wave([['SCAN', cursor, 'MATCH', `*${name}*`, 'COUNT', 5_000]], PATIENT)
      const [next, found] = reply as [string, string[]]
      keys.push(...found)
      cursor = next
      if (cursor === '0') return keys
    }
  }

  test('at any wave of put and of remove leaves nothing that remove cannot take away', async () => {
    const whole = open()
    const first = index()
    await whole.put(first, chunks, PATIENT)
    const puts = whole.waves.length
    await whole.remove(first, chunks, PATIENT)
    const removes = whole.waves.length - puts
    expect(puts).toBeGreaterThan(3)
    expect(removes).toBeGreaterThan(3)
    for (let died = 0; died < puts + removes; died++) {
      const own = index()
      const dying = open({ breaksAt: died })
      const life = async () => {
        await dying.put(own, chunks, PATIENT)
        await dying.remove(own, chunks, PATIENT)
      }
      await expect(life()).rejects.toThrow('the process died')
      await open().remove(own, chunks, PATIENT)
      expect(await left(own.name), `died at wave ${died}`).toEqual([])
    }
  })

  test('at any wave of drop leaves nothing that drop cannot take away', async () => {
    async function* pages() {
      yield chunks.slice(0, 10)
      yield chunks.slice(10)
    }
    const whole = open()
    await whole.drop(index(), pages(), PATIENT)
    for (let died = 1; died < whole.waves.length; died++) {
      const own = index()
      await open().put(own, chunks, PATIENT)
      await open({ breaksAt: died })
        .drop(own, pages(), PATIENT)
        .catch(() => {})
      await open().drop(own, pages(), PATIENT)
      expect(await left(own.name), `died at wave ${died}`).toEqual([])
    }
  })
})

test('a Redis that may not work on vectors is named as unavailable, without what was asked', async () => {
  await using server = await startTestRedis()
  const admin = createRedisResp({ url: server.url })
  onTestFinished(admin.close)
  await admin.wave([['ACL', 'SETUSER', 'default', '-vadd', '-vcard']], PATIENT)
  const store = createVectorsVectorset({ reads: admin, writes: admin, keys })
  const error = await store.create(toIndex(), PATIENT).catch((error) => error)
  expect(error).toBeInstanceOf(HubError)
  expect(error).toMatchObject({ status: 503, code: 'vectors_unavailable' })
  expect(error.message).toMatch(/NOPERM/)
})
