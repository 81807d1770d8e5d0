import { expect, it } from 'vitest'
import { ask, readSse, unique } from '../support/app.ts'
import { ADMIN_KEY, type NodeHub, startNodeHub } from '../support/hub.ts'
import { type Behaviour, startProvider } from '../support/provider.ts'
import { testRedisUrl } from '../support/redis.ts'

const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' }
const OPEN_SECONDS = 2

/** The code of the error that a streamed call ended with, as status or as event. */
async function call({ url }: NodeHub, model: string): Promise<string | undefined> {
  const body = JSON.stringify(ask(undefined, { model, stream: true }))
  const reply = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body })
  if (!reply.ok) return (await reply.json()).error.code
  const last = (await readSse(reply)).at(-1)!
  return last === '[DONE]' ? undefined : JSON.parse(last).error.code
}

it('a provider that fails inside streams opens the breaker for both processes; one probe closes it', async (context) => {
  let behaviour: Behaviour = { cut: 'destroy', deltas: ['a', 'b', 'c'] }
  const provider = await startProvider({ behave: () => behaviour })
  context.onTestFinished(provider.close)
  const name = unique('shaky')
  const env = {
    REDIS_URL: testRedisUrl(),
    HUB_PROVIDERS: JSON.stringify({ [name]: { base_url: provider.url } }),
    HUB_BREAKER_MIN_CALLS: '6',
    HUB_BREAKER_OPEN_SECONDS: String(OPEN_SECONDS),
  }
  const hubs = await Promise.all([startNodeHub(env), startNodeHub(env)])
  for (const hub of hubs) context.onTestFinished(hub.stop)
  const [first, second] = hubs as [NodeHub, NodeHub]
  const model = `${name}/m`

  for (let i = 0; i < 3; i++) {
    expect(await call(first, model)).toBe('stream_interrupted')
    expect(await call(second, model)).toBe('stream_interrupted')
  }
  // What the other one counted is known here within a second.
  for (const hub of hubs) {
    await expect.poll(() => call(hub, model), { interval: 100 }).toBe('breaker_open')
  }
  const state = async () =>
    (await (await fetch(`${first.url}/v1/breakers/${model}`, { headers })).json()).state
  expect(await state()).toBe('open')

  const callsWhileOpen = provider.count
  expect(await Promise.all(hubs.map((hub) => call(hub, model)))).toEqual(['breaker_open', 'breaker_open'])
  expect(provider.count).toBe(callsWhileOpen)

  // Still failing: of forty concurrent calls one goes out.
  await expect.poll(state, { timeout: 5_000 }).toBe('half-open')
  behaviour = { ...behaviour, delayMs: 300 }
  const codes = await Promise.all(Array.from({ length: 40 }, (_, i) => call(hubs[i % 2]!, model)))
  expect(provider.count).toBe(callsWhileOpen + 1)
  expect(codes.filter((code) => code === 'stream_interrupted')).toHaveLength(1)
  expect(codes.filter((code) => code === 'breaker_open')).toHaveLength(39)
  expect(await state()).toBe('open')

  // Well again: one probe, then both processes call as before.
  behaviour = { delayMs: 300 }
  await expect.poll(state, { timeout: 5_000 }).toBe('half-open')
  const probed = await Promise.all(Array.from({ length: 40 }, (_, i) => call(hubs[i % 2]!, model)))
  expect(provider.count).toBe(callsWhileOpen + 2)
  expect(probed.filter((code) => code === undefined)).toHaveLength(1)
  expect(await state()).toBe('closed')
  behaviour = {}
  for (const hub of hubs) await expect.poll(() => call(hub, model), { interval: 100 }).toBeUndefined()
}, 60_000)

it('a prober that is killed is replaced after its lease', async (context) => {
  let behaviour: Behaviour = { status: 500 }
  const provider = await startProvider({ behave: () => behaviour })
  context.onTestFinished(provider.close)
  const name = unique('shaky')
  const env = {
    REDIS_URL: testRedisUrl(),
    HUB_PROVIDERS: JSON.stringify({ [name]: { base_url: provider.url } }),
    HUB_BREAKER_MIN_CALLS: '3',
    HUB_BREAKER_OPEN_SECONDS: '1',
    HUB_BREAKER_PROBE_SECONDS: '2',
  }
  const hubs = await Promise.all([startNodeHub(env), startNodeHub(env)])
  for (const hub of hubs) context.onTestFinished(hub.stop)
  const [first, second] = hubs as [NodeHub, NodeHub]
  const model = `${name}/m`
  for (let i = 0; i < 3; i++) await call(first, model)
  await expect.poll(() => call(second, model), { interval: 100 }).toBe('breaker_open')

  behaviour = { silent: 'head' }
  const before = provider.count
  await expect
    .poll(
      () => Promise.race([call(first, model).catch(() => 'killed'), until(() => provider.count > before)]),
      {
        ...{ interval: 100, timeout: 5_000 },
      },
    )
    .toBe('probing')
  await first.kill()
  behaviour = {}
  expect(await call(second, model)).toBe('breaker_open')
  await expect.poll(() => call(second, model), { interval: 100, timeout: 5_000 }).toBeUndefined()
  expect(provider.count).toBe(before + 2)
}, 60_000)

async function until(isSo: () => boolean): Promise<'probing'> {
  for (;;) {
    if (isSo()) return 'probing'
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
