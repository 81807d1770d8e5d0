import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import type { Redis } from '../../shared/ports/redis.ts'
import { until } from '../support/hub.ts'
import { startTestRedis } from '../support/redis.ts'
import {
  agentsOf,
  type Crew,
  checkCrew,
  checkOrder,
  isIdle,
  passTime,
  readChannels,
  startOutside,
  stopTime,
} from './agent-scenario.ts'
import { createMortalHub, type Death, type MortalHub } from './mortal-hub.ts'

async function start(claimSeconds = '15') {
  const local = await startTestRedis()
  const redis = createRedisResp({ url: local.url })
  const outside = await startOutside()
  onTestFinished(async () => {
    await outside.close()
    await redis.close()
    await local.stop()
  })
  // So long that nothing is taken over before the test lets time pass.
  const env = { ...outside.env, REDIS_URL: local.url, HUB_CLAIM_SECONDS: claimSeconds }
  return { local, redis, outside, newHub: (more = {}) => createMortalHub({ redis, env, ...more }) }
}

const go = (hub: MortalHub, { planner }: Crew, { stream = false } = {}) =>
  hub.ask(
    'POST',
    `/v1/agents/${planner}/steps`,
    { input: `begin ${planner}`, until: 'done', stream },
    { 'idempotency-key': `go ${planner}` },
  )

/** Whoever is free does what is left, until nothing is, and a person decides. Time passes whenever somebody waits for it. */
async function recover(redis: Redis, hub: MortalHub, crews: readonly Crew[]) {
  const stopping = new AbortController()
  const work = hub.work(stopping.signal)
  await passTime(redis, crews.flatMap(agentsOf))
  let looks = 0
  for (let asked = true; asked; ) {
    await until(
      'nobody is due',
      async () => {
        if (await isIdle(redis)) return true
        if (++looks % 20 === 0) await passTime(redis)
        await sleep(100)
        return false
      },
      60_000,
    )
    asked = (await Promise.all(crews.map((crew) => decide(hub, crew)))).includes(true)
  }
  stopping.abort()
  await work
  await hub.settled()
}

/** Somebody looks what became of the call that nobody knows the end of, and says so, or that it is to be made again. */
async function decide(hub: MortalHub, crew: Crew): Promise<boolean> {
  const path = `/v1/agents/${crew.planner}`
  const { body } = await hub.ask('GET', path)
  if (body.status !== 'needs_attention') return false
  expect(body.waiting.calls).toMatchObject([{ name: 'once', why: 'unknown' }])
  const action = Math.random() < 0.5 ? 'retry' : 'result'
  crew.decision = action
  const decisions = [{ call_id: body.waiting.calls[0].id, action, output: 'It was done.' }]
  expect(await hub.ask('POST', `${path}/steps`, { decisions, until: 'done', stream: false })).toMatchObject({
    status: 200,
  })
  return true
}

/** Every call of a scenario, in lanes: the odd ones arrive at Redis and the even ones do not, or the other way round. */
async function atEachCall(calls: number, odd: boolean, act: (death: Death, name: string) => Promise<void>) {
  const deaths = Array.from({ length: calls }, (_, i) => ({ at: i + 1, arrives: (i % 2 === 0) === odd }))
  const lanes = Array.from({ length: 4 }, async () => {
    for (let death = deaths.shift(); death; death = deaths.shift()) await act(death, `n${death.at}`)
  })
  await Promise.all(lanes)
}

// Between them, each call is the last one in both ways.
it.each([
  ['the client asks again', true],
  ['whoever is free goes on', false],
])(
  'the process dies at each call to Redis, before it or after it, and %s: everything happens once',
  async (_, asksFirst) => {
    const { redis, outside, newHub } = await start()
    const recovery = newHub()
    const measured = await outside.makeCrew(recovery, 'measure')
    const whole = newHub()
    await go(whole, measured)
    await whole.settled()
    const crews = [measured]
    await atEachCall(whole.calls, asksFirst, async (death, name) => {
      const crew = await outside.makeCrew(recovery, name)
      crews.push(crew)
      const mortal = newHub()
      mortal.dieAt(death)
      await Promise.race([mortal.died, go(mortal, crew).then(mortal.settled)])
    })
    for (const way of asksFirst ? ['ask', 'work'] : ['work', 'ask', 'work']) {
      if (way === 'work') await recover(redis, recovery, crews)
      else {
        await passTime(redis, crews.flatMap(agentsOf))
        for (const crew of crews)
          expect(await go(recovery, crew), crew.planner).toMatchObject({ status: 200 })
        await recovery.settled()
      }
    }
    const channels = await readChannels(redis)
    for (const crew of crews) {
      const [first] = await checkCrew(redis, recovery, outside, crew, channels)
      const { body } = await go(recovery, crew, { stream: true })
      expect(JSON.parse(/^data: (.*)$/m.exec(body)![1]!), crew.planner).toEqual(first)
    }
    for (const messages of outside.asks()) checkOrder(messages, 'asked')
  },
  120_000,
)

