import { describe, expect, it, type TestContext } from 'vitest'
import { type AuditOptions, createAudit } from '../../../shared/audit/audit.ts'
import { createRedisResp } from '../../../shared/drivers/redis-resp.ts'
import { AUDIT_STREAM, auditOutcomesKey } from '../../../shared/keys.ts'
import { unique } from '../../support/app.ts'
import { openRedis } from '../../support/open-redis.ts'
import { patient, startTestRedis } from '../../support/redis.ts'

async function start(
  context: Pick<TestContext, 'onTestFinished'>,
  driver?: 'resp' | 'rest',
  more: Partial<AuditOptions> = {},
) {
  const { redis } = await openRedis(context, driver)
  const audit = createAudit({ redis, clock: Date, owner: 'admin', keptDays: 365, ...more })
  const tenant = unique('tenant')
  const act = {
    keyId: null,
    tenant,
    action: 'PUT /v1/x/{id}',
    params: { id: '1' },
    requestId: 'r',
    client: null,
  }
  return { audit, tenant, act }
}

describe.each(['resp', 'rest'] as const)('the audit log, over %s', (driver) => {
  it('has each act, newest first, with its outcome where there is one', async (context) => {
    const { audit, tenant, act } = await start(context, driver)
    const first = await audit.begin(act)
    const second = await audit.begin({ ...act, keyId: 'k1', action: 'DELETE /v1/keys/{id}' })
    await audit.end(second, { status: 204 })
    const { data, next } = await audit.page({ tenant }, { limit: 10 })
    expect(next).toBeNull()
    const { keyId: _, ...same } = act
    expect(data).toEqual([
      {
        ...same,
        id: second,
        at: expect.any(Number),
        actor: 'key:k1',
        action: 'DELETE /v1/keys/{id}',
        status: 204,
      },
      { ...same, id: first, at: expect.any(Number), actor: 'admin', status: null },
    ])
  })

  it('is filtered and read page by page: each act once', async (context) => {
    const { audit, tenant, act } = await start(context, driver)
    const ids: string[] = []
    for (let i = 0; i < 7; i++) ids.push(await audit.begin({ ...act, keyId: i % 2 ? 'odd' : null }))
    const seen: string[] = []
    let before: string | undefined
    do {
      const { data, next } = await audit.page({ tenant }, { limit: 3, before })
      seen.push(...data.map(({ id }) => id))
      before = next ?? undefined
    } while (before)
    expect(seen).toEqual(ids.toReversed())
    const all = { limit: 10 }
    expect((await audit.page({ tenant, actor: 'key:odd' }, all)).data).toHaveLength(3)
    expect((await audit.page({ tenant, action: '/v1/x' }, all)).data).toHaveLength(7)
    expect((await audit.page({ tenant, action: 'DELETE' }, all)).data).toHaveLength(0)
    const at = Date.now() + 60_000
    expect((await audit.page({ tenant, from: at }, all)).data).toHaveLength(0)
    expect((await audit.page({ tenant, to: at - 120_000 }, all)).data).toHaveLength(0)
    expect((await audit.page({ tenant, from: at - 120_000, to: at }, all)).data).toHaveLength(7)
  })

  it('whom it concerned may turn out only while it happens', async (context) => {
    const { audit, tenant, act } = await start(context, driver)
    await audit.end(await audit.begin({ ...act, tenant: 'default' }), { status: 200, tenant })
    expect((await audit.page({ tenant }, { limit: 10 })).data).toMatchObject([{ tenant, status: 200 }])
  })
})

it('keeps acts for so many days, and no longer', async ({ onTestFinished }) => {
  const server = await startTestRedis()
  const redis = patient(createRedisResp({ url: server.url }))
  onTestFinished(async () => {
    await redis.close()
    await server.stop()
  })
  const audit = createAudit({ redis, clock: Date, owner: 'local', keptDays: 2 })
  const act = { keyId: null, tenant: 'a', action: 'PUT /v1/x', params: {}, requestId: 'r', client: null }
  const dayAgo = async (days: number) => {
    const id = String(Date.now() - days * 86_400_000)
    return (await redis.wave([['XADD', AUDIT_STREAM, id, 'act', JSON.stringify(act)]]))[0]
  }
  const [, second] = [await dayAgo(3), await dayAgo(1)]
  const shown = async () => (await audit.page({}, { limit: 10 })).data.map(({ id }) => id)
  expect(await shown()).toEqual([second]) // though nobody has trimmed yet
  const third = await audit.begin(act)
  await audit.end(third, { status: 200 })
  expect(await shown()).toEqual([third, second])
  const day = new Date().toISOString().slice(0, 10)
  const [entries, ttl] = await redis.wave([
    ['XRANGE', AUDIT_STREAM, '-', '+'],
    ['PTTL', auditOutcomesKey(day)],
  ])
  expect((entries as [string][]).map(([id]) => id)).toEqual([second, third])
  expect(ttl).toBeGreaterThan(2 * 86_400_000)
})

it('a log of thousands is read within the calls that the runtime allows', async ({ onTestFinished }) => {
  const server = await startTestRedis()
  const redis = patient(createRedisResp({ url: server.url }))
  onTestFinished(async () => {
    await redis.close()
    await server.stop()
  })
  const options = { redis, clock: Date, owner: 'admin', keptDays: 365 } as const
  const audit = createAudit({ ...options, callBudget: 7 })
  const act = { keyId: null, tenant: 'many', action: 'PUT /v1/x', params: {}, requestId: 'r', client: null }
  const rare = await audit.begin({ ...act, tenant: 'rare' })
  await Promise.all(Array.from({ length: 4_500 }, () => audit.begin(act)))
  let calls = 0
  let before: string | undefined
  const found: string[] = []
  do {
    const { data, next } = await audit.page({ tenant: 'rare' }, { limit: 10, before })
    calls++
    found.push(...data.map(({ id }) => id))
    before = next ?? undefined
  } while (before)
  expect(found).toEqual([rare])
  expect(calls).toBe(2)
  expect((await createAudit(options).page({ tenant: 'rare' }, { limit: 10 })).data).toHaveLength(1)
})
