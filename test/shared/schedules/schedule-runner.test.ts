import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, type TestContext } from 'vitest'
import { readEnv } from '../../../infra/env.ts'
import { connectRedis } from '../../../infra/wire.ts'
import type { RunSchedule } from '../../../shared/schedules/run-schedule.ts'
import type { Schedule } from '../../../shared/schedules/schedule.ts'
import { createScheduleRunner } from '../../../shared/schedules/schedule-runner.ts'
import { createSchedules } from '../../../shared/schedules/schedules.ts'
import { until } from '../../support/hub.ts'
import { startTestRedis } from '../../support/redis.ts'

/** A Redis of the test's own, and what a schedule does chosen by the test. */
async function start({ onTestFinished }: TestContext, runSchedule: RunSchedule, leaseMs = 1_000) {
  const server = await startTestRedis()
  onTestFinished(server.stop)
  const log = { info() {}, error() {} }
  const { redis: plain } = connectRedis(readEnv({ REDIS_URL: server.url }), log)
  onTestFinished(plain.close)
  const count = { waves: 0 }
  const redis: typeof plain = {
    ...plain,
    wave(calls, options) {
      count.waves++
      return plain.wave(calls, options)
    },
  }
  const errors: unknown[] = []
  const make = () =>
    createScheduleRunner({ redis, clock: Date, runSchedule, leaseMs, onError: (cause) => errors.push(cause) })
  const runner = make()
  const schedules = createSchedules({ redis, clock: Date, onChanged: runner.wake })
  return { redis, plain, count, errors, runner, make, schedules }
}

const event: Schedule = { every_seconds: 3_600, source: { type: 'event', stream: 's' }, enabled: true }
const put = (schedules: Awaited<ReturnType<typeof start>>['schedules'], name = 'one') =>
  schedules.put('default', null, name, event)
const soon = () => ({ untilMs: Date.now() + 20_000 })

describe('the runner of schedules', () => {
  it('asks Redis once and sleeps until something is due, or set here', async (context) => {
    const { runner, schedules, count } = await start(context, async () => false)
    const stop = new AbortController()
    const running = runner.run(stop.signal)
    await until('it asked', () => count.waves > 0)
    await sleep(1_500)
    expect(count.waves).toBe(1)
    await put(schedules)
    const BY_PUT = 3
    await until('it asked again', () => count.waves > 1 + BY_PUT)
    await sleep(500)
    expect(count.waves).toBe(1 + BY_PUT + 1)
    stop.abort()
    await running
  })

  it('a run of a lease’s length and more is nobody else’s', async (context) => {
    let runs = 0
    const { runner, make, schedules, redis } = await start(context, async () => {
      runs++
      await sleep(3_000)
      return false
    })
    await put(schedules)
    await redis.wave([['ZADD', 'schedules:due', 1, 'default/one']])
    const first = runner.runDue(soon())
    const others = (async () => {
      for (let i = 0; i < 10; i++) {
        await make().runDue(soon())
        await sleep(250)
      }
    })()
    await Promise.all([first, others])
    expect(runs).toBe(1)
  })

  it('run by hand while it runs: 409', async (context) => {
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const { runner, schedules } = await start(context, async () => held.then(() => false))
    await put(schedules)
    const first = runner.runNow('default', 'one', soon())
    await sleep(200)
    await expect(runner.runNow('default', 'one', soon())).rejects.toMatchObject({
      code: 'schedule_running',
      status: 409,
    })
    release()
    expect((await first).status).toBe('ok')
  })

  it('changed or removed meanwhile, the run says no more when it is due, nor how it went', async (context) => {
    let onRun = async () => {}
    const { runner, schedules, redis } = await start(context, async () => onRun().then(() => false))
    await put(schedules)
    onRun = async () =>
      void (await schedules.put('default', null, 'one', {
        ...event,
        cron: '0 0 1 1 *',
        every_seconds: undefined,
      }))
    await expect(runner.runNow('default', 'one', soon())).rejects.toMatchObject({ code: 'schedule_running' })
    const shown = await schedules.get('default', 'one')
    expect(shown.last_run).toBeNull()
    expect(shown.next_run).toMatch(/-01-01T00:00:00/)
    onRun = () => schedules.delete('default', 'one')
    await expect(runner.runNow('default', 'one', soon())).rejects.toMatchObject({ code: 'schedule_running' })
    expect(
      await redis.wave([
        ['KEYS', 'schedule*'],
        ['KEYS', '{schedule*'],
      ]),
    ).toEqual([[], []])
  })

  it('a slow one does not hold up the others, and a bug in one stops none', async (context) => {
    const ran: string[] = []
    const { runner, schedules, redis, errors } = await start(context, async (_, { name }) => {
      if (name === 'slow') await sleep(1_500)
      if (name === 'broken') throw new Error('a bug')
      ran.push(name)
      return false
    })
    const names = ['broken', 'slow', ...Array.from({ length: 8 }, (_, n) => `quick-${n}`)]
    for (const name of names) await put(schedules, name)
    await redis.wave([['ZADD', 'schedules:due', ...names.flatMap((name, i) => [i + 1, `default/${name}`])]])
    expect(await runner.runDue(soon())).toBe(names.length)
    expect(ran.at(-1)).toBe('slow')
    expect(errors).toHaveLength(1)
    expect(await schedules.get('default', 'broken')).toMatchObject({
      consecutive_failures: 1,
      last_run: { status: 'failed', error: { code: 'internal_error' } },
    })
  })

  it('stopped mid-run, it leaves the run to others at once', async (context) => {
    let runs = 0
    const { runner, make, schedules, redis } = await start(
      context,
      async (_, { signal }) => {
        if (runs++ > 0) return false
        await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
        return false
      },
      30_000,
    )
    await put(schedules)
    await redis.wave([['ZADD', 'schedules:due', 1, 'default/one']])
    const stop = new AbortController()
    const running = runner.run(stop.signal)
    await until('it runs', () => runs === 1)
    stop.abort()
    await running
    await make().runDue(soon())
    expect(runs).toBe(2)
    expect((await schedules.get('default', 'one')).last_run?.planned).toBe('1970-01-01T00:00:00.001Z')
  })

  it('a thousand missed years are one run, and a member without a schedule goes', async (context) => {
    let runs = 0
    const { runner, schedules, redis } = await start(context, async () => ++runs < 0)
    await put(schedules)
    await redis.wave([['ZADD', 'schedules:due', 1, 'default/one', 1, 'default/ghost']])
    await runner.runDue(soon())
    expect(runs).toBe(1)
    const [score] = await redis.wave([['ZSCORE', 'schedules:due', 'default/ghost']])
    expect(score).toBeNull()
  })
})
