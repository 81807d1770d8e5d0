import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { HandledEvent } from '../../../shared/events/handlers.ts'
import type { EventResult } from '../../../shared/events/results.ts'
import { eventKeys, resultsChannel } from '../../../shared/keys.ts'
import { handlerOf, startEvents } from '../../support/events.ts'
import { until } from '../../support/hub.ts'

const quick = { attempts: 3, first_seconds: 0.02, longest_seconds: 0.05 }
const numberOf = ({ event }: HandledEvent) => (event.data as { n: number }).n

describe.each(['resp', 'rest'] as const)('results, over %s', (driver) => {
  it('each event gets its own, and who listens hears of it', async (context) => {
    const echo = handlerOf((one) => ({ result: { twice: 2 * numberOf(one) } }))
    const told: EventResult[] = []
    const hub = await startEvents(context, {
      ...{ driver, handlers: { echo } },
      onResults: async (_, __, results) => void told.push(...results.map(({ result }) => result)),
    })
    const heard: string[] = []
    const subscription = await hub.resp.subscribe(
      resultsChannel(hub.tenant, 's'),
      (text) => heard.push(text),
      {
        timeoutMs: 5_000,
      },
    )
    context.onTestFinished(subscription.close)
    await hub.streams.put(hub.tenant, 's', { handler: { type: 'echo' } })
    hub.run()
    const ids = await hub.send('s', 100)
    await until('all are there', async () => (await hub.found(ids)).size === 100)
    const found = await hub.found(ids)
    const seventh = found.get(ids[7]!)
    expect(seventh).toEqual({
      ...{ id: ids[7], stream: 's', event_id: 'e7', status: 'done', result: { twice: 14 } },
      ...{ at: expect.stringMatching(/^\d{4}-/), attempts: 1 },
    })
    await until('all were told', () => heard.length === 100 && told.length === 100)
    expect(heard.map((text) => JSON.parse(text))).toContainEqual({
      id: ids[7],
      event_id: 'e7',
      status: 'done',
    })
    await until('all are acknowledged', async () => (await hub.pending('s')) === 0)
    const [ttl] = await hub.resp.wave([['TTL', `t:${hub.tenant}:result:${ids[7]}`]])
    expect(ttl).toBeGreaterThan(86_000)
  })

  it('one that a dying process left behind is found: its event is not worked on again, but told again', async (context) => {
    let calls = 0
    const echo = handlerOf(() => {
      calls++
      return { result: 'the second one' }
    })
    const told: EventResult[] = []
    const hub = await startEvents(context, {
      ...{ driver, handlers: { echo }, claimIdleMs: 200 },
      onResults: async (_, __, results) => void told.push(...results.map(({ result }) => result)),
    })
    await hub.streams.put(hub.tenant, 's', { handler: { type: 'echo' } })
    const [id] = await hub.send('s', 1)
    const { events } = eventKeys(hub.tenant, 's')
    const died = { id: id!, stream: 's', event_id: 'e0', status: 'done', result: 'the first one' } as const
    await hub.results.write(hub.tenant, [{ ...died, at: 'then', attempts: 1 }], { ttlSeconds: 60 })
    await hub.redis.wave([
      ['XGROUP', 'CREATE', events, 'hub', '0'],
      ['XREADGROUP', 'GROUP', 'hub', 'dead', 'STREAMS', events, '>'],
    ])
    await sleep(250)
    await hub.runner.drain(hub.tenant, 's', 5_000)
    expect(await hub.pending('s')).toBe(0)
    expect(calls).toBe(0)
    expect(told).toMatchObject([{ id, result: 'the first one' }])
    expect((await hub.found([id!])).get(id!)).toMatchObject({ result: 'the first one' })
  })

  it('poison goes to the dead letters without holding its neighbours, and its failed result gives way to a replay', async (context) => {
    let isPoison = true
    const seen: number[] = []
    const picky = handlerOf((one) => {
      seen.push(numberOf(one))
      return isPoison && numberOf(one) === 3 ? { failed: new Error('three is bad') } : { result: 'fine' }
    })
    const hub = await startEvents(context, { driver, handlers: { picky } })
    await hub.streams.put(hub.tenant, 's', { handler: { type: 'picky' }, retry: quick })
    hub.run()
    const ids = await hub.send('s', 20)
    await until('its neighbours are done', async () => (await hub.found(ids)).size >= 19)
    const dead = hub.dead('s')
    await until('it is a dead letter', async () => (await dead.list({ limit: 5 })).length === 1)
    const failed = (await hub.found(ids)).get(ids[3]!)
    expect(failed).toMatchObject({ status: 'failed', error: { message: 'three is bad' }, attempts: 3 })
    expect(seen.filter((n) => n === 3)).toHaveLength(3)
    expect(seen).toHaveLength(22)

    isPoison = false
    const [letter] = await dead.list({ limit: 5 })
    expect(letter).toMatchObject({ cause: 'three is bad', attempts: 3 })
    await dead.replay([letter!.id])
    hub.runner.wake(hub.tenant, 's')
    await until('it is done', async () => (await hub.found(ids)).get(ids[3]!)?.status === 'done')
    expect((await hub.found(ids)).get(ids[3]!)).not.toHaveProperty('error')
  })

  it('of one that is done nothing else is ever written', async (context) => {
    const hub = await startEvents(context, { driver })
    const about = { id: 'r', stream: 's', event_id: 'e', at: 'now', attempts: 1 }
    const write = (result: Partial<EventResult>) =>
      hub.results.write(hub.tenant, [{ ...about, ...result } as EventResult], { ttlSeconds: 60 })
    await write({ status: 'failed', error: { message: 'once' } })
    await write({ status: 'failed', error: { message: 'twice' } })
    expect(await hub.results.get(hub.tenant, 'r')).toMatchObject({ error: { message: 'twice' } })
    await write({ status: 'done', result: 1 })
    await write({ status: 'done', result: 2 })
    await write({ status: 'failed', error: { message: 'late' } })
    expect(await hub.results.get(hub.tenant, 'r')).toEqual({ ...about, status: 'done', result: 1 })
  })
})

