import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, type TestContext } from 'vitest'
import { RedisTimeoutError } from '../../../shared/errors.ts'
import { lockKeys } from '../../../shared/keys.ts'
import { createLocks, type Locks, type Wanted } from '../../../shared/locks/locks.ts'
import type { Redis } from '../../../shared/ports/redis.ts'
import { unique } from '../../support/app.ts'
import { until } from '../../support/hub.ts'
import { openRedis } from '../../support/open-redis.ts'

const TENANT = 'acme'
const LONG = 60_000

async function start(context: TestContext, driver: 'resp' | 'rest' = 'resp', callBudget?: number) {
  const { redis, waves } = await openRedis(context, driver)
  return { ...oneLock(createLocks({ redis, callBudget })), redis, waves }
}

function oneLock(locks: Locks, name = unique('lock')) {
  return {
    ...{ locks, name, keys: lockKeys(TENANT, name) },
    acquire: (more: Partial<Wanted> = {}) =>
      locks.acquire(TENANT, name, { ttlMs: LONG, by: 'local', ...more }),
    renew: (token: number, ttlMs = LONG) => locks.renew(TENANT, name, token, ttlMs),
    release: (token: number) => locks.release(TENANT, name, token),
    read: () => locks.read(TENANT, name),
    queued: (count: number) =>
      until(`${count} wait`, async () => (await locks.read(TENANT, name)).waiting === count),
  }
}

const lost = { code: 'lock_lost', status: 412 }
const isHeld = { code: 'lock_held', status: 409 }

/** Redis gets the acquisitions that `loses` says, and nobody hears its reply. */
function deaf(redis: Redis, loses: (nth: number) => boolean): Redis {
  let nth = 0
  return {
    ...redis,
    async wave(calls, options) {
      const [call] = calls
      const isAcquisition = call && 'script' in call && call.script.name === 'acquire-lock'
      const replies = await redis.wave(calls, options)
      if (isAcquisition && loses(++nth)) throw new RedisTimeoutError('Redis did not answer in time')
      return replies
    },
  }
}

