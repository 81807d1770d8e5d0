import { describe, expect, it, type TestContext } from 'vitest'
import { createFeatureViews } from '../../../shared/features/feature-views.ts'
import { createFeatures } from '../../../shared/features/features.ts'
import { featureKey } from '../../../shared/keys.ts'
import { unique } from '../../support/app.ts'
import { openRedis } from '../../support/open-redis.ts'
import { seeded } from '../../support/random.ts'

const T = Date.parse('2026-01-01T00:00:00Z')

async function start(context: Pick<TestContext, 'onTestFinished'>, driver?: 'resp' | 'rest') {
  const { redis, waves } = await openRedis(context, driver)
  const time = { now: T }
  const clock = { now: () => time.now }
  const tenant = unique('tenant')
  /** Of another instance: it remembers what it saw itself. */
  const instance = () => {
    const views = createFeatureViews({ redis, clock })
    const features = createFeatures({ redis, views, clock })
    return {
      views,
      features,
      put: async (entity: string, values: Record<string, unknown>, eventTime?: number) =>
        (await features.put(tenant, 'user', [{ entity, features: values, eventTime }]))[0]!,
      read: async (entity: string, names?: string[]) =>
        (await features.read(tenant, 'user', [entity], { names }))[0]!,
    }
  }
  return { redis, waves, time, tenant, instance, ...instance() }
}

describe.each(['resp', 'rest'] as const)('features, over %s', (driver) => {
  it('an older value never overwrites a newer one, feature by feature', async (context) => {
    const { put, read } = await start(context, driver)
    expect(await put('1', { a: 1, b: 1 }, T - 1_000)).toMatchObject({ written: ['a', 'b'], outdated: [] })
    expect(await put('1', { b: 2 }, T - 500)).toMatchObject({ written: ['b'] })
    expect(await put('1', { a: 3, b: 3 }, T - 700)).toMatchObject({ written: ['a'], outdated: ['b'] })
    expect(await read('1')).toEqual({
      entity: '1',
      features: { a: 3, b: 2 },
      eventTime: T - 500,
      eventTimes: { a: T - 700, b: T - 500 },
      stale: [],
    })
  })

  it('of every order of the same writes the same is left', async (context) => {
    const { features, tenant } = await start(context, driver)
    const random = seeded(7)
    const writes = Array.from({ length: 40 }, (_, n) => ({
      features: { [`f${n % 4}`]: n },
      eventTime: T - 1_000 + n,
    }))
    for (const entity of ['a', 'b', 'c']) {
      const shuffled = writes.toSorted(() => random() - 0.5)
      await features.put(
        tenant,
        'user',
        shuffled.map((write) => ({ entity, ...write })),
      )
    }
    const rows = await features.read(tenant, 'user', ['a', 'b', 'c'])
    for (const row of rows) expect(row.features).toEqual({ f0: 36, f1: 37, f2: 38, f3: 39 })
  })

  it('a thousand entities are read in one wave, in their order; unknown ones are null', async (context) => {
    const { features, tenant, waves } = await start(context, driver)
    const entities = Array.from({ length: 1_000 }, (_, n) => `user:{${n}}`)
    const rows = entities
      .filter((_, n) => n % 2)
      .map((entity, n) => ({ entity, features: { n, name: `no ${n}` } }))
    await features.put(tenant, 'user', rows)
    waves.length = 0
    const read = await features.read(tenant, 'user', entities, { names: ['n'] })
    expect(waves).toHaveLength(1)
    expect(read.map(({ entity }) => entity)).toEqual(entities)
    expect(read[0]).toMatchObject({ features: null, eventTime: null })
    expect(read[999]).toMatchObject({ features: { n: 499 }, eventTime: T })
  })

  it('what a deleted view left is served by no later one of that name, whoever wrote last', async (context) => {
    const { views, put, read, redis, tenant, instance } = await start(context, driver)
    const other = instance()
    await put('1', { a: 1 })
    await put('2', { a: 1 })
    await other.put('3', { a: 1 })
    const sweep = await views.delete(tenant, 'user')
    await expect(read('1')).rejects.toMatchObject({ status: 404 })
    await put('2', { b: 'text' })
    await put('4', { a: 4 })
    expect(await read('1')).toMatchObject({ features: null })
    expect(await read('2')).toMatchObject({ features: { a: null, b: 'text' } })
    // It still takes the view for what it was.
    await expect(other.put('2', { a: 5 })).resolves.toMatchObject({ written: ['a'] })
    expect(await read('2')).toMatchObject({ features: { a: 5, b: 'text' } })
    await sweep()
    const [one, two] = await redis.wave([
      ['EXISTS', featureKey(tenant, 'user', '1')],
      ['EXISTS', featureKey(tenant, 'user', '2')],
    ])
    expect([one, two]).toEqual([0, 1])
  })

  it('a sweep that broke off is finished by another delete', async (context) => {
    const { views, put, redis, tenant } = await start(context, driver)
    await put('1', { a: 1 })
    await views.delete(tenant, 'user')
    await (await views.delete(tenant, 'user'))()
    expect(await redis.wave([['EXISTS', featureKey(tenant, 'user', '1')]])).toEqual([0])
    await expect(views.delete(tenant, 'user')).rejects.toMatchObject({ status: 404 })
  })
})

