import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask, startApp, type TestApp, unique } from '../support/app.ts'
import { startTestRedis } from '../support/redis.ts'

const HUB_ADMIN_KEY = 'an-admin-key-of-tests'
const admin = { authorization: `Bearer ${HUB_ADMIN_KEY}` }
let hub: TestApp
beforeAll(async () => {
  hub = await startApp({ env: { HUB_ADMIN_KEY, HUB_REQUEST_LOG_CONTENT: 'on' } })
})
afterAll(() => hub[Symbol.asyncDispose]())

async function member(more: object = {}, tenant = unique('tenant')) {
  const reply = await hub.send('POST', '/v1/keys', { tenant, ...more }, admin)
  const { key, id } = await reply.json()
  return { tenant, id, header: { authorization: `Bearer ${key}` } }
}

async function complete(header: Record<string, string>, body: object, more: Record<string, string> = {}) {
  const reply = await hub.complete(body, { ...header, ...more })
  await reply.text()
  await hub.settled()
  return reply
}

const read = async (path: string, header: Record<string, string>) => {
  const reply = await hub.get(path, header)
  return { status: reply.status, ...(await reply.json()) }
}

describe('/v1/requests', () => {
  it('tells of each completion: how it was answered, what it cost and saved', async () => {
    const { id: key, header } = await member()
    const body = ask()
    const first = await complete(header, body)
    await complete(header, body)
    await complete(header, { ...body, stream: true })
    await complete(header, ask('no', { mock: { status: 500 } }))
    const { data, next_cursor } = await read('/v1/requests', header)
    expect(next_cursor).toBeNull()
    expect(data.map((one: Record<string, unknown>) => [one.verdict, one.status, one.streamed])).toEqual([
      ['miss', 502, false],
      ['exact', 200, true],
      ['exact', 200, false],
      ['miss', 200, false],
    ])
    const [failed, , hit, miss] = data
    expect(miss).toMatchObject({
      ...{ key_id: key, endpoint: 'chat.completions', model: 'openai/gpt-4o-mini' },
      ...{ target: 'openai/gpt-4o-mini', request_id: first.headers.get('x-request-id'), has_content: true },
      tokens: { input: 10, output: 5, estimated: false },
      ...{ error_code: null, saved: 0, trace_id: null },
    })
    expect(miss.cost).toBeGreaterThan(0)
    expect(miss.first_ms).toBeLessThanOrEqual(miss.total_ms)
    expect(hit).toMatchObject({ tokens: null, cost: 0, saved: miss.cost, saved_tokens: 15 })
    expect(failed).toMatchObject({ error_code: expect.any(String), cost: 0 })

    const whole = await read(`/v1/requests/${miss.id}`, header)
    expect(JSON.parse(whole.content.messages)).toEqual(body.messages)
    expect(JSON.parse(whole.content.answer)[0]).toMatchObject({ content: 'Hello from the mock.' })
    expect((await read('/v1/requests?errors=true', header)).data).toHaveLength(1)
    expect((await read('/v1/requests?status=5xx', header)).data).toHaveLength(1)
    expect((await read('/v1/requests?verdict=exact&limit=1', header)).next_cursor).toEqual(expect.any(String))
    expect((await read(`/v1/requests?query=${body.messages[0]!.content}`, header)).data).toHaveLength(3)
  })

  it('tells that a client left, which is no failure of the hub', async () => {
    const { header } = await member()
    const leaving = new AbortController()
    const deltas = Array.from({ length: 100 }, (_, i) => `${i} `)
    const body = ask('long', { stream: true, mock: { deltas, delayMs: 30 } })
    const reply = await hub.complete(body, header, leaving.signal)
    await reply.body!.getReader().read()
    leaving.abort()
    await hub.settled()
    expect((await read('/v1/requests', header)).data).toMatchObject([
      { status: 499, error_code: 'client_closed_request', verdict: 'miss', streamed: true },
    ])
  })

  it('has the content of no call that refuses it', async () => {
    const { header } = await member()
    await complete(header, ask('a'), { 'x-hub-log-content': 'off' })
    await complete(header, ask('b'), { 'cache-control': 'no-store' })
    await complete(header, ask('c'), { 'x-hub-log-content': 'on' })
    const { data } = await read('/v1/requests', header)
    expect(data.map((one: { has_content: boolean }) => one.has_content)).toEqual([true, false, false])
    expect(await read(`/v1/requests/${data[2].id}`, header)).toMatchObject({ content: null })
    const bad = await hub.complete(ask(), { ...header, 'x-hub-log-content': 'never' })
    expect(bad.status).toBe(400)
  })

  it('is the tenant’s own; an admin may name any, and reading its content is recorded', async () => {
    const [one, other] = [await member(), await member()]
    await complete(one.header, ask())
    const [{ id }] = (await read('/v1/requests', one.header)).data
    expect((await read('/v1/requests', other.header)).data).toEqual([])
    expect(await read(`/v1/requests?tenant=${one.tenant}`, other.header)).toMatchObject({ status: 403 })
    expect(await read(`/v1/requests/${id}`, other.header)).toMatchObject({ status: 404 })
    expect(await read(`/v1/requests/${id}?tenant=${one.tenant}`, other.header)).toMatchObject({ status: 403 })
    expect((await read(`/v1/requests?tenant=${one.tenant}`, admin)).data).toHaveLength(1)
    expect(await read(`/v1/requests/${id}?tenant=${one.tenant}`, admin)).toMatchObject({ status: 200 })
    const acts = await read(`/v1/audit?tenant=${one.tenant}&action=/v1/requests`, admin)
    expect(acts.data).toHaveLength(1)
    expect(acts.data[0]).toMatchObject({ action: 'GET /v1/requests/{id}', params: { id } })
  })

  it('needs the scope `usage`', async () => {
    const { header } = await member({ scopes: ['cache-complete'] })
    expect(await read('/v1/requests', header)).toMatchObject({
      status: 403,
      error: { code: 'scope_missing' },
    })
  })

  it.each(['status=6', 'limit=0', 'cursor=x', 'from=yesterday', 'verdict=maybe', 'color=red'])(
    'says what is wrong with ?%s',
    async (given) => {
      expect(await read(`/v1/requests?${given}`, admin)).toMatchObject({
        status: 400,
        error: { param: given.split('=')[0] },
      })
    },
  )

  it('is exported with its tenant', async () => {
    const { tenant, header } = await member()
    const text = `only ${tenant} asks this`
    await complete(header, ask(text))
    const lines = await (await hub.get(`/v1/tenants/${tenant}/export`, admin)).text()
    expect(lines).toContain(text)
    expect(lines).toMatch(/"key":"traffic:\d{12}"/)
  })

  it('neither fails nor holds up a completion while Redis is away, and tells of it afterwards', async () => {
    const own = await startTestRedis()
    await using away = await startApp({ env: { REDIS_URL: own.url }, tallyDelayMs: 20 })
    await (await away.complete(ask())).text()
    await away.settled()
    await own.stop()
    const reply = await away.complete(ask('while it is away'))
    expect([reply.status, reply.headers.get('cache-status')]).toEqual([200, 'redis-ai-hub; fwd=bypass'])
    await reply.text()
    await away.settled()
    expect(away.lines.filter(({ msg }) => msg === 'A completion was not recorded')).toEqual([])
    await using _ = await startTestRedis({ port: own.port, password: own.password })
    await expect
      .poll(
        async () => {
          await (await away.complete(ask())).text()
          await away.settled()
          const page = await (await away.get('/v1/requests?verdict=bypass')).json()
          const { traffic } = await (await away.get('/v1/overview')).json()
          return [page.data?.length > 0, traffic?.total.verdicts.bypass > 0]
        },
        { timeout: 10_000 },
      )
      .toEqual([true, true])
  })

  it('may be off', async () => {
    await using off = await startApp({ env: { HUB_REQUEST_LOG: 'off', HUB_ADMIN_KEY } })
    const { header } = await member()
    await (await off.complete(ask(), header)).text()
    await off.settled()
    expect((await read('/v1/requests', header)).data).toEqual([])
  })
})
