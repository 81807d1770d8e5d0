import { createClient } from '@redis/client'
import { expect, it, onTestFinished } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import {
  BREAKERS_KEY,
  EMBED_STREAM,
  ERASURES_DUE_KEY,
  eventKeys,
  hubKeysKey,
  QUEUES_KEY,
  queueKeys,
  SWEEPS_KEY,
  streamKeys,
  TENANTS_KEY,
} from '../../shared/keys.ts'
import { until } from '../support/hub.ts'
import { startTestRedis } from '../support/redis.ts'
import { dump } from '../support/tenants.ts'
import { createMortalHub, type Death } from './mortal-hub.ts'

const env = { FUNCTIONS: 'platform,keys', HUB_ERASURE_QUIET_SECONDS: '1' }

async function start() {
  const server = await startTestRedis()
  const redis = createRedisResp({ url: server.url })
  const client = await createClient({ url: server.url }).connect()
  onTestFinished(async () => {
    client.destroy()
    await redis.close()
    await server.stop()
  })
  const newHub = () => createMortalHub({ redis, env: { ...env, REDIS_URL: server.url } })
  return { client, newHub }
}
type Client = Awaited<ReturnType<typeof start>>['client']

/** Something of each kind, a stream's entry that somebody has in hand among it. */
async function fill(client: Client, tenant: string) {
  await client.hSet(hubKeysKey(tenant), 'id', '{"scopes":null}')
  await client.set(queueKeys(tenant, 'mail').waiting, 'x')
  await client.set(queueKeys(tenant, 'mail').dead, 'x')
  await client.xAdd(eventKeys(tenant, 'orders').events, '*', { event: '{}' })
  await client.sAdd(TENANTS_KEY, tenant)
  await client.sAdd(QUEUES_KEY, `${tenant}/mail`)
  await client.zAdd(BREAKERS_KEY, { score: 1, value: `${tenant}/openai/x` })
  await client.zAdd(SWEEPS_KEY, { score: 1e14, value: JSON.stringify({ tenant, of: 'index' }) })
  for (const stream of [EMBED_STREAM, streamKeys(EMBED_STREAM, '').dead])
    await client.xAdd(stream, '*', { tenant, document: '{}' })
  await client.xReadGroup('embed', 'somebody', { key: EMBED_STREAM, id: '>' })
}

const KEYS = 4
const MEMBERS = 6

it('the process dies at each call to Redis, before it or after it: another one ends the erasure, and nobody else loses anything', async () => {
  const { client, newHub } = await start()
  await client.xGroupCreate(EMBED_STREAM, 'embed', '$', { MKSTREAM: true })
  const neighbours = ['n', 'n0', 'n1x', 'n10.', 'm1']
  for (const name of neighbours) await fill(client, name)
  const before = await dump(client)

  async function eraseAndDie(tenant: string, death?: Death) {
    await fill(client, tenant)
    const hub = newHub()
    hub.dieAt(death)
    const stopping = new AbortController()
    const erase = async () => {
      const { body } = await hub.ask('DELETE', `/v1/tenants/${tenant}`)
      expect(body.status).toBe('erasing')
      void hub.work(stopping.signal)
      await until('it is erased', async () => {
        const { body } = await hub.ask('GET', `/v1/tenants/${tenant}/erasure`)
        return body.status === 'erased'
      })
    }
    await Promise.race([hub.died, erase()])
    const calls = hub.calls
    stopping.abort()
    return calls
  }

  const calls = await eraseAndDie('measure')
  const deaths = Array.from({ length: Math.min(calls, 60) }, (_, i) => ({ at: i + 1, arrives: i % 2 === 0 }))
  const tenants = deaths.map(({ at }) => `n${at}`)
  for (const death of deaths) await eraseAndDie(`n${death.at}`, death)

  const recovery = newHub()
  // Whoever heard nothing asks again.
  for (const tenant of tenants)
    expect((await recovery.ask('DELETE', `/v1/tenants/${tenant}`)).status).toBe(202)
  // The dead ones' leases are over.
  const left = await client.zRange(ERASURES_DUE_KEY, 0, -1)
  await client.zAdd(
    ERASURES_DUE_KEY,
    left.map((value) => ({ value, score: 1 })),
  )
  const stopping = new AbortController()
  const work = recovery.work(stopping.signal)
  await until('all are erased', async () => (await client.zCard(ERASURES_DUE_KEY)) === 0, 60_000)
  stopping.abort()
  await work
  for (const tenant of tenants) {
    const { body } = await recovery.ask('GET', `/v1/tenants/${tenant}/erasure`)
    expect(body, tenant).toMatchObject({ status: 'erased', problem: null })
    // What a death kept from being counted is missing, once.
    expect(body.keys, tenant).toBeLessThanOrEqual(KEYS)
    expect(body.members, tenant).toBeLessThanOrEqual(MEMBERS)
  }
  const after = await dump(client)
  for (const map of [before, after])
    for (const key of map.keys()) if (/^\{?(erasures|audit)/.test(key)) map.delete(key)
  // Entries of others came and went: `entries-added` and `last-generated-id` tell so, and nothing else.
  const lasting = (map: Map<string, string>) =>
    [...map].map(([key, text]) => [key, text.replace(/,\{"length".*/, '')]).sort()
  expect(lasting(after)).toEqual(lasting(before))
  const pending = await client.xPending(EMBED_STREAM, 'embed')
  expect(pending.pending).toBe(neighbours.length)
}, 120_000)
