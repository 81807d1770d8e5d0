import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Filter } from '../../../../shared/filters.ts'
import { FORGOTTEN_KEPT_MS, longMemoryKeys } from '../../../../shared/keys.ts'
import type { Vectors } from '../../../../shared/ports/vectors.ts'
import { unique } from '../../../support/app.ts'
import { type Store, startLongMemory } from '../../../support/long-memory.ts'
import { startTestRedis } from '../../../support/redis.ts'

type Memory = Awaited<ReturnType<typeof startLongMemory>>

const DAY = 86_400_000
const iso = (ms: number) => new Date(ms).toISOString()

describe.each(['vector sets', 'vector sets over HTTP', 'Upstash Vector'] satisfies Store[])(
  'long memory over %s',
  (store) => {
    let hub: Memory
    beforeAll(async () => {
      hub = await startLongMemory({ store })
    })
    afterAll(() => hub[Symbol.asyncDispose]())

    it('recalls by meaning, the nearest first, of the agent alone', async () => {
      const agent = unique('agent')
      const other = unique('agent')
      await hub.remember('The user is allergic to peanuts.', {}, agent)
      await hub.remember('The production database is Postgres.', {}, agent)
      await hub.remember('The user cannot eat nuts of any kind.', {}, other)
      expect((await hub.recall('Which food must be avoided?', { top_k: 1 }, agent))[0]).toContain('peanuts')
      expect(await hub.recall('Which database do we use?', {}, agent)).toHaveLength(2)
      expect(await hub.recall('Which food must be avoided?', { top_k: 5 }, other)).toHaveLength(1)
      expect(await hub.recall('Which food must be avoided?', {}, unique('nobody'))).toEqual([])
      expect(await hub.recall('Which database do we use?', { min_score: 0.99 }, agent)).toEqual([])
    })

    it('stores a text once, however many say it at the same time', async () => {
      const agent = unique('agent')
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, () => hub.remember('Invoices are due in 30 days.', {}, agent)),
      )
      expect(outcomes.filter(({ status }) => status === 'stored')).toHaveLength(1)
      expect(outcomes.filter(({ status }) => status === 'duplicate')).toHaveLength(19)
      const { data } = await hub.memory.list(hub.tenant, agent, { limit: 100 })
      expect(data).toHaveLength(1)
      expect(new Set(outcomes.map((outcome) => 'id' in outcome && outcome.id))).toEqual(
        new Set([data[0]!.id]),
      )
    })

    it('finds what passes a filter though much that is nearer does not', async () => {
      const agent = unique('agent')
      await hub.remember(
        'Our cafeteria sells apples.',
        { metadata: { shelf: 7, fresh: true, tags: ['a', 'b'] } },
        agent,
      )
      for (let i = 0; i < 60; i++)
        await hub.remember(`Order ${i} of the garden shop is late.`, { metadata: { shelf: 1 } }, agent)
      const query = 'Which order of the garden shop is late?'
      const filter: Filter = { type: 'gt', key: 'shelf', value: 6 }
      expect(await hub.recall(query, { filter }, agent)).toEqual(['Our cafeteria sells apples.'])
      expect(
        await hub.recall(query, { filter: { type: 'in', key: 'tags', value: ['b'] } }, agent),
      ).toHaveLength(1)
      expect(await hub.recall(query, { filter: { type: 'eq', key: 'fresh', value: false } }, agent)).toEqual(
        [],
      )
      expect(await hub.recall(query, { top_k: 100 }, agent)).toHaveLength(61)
    })

    it('forgets at once, and brings back what was forgotten', async () => {
      const agent = unique('agent')
      const stored = await hub.remember('The gate code is 4711.', {}, agent)
      const id = 'id' in stored ? stored.id : ''
      await hub.memory.forget(hub.tenant, agent, id)
      expect(await hub.recall('What is the code of the gate?', {}, agent)).toEqual([])
      expect((await hub.memory.list(hub.tenant, agent, { limit: 10 })).data).toEqual([])
      const { data } = await hub.memory.list(hub.tenant, agent, { limit: 10, forgotten: true })
      expect(data).toMatchObject([{ id, text: 'The gate code is 4711.', forgotten_at: expect.any(String) }])
      const restored = await hub.memory.restore(hub.tenant, agent, id, hub.call)
      expect(restored).toMatchObject({ id, forgotten_at: null })
      expect(await hub.recall('What is the code of the gate?', {}, agent)).toHaveLength(1)
    })

    it('drops all that an agent remembers, vectors too', async () => {
      const agent = unique('agent')
      await hub.remember('The user plays chess.', {}, agent)
      const forgotten = await hub.remember('The user plays tennis.', {}, agent)
      await hub.memory.forget(hub.tenant, agent, 'id' in forgotten ? forgotten.id : '')
      await hub.memory.drop(hub.tenant, agent)
      await hub.memory.drop(hub.tenant, agent)
      expect(await hub.recall('What does the user play?', {}, agent)).toEqual([])
      expect(await hub.keys(`*${agent}*`)).toEqual([])
      expect(await hub.remember('The user plays chess.', {}, agent)).toMatchObject({ status: 'stored' })
    })
  },
)

