import { describe, expect, it, type TestContext } from 'vitest'
import { createDatasetReader, type Selection, toLine } from '../../../shared/datasets/dataset-reader.ts'
import type { NewRow } from '../../../shared/datasets/dataset-row.ts'
import { createDatasets } from '../../../shared/datasets/datasets.ts'
import { createSkewReport } from '../../../shared/datasets/skew-report.ts'
import { createFeatureViews } from '../../../shared/features/feature-views.ts'
import { createFeatures } from '../../../shared/features/features.ts'
import { datasetKeys } from '../../../shared/keys.ts'
import { unique } from '../../support/app.ts'
import { openRedis } from '../../support/open-redis.ts'
import { seeded } from '../../support/random.ts'

const HOUR = 3_600_000

async function start(
  context: Pick<TestContext, 'onTestFinished'>,
  driver?: 'resp' | 'rest',
  callBudget?: number,
) {
  const { redis, waves } = await openRedis(context, driver)
  const now = Date.now()
  const clock = { now: () => now }
  const [tenant, name] = [unique('tenant'), 'clicks']
  const datasets = createDatasets({ redis, clock })
  const reader = createDatasetReader({ redis, clock, callBudget })
  return {
    ...{ redis, waves, now, clock, tenant, name, datasets, reader },
    skew: createSkewReport({ reader }),
    append: (...rows: Partial<NewRow>[]) =>
      datasets.append(
        tenant,
        name,
        rows.map((row) => ({ features: {}, ...row })),
      ),
    label: (id: string, label: unknown, at?: number) => datasets.label(tenant, name, [{ id, label, at }]),
    read: async (wanted: Selection = {}) => {
      const rows = []
      for await (const page of reader.pages(tenant, name, wanted))
        rows.push(...page.map((row) => JSON.parse(toLine(row))))
      return rows
    },
  }
}

const idsOf = (rows: { id: string }[]) => rows.map(({ id }) => id)

describe.each(['resp', 'rest'] as const)('datasets, over %s', (driver) => {
  it('a row is recorded once, whatever is sent again', async (context) => {
    const { append, read, now } = await start(context, driver)
    const at = now - 1_000
    expect(await append({ id: 'a', at, features: { n: 1 } }, { id: 'b' }, { id: 'a' })).toEqual({
      ...{ accepted: 2, duplicates: 1 },
      ids: ['a', 'b', 'a'],
    })
    expect(await append({ id: 'b' }, { id: 'c' })).toMatchObject({ accepted: 1, duplicates: 1 })
    const rows = await read()
    expect(idsOf(rows)).toEqual(['a', 'b', 'c'])
    expect(rows[0]).toEqual({ id: 'a', at: new Date(at).toISOString(), features: { n: 1 } })
  })

  it('whatever JSON a row and a label hold comes out as it went in', async (context) => {
    const { append, label, read, now } = await start(context, driver)
    const features = {
      text: 'two\nlines “é” \u2028',
      list: [],
      none: null,
      deep: { a: [1.5, {}] },
      'a}b': -0.1,
    }
    const row = { id: 'x y/{1}', entity: 'user:1', features, output: [0.25, 0.75], model: 'm:1' }
    await append({ ...row, at: now })
    await label(row.id, { right: false, why: 'line\none' }, now)
    const at = new Date(now).toISOString()
    expect(await read()).toEqual([{ ...row, at, label: { right: false, why: 'line\none' }, label_at: at }])
  })

  it('is read by the time of its rows, also of those that came late', async (context) => {
    const { append, read, now } = await start(context, driver)
    const hoursAgo = (hours: number) => now - hours * HOUR
    await append({ id: 'now' }, { id: '5', at: hoursAgo(5) }, { id: '48', at: hoursAgo(48) })
    await append({ id: '2', at: hoursAgo(2) })
    expect(idsOf(await read({ from: hoursAgo(6), to: hoursAgo(1) }))).toEqual(['5', '2'])
    expect(idsOf(await read({ to: hoursAgo(5) }))).toEqual(['48'])
    expect(idsOf(await read({ from: hoursAgo(2) }))).toEqual(['now', '2'])
    expect(await read({ from: hoursAgo(4), to: hoursAgo(3) })).toEqual([])
  })

  it('many rows come page by page, each once, and a reading goes on after the last row', async (context) => {
    const { datasets, tenant, name, read, reader, waves } = await start(context, driver)
    for (let part = 0; part < 3; part++) {
      const rows = Array.from({ length: 1_000 }, (_, n) => ({ id: String(part * 1_000 + n), features: {} }))
      await datasets.append(tenant, name, rows)
    }
    waves.length = 0
    const pages = reader.pages(tenant, name, {})
    const first = (await pages.next()).value as unknown[]
    expect(first).toHaveLength(1_000)
    expect(waves).toHaveLength(2) // nothing is read that nobody asked for
    await pages.return(undefined)
    expect(idsOf(await read())).toEqual(Array.from({ length: 3_000 }, (_, n) => String(n)))
    expect(idsOf(await read({ after: '2996' }))).toEqual(['2997', '2998', '2999'])
    expect(await read({ after: '2999' })).toEqual([])
    await expect(read({ after: 'none' })).rejects.toMatchObject({ status: 400, param: 'after' })
  })

  it('large rows make small pages', async (context) => {
    const { datasets, tenant, name, reader } = await start(context, driver)
    const rows = Array.from({ length: 30 }, () => ({ features: { text: 'x'.repeat(100_000) } }))
    await datasets.append(tenant, name, rows)
    const sizes = []
    for await (const page of reader.pages(tenant, name, {})) sizes.push(page.length)
    expect(sizes).toEqual([11, 11, 8])
  })
})