describe.each(['resp', 'rest'] as const)('over %s', (driver) => {
  it('one holds it at a time, with tokens that rise; others are told who, and for how long', async (context) => {
    const { acquire, release, read } = await start(context, driver)
    expect(await read()).toEqual({ held: undefined, highest: undefined, waiting: 0 })
    const first = await acquire({ by: 'key:k1', owner: 'billing' })
    expect(await acquire().catch((error) => error)).toMatchObject({
      ...{ ...isHeld, headers: { 'Retry-After': '60' } },
      message: expect.stringContaining(`billing (key:k1) with token ${first.token}`),
    })
    expect(await read()).toEqual({
      held: { token: first.token, by: 'key:k1', owner: 'billing', expiresAt: first.expiresAt },
      ...{ highest: first.token, waiting: 0 },
    })
    await release(first.token)
    expect(await read()).toEqual({ held: undefined, highest: first.token, waiting: 0 })
    const second = await acquire()
    expect(second.token).toBeGreaterThan(first.token)
  })

  it('renewing lets a lease end later; once it is over the token is lost, whether somebody took the lock or not', async (context) => {
    const { acquire, renew, release, read } = await start(context, driver)
    const first = await acquire({ ttlMs: 300 })
    const renewed = await renew(first.token, LONG)
    expect(renewed).toMatchObject({ token: first.token })
    expect(renewed.expiresAt - first.expiresAt).toBeGreaterThan(LONG - 1_000)
    await sleep(400)
    expect((await read()).held).toMatchObject({ token: first.token, expiresAt: renewed.expiresAt })
    await renew(first.token, 100)
    await sleep(150)
    await expect(renew(first.token)).rejects.toMatchObject(lost)
    const second = await acquire()
    expect(second.token).toBeGreaterThan(first.token)
    await expect(renew(first.token)).rejects.toMatchObject(lost)
    await expect(release(first.token)).rejects.toMatchObject(lost)
    expect((await read()).held).toMatchObject({ token: second.token })
  })

  it('releasing again is no error until somebody else has had the lock', async (context) => {
    const { acquire, release } = await start(context, driver)
    const first = await acquire()
    await release(first.token)
    await release(first.token)
    const second = await acquire()
    await release(second.token)
    await expect(release(first.token)).rejects.toMatchObject(lost)
    await release(second.token)
  })

  it('those who wait are served in the order in which they came', async (context) => {
    const { acquire, release, queued } = await start(context, driver)
    const first = await acquire()
    const served: number[] = []
    const waits: Promise<void>[] = []
    for (const n of [1, 2, 3, 4, 5]) {
      const waited = acquire({ waitMs: 20_000, owner: `${n}` })
      waits.push(
        waited.then(async ({ token }) => {
          served.push(n)
          await release(token)
        }),
      )
      await queued(n)
    }
    await release(first.token)
    await Promise.all(waits)
    expect(served).toEqual([1, 2, 3, 4, 5])
  })

  it('who waits gets it once the lease of a holder that died is over', async (context) => {
    const { acquire } = await start(context, driver)
    const dead = await acquire({ ttlMs: 400 })
    const next = await acquire({ waitMs: 20_000 })
    expect(next.token).toBeGreaterThan(dead.token)
    expect(next.expiresAt - LONG).toBeGreaterThanOrEqual(dead.expiresAt)
  })

  it('who waited in vain is told so, and does not stand in anybody’s way', async (context) => {
    const { acquire, release, read } = await start(context, driver)
    const first = await acquire()
    await expect(acquire({ waitMs: 300 })).rejects.toMatchObject(isHeld)
    expect((await read()).waiting).toBe(0)
    await release(first.token)
    await acquire()
  })

  it('a caller who leaves ends its wait: the one behind it is next', async (context) => {
    const { acquire, release, queued } = await start(context, driver)
    const first = await acquire()
    const leaving = new AbortController()
    const left = acquire({ waitMs: 20_000, signal: leaving.signal })
    await queued(1)
    const second = acquire({ waitMs: 20_000 })
    await queued(2)
    leaving.abort(new Error('gone'))
    await expect(left).rejects.toThrow('gone')
    await release(first.token)
    expect((await second).token).toBeGreaterThan(first.token)
  })

  it('an operation id makes a repeated acquisition one, until it is released', async (context) => {
    const { acquire, release } = await start(context, driver)
    const first = await acquire({ once: 'k' })
    expect(await acquire({ once: 'k' })).toMatchObject({ token: first.token })
    await expect(acquire({ once: 'k', ttlMs: 5_000 })).rejects.toMatchObject({
      ...{ code: 'idempotency_mismatch', status: 422 },
    })
    await expect(acquire({ once: 'other' })).rejects.toMatchObject(isHeld)
    await release(first.token)
    expect((await acquire({ once: 'k' })).token).toBeGreaterThan(first.token)
  })
})

it('a free lock is for those who wait, not for who comes just then; a waiter that died is forgotten', async (context) => {
  const { acquire, release, read, redis, name } = await start(context)
  const first = await acquire()
  // As of a process that is killed while it waits: it stands in the queue, and is never heard of again.
  const dying = { ...redis, wakeUps: 'poll' as const }
  let asks = 0
  const wave: Redis['wave'] = (...args) => (++asks > 1 ? new Promise(() => {}) : redis.wave(...args))
  void oneLock(createLocks({ redis: { ...dying, wave } }), name).acquire({ waitMs: 20_000 })
  await until('it waits', async () => (await read()).waiting === 1)
  await release(first.token)
  expect(await acquire().catch((error) => error)).toMatchObject({
    ...{ ...isHeld, headers: { 'Retry-After': '1' } },
    message: expect.stringContaining('others who wait'),
  })
  expect((await acquire({ waitMs: 20_000 })).token).toBeGreaterThan(first.token)
})

