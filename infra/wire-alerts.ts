import type { Deps } from '../functions/deps.ts'
import { createAlertRules } from '../shared/alerts/alert-rules.ts'
import { createAlertStreams } from '../shared/alerts/alert-streams.ts'
import { createAlerts } from '../shared/alerts/alerts.ts'
import { createBell } from '../shared/bell.ts'
import { newId } from '../shared/ids.ts'
import { DELIVERIES_STREAM } from '../shared/keys.ts'
import type { Clock } from '../shared/ports/clock.ts'
import type { Outgoing } from '../shared/ports/outgoing.ts'
import type { Redis } from '../shared/ports/redis.ts'
import type { Realtime } from '../shared/realtime/realtime.ts'
import type { Secrets } from '../shared/secrets.ts'
import { createConsumerGroup } from '../shared/streams/consumer-group.ts'
import { createDeadLetters } from '../shared/streams/dead-letters.ts'
import { createDeliveries } from '../shared/webhooks/deliveries.ts'
import { createDeliveryWorker } from '../shared/webhooks/delivery-worker.ts'
import { createWebhookSources } from '../shared/webhooks/webhook-sources.ts'
import type { Env } from './env.ts'
import type { Connections, Rim } from './wire.ts'

interface Wired extends Pick<Connections, 'redis' | 'connectBlocking'> {
  outgoing: Outgoing
  realtime: Realtime
  secrets: Secrets | undefined
  env: Env
  rim: Rim
  clock: Clock
}

/** Webhooks from others, alerts, and the webhooks that those send. */
export function wireAlerts(wired: Wired) {
  const { redis, connectBlocking, outgoing, realtime, secrets, env, rim, clock } = wired
  const { drains, log } = rim
  const claimIdleMs = env.HUB_CLAIM_SECONDS * 1_000
  /** Something waits to be delivered, and nobody who lives on sees it. */
  let isQueued = false
  function onQueued() {
    isQueued = true
    delivering?.wake()
  }
  const deliveries = createDeliveries({ redis, secrets, clock, onQueued })
  const deadLetters = createDeadLetters({ redis, stream: DELIVERIES_STREAM })
  const worker = createDeliveryWorker({ redis, secrets, outgoing, clock })
  const rounds = rim.countsCalls ? 1 : undefined
  /** Receivers are slow, and cost nothing while one waits for them. */
  const deliverers = (blocking?: Redis) =>
    createConsumerGroup({
      ...{ redis, blocking, stream: DELIVERIES_STREAM, group: 'deliver', consumer: newId() },
      ...{ handle: worker.handle, concurrency: rim.countsCalls ? 4 : 64, claimIdleMs, clock, log },
      // The worker says when: this only bounds how often.
      retry: { attempts: worker.attempts, firstMs: 1, longestMs: 1 },
    })
  let delivering: ReturnType<typeof deliverers> | undefined

  const alertRules = createAlertRules({ redis, secrets, deliveries, clock })
  const alerts = createAlerts({ redis, rules: alertRules, realtime, deliveries, clock, log })
  const alertStreams = createAlertStreams({
    ...{ redis, alerts, rules: alertRules, consumer: newId(), claimIdleMs, clock, log },
    rounds: rim.countsCalls ? 2 : undefined,
  })

  async function deliver(ms: number) {
    isQueued = false
    const { settled } = await deliverers().drain({ untilMs: clock.now() + ms, rounds })
    if (settled > 0) log.info({ msg: 'Webhooks were delivered', settled })
  }

  async function look(ms: number) {
    await alertStreams.drainAll(ms)
    await alerts.tick()
  }

  const wiring = {
    deps: {
      webhookSources: createWebhookSources({ redis, secrets, clock }),
      alertRules,
      deadDeliveries: {
        ...deadLetters,
        async replay(ids) {
          const found = await deadLetters.replay(ids)
          onQueued()
          return found
        },
      },
    } satisfies Partial<Deps>,
    observeResults: alerts.observeResults,
    /** Events came into a stream, with or without a handler. */
    onStored(tenant: string, stream: string, defer: (work: Promise<unknown>) => void) {
      defer(alertStreams.kick(tenant, stream, drains?.kickMs ?? RUN_MS).then(wiring.flush))
    },
    /** After work that may have fired alerts: where nothing runs between requests, their webhooks go now. */
    async flush(): Promise<void> {
      if (drains && isQueued) await deliver(drains.kickMs)
    },
    /** Until the signal aborts; where the runtime lives on between requests. */
    async run(signal: AbortSignal): Promise<void> {
      const blocking = connectBlocking?.()
      delivering = deliverers(blocking)
      const timer = createBell()
      const looking = async () => {
        while (!signal.aborted) {
          await look(RUN_MS).catch((cause) => signal.aborted || log.error({ msg: 'Alerts', cause }))
          // Over HTTP every look is a request that somebody pays for.
          await timer.sleep(redis.wakeUps === 'push' ? LOOK_MS : SLOW_LOOK_MS, signal)
        }
      }
      await Promise.all([delivering.run(signal), looking()])
      await blocking?.close()
    },
    /** What the schedule does where it does not. */
    async drain(): Promise<void> {
      if (!drains) return
      await look(drains.scheduledMs / 2)
      await deliver(drains.scheduledMs / 2)
    },
  }
  return wiring
}

export type WiredAlerts = ReturnType<typeof wireAlerts>

const RUN_MS = 30_000
const LOOK_MS = 2_000
const SLOW_LOOK_MS = 15_000
