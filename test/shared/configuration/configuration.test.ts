import { describe, expect, onTestFinished, test } from 'vitest'
import {
  type ConfigurationOptions,
  createConfiguration,
} from '../../../shared/configuration/configuration.ts'
import { configKeys, configsKey } from '../../../shared/keys.ts'
import { send } from '../../../shared/send.ts'
import { unique } from '../../support/app.ts'
import { openRedis } from '../../support/open-redis.ts'

const by = 'a-key'

describe.each(['resp', 'rest'] as const)('over %s', (driver) => {
  async function start(options: Partial<ConfigurationOptions> = {}) {
    const { redis, waves } = await openRedis({ onTestFinished }, driver)
    return {
      ...{ redis, waves, tenant: unique('tenant') },
      configuration: createConfiguration({ redis, ...options }),
    }
  }

  /** Over HTTP each attempt is a request, and a conflict makes two more. */
  const many = driver === 'resp' ? 100 : 30

  test(`${many} concurrent changes lose nothing, whoever is faster`, async () => {
    const { configuration, tenant } = await start()
    await configuration.put(tenant, 'app', { base: true }, { by })
    const written = await Promise.all(
      Array.from({ length: many }, (_, n) =>
        configuration.patch(tenant, 'app', { [`n${n}`]: n }, { by: `key-${n}` }),
      ),
    )
    const { values, version } = await configuration.get(tenant, 'app')
    expect(version).toBe(many + 1)
    expect(values).toEqual({
      base: true,
      ...Object.fromEntries(Array.from({ length: many }, (_, n) => [`n${n}`, n])),
    })
    expect(new Set(written.map(({ config }) => config.version)).size).toBe(many)
  })

  test(`${many} callers who count under If-Match, and read again when refused, count to ${many}`, async () => {
    const { configuration, tenant } = await start()
    await configuration.put(tenant, 'app', { count: 0, other: [1] }, { by })
    const count = async (): Promise<void> => {
      for (;;) {
        const { values, version } = await configuration.get(tenant, 'app')
        const patch = { count: (values.count as number) + 1 }
        const refusal = await configuration.patch(tenant, 'app', patch, { by, ifVersion: version }).then(
          () => undefined,
          (error) => error,
        )
        if (!refusal) return
        expect(refusal).toMatchObject({ status: 412, code: 'version_conflict', param: 'if-match' })
      }
    }
    // Some at a time: each success of one is a failure of the others.
    for (let i = 0; i < 5; i++) await Promise.all(Array.from({ length: many / 5 }, count))
    expect(await configuration.get(tenant, 'app')).toMatchObject({
      values: { count: many, other: [1] },
      version: many + 1,
    })
  })

  test('the last 100 versions are kept, and their numbers go on after a delete', async () => {
    const { configuration, redis, tenant } = await start()
    for (let n = 1; n <= 103; n++) await configuration.put(tenant, 'app', { n }, { by, note: `note ${n}` })
    const { config, history } = configKeys(tenant, 'app')
    expect(await send(redis, ['XLEN', history])).toBe(100)
    const first = await configuration.history(tenant, 'app', { limit: 60 })
    expect(first).toMatchObject({
      has_more: true,
      data: { length: 60, 0: { version: 103, note: 'note 103', by } },
    })
    const rest = await configuration.history(tenant, 'app', { limit: 60, before: 44 })
    expect(rest.data.map(({ version }) => version)).toEqual(Array.from({ length: 40 }, (_, i) => 43 - i))
    expect(rest.has_more).toBe(false)
    expect(await configuration.get(tenant, 'app', 4)).toMatchObject({ version: 4, values: { n: 4 } })
    await expect(configuration.get(tenant, 'app', 3)).rejects.toMatchObject({
      code: 'config_version_not_found',
    })

    await configuration.delete(tenant, 'app', { by: 'another' })
    await expect(configuration.get(tenant, 'app')).rejects.toMatchObject({ code: 'config_not_found' })
    for (const gone of [4, 103, 104]) {
      const reading = configuration.get(tenant, 'app', gone)
      await expect(reading).rejects.toMatchObject({ code: 'config_version_not_found' })
    }
    expect(await configuration.history(tenant, 'app', { limit: 60 })).toEqual({
      data: [{ version: 104, at: expect.any(String), by: 'another', deleted: true }],
      has_more: false,
    })
    expect(((await send(redis, ['HKEYS', config])) as string[]).sort()).toEqual(['h:104', 'version'])
    const again = await configuration.put(tenant, 'app', { n: 'again' }, { by, ifVersion: 0 })
    expect(again).toMatchObject({ created: true, config: { version: 105 } })
    expect(await configuration.history(tenant, 'app', { limit: 60 })).toMatchObject({
      data: [{ version: 105 }, { version: 104, deleted: true }],
    })
  })

  test('a holder that lost its lock writes nothing, also after a delete', async () => {
    const { configuration, tenant } = await start()
    const fence = (token: number) => ({ by, fence: { lock: 'deploy', token } })
    await configuration.put(tenant, 'app', { n: 1 }, fence(1_790_000_000_000_007))
    const lost = { status: 412, code: 'lock_lost', param: 'x-hub-lock' }
    const stale = fence(1_790_000_000_000_006)
    await expect(configuration.put(tenant, 'app', { n: 2 }, stale)).rejects.toMatchObject(lost)
    await expect(configuration.put(tenant, 'app', { n: 1 }, stale)).rejects.toMatchObject(lost)
    await expect(configuration.patch(tenant, 'app', { n: 2 }, stale)).rejects.toMatchObject(lost)
    await expect(configuration.rollback(tenant, 'app', 1, stale)).rejects.toMatchObject(lost)
    await expect(configuration.delete(tenant, 'app', stale)).rejects.toMatchObject(lost)
    await configuration.patch(tenant, 'app', { n: 3 }, fence(1_790_000_000_000_007))
    await configuration.delete(tenant, 'app', fence(1_790_000_000_000_008))
    await expect(
      configuration.put(tenant, 'app', { n: 4 }, fence(1_790_000_000_000_007)),
    ).rejects.toMatchObject(lost)
    await configuration.put(tenant, 'app', { n: 5 }, { by, fence: { lock: 'another', token: 1 } })
  })

  test('a write that is repeated with its operation id is one write', async () => {
    const { configuration, tenant } = await start()
    const once = { by, once: 'a-key/1' }
    const first = await configuration.patch(tenant, 'app', { a: 1 }, once)
    await configuration.put(tenant, 'app', { b: 2 }, { by })
    expect((await configuration.patch(tenant, 'app', { a: 1 }, { ...once, ifVersion: 0 })).config).toEqual(
      first.config,
    )
    const other = configuration.patch(tenant, 'app', { a: 2 }, once)
    await expect(other).rejects.toMatchObject({ status: 422, code: 'idempotency_mismatch' })
    expect(await configuration.get(tenant, 'app')).toMatchObject({ version: 2, values: { b: 2 } })
  })

  test('a change gives up where the runtime counts calls and others are always faster', async () => {
    const { redis } = await openRedis({ onTestFinished }, driver)
    const tenant = unique('tenant')
    const others = createConfiguration({ redis })
    await others.put(tenant, 'app', { n: 0 }, { by })
    let n = 0
    const calls: unknown[] = []
    const configuration = createConfiguration({
      redis: {
        ...redis,
        // Somebody else writes before each of its writes.
        async wave(given, options) {
          calls.push(...given)
          if ('script' in given[0]!) await others.patch(tenant, 'app', { n: ++n }, { by })
          return redis.wave(given, options)
        },
      },
      callBudget: 20,
    })
    const change = configuration.patch(tenant, 'app', { mine: true }, { by })
    await expect(change).rejects.toMatchObject({ status: 503, code: 'config_contended' })
    expect(calls.length).toBeLessThanOrEqual(20)
    expect((await others.get(tenant, 'app')).values).toEqual({ n })
  })

  test('what a delete strikes off the list is there again when somebody wrote meanwhile', async () => {
    const { redis } = await openRedis({ onTestFinished }, driver)
    const tenant = unique('tenant')
    const others = createConfiguration({ redis })
    await others.put(tenant, 'app', {}, { by })
    const configuration = createConfiguration({
      redis: {
        ...redis,
        async wave(given, options) {
          if ((given[0] as readonly unknown[])[0] === 'ZREM')
            await others.put(tenant, 'app', { new: 1 }, { by })
          return redis.wave(given, options)
        },
      },
    })
    await configuration.delete(tenant, 'app', { by })
    expect(await configuration.list(tenant, { limit: 10 })).toEqual({
      data: [{ namespace: 'app', version: 3 }],
      has_more: false,
    })
    await configuration.delete(tenant, 'app', { by })
    expect(await send(redis, ['EXISTS', configsKey(tenant)])).toBe(1) // of the write that came in between
  })
})
