import { describe, expect, onTestFinished, test } from 'vitest'
import { serviceKey } from '../../../shared/keys.ts'
import { send } from '../../../shared/send.ts'
import { chooseInstance, type Instance } from '../../../shared/services/instance.ts'
import { createServices } from '../../../shared/services/services.ts'
import { unique } from '../../support/app.ts'
import { openRedis } from '../../support/open-redis.ts'

const setting = {
  url: 'http://10.0.0.5',
  status: 'passing',
  weight: 1,
  metadata: {},
  ttl_seconds: 60,
} as const

describe.each(['resp', 'rest'] as const)('over %s', (driver) => {
  async function start() {
    const { redis } = await openRedis({ onTestFinished }, driver)
    const tenant = unique('tenant')
    const key = serviceKey(tenant, 'billing')
    return { redis, tenant, key, services: createServices({ redis }) }
  }
  /** As if it had fallen silent so long ago. */
  const silence = (ms: number, text: string) => text.replace(/^\d+/, () => String(Date.now() - ms))

  test('what was silent for ten minutes is removed by whoever is alive, and not before', async () => {
    const { redis, tenant, key, services } = await start()
    for (const name of ['alive', 'late', 'dead']) await services.put(tenant, 'billing', name, setting)
    const text = (await send(redis, ['HGET', key, 'dead'])) as string
    await send(redis, [
      'HSET',
      key,
      'dead',
      silence(610_000, text),
      'late',
      silence(590_000, text),
      '@sweep',
      0,
    ])
    await services.put(tenant, 'billing', 'alive', setting)
    const found = await services.instances(tenant, 'billing')
    expect(found.map(({ instance, status }) => [instance, status])).toEqual([
      ['alive', 'passing'],
      ['late', 'expired'],
    ])
  })

  test('a service of which nobody is left goes with the last one, unless a fence must be remembered', async () => {
    const { redis, tenant, key, services } = await start()
    await services.put(tenant, 'billing', 'long', { ...setting, ttl_seconds: 3_600 })
    await services.put(tenant, 'billing', 'short', setting)
    const left = (await send(redis, ['PTTL', key])) as number
    expect(left).toBeGreaterThan(4_100_000) // an hour and ten minutes, but for what this test took
    expect(left).toBeLessThanOrEqual(4_200_000)
    await services.put(tenant, 'billing', 'short', setting, { lock: 'l', token: 1 })
    await services.put(tenant, 'billing', 'short', setting)
    expect(await send(redis, ['PTTL', key])).toBe(-1)
  })

  test('no more than a thousand fields, and what is dead makes room', async () => {
    const { redis, tenant, key, services } = await start()
    await services.put(tenant, 'billing', 'a', setting)
    const text = (await send(redis, ['HGET', key, 'a'])) as string
    const others = Array.from({ length: 998 }, (_, n) => [`n${n}`, text]).flat()
    await send(redis, ['HSET', key, ...others])
    const one = services.put(tenant, 'billing', 'b', setting)
    await expect(one).rejects.toMatchObject({ status: 409, code: 'too_many_instances' })
    await services.put(tenant, 'billing', 'a', setting)
    await send(redis, ['HSET', key, 'n1', silence(610_000, text)])
    expect(await services.put(tenant, 'billing', 'b', setting)).toMatchObject({ created: true })
  })
})

test('each gets its part of the calls, whatever the dice say', () => {
  const of = (instance: string, weight: number, status: Instance['status'] = 'passing') =>
    ({ instance, weight, status }) as Instance
  const all = [of('a', 1), of('drained', 0), of('b', 2), of('w', 9, 'warning'), of('e', 9, 'expired')]
  const chosen = (...dice: number[]) => dice.map((point) => chooseInstance(all, () => point)?.instance)
  expect(chosen(0, 0.33, 0.34, 0.9999999999999999)).toEqual(['a', 'a', 'b', 'b'])
  expect(chooseInstance(all.slice(3), () => 0)?.instance).toBe('w')
  expect(chooseInstance([all[1]!, all[4]!], () => 0)).toBeUndefined()
})