describe('a view', () => {
  it('that nobody declared learns what it is given, and keeps the types', async (context) => {
    const { put, read, views, tenant } = await start(context)
    await put('1', { n: 1, s: 'x', b: true, v: [1, 2], gone: null })
    await put('1', { more: 2 })
    const { declared, features } = await views.get(tenant, 'user')
    expect({ declared, features }).toEqual({
      declared: false,
      features: {
        n: { type: 'float' },
        s: { type: 'string' },
        b: { type: 'bool' },
        v: { type: 'vector', dimensions: 2 },
        more: { type: 'float' },
      },
    })
    await expect(put('1', { n: 'text' })).rejects.toMatchObject({ status: 400, param: 'rows[0].features.n' })
    await expect(put('1', { v: [1] })).rejects.toMatchObject({ status: 400, param: 'rows[0].features.v' })
    await put('1', { s: null })
    expect((await read('1')).features).toEqual({ n: 1, s: null, b: true, v: [1, 2], more: 2 })
  })

  it('may have features that are called like properties of every object', async (context) => {
    const { put, read, views, tenant } = await start(context)
    await put('1', { constructor: 1, toString: 'x' })
    const features = { constructor: { type: 'float' }, hasOwnProperty: { type: 'int' } } as never
    await views.put(tenant, 'user', { features })
    expect((await read('1')).features).toEqual({ constructor: 1, hasOwnProperty: null })
    await views.put(tenant, 'user', { features: { toString: { type: 'string' } } as never })
    expect((await read('1')).features).toEqual({ toString: 'x' })
  })

  it('two that learn at the same time agree on one type', async (context) => {
    const { tenant, instance, views } = await start(context)
    const puts = ['text', 5, true, [1]].map((value) => instance().put('1', { a: value, [`own-${value}`]: 1 }))
    const settled = await Promise.allSettled(puts)
    expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect((await views.get(tenant, 'user')).features.a).toBeDefined()
  })

  it('that is declared takes nothing else, and gives defaults', async (context) => {
    const { put, read, views, tenant } = await start(context)
    await views.put(tenant, 'user', {
      features: { age: { type: 'int', min: 0, max: 150 }, country: { type: 'string', default: 'unknown' } },
    })
    await expect(put('1', { other: 1 })).rejects.toMatchObject({
      status: 400,
      param: 'rows[0].features.other',
    })
    await put('1', { age: 20 })
    expect(await read('1')).toMatchObject({ features: { age: 20, country: 'unknown' } })
    expect(await read('nobody')).toMatchObject({
      features: { age: null, country: 'unknown' },
      eventTime: null,
    })
    expect(await read('nobody', ['age'])).toMatchObject({ features: null })
    await expect(read('1', ['other'])).rejects.toMatchObject({ status: 400, param: 'features[0]' })
  })

  it('keeps the type of a feature for good, also of one that was left out for a while', async (context) => {
    const { put, read, views, tenant } = await start(context)
    const declare = (features: Parameters<typeof views.put>[2]['features']) =>
      views.put(tenant, 'user', { features })
    expect(await declare({ a: { type: 'int' }, b: { type: 'string' } })).toMatchObject({ created: true })
    await put('1', { a: 1, b: 'x' })
    expect(await declare({ b: { type: 'string' } })).toMatchObject({ created: false })
    expect((await read('1')).features).toEqual({ b: 'x' })
    await expect(declare({ a: { type: 'string' } })).rejects.toMatchObject({
      status: 409,
      param: 'features.a',
    })
    await declare({ a: { type: 'int' } })
    expect((await read('1')).features).toEqual({ a: 1 })
  })

  it.each([
    [{ type: 'int', default: 1.5 }, 'features.f.default'],
    [{ type: 'int', min: 2, max: 1 }, 'features.f.min'],
    [{ type: 'string', max: 1 }, 'features.f.max'],
    [{ type: 'vector' }, 'features.f.dimensions'],
    [{ type: 'float', dimensions: 3 }, 'features.f.dimensions'],
    [{ type: 'float', max: 1, default: 2 }, 'features.f.default'],
  ] as const)('cannot declare %j', async (feature, param) => {
    const views = createFeatureViews({ redis: undefined as never, clock: Date })
    await expect(views.put('t', 'v', { features: { f: feature } })).rejects.toMatchObject({
      status: 400,
      param,
    })
  })

  it.each([
    ['float', Number.POSITIVE_INFINITY],
    ['float', '1'],
    ['int', 1.5],
    ['int', 2 ** 53],
    ['bool', 1],
    ['string', 1],
    ['string', 'x'.repeat(1_025)],
    ['string', '\ud800'],
    ['timestamp', 'yesterday'],
    ['timestamp', '2026-01-01T00:00:00'],
    ['timestamp', '2026-02-30T00:00:00Z'],
  ] as const)('%s: %j is refused, and nothing of the row is written', async (type, value) => {
    const context = { onTestFinished: (await import('vitest')).onTestFinished } as TestContext
    const { put, read, views, tenant } = await start(context)
    await views.put(tenant, 'user', { features: { good: { type: 'int' }, f: { type } } })
    const refused = { status: 400, param: 'rows[0].features.f' }
    await expect(put('1', { good: 1, f: value })).rejects.toMatchObject(refused)
    expect(await read('1')).toMatchObject({ features: null })
  })

  it('a timestamp is the same moment in UTC', async (context) => {
    const { put, read, views, tenant } = await start(context)
    await views.put(tenant, 'user', { features: { seen: { type: 'timestamp' } } })
    await put('1', { seen: '2026-01-01T02:00:00+02:00' })
    expect((await read('1')).features).toEqual({ seen: '2026-01-01T00:00:00.000Z' })
  })
})

