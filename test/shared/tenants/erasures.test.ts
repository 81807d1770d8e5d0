import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { createRedisResp } from '../../../shared/drivers/redis-resp.ts'
import { HubError } from '../../../shared/errors.ts'
import { createHubKeys, createKeyring } from '../../../shared/hub-keys.ts'
import { ERASURES_DUE_KEY, hubKeysKey } from '../../../shared/keys.ts'
import type { CallOptions, Redis } from '../../../shared/ports/redis.ts'
import type { ErasurePlace } from '../../../shared/tenants/erasure-places.ts'
import { createErasures } from '../../../shared/tenants/erasures.ts'
import { patient, startTestRedis } from '../../support/redis.ts'

let server: Awaited<ReturnType<typeof startTestRedis>>
let redis: Redis
beforeAll(async () => {
  server = await startTestRedis()
  redis = patient(createRedisResp({ url: server.url }))
})
afterAll(async () => {
  await redis.close()
  await server.stop()
})
beforeEach(() => redis.wave([['FLUSHALL']]))

type Erase = ErasurePlace['erase']

/** Over places of its own. */
function erasuresOf(erase: Record<string, Erase>, quietMs = 1) {
  const places = Object.entries(erase).map(([name, erase]) => ({ name, counts: 'keys' as const, erase }))
  const forgotten: string[] = []
  const errors: unknown[] = []
  const erasures = createErasures({
    ...{ redis, clock: Date, quietMs, placesOf: async () => places },
    forgetKey: (id) => forgotten.push(id),
    log: { info() {}, error: (line) => errors.push(line) },
  })
  return { ...erasures, forgotten, errors }
}

const nothing: Erase = async () => ({ removed: 0 })
const dueNow = () => redis.wave([['ZADD', ERASURES_DUE_KEY, 'XX', 1, 'acme']])

it('tells what it broke off at, and goes on there', async () => {
  const seen: string[] = []
  let isAway = true
  const erasures = erasuresOf({
    first: async () => ({ removed: seen.push('first') === 1 ? 3 : 0 }),
    async second(cursor) {
      seen.push(`second ${cursor}`)
      if (cursor === '0') return { removed: 0, next: '7' }
      if (isAway) throw new HubError({ code: 'away', status: 503, message: 'The store is away.' })
      return { removed: 0 }
    },
  })
  await redis.wave([['HSET', hubKeysKey('acme'), 'one', '{}', 'two', '{}']])
  await erasures.begin('acme', () => {})
  expect(erasures.forgotten.sort()).toEqual(['one', 'two'])
  await erasures.drain(1_000)
  expect(await erasures.find('acme')).toMatchObject({ problem: 'The store is away.', keys: 3, passes: 0 })
  expect(erasures.errors).toHaveLength(1)
  isAway = false
  seen.length = 0
  await dueNow()
  await erasures.drain(1_000)
  expect(seen[0]).toBe('second 7')
  await expect
    .poll(async () => {
      await erasures.drain(1_000)
      return erasures.find('acme')
    })
    .toMatchObject({ status: 'erased', problem: null, keys: 3, passes: 3 })
  expect(await erasures.running()).toEqual([])
})

it('ends only after nothing has turned up for so long', async () => {
  let late = 0
  const erasures = erasuresOf({ all: async () => ({ removed: late-- > 0 ? 1 : 0 }) }, 3_600_000)
  await erasures.begin('acme', () => {})
  for (const found of [0, 0, 1, 0, 0]) {
    late = found
    await dueNow()
    await erasures.drain(1_000)
    expect(await erasures.find('acme')).toMatchObject({ status: 'erasing' })
  }
  expect(await erasures.find('acme')).toMatchObject({ passes: 5, keys: 1 })
})

it('two that work on it at the same time count each key once', async () => {
  let left = 500
  const page: Erase = async (cursor) => {
    const removed = Math.min(left, 10)
    left -= removed
    await redis.wave([['PING']])
    return { removed, next: removed > 0 ? String(Number(cursor) + 1) : undefined }
  }
  const [one, other] = [erasuresOf({ page }, 1), erasuresOf({ page }, 1)]
  await one.begin('acme', () => {})
  const working = one.drain(5_000)
  await dueNow()
  await Promise.all([working, other.drain(5_000)])
  await expect
    .poll(async () => {
      await dueNow()
      await Promise.all([one.drain(1_000), other.drain(1_000)])
      return one.find('acme')
    })
    .toMatchObject({ status: 'erased' })
  expect((await one.find('acme'))!.keys).toBeLessThanOrEqual(500)
  expect(left).toBe(0)
})

it('a key that is made while an erasure begins, or begins and ends, is refused or works', async () => {
  const erasures = erasuresOf({ nothing })
  const eraseWhole = async () => {
    await erasures.begin('acme', () => {})
    await redis.wave([['DEL', hubKeysKey('acme')]])
    while ((await erasures.find('acme'))!.status !== 'erased') {
      await dueNow()
      await erasures.drain(1_000)
    }
  }
  for (const happens of [() => erasures.begin('acme', () => {}), eraseWhole]) {
    for (const at of [1, 2, 3, 4]) {
      await redis.wave([['FLUSHALL']])
      let calls = 0
      const between: Redis = {
        ...redis,
        async wave(commands, options?: CallOptions) {
          if (++calls === at) await happens()
          return redis.wave(commands, options)
        },
      }
      const hubKeys = createHubKeys({ redis: between, keyring: createKeyring('a secret'), now: Date.now })
      const made = await hubKeys.create({ tenant: 'acme' }).catch((error: HubError) => error)
      if (made instanceof Error) expect(made).toMatchObject({ status: 409, code: 'tenant_being_erased' })
      else expect((await redis.wave([['HEXISTS', hubKeysKey('acme'), made.id]]))[0], `${at}`).toBe(1)
    }
  }
})
