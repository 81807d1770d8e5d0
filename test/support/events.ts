import type { TestContext } from 'vitest'
import { z } from 'zod'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../../shared/drivers/redis-rest.ts'
import { createHandlerSecrets } from '../../shared/events/handler-secrets.ts'
import type { EventHandler, EventHandlers, Handled, HandledEvent } from '../../shared/events/handlers.ts'
import { createIntake } from '../../shared/events/intake.ts'
import { createProcessor, type OnResults } from '../../shared/events/processor.ts'
import { createResults } from '../../shared/events/results.ts'
import { createRunner, type RunnerOptions } from '../../shared/events/runner.ts'
import { createStreams } from '../../shared/events/streams.ts'
import { eventKeys } from '../../shared/keys.ts'
import { createSecrets } from '../../shared/secrets.ts'
import { createDeadLetters } from '../../shared/streams/dead-letters.ts'
import { unique } from './app.ts'
import { startTestBridge } from './bridge.ts'
import { patient, testRedisUrl } from './redis.ts'

export interface EventsOptions {
  driver?: 'resp' | 'rest'
  handlers?: EventHandlers
  onResults?: OnResults
  claimIdleMs?: number
  runner?: Partial<RunnerOptions>
}

/** Streams, intake, processor and runner of a tenant of the test's own, as `infra/wire-events.ts` puts them together. */
export async function startEvents(
  { onTestFinished }: Pick<TestContext, 'onTestFinished'>,
  { driver = 'resp', handlers = {}, onResults, claimIdleMs = 60_000, runner: more }: EventsOptions = {},
) {
  const url = testRedisUrl()
  const resp = patient(createRedisResp({ url }))
  onTestFinished(resp.close)
  let redis = resp
  if (driver === 'rest') {
    const bridge = await startTestBridge({ redisUrl: url })
    onTestFinished(bridge.close)
    redis = patient(createRedisRest(bridge))
  }
  const lines: Record<string, unknown>[] = []
  const log = { error: (line: Record<string, unknown>) => void lines.push(line) }
  const tenant = unique('tenant')
  const results = createResults({ redis })
  const handlerSecrets = createHandlerSecrets({ handlers, secrets: createSecrets('a key of the tests') })
  const streams = createStreams({ redis, handlers, handlerSecrets })
  // Of this tenant alone: tests share a Redis.
  const handled = async () => (await streams.handled()).filter((one) => one.tenant === tenant)
  const intake = createIntake({
    ...{ redis, streams, clock: Date },
    onAccepted: (tenant, stream) => runner.wake(tenant, stream),
  })
  const processor = createProcessor({
    ...{
      redis,
      handlers,
      handlerSecrets,
      results,
      onResults,
      claimIdleMs,
      consumer: unique('consumer'),
      clock: Date,
      log,
    },
  })
  const runner = createRunner({
    ...{ redis, streams: { handled, settings: streams.settings }, processor, clock: Date, log },
    connectBlocking: driver === 'resp' ? () => createRedisResp({ url }) : undefined,
    ...more,
  })
  return {
    ...{ redis, resp, tenant, handlerSecrets, streams, intake, results, processor, runner, lines },
    /** Until the test ends, or until it is stopped. */
    run() {
      const stopping = new AbortController()
      const over = runner.run(stopping.signal)
      const stop = async () => {
        stopping.abort()
        await over
      }
      onTestFinished(stop)
      return { stop }
    },
    send: async (stream: string, count: number, more: (n: number) => object = () => ({})) => {
      const events = Array.from({ length: count }, (_, n) => ({
        ...{ id: `e${n}`, source: '/test', type: 'test', data: { n }, ...more(n) },
      }))
      const accepted = await intake.accept(tenant, stream, events, () => {})
      return accepted.events.map(({ result_id }) => result_id)
    },
    dead: (stream: string) => createDeadLetters({ redis, stream: eventKeys(tenant, stream).events }),
    pending: async (stream: string) => {
      const [reply] = await resp.wave([['XPENDING', eventKeys(tenant, stream).events, 'hub']])
      return reply instanceof Error ? undefined : (reply as number[])[0]
    },
    /** Results that are there, of those ids. */
    found: async (ids: readonly string[]) => results.find(tenant, ids),
  }
}

/** A handler of any settings that does `one` with each event. */
export const handlerOf = (
  one: (event: HandledEvent, settings: Record<string, unknown>) => Handled | Promise<Handled>,
  more: Partial<EventHandler> = {},
): EventHandler => ({
  settings: z.looseObject({}),
  batch: 10,
  handle: (events, settings) =>
    Promise.all(events.map((event) => one(event, settings as Record<string, unknown>))),
  ...more,
})