describe('point in time', () => {
  it('a row has the features that were served, whatever became of them', async (context) => {
    const { redis, clock, tenant, append, read } = await start(context)
    const features = createFeatures({ redis, clock, views: createFeatureViews({ redis, clock }) })
    await features.put(tenant, 'user', [{ entity: '1', features: { clicks: 1 } }])
    const [served] = await features.read(tenant, 'user', ['1'])
    await append({ id: 'a', entity: '1', features: served!.features! })
    await features.put(tenant, 'user', [{ entity: '1', features: { clicks: 99 } }])
    expect(await read()).toMatchObject([{ id: 'a', features: { clicks: 1 } }])
  })

  it('as of a time there are neither later rows nor labels that were known later', async (context) => {
    const { append, label, read, now } = await start(context)
    const at = (hoursAgo: number) => now - hoursAgo * HOUR
    await append({ id: 'a', at: at(9) }, { id: 'b', at: at(8) }, { id: 'c', at: at(2) })
    await label('a', 'yes', at(6))
    await label('a', 'no', at(3)) // a correction
    await label('b', 'yes', at(1))
    const labels = async (wanted: Selection) => (await read(wanted)).map(({ id, label }) => [id, label])
    const none = undefined
    expect(await labels({ asOf: at(7) })).toEqual([
      ['a', none],
      ['b', none],
    ])
    expect(await labels({ asOf: at(6) })).toEqual([
      ['a', 'yes'],
      ['b', none],
    ])
    expect(await labels({ asOf: at(2) })).toEqual([
      ['a', 'no'],
      ['b', none],
      ['c', none],
    ])
    expect(await labels({ asOf: at(2), labelled: true })).toEqual([['a', 'no']])
    expect(await labels({ asOf: at(2), labelled: false })).toEqual([
      ['b', none],
      ['c', none],
    ])
    expect(await labels({})).toEqual([
      ['a', 'no'],
      ['b', 'yes'],
      ['c', none],
    ])
  })

  it('a label that came with its row counts from now on, unless it says since when', async (context) => {
    const { append, read, now } = await start(context)
    const at = now - 5 * HOUR
    await append({ id: 'a', at, label: 1 }, { id: 'b', at, label: 0, labelAt: at })
    const asOf = now - HOUR
    expect((await read({ asOf })).map(({ label }) => label)).toEqual([undefined, 0])
  })

  it('labels may come in any order and twice; the latest by its own time counts', async (context) => {
    const { append, label, read, now } = await start(context)
    await append({ id: 'a', at: now - 60_000, label: 'own', labelAt: now - 50_000 })
    const sent = Array.from({ length: 40 }, (_, n) => ({ label: n, at: now - 40_000 + n * 1_000 }))
    for (const { label: value, at } of [...sent, ...sent.toReversed()]) await label('a', value, at)
    expect((await read())[0].label).toBe(39)
    expect((await read({ asOf: now - 10_000 }))[0].label).toBe(30)
    await label('a', 'corrected', now - 1_000)
    expect((await read())[0].label).toBe('corrected')
  })

  it('a row that is not there is not labelled', async (context) => {
    const { append, datasets, tenant, name, now } = await start(context)
    await append({ id: 'a' })
    const labels = ['a', 'none', ''].map((id) => ({ id, label: 1, at: now }))
    expect(await datasets.label(tenant, name, labels.slice(0, 2))).toEqual(['none'])
  })
})

