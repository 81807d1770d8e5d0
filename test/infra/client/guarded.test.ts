import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createHubClient, type HubClient } from '../../../infra/client/client.ts'
import { newTenant } from '../../support/client.ts'
import { type NodeHub, startNodeHub, until } from '../../support/hub.ts'
import { testRedisUrl } from '../../support/redis.ts'

let node: NodeHub
beforeAll(async () => {
  node = await startNodeHub({
    ...{ REDIS_URL: testRedisUrl(), HUB_BREAKER_MIN_CALLS: '4', HUB_BREAKER_OPEN_SECONDS: '1' },
  })
})
afterAll(() => node?.stop())

/** A target that counts who reaches it. */
function createTarget() {
  const target = {
    calls: 0,
    works: false,
    async call() {
      target.calls += 1
      await sleep(200) // others ask meanwhile
      if (!target.works) throw new Error('the target failed')
      return 'done'
    },
  }
  return target
}
const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => 'done',
    (error) => error.code ?? error.message,
  )

describe('a guarded target', () => {
  it('is left alone by all processes once it failed, and called by one that finds out', async () => {
    const { hub: one, key } = await newTenant(node.url)
    const two = createHubClient({ baseUrl: node.url, key })
    const target = createTarget()
    const call = (hub: HubClient) => codeOf(hub.guarded('pay', target.call))
    for (let n = 0; n < 4; n++) expect(await call(one)).toBe('the target failed')
    await one.settled()
    expect(await Promise.all([call(one), call(two)])).toEqual(['breaker_open', 'breaker_open'])
    expect(target.calls).toBe(4)
    const error = await one.guarded('pay', target.call).catch((error) => error)
    expect(error).toMatchObject({ status: 503, code: 'breaker_open' })
    expect(error.retryAfterMs).toBeLessThanOrEqual(1_000)

    await sleep(1_100)
    const tried = await Promise.all(Array.from({ length: 20 }, (_, n) => call(n % 2 ? one : two)))
    expect(tried.filter((code) => code === 'the target failed')).toHaveLength(1)
    expect(target.calls).toBe(5)
    await Promise.all([one.settled(), two.settled()])

    target.works = true
    await sleep(1_100)
    const worked = await Promise.all(Array.from({ length: 20 }, (_, n) => call(n % 2 ? one : two)))
    expect(worked.filter((code) => code === 'done')).toHaveLength(1)
    await until('both know', async () => (await call(one)) === 'done' && (await call(two)) === 'done')
  })

  it('is not blamed for what a call of it was wrong about, nor for callers who leave', async () => {
    const { hub } = await newTenant(node.url)
    const target = createTarget()
    for (let n = 0; n < 6; n++) {
      await codeOf(hub.guarded('pay', target.call, { isFailure: () => false }))
      await codeOf(hub.guarded('pay', target.call, { signal: AbortSignal.abort() }))
    }
    await hub.settled()
    const breaker = await hub.call('GET /v1/app-breakers/{name}', { path: { name: 'pay' } })
    expect(breaker).toMatchObject({ state: 'closed', failed: 0, succeeded: 6 })
  })

  it('is called without a question while the breaker is known to be closed', async () => {
    const { key } = await newTenant(node.url)
    const asked: string[] = []
    const hub = createHubClient({
      ...{ baseUrl: node.url, key },
      fetch: (url, init) => {
        asked.push(new URL(String(url)).pathname.split('/').at(-1)!)
        return globalThis.fetch(url, init)
      },
    })
    const target = { ...createTarget(), works: true }
    for (let n = 0; n < 50; n++) await hub.guarded('mail', async () => 'done')
    await hub.settled()
    expect(target.calls).toBe(0)
    expect(asked).toEqual(['permits', 'calls'])
    const { succeeded } = await hub.call('GET /v1/app-breakers/{name}', { path: { name: 'mail' } })
    expect(succeeded).toBe(50)
  })

  it('is called while there is no hub, but not by who may not ask', async () => {
    const target = { ...createTarget() }
    target.works = true
    const alone = createHubClient({ baseUrl: 'http://127.0.0.1:9', key: 'hub_x' })
    expect(await alone.guarded('pay', async () => 'done')).toBe('done')
    const stranger = createHubClient({ baseUrl: node.url, key: 'hub_x' })
    expect(await codeOf(stranger.guarded('pay', target.call))).toBe('invalid_api_key')
    expect(target.calls).toBe(0)
  })
})
