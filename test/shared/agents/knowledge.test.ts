import { describe, expect, it, type TestContext } from 'vitest'
import { createKnowledge, type KnowledgeWrite } from '../../../shared/agents/knowledge.ts'
import { createRedisResp } from '../../../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../../../shared/drivers/redis-rest.ts'
import { channelKeys, knowledgeKeys } from '../../../shared/keys.ts'
import { createRealtime } from '../../../shared/realtime/realtime.ts'
import { unique } from '../../support/app.ts'
import { startTestBridge } from '../../support/bridge.ts'
import { patient, testRedisUrl } from '../../support/redis.ts'

async function start(
  { onTestFinished }: Pick<TestContext, 'onTestFinished'>,
  driver: 'resp' | 'rest' = 'resp',
) {
  const url = testRedisUrl()
  const bridge = driver === 'rest' ? await startTestBridge({ redisUrl: url }) : undefined
  if (bridge) onTestFinished(bridge.close)
  const redis = patient(bridge ? createRedisRest(bridge) : createRedisResp({ url }))
  onTestFinished(redis.close)
  const tenant = unique('tenant')
  const errors: unknown[] = []
  const knowledge = createKnowledge({
    ...{
      redis,
      realtime: createRealtime({ redis }),
      clock: Date,
      onError: (cause) => void errors.push(cause),
    },
  })
  return {
    ...{ knowledge, redis, tenant, errors },
    async put(topic: string, facts: Record<string, unknown>, more: Partial<KnowledgeWrite> = {}) {
      return (await knowledge.put(tenant, topic, facts, { by: 'agent:a', ...more })).facts
    },
    get: async (topic: string, fields?: string[]) => (await knowledge.get(tenant, topic, fields)).facts,
    versions: async (topic: string) => {
      const { facts } = await knowledge.get(tenant, topic)
      return Object.fromEntries(Object.entries(facts).map(([field, { version }]) => [field, version]))
    },
    topics: async () => (await knowledge.list(tenant, { limit: 100 })).data,
    delete: (topic: string) => knowledge.delete(tenant, topic, { by: 'agent:a' }),
    async heard() {
      const { stream } = channelKeys(tenant, 'agent:events')
      const [entries] = await redis.wave([['XRANGE', stream, '-', '+']])
      return (entries as [string, string[]][]).map(([, [, data]]) => JSON.parse(data!))
    },
  }
}

const conflict = (param: string) => ({ status: 409, code: 'version_conflict', param })