describe('time', () => {
  it('a value older than the view’s TTL is unknown, and its entity expires', async (context) => {
    const { put, read, redis, time, views, tenant } = await start(context)
    const features = { a: { type: 'int' }, b: { type: 'int', default: 7 } } as const
    await views.put(tenant, 'user', { features, ttl_seconds: 60 })
    await put('1', { a: 1 }, T - 50_000)
    await put('1', { b: 2 })
    expect((await read('1')).features).toEqual({ a: 1, b: 2 })
    time.now = T + 20_000
    expect((await read('1')).features).toEqual({ a: null, b: 2 })
    time.now = T + 70_000
    expect(await read('1')).toMatchObject({ features: { a: null, b: 7 }, eventTime: null })
    const [left] = await redis.wave([['PTTL', featureKey(tenant, 'user', '1')]])
    expect(left).toBeGreaterThan(50_000)
    expect(left).toBeLessThanOrEqual(60_000)
    await views.put(tenant, 'user', { features })
    await put('1', { a: 3 })
    expect(await redis.wave([['PTTL', featureKey(tenant, 'user', '1')]])).toEqual([-1])
  })

  it('values older than was asked for are marked', async (context) => {
    const { put, features, tenant } = await start(context)
    await put('1', { old: 1 }, T - 20_000)
    await put('1', { young: 1 }, T - 5_000)
    const ask = async (maxAgeSeconds: number) =>
      (await features.read(tenant, 'user', ['1', 'nobody'], { maxAgeSeconds })).map(({ stale }) => stale)
    expect(await ask(10)).toEqual([['old'], []])
    expect(await ask(1)).toEqual([['old', 'young'], []])
    expect(await ask(20)).toEqual([[], []])
  })

  it('a time that is far ahead is refused: it would shut out all others', async (context) => {
    const { put } = await start(context)
    const refused = { status: 400, param: 'rows[0].event_time' }
    await expect(put('1', { a: 1 }, T + 300_001)).rejects.toMatchObject(refused)
    await put('1', { a: 1 }, T + 299_999)
  })
})

describe('bounds', () => {
  it('of a view: 200 features, 4,096 dimensions, those that were removed included', async (context) => {
    const { views, tenant } = await start(context)
    const many = (count: number, prefix: string) =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`${prefix}${n}`, { type: 'int' } as const]))
    await views.put(tenant, 'user', { features: many(200, 'a') })
    await expect(views.put(tenant, 'user', { features: many(1, 'b') })).rejects.toMatchObject({ status: 422 })
    const wide = { v: { type: 'vector', dimensions: 4_096 }, w: { type: 'vector', dimensions: 1 } } as const
    await expect(views.put(tenant, 'wide', { features: wide })).rejects.toMatchObject({ status: 422 })
  })

  it('of a query: what is too much for one reply is refused before it is read', async (context) => {
    const { features, views, tenant, waves } = await start(context)
    await views.put(tenant, 'user', {
      features: { v: { type: 'vector', dimensions: 4_096 }, n: { type: 'int' } },
    })
    const entities = Array.from({ length: 1_000 }, (_, n) => String(n))
    await features.read(tenant, 'user', ['1'])
    waves.length = 0
    await expect(features.read(tenant, 'user', entities)).rejects.toMatchObject({ status: 413 })
    expect(waves).toEqual([])
    expect(await features.read(tenant, 'user', entities, { names: ['n'] })).toHaveLength(1_000)
  })

  it.each([[''], ['a\nb'], ['x'.repeat(257)], ['\ud800']])('no entity is called %j', async (entity) => {
    const context = { onTestFinished: (await import('vitest')).onTestFinished } as TestContext
    const { put, read } = await start(context)
    await expect(put(entity, { a: 1 })).rejects.toMatchObject({ status: 400, param: 'rows[0].entity' })
    await expect(read(entity)).rejects.toMatchObject({ status: 400, param: 'entities[0]' })
  })

  it.each([['_a'], ['__proto__'], ['a b'], ['@'], ['']])('no feature is called %j', async (name) => {
    const context = { onTestFinished: (await import('vitest')).onTestFinished } as TestContext
    const { features, tenant } = await start(context)
    const rows = [{ entity: '1', features: JSON.parse(`{${JSON.stringify(name)}:1}`) }]
    await expect(features.put(tenant, 'user', rows)).rejects.toMatchObject({ status: 400 })
  })
})
