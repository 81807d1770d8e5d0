import { HubError } from '../errors.ts'
import type { HandlerSecrets } from '../events/handler-secrets.ts'
import type { HandlerSettings, StreamSettings } from '../events/streams.ts'
import { newId } from '../ids.ts'
import { QUEUES_KEY, QUEUES_PUSHED, queueKeys, resultKey } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Command, Redis, ScriptCall } from '../ports/redis.ts'
import { pushJobsScript, replayJobsScript } from '../scripts.generated.ts'
import { send } from '../send.ts'
import { traceparentNow } from '../telemetry/trace-context.ts'

export interface NewQueueJob {
  /** The same id is the same job, while the queue or its result knows it. A random one where absent. */
  id?: string
  handler: HandlerSettings
  data?: unknown
  retry?: StreamSettings['retry']
}

/** A job as the queue holds it. */
export interface QueueJobBody extends Omit<NewQueueJob, 'id'> {
  /** RFC 3339 */
  at: string
  /** Of the call that brought it, where that was traced. */
  traceparent?: string
}

export interface DeadJob {
  id: string
  cause: string
  attempts: number
  at: string
}

export interface QueuesOptions {
  redis: Redis
  handlerSecrets: HandlerSecrets
  clock: Clock
  /** There is something to do. */
  onPushed(tenant: string, queue: string, defer: (work: Promise<unknown>) => void): void
}

/** Lists of jobs. A job lies in the list, in one worker's hands with a lease, or among the dead: never nowhere. */
export function createQueues({ redis, handlerSecrets, clock, onPushed }: QueuesOptions) {
  const wave = async (calls: readonly (Command | ScriptCall)[]) => {
    const replies = await redis.wave(calls, PATIENT)
    for (const reply of replies) if (reply instanceof Error) throw reply
    return replies
  }

  return {
    /** Resolves once Redis has all of them. Errors: 413 `job_too_large`. After 503 some may be queued: with ids of one's own the same call again is safe. */
    async push(
      tenant: string,
      queue: string,
      jobs: readonly NewQueueJob[],
      defer: (work: Promise<unknown>) => void,
    ): Promise<{ accepted: number; duplicates: number; jobs: { id: string; result_id: string }[] }> {
      const at = new Date(clock.now()).toISOString()
      const traceparent = traceparentNow()
      const all = jobs.map(({ id, ...job }, i) => {
        const handler = handlerSecrets.seal(tenant, job.handler)
        const body = JSON.stringify({ ...job, handler, at, traceparent } satisfies QueueJobBody)
        if (Buffer.byteLength(body) > MOST_BYTES) throw tooLarge(i)
        return { id: id ?? newId(), body, given: id !== undefined }
      })
      const member = `${tenant}/${queue}`
      const named = all.filter(({ given }) => given)
      const [, ...found] = await wave([
        ['SADD', QUEUES_KEY, member],
        ...named.map(({ id }): Command => ['EXISTS', resultKey(tenant, jobResultId(queue, id))]),
      ])
      const over = new Set(named.filter((_, i) => found[i] === 1))
      const { waiting, jobs: bodies } = queueKeys(tenant, queue)
      const args = all.filter((job) => !over.has(job)).flatMap(({ id, body }) => [id, body])
      const calls: ScriptCall[] = []
      for (let i = 0; i < args.length; i += MOST_ARGUMENTS) {
        const part = args.slice(i, i + MOST_ARGUMENTS)
        calls.push({
          script: pushJobsScript,
          keys: [waiting, bodies],
          args: [QUEUES_PUSHED, member, ...part],
        })
      }
      const added = ((await wave(calls)) as number[][]).flat()
      const accepted = added.reduce((sum, one) => sum + one, 0)
      if (accepted > 0) onPushed(tenant, queue, defer)
      return {
        accepted,
        duplicates: all.length - accepted,
        jobs: all.map(({ id }) => ({ id, result_id: jobResultId(queue, id) })),
      }
    },

    async stats(tenant: string, queue: string): Promise<{ waiting: number; leased: number; dead: number }> {
      const { waiting, leased, dead } = queueKeys(tenant, queue)
      const counts = await wave([
        ['LLEN', waiting],
        ['ZCARD', leased],
        ['LLEN', dead],
      ])
      const [inList, inHand, given] = counts as number[]
      return { waiting: inList!, leased: inHand!, dead: given! }
    },

    /** Oldest first. */
    async dead(tenant: string, queue: string, limit: number): Promise<DeadJob[]> {
      const keys = queueKeys(tenant, queue)
      const ids = (await send(redis, ['LRANGE', keys.dead, 0, limit - 1], PATIENT)) as string[]
      if (ids.length === 0) return []
      const found = await send(redis, ['HMGET', keys.jobs, ...ids.map((id) => `dead:${id}`)], PATIENT)
      return (found as (string | null)[]).flatMap((text) => (text === null ? [] : [JSON.parse(text)]))
    },

    /** Returns the ids of those that were dead. */
    async replay(
      tenant: string,
      queue: string,
      ids: readonly string[],
      defer: (work: Promise<unknown>) => void,
    ): Promise<string[]> {
      const { waiting, jobs, dead } = queueKeys(tenant, queue)
      const args = [QUEUES_PUSHED, `${tenant}/${queue}`, ...ids]
      const [replayed] = await wave([{ script: replayJobsScript, keys: [waiting, jobs, dead], args }])
      if ((replayed as string[]).length > 0) onPushed(tenant, queue, defer)
      return replayed as string[]
    },

    /** Of all tenants. */
    async all(): Promise<{ tenant: string; queue: string }[]> {
      const members = (await send(redis, ['SMEMBERS', QUEUES_KEY], PATIENT)) as string[]
      return members.map(toQueue)
    },
  }
}

export type Queues = ReturnType<typeof createQueues>

/** A queue's name has no colon, so no two jobs of a tenant share a result, nor does a job with an event. */
export const jobResultId = (queue: string, id: string) => `${queue}:${id}`

/** Of a member of `QUEUES_KEY`. */
export function toQueue(member: string): { tenant: string; queue: string } {
  const [tenant = '', queue = ''] = member.split('/')
  return { tenant, queue }
}

const PATIENT = { timeoutMs: 5_000 }
/** Of a job as JSON. */
const MOST_BYTES = 1024 * 1024
/** Of one script call: an id and a body each. */
const MOST_ARGUMENTS = 500

function tooLarge(i: number) {
  const message = `jobs[${i}] is larger than ${MOST_BYTES} bytes. Put its data elsewhere, and a link to it into the job.`
  return new HubError({ code: 'job_too_large', status: 413, message, param: `[${i}]` })
}
