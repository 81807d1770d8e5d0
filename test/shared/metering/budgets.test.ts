import { afterAll, describe, expect, it } from 'vitest'
import { createRedisResp } from '../../../shared/drivers/redis-resp.ts'
import { type Budget, createBudgets } from '../../../shared/metering/budgets.ts'
import { unique } from '../../support/app.ts'
import { testRedisUrl } from '../../support/redis.ts'

const redis = createRedisResp({ url: testRedisUrl() })
afterAll(() => redis.close())
const budgets = createBudgets({ redis })
/** Holds and returns what was held. */
async function reserve(tenant: string, wanted: Budget[], amount: number, from = budgets) {
  const reservation = { id: crypto.randomUUID(), tenant, budgets: wanted, amount }
  await from.reserve(reservation)
  return reservation
}
const own = (usd: number, period: Budget['period'] = 'total'): Budget[] => [{ who: 'key:k', usd, period }]

describe('budgets', () => {
  it('hold what calls may cost, and never more than there is', async () => {
    const tenant = unique('t')
    const tries = Array.from({ length: 200 }, () => reserve(tenant, own(1), 0.03).catch((error) => error))
    const held = (await Promise.all(tries)).filter((result) => !(result instanceof Error))
    expect(held).toHaveLength(33)
    expect(await budgets.read(tenant, 'key:k')).toEqual({ spent_usd: 0, held_usd: 0.99 })
    await Promise.all(held.map((reservation) => budgets.settle(reservation, 0.01)))
    expect(await budgets.read(tenant, 'key:k')).toEqual({ spent_usd: 0.33, held_usd: 0 })
  })

  it('refuse with what was spent, held and needed', async () => {
    const tenant = unique('t')
    await reserve(tenant, own(1), 0.9)
    await expect(reserve(tenant, own(1), 0.2)).rejects.toMatchObject({
      status: 429,
      code: 'insufficient_quota',
      message: expect.stringMatching(/0 USD spent, 0.9 USD held.*0.2 USD needed/),
    })
  })

  it('a call counts against the key and the tenant, or against neither', async () => {
    const tenant = unique('t')
    const both: Budget[] = [...own(10), { who: 'tenant', usd: 1, period: 'monthly' }]
    await reserve(tenant, both, 0.8)
    await expect(reserve(tenant, both, 0.8)).rejects.toThrow(/monthly budget of this tenant/)
    expect(await budgets.read(tenant, 'key:k')).toEqual({ spent_usd: 0, held_usd: 0.8 })
  })

  it('what is given up before it arrives holds nothing', async () => {
    const tenant = unique('t')
    const reservation = { id: crypto.randomUUID(), tenant, budgets: own(1), amount: 0.5 }
    await budgets.settle(reservation, 0)
    await expect(budgets.reserve(reservation)).rejects.toThrow()
    expect(await budgets.read(tenant, 'key:k')).toEqual({ spent_usd: 0, held_usd: 0 })
  })

  it('a settlement may be repeated', async () => {
    const tenant = unique('t')
    const reservation = await reserve(tenant, own(1), 0.5)
    await budgets.settle(reservation, 0.2)
    await budgets.settle(reservation, 0.2)
    expect(await budgets.read(tenant, 'key:k')).toEqual({ spent_usd: 0.2, held_usd: 0 })
  })

  it('what a dead process held is free after the reservation’s expiry; a late settlement still counts', async () => {
    const tenant = unique('t')
    const brief = createBudgets({ redis, reservationMs: 50 })
    const dead = await reserve(tenant, own(1), 1, brief)
    await expect(reserve(tenant, own(1), 0.5, brief)).rejects.toThrow()
    await new Promise((resolve) => setTimeout(resolve, 80))
    await reserve(tenant, own(1), 0.5)
    expect((await budgets.read(tenant, 'key:k')).held_usd).toBe(0.5)
    await budgets.settle(dead, 0.7)
    expect(await budgets.read(tenant, 'key:k')).toEqual({ spent_usd: 0.7, held_usd: 0.5 })
  })

  it('a new period starts at nothing, by the server’s clock', async () => {
    const tenant = unique('t')
    await budgets.settle(await reserve(tenant, own(1, 'daily'), 0.9), 0.9)
    await expect(reserve(tenant, own(1, 'daily'), 0.9)).rejects.toThrow()
    const [time] = await redis.wave([['TIME']])
    const today = Math.floor(Number((time as string[])[0]) / 86_400)
    const key = `t:${tenant}:budget`
    const [period] = await redis.wave([['HGET', key, 'key:k:period']])
    expect(period).toBe(`d${today}`)
    await redis.wave([['HSET', key, 'key:k:period', `d${today - 1}`]])
    await reserve(tenant, own(1, 'daily'), 0.9)
    expect((await budgets.read(tenant, 'key:k')).spent_usd).toBe(0)
  })

  it('a month is a calendar month', async () => {
    const tenant = unique('t')
    await reserve(tenant, own(1, 'monthly'), 0.1)
    const [period] = await redis.wave([['HGET', `t:${tenant}:budget`, 'key:k:period']])
    const now = new Date()
    expect(period).toBe(`m${now.getUTCFullYear() * 12 + now.getUTCMonth() + 1}`)
  })
})
