import { createBell } from '../bell.ts'
import { eventKeys } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis } from '../ports/redis.ts'
import { type ConsumerGroup, createConsumerGroup } from '../streams/consumer-group.ts'
import type { GroupLog, Handle, Outcome, StreamEntry } from '../streams/group-worker.ts'
import { consumed } from '../telemetry/trace-context.ts'
import type { HubEvent } from './event.ts'
import { toFailure } from './failure.ts'
import { createHandlerSecrets, type HandlerSecrets } from './handler-secrets.ts'
import type { EventHandlers, Handled, HandledEvent } from './handlers.ts'
import type { EventResult, Results } from './results.ts'
import type { HandlerSettings, StreamSettings } from './streams.ts'

/** Told of results that Redis has; of one that a dying process left behind, again. What it throws, it is told again for. */
export type OnResults = (
  tenant: string,
  stream: string,
  results: readonly { event: HubEvent; result: EventResult }[],
  handler: HandlerSettings,
) => Promise<void>

export interface ProcessorOptions {
  redis: Redis
  handlers: EventHandlers
  /** By default it opens no secrets. */
  handlerSecrets?: HandlerSecrets
  results: Results
  onResults?: OnResults
  claimIdleMs: number
  /** Of this process: the name of its consumers. */
  consumer: string
  /** Calls of a handler at the same time, at most. */
  mostConcurrent?: number
  clock: Clock
  log: GroupLog
}

/** The consumer group that works on what is sent to a stream. */
export const HUB_GROUP = 'hub'

export const DEFAULT_RETENTION_SECONDS = 86_400
const DEFAULT_RESULT_SECONDS = 86_400

