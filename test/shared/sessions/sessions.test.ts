import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, type TestContext } from 'vitest'
import { createKeyring } from '../../../shared/hub-keys.ts'
import { sessionKeys } from '../../../shared/keys.ts'
import { readSessionId, userHash } from '../../../shared/sessions/session-id.ts'
import { createSessions, MOST_SESSIONS, type NewSession } from '../../../shared/sessions/sessions.ts'
import { unique } from '../../support/app.ts'
import { mergePatch, randomObject } from '../../support/merge-patch.ts'
import { openRedis } from '../../support/open-redis.ts'
import { seeded } from '../../support/random.ts'

async function start(context: Pick<TestContext, 'onTestFinished'>, driver?: 'resp' | 'rest') {
  const { redis } = await openRedis(context, driver)
  const sessions = createSessions({ redis, keyring: createKeyring('a secret of this test') })
  const tenant = unique('tenant')
  const begin = (more: Partial<NewSession> = {}, once?: string) =>
    sessions.create(tenant, { user: 'ada', data: {}, idleMs: 60_000, absoluteMs: 600_000, ...more }, once)
  const see = async (id: string, of = tenant) => {
    const { calls, settle } = sessions.ask(of, id)
    return settle(await redis.wave(calls))
  }
  const hashOf = (user = 'ada') => sessionKeys(tenant, userHash(tenant, user)).sessions
  const stored = async (user?: string) => (await redis.wave([['HGETALL', hashOf(user)]]))[0] as string[]
  return { redis, sessions, tenant, begin, see, hashOf, stored }
}

const gone = { code: 'session_not_found', status: 404 }

