import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { newTenant, startAgainAt } from '../../support/client.ts'
import { startNodeHub, until } from '../../support/hub.ts'
import { testRedisUrl } from '../../support/redis.ts'

const env = { REDIS_URL: testRedisUrl() }

it('an instance stays registered for longer than its time, past a hub that starts again, until it is closed', async () => {
  const node = await startNodeHub(env)
  onTestFinished(() => node.stop())
  const { hub } = await newTenant(node.url)
  const of = async (all: boolean) =>
    (await hub.call('GET /v1/services/{name}', { path: { name: 'shop' }, query: { all: String(all) } })).data
  const errors: string[] = []
  const heartbeat = await hub.heartbeat('shop', 'a', {
    ...{ url: 'http://127.0.0.1:9000', ttlSeconds: 1, metadata: { zone: 'eu' } },
    onError: ({ code }) => errors.push(code),
  })
  const since = (await of(false))[0]!.since
  await sleep(2_000)
  expect(await of(false)).toMatchObject([{ instance: 'a', since, metadata: { zone: 'eu' } }])

  await heartbeat.update({ status: 'critical' })
  expect(await of(false)).toEqual([])
  await heartbeat.update({ status: 'passing', weight: 3 })
  expect(await of(false)).toMatchObject([{ weight: 3 }])

  await node.kill()
  await until('it notices', () => errors.includes('unreachable'))
  const again = await startAgainAt(node.url, env)
  onTestFinished(() => again.stop())
  await until('it is back', async () => (await of(false)).length === 1)

  await heartbeat.close()
  expect(await of(true)).toEqual([])
  await sleep(600)
  expect(await of(true)).toEqual([])
}, 120_000)

it('says at once what is wrong with it', async () => {
  const node = await startNodeHub(env)
  onTestFinished(() => node.stop())
  const { hub } = await newTenant(node.url)
  const bad = hub.heartbeat('shop', 'a', { url: 'nowhere' })
  await expect(bad).rejects.toMatchObject({ code: 'invalid_value', param: 'url' })
})