describe('who works on what', () => {
  it('keeps the order of each key under parallelism, and works on keys side by side', async (context) => {
    const seen: { key: number; n: number }[] = []
    let running = 0
    let most = 0
    const slow = handlerOf(async (one) => {
      most = Math.max(most, ++running)
      await sleep(Math.random() * 5)
      running--
      seen.push({ key: numberOf(one) % 10, n: numberOf(one) })
      return { result: null }
    })
    const hub = await startEvents(context, { handlers: { slow } })
    await hub.streams.put(hub.tenant, 's', { handler: { type: 'slow' }, key: 'subject' })
    hub.run()
    const ids = await hub.send('s', 300, (n) => ({ subject: `customer ${n % 10}` }))
    await until('all are done', async () => (await hub.found(ids)).size === 300)
    for (const key of Array(10).keys()) {
      const ns = seen.filter((one) => one.key === key).map(({ n }) => n)
      expect(ns).toEqual(ns.toSorted((a, b) => a - b))
      expect(ns).toHaveLength(30)
    }
    expect(most).toBeGreaterThan(3)
  })

  it('a handler that is not there: its events wait, which is said, and are worked on once it is', async (context) => {
    const handlers = { gone: handlerOf(() => ({ result: 'late' })) } as Record<
      string,
      ReturnType<typeof handlerOf>
    >
    const hub = await startEvents(context, { handlers })
    await hub.streams.put(hub.tenant, 's', { handler: { type: 'gone' } })
    const ids = await hub.send('s', 5)
    const { gone } = handlers
    delete handlers.gone
    hub.run()
    const line = await until('it is said', () => hub.lines.find(({ stream }) => stream === 's'))
    expect(String(line.cause)).toContain('the handler `gone`, which this hub does not have')
    await sleep(1_200)
    expect(hub.lines).toHaveLength(1) // once
    expect((await hub.found(ids)).size).toBe(0)
    handlers.gone = gone!
    await hub.streams.put(hub.tenant, 's', { handler: { type: 'gone' }, result_ttl_seconds: 60 })
    await until('all are done', async () => (await hub.found(ids)).size === 5)
  })

  it('waits for as long as the handler asks, and not for one that says it is of no use', async (context) => {
    const at: number[] = []
    const limited = handlerOf((one) => {
      if (numberOf(one) === 1) return { failed: 'never', permanent: true }
      at.push(Date.now())
      return at.length === 1 ? { failed: 'later', retryAfterMs: 700 } : { result: null }
    })
    const hub = await startEvents(context, { handlers: { limited } })
    await hub.streams.put(hub.tenant, 's', { handler: { type: 'limited' }, retry: quick })
    hub.run()
    const ids = await hub.send('s', 2)
    await until('both are over', async () => (await hub.found(ids)).size === 2)
    const found = await hub.found(ids)
    expect(at[1]! - at[0]!).toBeGreaterThanOrEqual(690)
    expect(found.get(ids[0]!)).toMatchObject({ status: 'done', attempts: 2 })
    expect(found.get(ids[1]!)).toMatchObject({ status: 'failed', attempts: 1, error: { message: 'never' } })
  })
})

describe('the runner', () => {
  it('notices streams that come, change and go', async (context) => {
    const handlers = { a: handlerOf(() => ({ result: 'a' })), b: handlerOf(() => ({ result: 'b' })) }
    const hub = await startEvents(context, { handlers })
    hub.run()
    await sleep(100)
    const first = await hub.send('s', 1)
    await hub.streams.put(hub.tenant, 's', { handler: { type: 'a' } })
    await until('it came', async () => (await hub.found(first)).get(first[0]!)?.result === 'a')
    await hub.streams.put(hub.tenant, 's', { handler: { type: 'b' } })
    await sleep(2_200)
    const second = await hub.send('s', 1, () => ({ id: 'second' }))
    await until('it changed', async () => (await hub.found(second)).get(second[0]!)?.result === 'b')
    await hub.streams.delete(hub.tenant, 's')
    await sleep(2_200)
    const third = await hub.send('s', 1, () => ({ id: 'third' }))
    await sleep(300)
    expect((await hub.found(third)).size).toBe(0)
  })

  it.each([
    ['one has a connection, the others are woken', 1],
    ['none has a connection', 0],
  ])('%s: all are worked on, retries included', async (_, mostBlocking) => {
    const context = { onTestFinished: (await import('vitest')).onTestFinished }
    const tries = new Map<string, number>()
    const second = handlerOf(({ event }) => {
      const attempt = (tries.get(event.id) ?? 0) + 1
      tries.set(event.id, attempt)
      return attempt === 1 ? { failed: 'the first time' } : { result: attempt }
    })
    const hub = await startEvents(context, { handlers: { second }, runner: { mostBlocking } })
    const names = ['s1', 's2', 's3', 's4']
    for (const name of names)
      await hub.streams.put(hub.tenant, name, { handler: { type: 'second' }, retry: quick })
    hub.run()
    await sleep(300)
    const ids: string[] = []
    for (const name of names) ids.push(...(await hub.send(name, 3, (n) => ({ id: `${name} ${n}` }))))
    await until('all are done', async () => (await hub.found(ids)).size === 12, 10_000)
  })
})