describe('bounds', () => {
  it('the oldest rows go with their labels where there are too many', async (context) => {
    const { append, datasets, tenant, name, label, read, redis } = await start(context)
    await datasets.put(tenant, name, { max_rows: 10 })
    for (let n = 0; n < 25; n++) {
      await append({ id: String(n) })
      await label(String(n), n)
    }
    expect(idsOf(await read())).toEqual(Array.from({ length: 10 }, (_, n) => String(n + 15)))
    const { ids } = datasetKeys(tenant, name)
    expect(await redis.wave([['HLEN', ids]])).toEqual([11]) // and how late rows may be
    expect(await label('3', 1)).toEqual(['3'])
  })

  it('a smaller bound is met at once', async (context) => {
    const { datasets, tenant, name } = await start(context)
    const rows = Array.from({ length: 1_000 }, () => ({ features: {} }))
    for (let n = 0; n < 3; n++) await datasets.append(tenant, name, rows)
    const { trim } = await datasets.put(tenant, name, { max_rows: 7 })
    await trim()
    expect(await datasets.stats(tenant, name)).toMatchObject({ max_rows: 7, rows: 7 })
  })

  it('rows that are too old are not read, and go', async (context) => {
    const { append, datasets, tenant, name, read, redis, now } = await start(context)
    const { rows, ids } = datasetKeys(tenant, name)
    const old = JSON.stringify({ id: 'old', at: new Date(now).toISOString(), features: {} })
    await redis.wave([
      ['XADD', rows, `${now - 2 * 86_400_000}-0`, 'id', 'old', 'at', now - 2 * 86_400_000, 'row', old],
      ['HSET', ids, 'old', `${now - 2 * 86_400_000}-0`],
    ])
    await datasets.put(tenant, name, { max_age_days: 1 })
    expect(await read()).toEqual([])
    await append({ id: 'new' })
    expect(await datasets.stats(tenant, name)).toMatchObject({ rows: 1, max_age_days: 1 })
    for (const left of await redis.wave([
      ['PTTL', rows],
      ['PTTL', ids],
    ]))
      expect(left).toBeGreaterThan(86_300_000)
    await datasets.put(tenant, name, {})
    await append({ id: 'newer' })
    expect(
      await redis.wave([
        ['PTTL', rows],
        ['PTTL', ids],
      ]),
    ).toEqual([-1, -1])
  })

  it('where the runtime bounds calls, a reading ends in an error rather than early', async (context) => {
    const { datasets, tenant, name, read } = await start(context, 'resp', 4)
    const rows = Array.from({ length: 1_000 }, () => ({ features: {} }))
    for (let n = 0; n < 3; n++) await datasets.append(tenant, name, rows)
    await expect(read()).rejects.toMatchObject({ status: 422, code: 'range_too_large' })
    const some = Array.from({ length: 500 }, () => ({ features: {} }))
    await datasets.delete(tenant, name)
    await datasets.append(tenant, name, some)
    expect(await read()).toHaveLength(500)
  })

  it('a row that is too large, or of the future, is refused before any is recorded', async (context) => {
    const { append, read, now } = await start(context)
    const large = append({ id: 'a' }, { features: { text: 'x'.repeat(270_000) } })
    await expect(large).rejects.toMatchObject({ status: 413, param: 'rows[1]' })
    await expect(append({ at: now + 300_001 })).rejects.toMatchObject({ status: 400, param: 'rows[0].at' })
    await expect(read()).rejects.toMatchObject({ status: 404, code: 'dataset_not_found' })
  })

  it('a deleted dataset is gone with all that it held', async (context) => {
    const { append, datasets, tenant, name, redis, read } = await start(context)
    await append({ id: 'a' })
    expect(await datasets.list(tenant)).toEqual([{ name, max_rows: 100_000 }])
    await datasets.delete(tenant, name)
    const { rows, ids } = datasetKeys(tenant, name)
    expect(await redis.wave([['EXISTS', rows, ids]])).toEqual([0])
    expect(await datasets.list(tenant)).toEqual([])
    await expect(datasets.delete(tenant, name)).rejects.toMatchObject({ status: 404 })
    await expect(read()).rejects.toMatchObject({ status: 404 })
  })
})