/** Works on events by their stream's handler: each one's result is there once, whoever dies, and whatever comes twice. */
export function createProcessor(options: ProcessorOptions) {
  const { redis, handlers, results, onResults, claimIdleMs, consumer, mostConcurrent, clock, log } = options

  const { handlerSecrets = createHandlerSecrets({ handlers }) } = options

  /** A process that has the outcome in hand does not work anew because Redis was away: it tells it when Redis is back. */
  async function insist<T>(signal: AbortSignal, stream: string, step: () => Promise<T>): Promise<T> {
    const bell = createBell()
    for (let pause = 50; ; pause = Math.min(pause * 2, 2_000)) {
      try {
        return await step()
      } catch (cause) {
        signal.throwIfAborted()
        if (cause instanceof TypeError) throw cause // no JSON: it will not become one
        log.error({ msg: 'Results cannot be read or written', stream, cause })
        await bell.sleep(pause, signal)
        signal.throwIfAborted()
      }
    }
  }

  return {
    /**
     * A consumer of the stream. Throws where its handler is unknown or does not take its settings: events then wait.
     */
    groupOf(
      tenant: string,
      stream: string,
      settings: StreamSettings & Required<Pick<StreamSettings, 'handler'>>,
      blocking?: Redis,
    ): ConsumerGroup {
      const { type, ...own } = handlerSecrets.open(tenant, settings.handler)
      const handler = Object.hasOwn(handlers, type) ? handlers[type] : undefined
      if (!handler) {
        throw new Error(
          `The stream \`${stream}\` wants the handler \`${type}\`, which this hub does not have. There are: ${Object.keys(handlers).join(', ')}.`,
        )
      }
      const handlerSettings = handler.settings.parse(own)
      const ttlSeconds = settings.result_ttl_seconds ?? DEFAULT_RESULT_SECONDS

      const write = (told: readonly Told[], signal: AbortSignal) =>
        insist(signal, stream, async () => {
          const written = told.map(({ result }) => result)
          await results.write(tenant, written, { ttlSeconds })
          await onResults?.(tenant, stream, told, settings.handler)
        })

      const handle: Handle = async (entries, signal) => {
        const outcomes: Outcome[] = new Array(entries.length).fill(undefined)
        const items = entries.flatMap((entry, i) => {
          const item = toItem(entry, i)
          if (!item) outcomes[i] = { failed: 'This is no event', permanent: true }
          return item ?? []
        })
        const again = items.filter((item) => item.redelivered).map(({ resultId }) => resultId)
        const found = again.length
          ? await insist(signal, stream, () => results.find(tenant, again))
          : undefined
        const told: Told[] = []
        const fresh = items.filter((item) => {
          const result = found?.get(item.resultId)
          if (result?.status !== 'done') return true
          told.push({ event: item.event, result })
          return false
        })
        const handled = await work(fresh, signal)
        const at = new Date(clock.now()).toISOString()
        for (const [n, { i, event, resultId, attempt }] of fresh.entries()) {
          const how = handled[n] ?? { failed: 'The handler said nothing about it' }
          if ('failed' in how) outcomes[i] = how
          else {
            const about = { id: resultId, stream, event_id: event.id, status: 'done' as const }
            told.push({ event, result: { ...about, result: how.result ?? null, at, attempts: attempt } })
          }
        }
        if (told.length > 0) await write(told, signal)
        return outcomes
      }

      async function work(items: readonly Item[], signal: AbortSignal): Promise<readonly Handled[]> {
        if (items.length === 0) return []
        try {
          return await handler!.handle(items, handlerSettings, { tenant, stream, signal })
        } catch (error) {
          signal.throwIfAborted()
          return items.map(() => toFailure(error))
        }
      }

      return createConsumerGroup({
        ...{ redis, blocking, stream: eventKeys(tenant, stream).events, group: HUB_GROUP, consumer },
        ...{ claimIdleMs, clock, log },
        handle: (entries, signal) =>
          consumed(
            { tenant, destination: stream, traceparents: entries.map(({ fields }) => fields.traceparent) },
            () => handle(entries, signal),
          ),
        batch: handler.batch,
        concurrency: Math.min(handler.concurrency ?? 4, mostConcurrent ?? Number.POSITIVE_INFINITY),
        keyOf: settings.key === undefined ? undefined : ({ fields }) => fields.key,
        keepMs: (settings.retention_seconds ?? DEFAULT_RETENTION_SECONDS) * 1_000,
        retry: retryOf(settings),
        async onDead(entry, cause) {
          const item = toItem(entry, 0)
          if (!item) return
          const result: EventResult = {
            ...{ id: item.resultId, stream, event_id: item.event.id, status: 'failed' },
            ...{ error: { message: cause }, at: new Date(clock.now()).toISOString() },
            attempts: entry.attempt,
          }
          await results.write(tenant, [result], { ttlSeconds })
          await onResults?.(tenant, stream, [{ event: item.event, result }], settings.handler)
        },
      })
    },

    /** What a batch of the stream's handler costs in calls; undefined where there is no such handler. */
    costOf(settings: StreamSettings): { concurrency: number; calls: number } | undefined {
      const handler = settings.handler && handlers[settings.handler.type]
      if (!handler) return undefined
      const concurrency = Math.min(handler.concurrency ?? 4, mostConcurrent ?? Number.POSITIVE_INFINITY)
      return { concurrency, calls: handler.calls ?? 0 }
    },
  }
}

export type Processor = ReturnType<typeof createProcessor>

type Told = { event: HubEvent; result: EventResult }

interface Item extends HandledEvent {
  /** Place among the entries. */
  i: number
  redelivered: boolean
}

function toItem({ id, fields, attempt, redelivered }: StreamEntry, i: number): Item | undefined {
  if (!fields.event || !fields.result) return undefined
  try {
    return { i, event: JSON.parse(fields.event), resultId: fields.result, entryId: id, attempt, redelivered }
  } catch {
    return undefined
  }
}

function retryOf({ retry = {} }: StreamSettings) {
  const { attempts, first_seconds, longest_seconds } = retry
  return {
    ...(attempts !== undefined && { attempts }),
    ...(first_seconds !== undefined && { firstMs: first_seconds * 1_000 }),
    ...(longest_seconds !== undefined && { longestMs: longest_seconds * 1_000 }),
  }
}
