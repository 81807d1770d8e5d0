import { describe, expect, it, onTestFinished } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { type Budget, createBudgets } from '../../shared/metering/budgets.ts'
import { createTally } from '../../shared/metering/tally.ts'
import { createUsage } from '../../shared/metering/usage.ts'
import { startTestRedis } from '../support/redis.ts'

async function start() {
  const server = await startTestRedis({ persist: true })
  const redis = createRedisResp({ url: server.url })
  onTestFinished(redis.close)
  const again = async () => {
    const { port, password, directory } = server
    const restarted = await startTestRedis({ persist: true, port, password, directory })
    onTestFinished(restarted.stop)
    await expect.poll(() => redis.wave([['PING']]).catch(() => []), { timeout: 5_000 }).toEqual(['PONG'])
  }
  return { server, redis, again }
}

describe('Redis is gone when a call ends', () => {
  it('what it cost is counted with the next settlement', async () => {
    const { server, redis, again } = await start()
    const budgets = createBudgets({ redis })
    const own: Budget[] = [{ who: 'key:k', usd: 10, period: 'total' }]
    const held = (id: string) => ({ id, tenant: 'acme', budgets: own, amount: 1 })
    await budgets.reserve(held('first'))
    await server.stop()
    await budgets.settle(held('first'), 0.4)
    await again()
    await budgets.reserve(held('second'))
    await budgets.settle(held('second'), 0.2)
    expect(await budgets.read('acme', 'key:k')).toEqual({ spent_usd: 0.6, held_usd: 0 })
  }, 30_000)

  it('its usage is kept and written with the next one', async () => {
    const { server, redis, again } = await start()
    const usage = createUsage({ redis, tally: createTally({ redis, delayMs: 0 }), clock: Date, keptDays: 90 })
    const event = { tenant: 'acme', model: 'p/m', keyId: 'k', cost: 0.1 }
    await server.stop()
    await usage.record(event)
    await again()
    await usage.record(event)
    const today = new Date().toISOString().slice(0, 10)
    const [row] = await usage.read('acme', today, today, 'model')
    expect(row).toMatchObject({ model: 'p/m', requests: 2, cost: 0.2 })
  }, 30_000)
})

describe('a clock that jumps', () => {
  it('neither opens a budget’s next period nor frees what is held: the server’s clock counts', async () => {
    const { redis, server } = await start()
    onTestFinished(server.stop)
    const budgets = createBudgets({ redis })
    const own: Budget[] = [{ who: 'tenant', usd: 1, period: 'daily' }]
    const held = (id: string) => ({ id, tenant: 'acme', budgets: own, amount: 0.9 })
    await budgets.reserve(held('first'))
    const { now } = Date
    Date.now = () => now() + 3 * 86_400_000
    onTestFinished(() => {
      Date.now = now
    })
    await expect(budgets.reserve(held('second'))).rejects.toMatchObject({ code: 'insufficient_quota' })
  })
})