describe('skew', () => {
  it('compares what is served now with what was served before, by feature', async (context) => {
    const { append, skew, tenant, name, now } = await start(context)
    const trained = now - 10 * HOUR
    const of = (side: number) => (_: unknown, n: number) => ({
      at: side === 0 ? trained - HOUR : now - HOUR,
      features: {
        same: n % 17,
        moved: n + side * 150,
        plan: n % (side + 2) ? 'paid' : 'free',
        ...(n % 4 && { gap: 1 }),
      },
      output: side,
    })
    await append(...Array.from({ length: 300 }, of(0)))
    await append(...Array.from({ length: 300 }, of(1)))
    const report = await skew(tenant, name, { reference: { to: trained }, current: { from: trained } })
    expect(report).toMatchObject({
      reference: { rows: 300, sampled: 300 },
      current: { rows: 300, sampled: 300 },
      features: {
        same: { type: 'numeric', psi: 0, ks: 0 },
        moved: { type: 'numeric', ks: 0.5, reference: { min: 0, max: 299 }, current: { min: 150, max: 449 } },
        plan: {
          type: 'categorical',
          reference: { count: 300, shares: { free: 0.5, paid: 0.5 } },
          current: { count: 300, shares: { free: 1 / 3, paid: 2 / 3 } },
        },
        gap: { missing_rate: { reference: 0.25, current: 0.25 }, psi: 0 },
      },
      output: { type: 'numeric', ks: 1 },
    })
    expect((report.features.moved as { psi: number }).psi).toBeGreaterThan(0.25)
  })

  it('of more rows than are compared each has the same chance', async (context) => {
    const { clock, datasets, tenant, name, reader } = await start(context)
    for (let part = 0; part < 12; part++) {
      const rows = Array.from({ length: 1_000 }, (_, n) => ({ features: { n: part * 1_000 + n } }))
      await datasets.append(tenant, name, rows)
    }
    const { reference, features } = await createSkewReport({ reader, random: seeded(11) })(tenant, name, {
      reference: {},
      current: { from: clock.now() + HOUR },
    })
    expect(reference).toEqual({ rows: 12_000, sampled: 10_000 })
    // The first 10,000 would have a mean of 4,999.5; that of all is 5,999.5.
    const { mean } = (features.n as { reference: { mean: number } }).reference
    expect(Math.abs(mean - 5_999.5)).toBeLessThan(75)
    expect(features.n).toMatchObject({ current: null, psi: null, ks: null })
  })
})
