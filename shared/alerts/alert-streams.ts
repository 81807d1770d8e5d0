import { eventKeys } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis } from '../ports/redis.ts'
import { createConsumerGroup } from '../streams/consumer-group.ts'
import type { GroupLog, Handle, StreamEntry } from '../streams/group-worker.ts'
import { ALERTS_GROUP, type AlertRules } from './alert-rules.ts'
import type { Alerts, Observed } from './alerts.ts'

export interface AlertStreamsOptions {
  redis: Redis
  rules: AlertRules
  alerts: Pick<Alerts, 'observe'>
  /** Of this process: the name of its consumers. */
  consumer: string
  claimIdleMs: number
  /** Waves of reading that one drain may take, where the runtime counts calls. */
  rounds?: number
  clock: Clock
  log: GroupLog
}

/**
 * Lets rules see the events of a stream, in a consumer group of their own: whatever dies, none is missed, and none waits for a handler.
 * Streams without a rule cost nothing but the look at what rules there are, once a second.
 */
export function createAlertStreams(options: AlertStreamsOptions) {
  const { redis, rules, alerts, consumer, claimIdleMs, rounds, clock, log } = options
  /** Streams that are being drained, and whether more came meanwhile. */
  const running = new Map<string, { again: boolean }>()
  let drains = 0

  async function drain(tenant: string, stream: string, untilMs: number): Promise<void> {
    const handle: Handle = async (entries) => {
      await alerts.observe(tenant, { stream }, entries.flatMap(toObserved))
    }
    const key = eventKeys(tenant, stream).events
    const group = createConsumerGroup({
      ...{ redis, stream: key, group: ALERTS_GROUP, consumer: `${consumer}.${++drains}` },
      ...{ handle, concurrency: 1, batch: 200, claimIdleMs, clock, log },
      keepMs: 'forever',
    })
    await group.drain({ untilMs, rounds })
    // Deleted meanwhile: the drain made the group anew, and it would keep what nobody reads.
    if (!(await isWatched(tenant, stream, rules.list))) {
      await redis.wave([['XGROUP', 'DESTROY', key, ALERTS_GROUP]], { timeoutMs: 2_000 })
    }
  }

  async function isWatched(tenant: string, stream: string, of: AlertRules['known']): Promise<boolean> {
    return (await of(tenant)).some(({ on }) => 'stream' in on && on.stream === stream)
  }

  const streams = {
    /** There is something new in it. One drain of a stream at a time; what comes meanwhile is its too. */
    async kick(tenant: string, stream: string, ms: number): Promise<void> {
      if (!(await isWatched(tenant, stream, rules.known))) return
      const name = `${tenant}/${stream}`
      const known = running.get(name)
      if (known) {
        known.again = true
        return
      }
      const mine = { again: true }
      running.set(name, mine)
      const untilMs = clock.now() + ms
      try {
        while (mine.again && clock.now() < untilMs) {
          mine.again = false
          await drain(tenant, stream, untilMs)
        }
      } finally {
        running.delete(name)
      }
    },

    /** Looks at every stream that a rule looks at. */
    async drainAll(ms: number): Promise<void> {
      const watched = [...(await rules.all())].flatMap(([tenant, named]) =>
        [...new Set(named.flatMap(({ on }) => ('stream' in on ? [on.stream] : [])))].map(
          (stream) => [tenant, stream] as const,
        ),
      )
      await Promise.all(watched.map(([tenant, stream]) => streams.kick(tenant, stream, ms)))
    },
  }
  return streams
}

/** What is no event is passed over: nobody could do anything with it later. */
function toObserved({ id, fields }: StreamEntry): Observed[] {
  try {
    return [{ id, at: Number(id.split('-')[0]), event: JSON.parse(fields.event!) }]
  } catch {
    return []
  }
}
