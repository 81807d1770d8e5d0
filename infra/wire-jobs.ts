import { newId } from '../shared/ids.ts'
import { EMBED_STREAM } from '../shared/keys.ts'
import type { Clock } from '../shared/ports/clock.ts'
import { createJobWorker, type JobWorkerOptions } from '../shared/retrieval/job-worker.ts'
import { createJobs, type Jobs } from '../shared/retrieval/jobs.ts'
import { createConsumerGroup } from '../shared/streams/consumer-group.ts'
import { consumed } from '../shared/telemetry/trace-context.ts'
import type { Env } from './env.ts'
import type { Connections, Rim } from './wire.ts'

interface Wired
  extends Pick<JobWorkerOptions, 'documents' | 'indexes' | 'admission'>,
    Pick<Connections, 'redis' | 'blockingRedis'> {
  env: Env
  rim: Rim
  clock: Clock
}

/** Queued documents: who takes them in, and who embeds them. */
export function wireJobs({ redis, blockingRedis, documents, indexes, admission, env, rim, clock }: Wired) {
  const { drains, log } = rim
  const jobs: Jobs = createJobs({
    ...{ redis, clock },
    onQueued(defer) {
      if (drains) defer(drain(drains.kickMs))
      else group.wake()
    },
  })
  const { handle, onDead } = createJobWorker({ redis, jobs, documents, indexes, admission, scope: 'search' })
  const group = createConsumerGroup({
    ...{ redis, blocking: blockingRedis, stream: EMBED_STREAM, group: 'embed', consumer: newId() },
    handle: (entries, signal) => {
      const traceparents = entries.map(({ fields }) => fields.traceparent)
      return consumed({ destination: EMBED_STREAM, traceparents }, () => handle(entries, signal))
    },
    ...{ onDead, clock, log },
    ...{ concurrency: drains ? 1 : 2, batch: 16, claimIdleMs: env.HUB_CLAIM_SECONDS * 1_000 },
  })
  // A document costs some ten calls; a Worker that may make few takes one batch at a time.
  const rounds = rim.countsCalls ? Math.ceil(env.HUB_REDIS_CALLS / 40) : undefined

  async function drain(ms: number) {
    const { settled } = await group.drain({ untilMs: clock.now() + ms, rounds })
    if (settled > 0) log.info({ msg: 'Queued documents', settled })
  }

  return {
    jobs,
    /** Until the signal aborts; where the runtime lives on between requests. */
    run: group.run,
    /** What the schedule does where it does not. */
    drain: async () => drains && drain(drains.scheduledMs),
  }
}