it('a reply that was lost: who waits finds what it acquired, who does not wait leaves the lock free', async (context) => {
  const { redis, name, release, read } = await start(context)
  const patient = oneLock(createLocks({ redis: deaf(redis, (nth) => nth === 1) }), name)
  const { token } = await patient.acquire({ waitMs: 20_000 })
  expect((await read()).held).toMatchObject({ token })
  await release(token)

  const hasty = oneLock(createLocks({ redis: deaf(redis, () => true) }), name)
  await expect(hasty.acquire()).rejects.toBeInstanceOf(RedisTimeoutError)
  const after = await read()
  expect(after.held).toBeUndefined()
  expect(after.highest).toBeGreaterThan(token) // Redis had given it
  await expect(hasty.acquire({ waitMs: 300 })).rejects.toBeInstanceOf(RedisTimeoutError)
  expect(await read()).toMatchObject({ held: undefined, waiting: 0 })
})

it('with an operation id a lost reply leaves the lock held, for whoever asks again', async (context) => {
  const { redis, name, acquire, read } = await start(context)
  const hasty = oneLock(createLocks({ redis: deaf(redis, () => true) }), name)
  await expect(hasty.acquire({ once: 'k' })).rejects.toBeInstanceOf(RedisTimeoutError)
  const { held } = await read()
  expect(await acquire({ once: 'k' })).toMatchObject({ token: held!.token })
})

it('what a caller who has left acquires is released', async (context) => {
  const { redis, name, read } = await start(context)
  const leaving = new AbortController()
  const wave: Redis['wave'] = async (calls, { signal: _, ...options } = {}) => {
    const replies = await redis.wave(calls, options)
    leaving.abort(new Error('gone'))
    return replies
  }
  const { acquire } = oneLock(createLocks({ redis: { ...redis, wave } }), name)
  await expect(acquire({ signal: leaving.signal })).rejects.toThrow('gone')
  const { held, highest } = await read()
  expect({ held, wasGiven: highest !== undefined }).toEqual({ held: undefined, wasGiven: true })
})

it('tokens rise though the last ones were lost with a primary, and though the clock was set back', async (context) => {
  const { acquire, release, redis, keys } = await start(context)
  const first = await acquire()
  await redis.wave([['DEL', keys.lock, keys.fence]])
  const second = await acquire()
  expect(second.token).toBeGreaterThan(first.token)
  await release(second.token)
  const ahead = second.token + 3_600_000_000
  await redis.wave([['SET', keys.fence, ahead]])
  const third = await acquire()
  expect(third.token).toBe(ahead + 1)
  await release(third.token)
  expect((await acquire()).token).toBe(ahead + 2)
  expect(await redis.wave([['PTTL', keys.fence]])).toEqual([-1])
})

it('tenants do not share locks', async (context) => {
  const { locks, name } = await start(context)
  const wanted = { ttlMs: LONG, by: 'local' }
  await Promise.all(['acme', 'other', 'default'].map((tenant) => locks.acquire(tenant, name, wanted)))
  await expect(locks.acquire('other', name, wanted)).rejects.toMatchObject(isHeld)
})

it('an acquisition is one wave; where calls are counted a wait ends when they are spent', async (context) => {
  const { acquire, waves } = await start(context, 'rest', 12)
  await acquire()
  expect(waves).toHaveLength(1)
  await expect(acquire({ waitMs: 25_000 })).rejects.toMatchObject(isHeld)
  expect(waves.length).toBeLessThanOrEqual(12)
})

it.each(['', 'a b', 'a{b}', 'a:b', 'x'.repeat(65)])('%j is no name of a lock', async (name) => {
  const locks = createLocks({ redis: {} as Redis })
  const bad = { code: 'invalid_value', status: 400, param: 'name' }
  await expect(locks.acquire(TENANT, name, { ttlMs: LONG, by: 'local' })).rejects.toMatchObject(bad)
  await expect(locks.renew(TENANT, name, 1, LONG)).rejects.toMatchObject(bad)
  await expect(locks.release(TENANT, name, 1)).rejects.toMatchObject(bad)
  await expect(locks.read(TENANT, name)).rejects.toMatchObject(bad)
})
