import { describe, expect, it, type TestContext } from 'vitest'
import { preferencesKey } from '../../../shared/keys.ts'
import { createPreferenceTypes, type Declared } from '../../../shared/preferences/preference-types.ts'
import { createPreferences, type PreferencesPatch } from '../../../shared/preferences/preferences.ts'
import { createRealtime } from '../../../shared/realtime/realtime.ts'
import { unique } from '../../support/app.ts'
import { mergePatch, randomObject } from '../../support/merge-patch.ts'
import { openRedis } from '../../support/open-redis.ts'
import { seeded } from '../../support/random.ts'

async function start(
  context: Pick<TestContext, 'onTestFinished'>,
  driver?: 'resp' | 'rest',
  declared?: Declared,
) {
  const { redis, waves } = await openRedis(context, driver)
  const types = createPreferenceTypes({ redis })
  const preferences = createPreferences({ redis, types, realtime: createRealtime({ redis }) })
  const tenant = unique('tenant')
  if (declared) await types.put(tenant, declared)
  const known = async (user: string) => {
    const { calls, settle } = preferences.ask(tenant, user)
    return settle(await redis.wave(calls))
  }
  const deferred: Promise<unknown>[] = []
  context.onTestFinished(async () => void (await Promise.all(deferred)))
  return {
    ...{ redis, waves, types, preferences, tenant, deferred },
    get: async (user = 'ada') => preferences.shown(await known(user)),
    patch: async (patch: PreferencesPatch['patch'], more: Partial<PreferencesPatch> = {}, user = 'ada') =>
      preferences.patch(
        tenant,
        user,
        { patch, defer: (work) => deferred.push(work), ...more },
        await known(user),
      ),
  }
}

const SHOP: Declared = {
  types: {
    theme: { type: 'string', enum: ['light', 'dark'], default: 'light' },
    size: { type: 'integer', minimum: 8, maximum: 40 },
    editor: {
      type: 'object',
      properties: { tab: { type: 'integer' } },
      additionalProperties: { type: 'boolean' },
    },
  },
  additional: false,
}