describe.each(['resp', 'rest'] as const)('sessions, over %s', (driver) => {
  it('the id opens it, and Redis holds nothing that does', async (context) => {
    const { begin, see, stored, tenant, sessions } = await start(context, driver)
    const data = { cart: [1, 2], 'a/b': { c: null }, n: 0.1 }
    const { id, ...made } = await begin({ data })
    const { seenAt, idleExpiresAt, ...seen } = await see(id)
    expect(made).toMatchObject({ ...seen, user: 'ada', data, version: 1 })
    expect(seenAt).toBeGreaterThanOrEqual(made.createdAt)
    expect(idleExpiresAt - seenAt).toBe(60_000)
    const text = JSON.stringify(await stored())
    for (const part of [id, id.slice(-43), id.slice(-30)]) expect(text).not.toContain(part)
    expect(JSON.stringify(await sessions.list(tenant, 'ada'))).not.toContain(id.slice(-43))
    expect(text).toContain(readSessionId(id)!.hash)
  })

  it('of 100 patches at the same time none is lost', async (context) => {
    const { begin, see, sessions, tenant } = await start(context, driver)
    const { id } = await begin()
    const names = Array.from({ length: 100 }, (_, i) => `n${i}`)
    await Promise.all(
      names.map((name, i) => sessions.patch(tenant, id, { [name]: i, all: { [name]: true } })),
    )
    const { data, version } = await see(id)
    expect(version).toBe(101)
    expect(data).toEqual({
      ...Object.fromEntries(names.map((name, i) => [name, i])),
      all: Object.fromEntries(names.map((name) => [name, true])),
    })
  })

  it('of 20 rotations at the same time exactly one new id wins', async (context) => {
    const { begin, see, sessions, tenant } = await start(context, driver)
    const { id, handle } = await begin({ data: { kept: 1 } })
    const all = await Promise.allSettled(Array.from({ length: 20 }, () => sessions.rotate(tenant, id, 0)))
    const [won, ...more] = all.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    expect(more).toEqual([])
    for (const one of all) if (one.status === 'rejected') expect(one.reason).toMatchObject(gone)
    expect(await see(won!.id)).toMatchObject({ handle, data: { kept: 1 } })
    await expect(see(id)).rejects.toMatchObject(gone)
    expect(await sessions.list(tenant, 'ada')).toHaveLength(1)
  })

  it('a rotation that is sent again gives the same id, until the next one', async (context) => {
    const { begin, see, sessions, tenant } = await start(context, driver)
    const { id } = await begin()
    const ids = await Promise.all(Array.from({ length: 10 }, () => sessions.rotate(tenant, id, 0, 'key')))
    expect(new Set(ids.map((one) => one.id)).size).toBe(1)
    const next = ids[0]!.id
    await expect(see(id)).rejects.toMatchObject(gone) // it opens nothing, though it may be rotated again
    await expect(sessions.rotate(tenant, id, 0, 'another key')).rejects.toMatchObject(gone)
    await expect(sessions.rotate(tenant, id, 0)).rejects.toMatchObject(gone)
    await sessions.rotate(tenant, next, 0)
    await expect(sessions.rotate(tenant, id, 0, 'key')).rejects.toMatchObject(gone)
  })

  it('within its grace the id before still opens it, and rotates it no more', async (context) => {
    const { begin, see, sessions, tenant } = await start(context, driver)
    const { id, handle } = await begin()
    const { id: next } = await sessions.rotate(tenant, id, 600)
    expect(await see(id)).toMatchObject({ handle })
    await expect(sessions.rotate(tenant, id, 0)).rejects.toMatchObject({
      code: 'session_rotated',
      status: 409,
    })
    await expect.poll(() => see(id).catch(({ code }) => code), { timeout: 10_000 }).toBe('session_not_found')
    expect(await see(next)).toMatchObject({ handle })
  })

  it('ends when nobody uses it, and at last though somebody does', async (context) => {
    const { begin, see, sessions, tenant, stored } = await start(context, driver)
    const idle = await begin({ user: 'idle', idleMs: 150 })
    const used = await begin({ user: 'used', idleMs: 60_000, absoluteMs: 900 })
    expect(used.idleExpiresAt).toBe(used.expiresAt)
    expect(await see(used.id)).toMatchObject({ expiresAt: used.expiresAt, idleExpiresAt: used.expiresAt })
    // Nobody may look before it has ended: that would put its end off.
    await expect.poll(() => sessions.list(tenant, 'idle'), { timeout: 10_000 }).toEqual([])
    await expect(see(idle.id)).rejects.toMatchObject(gone)
    await expect.poll(() => see(used.id).catch(({ code }) => code), { timeout: 10_000 }).toBe(gone.code)
    await expect.poll(() => stored('used'), { timeout: 10_000 }).toEqual([])
  })

  it('each use puts its idle end off', async (context) => {
    const { begin, see } = await start(context, driver)
    const { id, idleExpiresAt } = await begin()
    await sleep(5)
    expect((await see(id)).idleExpiresAt).toBeGreaterThan(idleExpiresAt)
  })

  it('of too many the one that was seen longest ago ends', async (context) => {
    const { begin, see, sessions, tenant } = await start(context, driver)
    const first = await begin()
    await sleep(5)
    const second = await begin()
    await sleep(5)
    await see(first.id)
    for (let i = 0; i < MOST_SESSIONS - 1; i++) await begin()
    expect(await sessions.list(tenant, 'ada')).toHaveLength(MOST_SESSIONS)
    await expect(see(second.id)).rejects.toMatchObject(gone)
    await see(first.id)
  })

  it('all of a user’s end together, or one, or all but one; those of others stay', async (context) => {
    const { begin, see, sessions, tenant, stored } = await start(context, driver)
    const [a, b, c] = [await begin(), await begin(), await begin()]
    const other = await begin({ user: 'bob' })
    expect(await sessions.endAll(tenant, 'ada', { only: b.handle })).toBe(1)
    expect(await sessions.endAll(tenant, 'ada', { only: b.handle })).toBe(0)
    await expect(sessions.endAll(tenant, 'ada', { except: other.handle })).rejects.toMatchObject(gone)
    await see(a.id)
    expect(await sessions.endAll(tenant, 'ada', { except: a.handle })).toBe(1)
    for (const { id } of [b, c]) await expect(see(id)).rejects.toMatchObject(gone)
    await see(a.id)
    expect(await sessions.endAll(tenant, 'ada')).toBe(1)
    expect(await stored()).toEqual([])
    await see(other.id)
  })

  it('a creation that is sent again finds the first one’s, and none that has ended', async (context) => {
    const { begin, sessions, tenant } = await start(context, driver)
    const made = await Promise.all(Array.from({ length: 10 }, () => begin({}, 'key')))
    expect(new Set(made.map(({ id }) => id)).size).toBe(1)
    expect(await sessions.list(tenant, 'ada')).toHaveLength(1)
    for (const more of [{ user: 'bob' }, { data: { a: 1 } }])
      await expect(begin(more, 'key')).rejects.toMatchObject({ code: 'idempotency_mismatch', status: 422 })
    await sessions.end(tenant, made[0]!.id)
    await expect(begin({}, 'key')).rejects.toMatchObject({ code: 'session_ended', status: 409 })
  })

  it('data is bounded: what is too much changes nothing', async (context) => {
    const { begin, see, sessions, tenant } = await start(context, driver)
    const full = { code: 'session_too_large', status: 413 }
    await expect(begin({ data: { a: 'x'.repeat(20_000) } })).rejects.toMatchObject(full)
    const { id } = await begin({ data: { a: 'x'.repeat(10_000) } })
    await expect(sessions.patch(tenant, id, { b: 'x'.repeat(10_000) })).rejects.toMatchObject(full)
    expect(await see(id)).toMatchObject({ version: 1, data: { a: expect.stringMatching(/^x{10000}$/) } })
    await sessions.patch(tenant, id, { a: null, b: 'x'.repeat(10_000) })
  })

  it('the script merges as RFC 7396 says', async (context) => {
    const { begin, sessions, tenant } = await start(context, driver)
    const random = seeded(5)
    for (let i = 0; i < 30; i++) {
      let expected: unknown = randomObject(random)
      const { id } = await begin({ data: expected as Record<string, unknown> })
      for (let j = 0; j < 5; j++) {
        const patch = randomObject(random)
        expected = mergePatch(expected, patch)
        expect((await sessions.patch(tenant, id, patch)).data).toEqual(expected)
      }
    }
  })

  it('a patch for another version changes nothing', async (context) => {
    const { begin, see, sessions, tenant } = await start(context, driver)
    const { id } = await begin()
    await sessions.patch(tenant, id, { a: 1 }, 1)
    const conflict = { code: 'version_conflict', status: 412 }
    await expect(sessions.patch(tenant, id, { a: 2 }, 1)).rejects.toMatchObject(conflict)
    expect(await see(id)).toMatchObject({ version: 2, data: { a: 1 } })
  })

  it('another tenant’s id is like one that never was', async (context) => {
    const { begin, see, sessions } = await start(context, driver)
    const { id } = await begin()
    const never = `hubs_${'A'.repeat(75)}`
    const told = async (id: string, of: string) => see(id, of).catch((error) => error.toJSON())
    const tenant = unique('other')
    expect(await told(id, tenant)).toEqual(await told(never, tenant))
    await expect(sessions.end(tenant, id)).rejects.toMatchObject(gone)
    const [flipped] = [id.slice(0, -1) + (id.endsWith('A') ? 'B' : 'A')]
    await expect(see(flipped)).rejects.toMatchObject(gone)
    await see(id)
  })
})
