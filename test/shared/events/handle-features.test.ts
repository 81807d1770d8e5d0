import { describe, expect, it, type TestContext } from 'vitest'
import { createFeaturesHandler } from '../../../shared/events/handle-features.ts'
import type { EventHandlers } from '../../../shared/events/handlers.ts'
import { createFeatureViews } from '../../../shared/features/feature-views.ts'
import { createFeatures } from '../../../shared/features/features.ts'
import { startEvents } from '../../support/events.ts'
import { until } from '../../support/hub.ts'

async function start(context: TestContext, driver?: 'resp' | 'rest') {
  const handlers: EventHandlers = {}
  const hub = await startEvents(context, { driver, handlers })
  const { redis, tenant } = hub
  const views = createFeatureViews({ redis, clock: Date })
  const features = createFeatures({ redis, views, clock: Date })
  handlers.features = createFeaturesHandler({ features }) as EventHandlers[string]
  const send = async (events: Record<string, unknown>[]) => {
    const ids = await hub.send('s', events.length, (n) => ({ ...events[n] }))
    await until('all are over', async () => (await hub.found(ids)).size === ids.length)
    const found = await hub.found(ids)
    return ids.map((id) => found.get(id)!)
  }
  return { hub, views, features, tenant, send }
}

const time = (second: number) => `2026-01-01T00:00:${String(second).padStart(2, '0')}Z`

describe.each(['resp', 'rest'] as const)('features from a stream, over %s', (driver) => {
  it('of each entity the newest value by event time stays, in whatever order events come', async (context) => {
    const { hub, features, tenant, send } = await start(context, driver)
    await hub.streams.put(tenant, 's', { handler: { type: 'features', view: 'user' } })
    hub.run()
    const seconds = [30, 10, 50, 20, 40]
    const results = await send(
      seconds.flatMap((second) =>
        ['a', 'b'].map((subject) => ({ subject, time: time(second), data: { clicks: second } })),
      ),
    )
    expect(results.every(({ status }) => status === 'done')).toBe(true)
    expect(results[0]!.result).toMatchObject({ view: 'user', entity: 'a' })
    const rows = await features.read(tenant, 'user', ['a', 'b'])
    for (const row of rows)
      expect(row).toMatchObject({ features: { clicks: 50 }, eventTime: Date.parse(time(50)) })
  })

  it('takes entity, values and time from where it is told, and leaves out what a declared view does not have', async (context) => {
    const { hub, views, features, tenant, send } = await start(context, driver)
    await views.put(tenant, 'user', { features: { total: { type: 'int' }, city: { type: 'string' } } })
    const paths = { entity_path: 'data.order.user', values_path: 'data.order', time_path: 'data.order.ts' }
    await hub.streams.put(tenant, 's', { handler: { type: 'features', view: 'user', ...paths } })
    hub.run()
    const at = Date.parse(time(5))
    const [done, wrong, nowhere] = await send([
      { data: { order: { user: 7, total: 3, city: 'Rome', ts: at } } },
      { data: { order: { user: 8, total: 'three', ts: at } } },
      { data: { order: { total: 3, ts: at } } },
    ])
    expect(done!.result).toEqual({ view: 'user', entity: '7', written: ['total', 'city'], outdated: [] })
    expect(wrong).toMatchObject({ status: 'failed', attempts: 1 })
    expect(wrong!.error!.message).toContain('features.total')
    expect(nowhere!.error!.message).toContain('entity_path')
    const [row] = await features.read(tenant, 'user', ['7'])
    expect(row).toMatchObject({ features: { total: 3, city: 'Rome' }, eventTime: at })
  })
})