describe.each(['resp', 'rest'] as const)('preferences, over %s', (driver) => {
  it('of 100 patches at the same time none is lost', async (context) => {
    const { get, patch } = await start(context, driver)
    const names = Array.from({ length: 100 }, (_, i) => `n${i}`)
    await Promise.all(names.map((name, i) => patch({ [name]: i, all: { [name]: true } })))
    const { values, version } = await get()
    expect(version).toBe(100)
    expect(values).toEqual({
      ...Object.fromEntries(names.map((name, i) => [name, i])),
      all: Object.fromEntries(names.map((name) => [name, true])),
    })
  })

  it('nor within an object that has a type', async (context) => {
    const { get, patch } = await start(context, driver, SHOP)
    const names = Array.from({ length: 30 }, (_, i) => `n${i}`)
    await Promise.all(names.map((name) => patch({ editor: { [name]: true } })))
    expect((await get()).values).toEqual({
      theme: 'light',
      editor: Object.fromEntries(names.map((name) => [name, true])),
    })
  })

  it('values keep their types, and what is chosen stands before a default', async (context) => {
    const { get, patch } = await start(context, driver, { ...SHOP, additional: true })
    expect(await get()).toEqual({ stored: {}, values: { theme: 'light' }, version: 0 })
    const values = { theme: 'dark', ratio: 0.1, big: 9_007_199_254_740_991, list: [], none: {}, text: '12' }
    expect(await patch(values)).toEqual({ stored: values, values, version: 1 })
    expect(await patch({ theme: null, list: null })).toMatchObject({ values: { theme: 'light' }, version: 2 })
    const { stored } = await get()
    expect(Object.keys(stored).sort()).toEqual(['big', 'none', 'ratio', 'text'])
  })

  it('what breaks a type is refused with its path, and nothing of the patch is written', async (context) => {
    const { get, patch } = await start(context, driver, SHOP)
    for (const [bad, param] of [
      [{ theme: 'dark', size: 7 }, 'size'],
      [{ size: '12' }, 'size'],
      [{ theme: 'dark', editor: { tab: 2, wrap: 'yes' } }, 'editor.wrap'],
      [{ other: 1 }, 'other'],
    ] as const)
      await expect(patch(bad)).rejects.toMatchObject({ status: 400, param })
    expect(await get()).toMatchObject({ stored: {}, version: 0 })
    await patch({ editor: { tab: 2 } })
    await expect(patch({ editor: { tab: 'two' } })).rejects.toMatchObject({ param: 'editor.tab' })
    expect((await patch({ editor: { wrap: true }, gone: null })).stored).toEqual({
      editor: { tab: 2, wrap: true },
    })
  })

  it('a bad type is refused when it is declared', async (context) => {
    const { types, tenant } = await start(context, driver)
    const put = (type: object) => types.put(tenant, { types: { x: type as never }, additional: true })
    await expect(put({ type: 'nothing' })).rejects.toMatchObject({ status: 400, param: 'types.x.type' })
    await expect(put({ type: 'string', default: 1 })).rejects.toMatchObject({ param: 'types.x.default' })
    await expect(put({ type: 'string', pattern: '(a+)+$' })).rejects.toMatchObject({ status: 400 })
    expect(await types.get(tenant)).toEqual({ types: {}, additional: true })
  })

  it('the script merges as RFC 7396 says', async (context) => {
    const { patch } = await start(context, driver)
    const random = seeded(3)
    for (let i = 0; i < 20; i++) {
      let expected: unknown = {}
      for (let j = 0; j < 6; j++) {
        const change = randomObject(random)
        expected = mergePatch(expected, change)
        expect((await patch(change, {}, `user-${i}`)).stored).toEqual(expected)
      }
    }
  })

  it('a patch that changes nothing is no version, and nobody is told', async (context) => {
    const { patch, deferred } = await start(context, driver)
    expect(await patch({ a: 1, b: {} })).toMatchObject({ version: 1 })
    expect(await patch({ a: 1, b: {}, c: null })).toMatchObject({ version: 1 })
    expect(deferred).toHaveLength(1)
    await Promise.all(deferred)
  })

  it('a patch for another version, or of a holder that lost its lock, changes nothing', async (context) => {
    const { get, patch } = await start(context, driver)
    await patch({ a: 1 }, { ifVersion: 0 })
    await expect(patch({ a: 2 }, { ifVersion: 0 })).rejects.toMatchObject({
      code: 'version_conflict',
      status: 412,
    })
    await patch({ a: 3 }, { fence: { lock: 'l', token: 7 } })
    const lost = { code: 'lock_lost', status: 412 }
    await expect(patch({ a: 4 }, { fence: { lock: 'l', token: 6 } })).rejects.toMatchObject(lost)
    await patch({ a: 5 }, { fence: { lock: 'l', token: 7 } })
    await patch({ a: 6 }, { fence: { lock: 'other', token: 1 } })
    expect(await get()).toEqual({ stored: { a: 6 }, values: { a: 6 }, version: 4 })
  })

  it('they are bounded', async (context) => {
    const { get, patch } = await start(context, driver)
    const full = { code: 'preferences_too_large', status: 413 }
    await expect(patch({ a: 'x'.repeat(70_000) })).rejects.toMatchObject(full)
    const many = Object.fromEntries(Array.from({ length: 1_001 }, (_, i) => [`n${i}`, i]))
    await expect(patch(many)).rejects.toMatchObject(full)
    expect(await get()).toMatchObject({ version: 0 })
  })

  it('empty ones are forgotten in time, and their version until then stays', async (context) => {
    const { redis, tenant, patch } = await start(context, driver)
    await patch({ a: 1 })
    const ttl = async () => (await redis.wave([['TTL', preferencesKey(tenant, 'ada')]]))[0]
    expect(await ttl()).toBe(-1)
    expect(await patch({ a: null })).toMatchObject({ stored: {}, version: 2 })
    expect(await ttl()).toBeGreaterThan(86_400)
    expect(await patch({ a: 2 })).toMatchObject({ version: 3 })
    expect(await ttl()).toBe(-1)
  })
})