describe('long memory', () => {
  let hub: Memory
  beforeAll(async () => {
    hub = await startLongMemory()
  })
  afterAll(() => hub[Symbol.asyncDispose]())

  it('refuses what is empty, too long, or has no sensible times', async () => {
    for (const text of ['', ' \n ', 'x'.repeat(2_001)])
      expect(await hub.remember(text)).toMatchObject({ status: 'refused', why: expect.any(String) })
    const times = [{ valid_from: 'tomorrow' }, { valid_from: '2027-01-02', valid_until: '2027-01-01' }]
    for (const more of times) expect(await hub.remember('A fact.', more)).toMatchObject({ status: 'refused' })
    const metadata = { note: 'x'.repeat(4_000) }
    expect(await hub.remember('A fact.', { metadata })).toMatchObject({ status: 'refused' })
    expect(await hub.remember('y'.repeat(2_000))).toMatchObject({ status: 'stored' })
  })

  it('knows an equal text, whatever its white space and last stop, and tells by which memory', async () => {
    const agent = unique('agent')
    const first = await hub.remember('The user lives\nin Rome.', {}, agent)
    expect(await hub.remember('  The user  lives in Rome', {}, agent)).toEqual({
      ...first,
      status: 'duplicate',
      similarity: 1,
    })
  })

  it('one operation is one memory, and no other text is taken for it', async () => {
    const agent = unique('agent')
    const once = unique('once')
    const first = await hub.remember('The user sails.', { once }, agent)
    expect(await hub.remember('The user sails.', { once }, agent)).toEqual(first)
    await expect(hub.remember('The user rides.', { once }, agent)).rejects.toMatchObject({ status: 422 })
    expect((await hub.memory.list(hub.tenant, agent, { limit: 10 })).data).toHaveLength(1)
  })

  it('a value that changed is another memory; both stay, with when they were made', async () => {
    const agent = unique('agent')
    await hub.remember('The monthly budget is 500 dollars.', {}, agent)
    await hub.remember('The monthly budget is 700 dollars.', {}, agent)
    const found = await hub.memory.recall(hub.tenant, agent, { query: 'How much is the budget?' }, hub.call)
    expect(found.map(({ text }) => text.match(/\d+/)![0]).sort()).toEqual(['500', '700'])
    const [before, after] = found.sort((a, b) => (a.id < b.id ? -1 : 1))
    expect(before!.text).toContain('500')
    expect(Date.parse(after!.created_at)).toBeGreaterThanOrEqual(Date.parse(before!.created_at))
  })

  it('recalls what was valid at a time', async () => {
    const agent = unique('agent')
    const now = Date.now()
    const [before, after] = [iso(now - 30 * DAY), iso(now + 30 * DAY)]
    await hub.remember('The office is in Oslo.', { valid_from: '2020-01-01', valid_until: before }, agent)
    await hub.remember('The office is in Bergen.', { valid_from: before, valid_until: after }, agent)
    await hub.remember('The office is in Turku.', { valid_from: after }, agent)
    const query = 'Where is the office?'
    expect(await hub.recall(query, {}, agent)).toEqual(['The office is in Bergen.'])
    expect(await hub.recall(query, { at: now - 60 * DAY }, agent)).toEqual(['The office is in Oslo.'])
    expect(await hub.recall(query, { at: now + 60 * DAY }, agent)).toEqual(['The office is in Turku.'])
    expect(await hub.recall(query, { at: Date.UTC(2019, 0) }, agent)).toEqual([])
  })

  it('takes a text again where what said it is not valid any more, or not for so long', async () => {
    const agent = unique('agent')
    const text = 'The user is on leave.'
    await hub.remember(text, { valid_from: '2026-01-01', valid_until: '2026-01-10' }, agent)
    expect(
      await hub.remember(text, { valid_from: '2026-01-03', valid_until: '2026-01-05' }, agent),
    ).toMatchObject({
      status: 'duplicate',
    })
    expect(await hub.remember(text, { valid_until: iso(Date.now() + DAY) }, agent)).toMatchObject({
      status: 'stored',
    })
    expect(await hub.remember(text, {}, agent)).toMatchObject({ status: 'stored' })
    expect(await hub.remember(text, { valid_until: iso(Date.now() + DAY) }, agent)).toMatchObject({
      status: 'duplicate',
    })
  })

  it('a forgotten text may be remembered anew, and both are there once the first is brought back', async () => {
    const agent = unique('agent')
    const first = await hub.remember('The user likes jazz.', {}, agent)
    const id = 'id' in first ? first.id : ''
    await hub.memory.forget(hub.tenant, agent, id)
    await hub.memory.forget(hub.tenant, agent, id)
    expect(await hub.remember('The user likes jazz.', {}, agent)).toMatchObject({ status: 'stored' })
    await hub.memory.restore(hub.tenant, agent, id, hub.call)
    expect(await hub.recall('music', {}, agent)).toHaveLength(2)
    await expect(hub.memory.forget(hub.tenant, agent, 'mem_none')).rejects.toMatchObject({ status: 404 })
    await expect(hub.memory.restore(hub.tenant, agent, 'mem_none', hub.call)).rejects.toMatchObject({
      status: 404,
    })
  })

  it('lists the latest first, in pages', async () => {
    const agent = unique('agent')
    for (let i = 0; i < 5; i++) await hub.remember(`Room ${i} is free.`, { metadata: { i } }, agent)
    const seen: unknown[] = []
    for (let before: string | undefined; ; ) {
      const { data, next } = await hub.memory.list(hub.tenant, agent, { limit: 2, before })
      seen.push(...data.map(({ metadata }) => metadata.i))
      if (next === null) break
      before = next
    }
    expect(new Set(seen)).toEqual(new Set([0, 1, 2, 3, 4]))
    expect(seen).toHaveLength(5)
  })

  it.each<[string, Filter]>([
    ['an order of texts', { type: 'gt', key: 'name', value: 'a' }],
    ['a time that is none', { type: 'lt', key: 'created_at', value: 'soon' }],
    ['a list for `eq`', { type: 'eq', key: 'name', value: ['a'] }],
    ['nothing at all', { type: 'and', filters: [] }],
    ['an empty list', { type: 'or', filters: [{ type: 'in', key: 'name', value: [] }] }],
  ])('refuses a filter with %s', async (_, filter) => {
    await expect(hub.recall('Anything?', { filter }, unique('agent'))).rejects.toMatchObject({
      ...{ status: 400, code: 'invalid_filter', param: expect.stringMatching(/^filter\./) },
    })
  })

  it('filters by when it was made and by who said it', async () => {
    const agent = unique('agent')
    await hub.remember('The sky is blue.', { origin: { kind: 'user' } }, agent)
    const made = (type: 'gt' | 'lt'): Filter => ({ type, key: 'created_at', value: iso(Date.now() - DAY) })
    expect(await hub.recall('sky', { filter: made('gt') }, agent)).toHaveLength(1)
    expect(await hub.recall('sky', { filter: made('lt') }, agent)).toHaveLength(0)
    expect(
      await hub.recall('sky', { filter: { type: 'eq', key: 'origin', value: 'user' } }, agent),
    ).toHaveLength(1)
    expect(
      await hub.recall('sky', { filter: { type: 'ne', key: 'origin', value: 'user' } }, agent),
    ).toHaveLength(0)
  })

  it('remembers nothing for an agent that was deleted', async () => {
    const agent = unique('agent')
    await hub.redis.wave([
      ['HSET', longMemoryKeys(hub.tenant, agent).entries.replace(/^\{|\}:facts$/g, ''), 'deleted', 1],
    ])
    await expect(hub.remember('A late fact.', {}, agent)).rejects.toMatchObject({ status: 404 })
  })

  it('the oldest forgotten memory gives way where there is no room; where none is forgotten, it says how to make some', async () => {
    const agent = unique('agent')
    const { ids, forgotten } = longMemoryKeys(hub.tenant, agent)
    const first = await hub.remember('The kettle is red.', {}, agent)
    const second = await hub.remember('The lamp is green.', {}, agent)
    const others = Array.from({ length: 9_998 }, (_, i) => [0, `mem_${i}`]).flat()
    await hub.redis.wave([['ZADD', ids, ...others]])
    await expect(hub.remember('The chair is blue.', {}, agent)).rejects.toMatchObject({
      ...{ status: 413, code: 'memory_full', message: expect.stringContaining('DELETE /v1/agents') },
    })
    for (const one of [first, second]) await hub.memory.forget(hub.tenant, agent, 'id' in one ? one.id : '')
    expect(await hub.remember('The chair is blue.', {}, agent)).toMatchObject({ status: 'stored' })
    expect(await hub.redis.wave([['ZRANGE', forgotten, 0, -1]])).toEqual([['id' in second && second.id]])
  })
})

