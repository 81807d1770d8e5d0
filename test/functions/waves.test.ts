import { describe, expect, it, vi } from 'vitest'
import { ask, startApp, unique } from '../support/app.ts'
import { startTestBridge } from '../support/bridge.ts'
import { testRedisUrl } from '../support/redis.ts'

const HUB_ADMIN_KEY = 'an-admin-key-of-tests'
const admin = { authorization: `Bearer ${HUB_ADMIN_KEY}` }

/** A hub over one driver, its own hub key, and an answer that is in the cache. */
async function start(env: Record<string, string>) {
  const hub = await startApp({ env: { HUB_ADMIN_KEY, ...env }, tallyDelayMs: 5_000 })
  const { key } = await (await hub.send('POST', '/v1/keys', { tenant: unique('waves') }, admin)).json()
  const headers = { authorization: `Bearer ${key}` }
  const body = ask()
  await hub.complete(body, headers)
  hub.waves.length = 0
  return { hub, hit: () => hub.complete(body, headers), miss: () => hub.complete(ask(), headers) }
}

describe('a request waits on Redis as seldom as it can', () => {
  it('a hit with a hub key is one wave: the key’s record and the entry together', async () => {
    const { hub, hit } = await start({})
    expect((await hit()).headers.get('cache-status')).toContain('; hit;')
    expect(
      hub.waves.map((wave) => wave.map((call) => ('script' in call ? call.script.name : call[0]))),
    ).toEqual([['HMGET', 'GET']])
  })

  it('a miss is three: look, lead, end', async () => {
    const { hub, miss } = await start({})
    await miss()
    await expect.poll(() => hub.waves.length).toBe(3)
    expect(
      hub.waves.map((wave) => wave.map((call) => ('script' in call ? call.script.name : call[0]))),
    ).toEqual([['HMGET', 'GET'], ['lead'], ['end']])
  })

  it('a hit over HTTP is one request', async () => {
    const bridge = await startTestBridge({ redisUrl: testRedisUrl() })
    const { hit } = await start({
      REDIS_URL: '',
      UPSTASH_REDIS_REST_URL: bridge.url,
      UPSTASH_REDIS_REST_TOKEN: bridge.token,
    })
    const fetched = vi.spyOn(globalThis, 'fetch')
    expect((await hit()).headers.get('cache-status')).toContain('; hit;')
    expect(fetched).toHaveBeenCalledTimes(1)
    fetched.mockRestore()
    await bridge.close()
  })
})
