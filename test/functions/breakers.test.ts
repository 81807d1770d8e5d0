import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startApp, unique } from '../support/app.ts'

const ADMIN = { authorization: 'Bearer the-admin-key-of-this-test' }

async function start() {
  const app = await startApp({
    env: {
      HUB_ADMIN_KEY: 'the-admin-key-of-this-test',
      ...{ HUB_BREAKER_MIN_CALLS: '4', HUB_BREAKER_OPEN_SECONDS: '1' },
    },
  })
  onTestFinished(() => app[Symbol.asyncDispose]())
  /** What the hub replies to one key of a tenant. */
  async function member(tenant: string, scopes = ['platform']) {
    const reply = await app.send('POST', '/v1/keys', { tenant, scopes }, ADMIN)
    const { key } = (await reply.json()) as { key: string }
    const header = { authorization: `Bearer ${key}` }
    const body = async (reply: Response) => ({ status: reply.status, ...(await reply.json()) })
    return {
      header,
      get: async (name: string) => body(await app.get(`/v1/app-breakers/${name}`, header)),
      post: async (name: string, sent: object = {}) =>
        body(await app.send('POST', `/v1/app-breakers/${name}`, sent, header)),
    }
  }
  return { ...app, member }
}

describe('a breaker of an application', () => {
  it('is opened by what is told of its calls, then admits one probe, whose success closes it', async () => {
    const hub = await start()
    const tenant = unique('tenant')
    const [one, two] = [await hub.member(tenant), await hub.member(tenant)]
    const closed = { admitted: true, permit: null, state: 'closed', seconds_left: null }
    expect(await one.post('pay/permits')).toMatchObject(closed)
    await one.post('pay/calls', { outcome: 'success', count: 2 })
    await one.post('pay/calls', { outcome: 'released' })
    expect(await two.post('pay/calls', { outcome: 'failure' })).toMatchObject({
      ...{ state: 'closed', succeeded: 2, failed: 1 },
    })
    expect(await two.post('pay/calls', { outcome: 'failure' })).toMatchObject({
      ...{ status: 200, state: 'open', name: 'app/pay', tenant, seconds_left: 1 },
    })
    expect(await one.post('pay/permits')).toMatchObject({ admitted: false, permit: null, state: 'open' })

    await sleep(1_050)
    const asked = await Promise.all([1, 2, 3, 4].map(() => one.post('pay/permits')))
    const admitted = asked.filter((answer) => answer.admitted)
    expect(admitted).toHaveLength(1)
    const [{ permit }] = admitted
    expect(await two.post('pay/calls', { outcome: 'success', permit: 'another' })).toMatchObject({
      state: 'half-open',
    })
    expect(await one.post('pay/calls', { outcome: 'success', permit })).toMatchObject({ state: 'closed' })
    expect(await two.get('pay')).toMatchObject({ state: 'closed', succeeded: 0, failed: 0 })
  })

  it('opens again when its probe fails, and gives a probe that was left to the next who asks', async () => {
    const hub = await start()
    const one = await hub.member(unique('tenant'))
    await one.post('mail/calls', { outcome: 'failure', count: 4 })
    await sleep(1_050)
    const { permit: left } = await one.post('mail/permits')
    await one.post('mail/calls', { outcome: 'released', permit: left })
    const { permit } = await one.post('mail/permits')
    expect(permit).not.toBe(left)
    expect(await one.post('mail/calls', { outcome: 'failure', permit })).toMatchObject({ state: 'open' })
  })

  it('is its tenant’s alone, and is held by hand', async () => {
    const hub = await start()
    const [tenant, other] = [unique('tenant'), unique('tenant')]
    const [mine, theirs] = [await hub.member(tenant), await hub.member(other)]
    expect(await mine.post('x', { state: 'open' })).toMatchObject({ state: 'open', manual: true })
    expect(await theirs.get('x')).toMatchObject({ state: 'closed', tenant: other })
    expect(await mine.post('x/permits')).toMatchObject({ admitted: false, seconds_left: null })
    expect(await theirs.get(`x?tenant=${tenant}`)).toMatchObject({ status: 403 })
    const seen = await hub.get(`/v1/app-breakers/x?tenant=${tenant}`, ADMIN)
    expect(await seen.json()).toMatchObject({ state: 'open', tenant })
    const listed = await (await hub.get('/v1/breakers', ADMIN)).json()
    expect(listed.data.filter((one: { tenant: string }) => one.tenant === tenant)).toMatchObject([
      { name: 'app/x', manual: true },
    ])
  })

  it('refuses other targets, other scopes and bad input', async () => {
    const hub = await start()
    const mine = await hub.member(unique('tenant'))
    const elsewhere = await hub.member(unique('tenant'), ['realtime'])
    const error = (code: string, param: string | null = null) => ({ error: { code, param } })
    const others = await hub.get('/v1/breakers/openai/gpt-4o-mini', mine.header)
    expect([others.status, (await others.json()).error.code]).toEqual([403, 'scope_missing'])
    expect(await elsewhere.post('x/permits')).toMatchObject(error('scope_missing'))
    expect(await mine.post('x/calls', { outcome: 'bad' })).toMatchObject(error('invalid_value', 'outcome'))
    expect(await mine.post('x/calls', { outcome: 'success', count: 0 })).toMatchObject({
      ...error('invalid_value', 'count'),
      status: 400,
    })
    expect(await mine.post('a%7Bb/permits')).toMatchObject(error('invalid_value', 'name'))
  })
})
