import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createHubClient, type HeldLock } from '../../../infra/client/client.ts'
import { lockKeys } from '../../../shared/keys.ts'
import { newTenant, startAgainAt } from '../../support/client.ts'
import { type NodeHub, startNodeHub, until } from '../../support/hub.ts'
import { startProxy } from '../../support/proxy.ts'
import { testRedisUrl } from '../../support/redis.ts'
import { connect } from '../../support/stream.ts'

const env = { REDIS_URL: testRedisUrl() }
let node: NodeHub
beforeAll(async () => {
  node = await startNodeHub(env)
})
afterAll(() => node?.stop())

const path = { namespace: 'web' }
const aborted = (signal: AbortSignal) => new Promise((resolve) => signal.addEventListener('abort', resolve))

describe('work under a lock', () => {
  it('is done by one at a time, in the order of tokens, and the lock is free after it', async () => {
    const { hub } = await newTenant(node.url)
    let running = 0
    const tokens: number[] = []
    const work = async ({ token }: HeldLock) => {
      expect(++running).toBe(1)
      tokens.push(token)
      await sleep(20)
      running -= 1
      return token
    }
    const results = await Promise.all(
      Array.from({ length: 8 }, () => hub.lock('report', { ttlSeconds: 5, waitSeconds: 15 }, work)),
    )
    expect(results.toSorted()).toEqual(tokens)
    await expect(
      hub.lock('report', {}, async () => {
        throw new Error('its own')
      }),
    ).rejects.toThrow('its own')
    expect(await hub.call('GET /v1/locks/{name}', { path: { name: 'report' } })).toMatchObject({
      held: false,
    })
  })

  it('keeps it for longer than a lease, and refuses who does not wait', async () => {
    const { hub } = await newTenant(node.url)
    await hub.lock('report', { ttlSeconds: 0.6, owner: 'the first' }, async ({ signal }) => {
      await sleep(1_500)
      expect(signal.aborted).toBe(false)
      await expect(hub.lock('report', {}, async () => {})).rejects.toMatchObject({
        ...{ code: 'lock_held', status: 409, message: expect.stringContaining('the first') },
      })
    })
  })

  it('waits for longer than a lease, and has a whole one then', async () => {
    const { hub } = await newTenant(node.url)
    const first = hub.lock('report', { ttlSeconds: 1 }, () => sleep(1_500))
    await until('it is held', async () => {
      const { held } = await hub.call('GET /v1/locks/{name}', { path: { name: 'report' } })
      return held
    })
    const second = hub.lock('report', { ttlSeconds: 1, waitSeconds: 10 }, async ({ signal }) => {
      await sleep(600)
      return signal.aborted
    })
    expect(await Promise.all([first, second])).toEqual([undefined, false])
  })

  it('is told when the lease is lost, and what it writes after a later holder wrote is refused', async () => {
    const { hub, tenant } = await newTenant(node.url)
    const redis = connect(testRedisUrl())
    onTestFinished(() => redis.close())
    let stale: HeldLock | undefined
    const first = hub.lock('report', { ttlSeconds: 1 }, async (lock) => {
      stale = lock
      await lock.call('PUT /v1/config/{namespace}', { path, body: { by: 'the first' } })
      await redis.call('DEL', lockKeys(tenant, 'report').lock) // as where a primary was lost
      await hub.lock('report', {}, (later) =>
        later.call('PUT /v1/config/{namespace}', { path, body: { by: 'the second' } }),
      )
      // It does not know yet. What it would write bears its token, and is refused by what it would write to.
      const fenced = { 'x-hub-lock': `report=${lock.token}` }
      const write = hub.call('PUT /v1/config/{namespace}', { path, body: { by: 'late' }, headers: fenced })
      await expect(write).rejects.toMatchObject({ code: 'lock_lost', status: 412 })
      if (!lock.signal.aborted) await aborted(lock.signal)
      return 'it went on, and its result is nobody’s'
    })
    await expect(first).rejects.toMatchObject({ code: 'lock_lost', status: 412 })
    const write = async () => stale!.call('PUT /v1/config/{namespace}', { path, body: { by: 'late' } })
    await expect(write()).rejects.toMatchObject({ code: 'lock_lost' })
    const { values } = await hub.call('GET /v1/config/{namespace}', { path })
    expect(values).toEqual({ by: 'the second' })
  })

  it('knows by itself that its lease is over where it cannot reach the hub', async () => {
    const { hub, key } = await newTenant(node.url)
    const proxy = await startProxy(node.url)
    onTestFinished(proxy.close)
    const through = createHubClient({ baseUrl: proxy.url, key })
    const cut = through.lock('report', { ttlSeconds: 1 }, async ({ signal }) => {
      proxy.stall()
      await aborted(signal)
      // Nobody can have it before this one knew.
      return (await hub.call('GET /v1/locks/{name}', { path: { name: 'report' } })).waiting
    })
    await expect(cut).rejects.toMatchObject({ code: 'lock_lost' })
    proxy.resume()
    await hub.lock('report', { waitSeconds: 5 }, async () => {})
  })

  it('ends with its caller’s signal, and then the lock is free', async () => {
    const { hub } = await newTenant(node.url)
    const left = new AbortController()
    const work = hub.lock('report', { signal: left.signal }, async ({ signal }) => {
      left.abort(new Error('stopped'))
      signal.throwIfAborted()
    })
    await expect(work).rejects.toThrow('stopped')
    await hub.lock('report', {}, async () => {})
  })

  it('survives a hub that starts again: while it waits, and while it works', async () => {
    const mortal = await startNodeHub(env)
    onTestFinished(() => mortal.stop())
    const { hub } = await newTenant(mortal.url)
    const finish = Promise.withResolvers<void>()
    const first = hub.lock('report', { ttlSeconds: 60 }, async ({ call }) => {
      await finish.promise
      await call('PUT /v1/config/{namespace}', { path, body: { by: 'the first' } })
    })
    await until('it is held', async () => {
      const { held } = await hub.call('GET /v1/locks/{name}', { path: { name: 'report' } })
      return held
    })
    const second = hub.lock('report', { ttlSeconds: 10, waitSeconds: 60 }, ({ call }) =>
      call('PUT /v1/config/{namespace}', { path, body: { by: 'the second' } }),
    )
    second.catch(() => {})
    await mortal.kill()
    const again = await startAgainAt(mortal.url, env)
    onTestFinished(() => again.stop())
    finish.resolve()
    await first
    expect(await second).toMatchObject({ version: 2, values: { by: 'the second' } })
  }, 120_000)
})