it('an instance that works on what a message brought dies at every second call to Redis: everything happens once', async () => {
  const { redis, outside, newHub } = await start()
  const recovery = newHub()
  const drains = { kickMs: 10_000, scheduledMs: 10_000 }
  const crews: Crew[] = []
  const message = (hub: MortalHub, { planner }: Crew) =>
    hub.ask(
      'POST',
      `/v1/agents/${planner}/messages`,
      { content: `begin ${planner}` },
      { 'idempotency-key': 'm' },
    )
  async function run(name: string, death?: Death) {
    const crew = await outside.makeCrew(recovery, name)
    crews.push(crew)
    await stopTime(redis) // this crew alone is worked on
    const mortal = newHub({ drains })
    mortal.dieAt(death)
    await Promise.race([mortal.died, message(mortal, crew).then(mortal.settled)])
    return mortal.calls
  }
  const calls = await run('measure')
  for (let at = 1; at <= calls; at += 2) await run(`n${at}`, { at, arrives: at % 4 === 1 })
  for (const crew of crews) await message(recovery, crew)
  await recover(redis, recovery, crews)
  const channels = await readChannels(redis)
  for (const crew of crews) await checkCrew(redis, recovery, outside, crew, channels)
}, 120_000)

it('the agent is deleted before each call to Redis that its step makes: nothing of it is left', async () => {
  const { redis, outside, newHub } = await start()
  const other = newHub()
  const crews: Crew[] = []
  async function run(name: string, at?: number) {
    const crew = await outside.makeCrew(other, name)
    crews.push(crew)
    const hub = newHub()
    hub.beforeCall(async (call) => {
      if (call === at) expect((await other.ask('DELETE', `/v1/agents/${crew.planner}`)).status).toBe(204)
    })
    const reply = await go(hub, crew)
    expect([200, 404, 409, 410], JSON.stringify(reply.body)).toContain(reply.status)
    await hub.settled()
    return hub.calls
  }
  const calls = await run('measure')
  for (let at = 1; at <= calls; at++) await run(`d${at}`, at)
  await recover(redis, other, [])
  for (const { planner } of crews.slice(1)) {
    const reply = await other.ask('GET', `/v1/agents/${planner}`)
    if (reply.status === 200) {
      expect((await other.ask('DELETE', `/v1/agents/${planner}`)).status).toBe(204) // there were fewer calls this time
      continue
    }
    expect(reply.status, planner).toBe(404)
    const [left] = await redis.wave([['KEYS', `*agent:${planner}}*`]], { timeoutMs: 5_000 })
    const ages = await redis.wave((left as string[]).map((key) => ['PTTL', key]))
    expect(
      ages.every((ms) => (ms as number) > 0),
      JSON.stringify(left),
    ).toBe(true)
  }
}, 120_000)

it('four processes that fall asleep for longer than their claims hold: everything happens once', async () => {
  const { redis, outside, newHub } = await start('1')
  const hubs = Array.from({ length: 4 }, () => newHub())
  for (const hub of hubs) {
    hub.beforeCall(async () => {
      if (Math.random() < 0.06) await sleep(300 + 2_200 * Math.random())
    })
  }
  const person = newHub()
  const crews = await Promise.all(Array.from({ length: 30 }, (_, i) => outside.makeCrew(person, `s${i}`)))
  const stopping = new AbortController()
  const works = hubs.map((hub) => hub.work(stopping.signal))
  await Promise.all(
    crews.map((crew, i) =>
      until(
        'its run is over, and its client was told so',
        async () => {
          const { status, body } = await go(hubs[i % hubs.length]!, crew)
          if (status === 200 && body.status === 'needs_attention') await decide(person, crew)
          else if (status !== 200) expect([409, 503], JSON.stringify(body)).toContain(status)
          return status === 200 && body.status === 'done'
        },
        60_000,
      ),
    ),
  )
  await until(
    'nobody is due, and nobody is asked',
    async () => {
      const asked = await Promise.all(crews.map((crew) => decide(person, crew)))
      return !asked.includes(true) && (await isIdle(redis))
    },
    60_000,
  )
  stopping.abort()
  await Promise.all(works)
  await Promise.all([...hubs, person].map((hub) => hub.settled()))
  const channels = await readChannels(redis)
  for (const crew of crews) await checkCrew(redis, person, outside, crew, channels)
  for (const messages of outside.asks()) checkOrder(messages, 'asked')
}, 120_000)
