import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestBridge } from '../support/bridge.ts'
import {
  ADMIN_KEY,
  type HostedHub,
  startLambdaHub,
  startNodeHub,
  startWorkerHub,
  type TestHub,
  until,
} from '../support/hub.ts'
import { startTestRedis } from '../support/redis.ts'

const rims = [
  ['Node', startNodeHub],
  ['Workers', startWorkerHub],
  ['Lambda', startLambdaHub],
] as const
const cases = rims.flatMap(([rim, start]) =>
  (['resp', 'rest'] as const).map((driver) => ({ rim, start, driver })),
)
const SECRET = `whsec_${Buffer.from('a secret of this test, 32 bytes.').toString('base64')}`

interface Step {
  status: string
  output: string | null
  messages: string[]
}

describe.each(cases)('agents on $rim over $driver', ({ start, driver }) => {
  let redis: Awaited<ReturnType<typeof startTestRedis>>
  let bridge: Awaited<ReturnType<typeof startTestBridge>>
  let hub: TestHub

  beforeAll(async () => {
    redis = await startTestRedis()
    bridge = await startTestBridge({ redisUrl: redis.url })
    const where =
      driver === 'resp'
        ? { REDIS_URL: redis.url }
        : { UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token }
    hub = await start({ ...where, HUB_SECRET_KEY: 'a key that seals secrets' })
  })
  afterAll(async () => {
    await hub?.stop()
    await bridge?.close()
    await redis?.stop()
  })

  async function call<T>(method: string, path: string, body?: object, headers: Record<string, string> = {}) {
    const reply = await fetch(`${hub.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json', ...headers },
      body: body && JSON.stringify(body),
    })
    return { status: reply.status, body: (await reply.json()) as T }
  }
  const put = (id: string, settings: object) =>
    call('PUT', `/v1/agents/${id}`, { role: 'custom', model: 'local/local', ...settings })
  const journal = async (id: string) =>
    (await call<{ data: Step[] }>('GET', `/v1/agents/${id}/steps`)).body.data

  test('a step that waits goes on when a signed webhook comes, once', async () => {
    await put('clerk', { instructions: '@tool wait {"event":"order.paid"}', tools: ['wait'] })
    const { body } = await call<Step>('POST', '/v1/agents/clerk/steps', { input: 'sell it' })
    expect(body.status).toBe('waiting')
    const source = { scheme: 'standard', secret: SECRET, target: { agent: 'clerk' } }
    expect((await call('PUT', '/v1/webhooks/shop', source)).status).toBe(200)
    const payload = JSON.stringify({ type: 'order.paid', data: { order: 4711 } })
    const at = new Date()
    const headers = {
      'webhook-id': 'msg_1',
      'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
      'webhook-signature': new Webhook(SECRET).sign('msg_1', at, payload),
    }
    const post = (more: object = {}) =>
      fetch(`${hub.url}/v1/webhooks/shop`, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json', ...more },
        body: payload,
      })
    expect((await post({ 'webhook-signature': 'v1,AAAA' })).status).toBe(401)
    const taken = await post()
    expect([taken.status, await taken.json()]).toEqual([
      202,
      expect.objectContaining({ accepted: 1, duplicates: 0 }),
    ])
    expect(await (await post()).json()).toMatchObject({ accepted: 0, duplicates: 1 })
    const steps = await until('it went on by itself', async () => {
      const all = await journal('clerk')
      return all.at(-1)?.status === 'done' && all
    })
    expect(steps.map(({ status }) => status)).toEqual(['waiting', 'done'])
    expect(steps[1]!.output).toContain('4711')
  })

  test('a schedule gives an agent its steps', async () => {
    await put('guard', { instructions: 'Look around.' })
    const source = { type: 'event', agent: 'guard', data: { round: 'night' } }
    const made = await call('PUT', '/v1/schedules/rounds', { every_seconds: 3_600, source })
    expect(made.status).toBe(200)
    const ran = call<{ accepted: number }>('POST', '/v1/schedules/rounds/run')
    expect((await ran).body).toMatchObject({ accepted: 1 })
    if ('fireSchedule' in hub) await (hub as HostedHub).fireSchedule()
    const steps = await until('it went round', async () => {
      const all = await journal('guard')
      return all.length > 0 && all
    })
    expect(steps).toMatchObject([{ status: 'done', output: expect.stringContaining('night') }])
  })

  test('until done streams its steps', async () => {
    const lines = ['log {"message":"one"}', 'log {"message":"two"}'].map((line) => `@tool ${line}`)
    await put('worker', { instructions: lines.join('\n'), tools: ['log'] })
    const reply = await fetch(`${hub.url}/v1/agents/worker/steps`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ input: 'go', until: 'done' }),
    })
    const steps = (await reply.text())
      .split('\n\n')
      .filter(Boolean)
      .map((event) => JSON.parse(event.slice(event.indexOf('data: ') + 6)) as Step)
    const last = await until('the run is over', async () => {
      const all = await journal('worker')
      return all.at(-1)?.status === 'done' && all
    })
    expect(steps[0]!.status).toBe('running')
    expect(last.map(({ status }) => status)).toEqual(['running', 'running', 'done'])
  })
})