describe.each(['resp', 'rest'] as const)('shared knowledge over %s', (driver) => {
  it('holds values of any kind, each with its version, author and time', async (context) => {
    const hub = await start(context, driver)
    const facts = { price: 12.5, tags: [], none: {}, 'a "b" ü🙂': { deep: ['x', null, 1e300] }, big: 2 ** 60 }
    const before = new Date().toISOString()
    const written = await hub.put('shop', facts)
    expect(written).toEqual(await hub.get('shop'))
    expect(Object.fromEntries(Object.entries(written).map(([field, { value }]) => [field, value]))).toEqual(
      facts,
    )
    expect(written.price).toMatchObject({ version: 1, by: 'agent:a' })
    expect(written.price!.at >= before).toBe(true)
    await hub.put('shop', { price: 13 }, { by: 'key:7' })
    expect(await hub.get('shop', ['price', 'unknown'])).toMatchObject({
      price: { value: 13, version: 2, by: 'key:7' },
    })
    expect(await hub.get('shop', ['unknown'])).toEqual({})
    const [text] = await hub.redis.wave([['HGET', knowledgeKeys(hub.tenant, 'shop').facts, 'price']])
    expect(JSON.parse(text as string)).toMatchObject({ value: 13, version: 2, by: 'key:7' })
  })

  it('null removes, and no version comes twice', async (context) => {
    const hub = await start(context, driver)
    await hub.put('shop', { a: 1, b: 1 })
    await hub.put('shop', { a: 2 })
    await hub.put('shop', { a: 3 })
    expect(await hub.put('shop', { a: null, unknown: null, b: 2 })).toMatchObject({ b: { version: 2 } })
    expect(await hub.versions('shop')).toEqual({ b: 2 })
    const { a } = await hub.put('shop', { a: 4 })
    expect(a!.version).toBeGreaterThan(3)
    await hub.delete('shop')
    await expect(hub.get('shop')).rejects.toMatchObject({ status: 404, code: 'topic_not_found' })
    await expect(hub.delete('shop')).rejects.toMatchObject({ status: 404 })
    await expect(hub.put('shop', { a: 5 }, { ifVersions: { a: a!.version } })).rejects.toMatchObject(
      conflict('a'),
    )
    expect((await hub.put('shop', { a: 5 })).a!.version).toBeGreaterThan(a!.version)
  })

  it('a conditional write that does not hold changes nothing and names the field', async (context) => {
    const hub = await start(context, driver)
    await hub.put('shop', { a: 1, b: 1 })
    await hub.put('shop', { a: 2 }, { ifVersions: { a: 1, c: 0 } })
    await expect(hub.put('shop', { a: 3, b: 3 }, { ifVersions: { a: 2, b: 4 } })).rejects.toMatchObject(
      conflict('b'),
    )
    await expect(hub.put('shop', { b: 3 }, { ifVersions: { b: 0 } })).rejects.toMatchObject(conflict('b'))
    expect(await hub.versions('shop')).toEqual({ a: 2, b: 1 })
    const rivals = await Promise.allSettled(
      Array.from({ length: 20 }, (_, n) => hub.put('shop', { a: n }, { ifVersions: { a: 2 } })),
    )
    expect(rivals.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  it('tells of each change once', async (context) => {
    const hub = await start(context, driver)
    await hub.put('shop', { a: 1, b: null })
    await hub.put('shop', { a: 2 }, { once: 'call 1' })
    await hub.put('shop', { a: 2 }, { once: 'call 1' })
    await hub.delete('shop')
    await hub.put(
      'shop',
      Object.fromEntries(Array.from({ length: 150 }, (_, n) => [`${n}${'x'.repeat(120)}`, n])),
    )
    const by = 'agent:a'
    expect((await hub.heard()).slice(0, 3)).toEqual([
      { topic: 'shop', fields: ['a', 'b'], by },
      { topic: 'shop', fields: ['a'], by },
      { topic: 'shop', deleted: true, by },
    ])
    const rest = (await hub.heard()).slice(3)
    expect(rest.map(({ fields }) => fields.length).toSorted()).toEqual([100, 50])
    expect(hub.errors).toEqual([])
  })
})

describe('knowledge', () => {
  it('an operation that is repeated is one write; with other facts it is refused', async (context) => {
    const hub = await start(context)
    await hub.put('shop', { a: 0 })
    const first = await hub.put('shop', { a: 1, b: null }, { once: 'o', ifVersions: { a: 1 } })
    expect(await hub.put('shop', { a: 1, b: null }, { once: 'o', ifVersions: { a: 1 } })).toEqual(first)
    expect(await hub.versions('shop')).toEqual({ a: 2 })
    await expect(hub.put('shop', { a: 2 }, { once: 'o' })).rejects.toMatchObject({
      ...{ status: 422, code: 'idempotency_mismatch' },
    })
  })

  it('lists topics that hold something', async (context) => {
    const hub = await start(context)
    for (const topic of ['c', 'a', 'b']) await hub.put(topic, { one: 1, two: 2 })
    await hub.put('b', { one: null, two: null })
    await hub.put('d', { one: null })
    await hub.delete('c')
    expect(await hub.topics()).toEqual([{ topic: 'a', fields: 2 }])
    await hub.put('b', { one: 1 })
    await hub.put('c', { one: 1 })
    const page = await hub.knowledge.list(hub.tenant, { limit: 2 })
    expect(page).toEqual({
      data: [
        { topic: 'a', fields: 2 },
        { topic: 'b', fields: 1 },
      ],
      has_more: true,
    })
    expect((await hub.knowledge.list(hub.tenant, { limit: 2, after: 'b' })).data).toEqual([
      { topic: 'c', fields: 1 },
    ])
  })

  it('a topic that is written while it is deleted is in the list if it is there', async (context) => {
    const hub = await start(context)
    for (let round = 0; round < 30; round++) {
      await hub.put('shop', { a: round })
      await Promise.all([
        hub.delete('shop'),
        hub.put('shop', { b: round }),
        hub.put('shop', { a: null, b: null }),
      ])
      const there = await hub.get('shop').then(
        () => 1,
        () => 0,
      )
      expect(await hub.topics()).toHaveLength(there)
    }
  })

  it('has its bounds, all of them before the first write', async (context) => {
    const hub = await start(context)
    const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`f${n}`, n]))
    await hub.put('shop', many(999))
    await expect(hub.put('shop', { x: 1, y: 1 })).rejects.toMatchObject({
      status: 409,
      code: 'too_many_facts',
    })
    expect(await hub.get('shop', ['x', 'y'])).toEqual({})
    await hub.put('shop', { x: 1, y: 1, f0: null })
    await hub.put('shop', { x: 2 })
    await expect(hub.put('shop', { x: 'v'.repeat(65_536) })).rejects.toMatchObject({
      ...{ status: 413, code: 'fact_too_large', param: 'x' },
    })
    await hub.put('shop', { x: 'v'.repeat(65_534) })
    for (const field of ['', 'a\nb', 'x'.repeat(129), '\ud800']) {
      await expect(hub.put('shop', { [field]: 1 })).rejects.toMatchObject({ status: 400, param: field })
    }
    await expect(hub.put('a b', { x: 1 })).rejects.toMatchObject({ status: 400, param: 'topic' })
  })
})
