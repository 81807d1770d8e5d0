import type { Deps } from '../functions/deps.ts'
import { ownHandlers } from '../functions/own-handlers.ts'
import { createDeadEvents } from '../shared/events/dead-events.ts'
import { createEventHandlers } from '../shared/events/event-handlers.ts'
import { createHandlerSecrets } from '../shared/events/handler-secrets.ts'
import type { EventHandlers } from '../shared/events/handlers.ts'
import { createIntake, type Intake } from '../shared/events/intake.ts'
import { createProcessor } from '../shared/events/processor.ts'
import { createResults } from '../shared/events/results.ts'
import { createRunner } from '../shared/events/runner.ts'
import { createStreams } from '../shared/events/streams.ts'
import { newId } from '../shared/ids.ts'
import type { Clock } from '../shared/ports/clock.ts'
import type { Outgoing } from '../shared/ports/outgoing.ts'
import { createQueueRunner } from '../shared/queues/queue-runner.ts'
import { createQueueWorker } from '../shared/queues/queue-worker.ts'
import { createQueues } from '../shared/queues/queues.ts'
import type { Secrets } from '../shared/secrets.ts'
import type { Env } from './env.ts'
import type { Connections, Rim } from './wire.ts'
import type { WiredAlerts } from './wire-alerts.ts'

interface Wired
  extends Pick<Connections, 'redis' | 'connectBlocking'>,
    Pick<Deps, 'documents' | 'indexes' | 'search' | 'features' | 'pipelines' | 'admission' | 'agentMail'> {
  outgoing: Outgoing
  secrets: Secrets | undefined
  alerts: WiredAlerts
  env: Env
  rim: Rim
  clock: Clock
}

/** Events: what takes them in, who works on them, and what becomes of them. */
export function wireEvents(wired: Wired) {
  const { redis, connectBlocking, documents, indexes, search, admission, outgoing, env, rim, clock } = wired
  const { agentMail, features, pipelines, alerts, secrets } = wired
  const { drains, log } = rim
  const claimIdleMs = env.HUB_CLAIM_SECONDS * 1_000
  const callBudget = rim.countsCalls ? env.HUB_REDIS_CALLS : undefined

  const results = createResults({ redis })
  // The table and what is built on it know each other: `forward` sends into streams, which name handlers.
  const handlers: EventHandlers = {}
  const handlerSecrets = createHandlerSecrets({ handlers, secrets })
  const streams = createStreams({ redis, handlers, handlerSecrets })
  function onAccepted(tenant: string, stream: string, defer: (work: Promise<unknown>) => void) {
    if (drains) defer(told('Events', runner.drain(tenant, stream, drains.kickMs)))
    else runner.wake(tenant, stream)
  }
  const intake: Intake = createIntake({ redis, streams, onAccepted, onStored: alerts.onStored, clock })
  const deadEvents = createDeadEvents({ redis, onAccepted })
  const own = ownHandlers({ redis, clock, outgoing, documents, indexes, search, log })
  Object.assign(
    handlers,
    createEventHandlers({
      ...{ outgoing, clock, intake, agentMail, features, pipelines, documents, indexes, admission, own },
    }),
  )

  const processor = createProcessor({
    ...{ redis, handlers, handlerSecrets, results, claimIdleMs, consumer: newId(), clock, log },
    onResults: alerts.observeResults,
    mostConcurrent: rim.countsCalls ? 2 : undefined,
  })
  const runner = createRunner({ redis, streams, processor, connectBlocking, callBudget, clock, log })

  const queues = createQueues({
    ...{ redis, handlerSecrets, clock },
    onPushed(tenant, queue, defer) {
      if (drains) defer(told('Jobs', queueRunner.drain(tenant, queue, drains.kickMs)))
      else queueRunner.wake(tenant, queue)
    },
  })
  const queueWorker = createQueueWorker({
    ...{ redis, handlers, handlerSecrets, results, leaseMs: claimIdleMs, clock, log },
    capacity: rim.countsCalls ? 16 : undefined,
  })
  const queueRunner = createQueueRunner({
    ...{ redis, queues, worker: queueWorker, log },
    lookMs: Math.min(30_000, claimIdleMs),
    rounds: callBudget && Math.max(1, Math.floor(callBudget / 20)),
  })

  async function told(what: string, work: Promise<number>) {
    const settled = await work
    await alerts.flush()
    if (settled > 0) log.info({ msg: `${what} were worked on`, settled })
  }

  return {
    deps: {
      streams,
      intake,
      deadEvents,
      results,
      queues,
      handlerSecrets,
      eventHandlers: handlers,
    } satisfies Partial<Deps>,
    /** Until the signal aborts; where the runtime lives on between requests. */
    async run(signal: AbortSignal): Promise<void> {
      await Promise.all([runner.run(signal), queueRunner.run(signal), alerts.run(signal)])
    },
    /** What the schedule does where it does not. */
    async drain(): Promise<void> {
      if (!drains) return
      await Promise.all([
        told('Events', runner.drainAll(drains.scheduledMs)),
        told('Jobs', queueRunner.drainAll(drains.scheduledMs)),
        alerts.drain(),
      ])
    },
  }
}