describe('what a process that died has left', () => {
  /** Vectors whose store fails while it is told to. */
  function failing() {
    const state = { put: false, remove: false }
    const refuse = (is: boolean) => (is ? Promise.reject(new Error('the process died')) : undefined)
    const between = (vectors: Vectors): Vectors => ({
      ...vectors,
      create: vectors.create,
      put: (...args) => refuse(state.put) ?? vectors.put(...args),
      remove: (...args) => refuse(state.remove) ?? vectors.remove(...args),
    })
    return { state, between }
  }
  const sweep = { untilMs: Number.MAX_SAFE_INTEGER, limit: 100 }
  /** Of the agent `ada`, where it is the only one of its server. */
  async function vectorsOf(hub: Memory) {
    const [set] = await hub.keys('*vec:*:ada')
    return set ? (await hub.redis.wave([['VCARD', set]]))[0] : 0
  }

  it('a memory without its vector is completed by the same operation', async () => {
    const { state, between } = failing()
    await using hub = await startLongMemory({ between })
    const once = unique('once')
    state.put = true
    await expect(hub.remember('The user has a boat.', { once })).rejects.toThrow('the process died')
    state.put = false
    expect(await hub.recall('boat')).toEqual([])
    expect(await hub.remember('The user has a boat.', { once })).toMatchObject({ status: 'stored' })
    expect(await hub.recall('boat')).toEqual(['The user has a boat.'])
  })

  it('or by whoever sweeps, after a minute', async () => {
    await using redis = await startTestRedis()
    const { state, between } = failing()
    await using hub = await startLongMemory({ between, redisUrl: redis.url, now: () => Date.now() - 61_000 })
    state.put = true
    await expect(hub.remember('The user has a boat.')).rejects.toThrow('the process died')
    await hub.memory.sweep(sweep).catch(() => {})
    expect(await hub.redis.wave([['ZCARD', 'memories:due']])).toEqual([1])
    state.put = false
    await hub.redis.wave([
      [
        'ZADD',
        'memories:due',
        'XX',
        0,
        ...((await hub.redis.wave([['ZRANGE', 'memories:due', 0, 0]])) as string[][])[0]!,
      ],
    ])
    await hub.memory.sweep(sweep)
    expect(await hub.recall('boat')).toEqual(['The user has a boat.'])
    expect(await hub.redis.wave([['ZCARD', 'memories:due']])).toEqual([0])
  })

  it('vectors of a dropped agent are removed by whoever sweeps, and a new agent of that name sees nothing of it', async () => {
    await using redis = await startTestRedis()
    const { state, between } = failing()
    await using hub = await startLongMemory({ between, redisUrl: redis.url, now: () => Date.now() - 61_000 })
    await hub.remember('The user has a boat.')
    state.remove = true
    await expect(hub.memory.drop(hub.tenant, 'ada')).rejects.toThrow('the process died')
    expect(await hub.remember('The user has a horse.')).toMatchObject({ status: 'stored' })
    expect(await hub.recall('What does the user have?')).toEqual(['The user has a horse.'])
    state.remove = false
    await hub.memory.sweep(sweep)
    expect(await hub.recall('What does the user have?')).toEqual(['The user has a horse.'])
    expect(await vectorsOf(hub)).toBe(1)
    expect(await hub.keys('*dropped*')).toEqual([])
  })

  it('what is forgotten for 30 days is removed; what was brought back stays', async () => {
    await using redis = await startTestRedis()
    let now = Date.now() - FORGOTTEN_KEPT_MS - DAY
    await using hub = await startLongMemory({ redisUrl: redis.url, now: () => now })
    const [gone, back] = [
      await hub.remember('The user has a boat.'),
      await hub.remember('The user has a horse.'),
    ]
    for (const one of [gone, back]) await hub.memory.forget(hub.tenant, 'ada', 'id' in one ? one.id : '')
    await hub.memory.restore(hub.tenant, 'ada', 'id' in back ? back.id : '', hub.call)
    now = Date.now()
    await hub.memory.sweep(sweep)
    const list = (forgotten: boolean) => hub.memory.list(hub.tenant, 'ada', { limit: 10, forgotten })
    expect((await list(true)).data).toEqual([])
    expect((await list(false)).data.map(({ text }) => text)).toEqual(['The user has a horse.'])
    expect(await vectorsOf(hub)).toBe(1)
    expect(await hub.remember('The user has a boat.')).toMatchObject({ status: 'stored' })
  })
})
