import { HubError } from '../errors.ts'
import { resultKey, resultsChannel } from '../keys.ts'
import type { Command, Redis, ScriptCall } from '../ports/redis.ts'
import { replaceResultScript } from '../scripts.generated.ts'
import { send } from '../send.ts'

/** What came of an event or of a job. */
export interface EventResult {
  id: string
  /** Or the queue. */
  stream: string
  event_id: string
  status: 'done' | 'failed'
  /** Where it was done: what the handler returned. */
  result?: unknown
  error?: { message: string }
  /** RFC 3339 */
  at: string
  attempts: number
}

export interface WriteOptions {
  ttlSeconds: number
}

/**
 * Results by id. The first one that was done stays, however often its event comes again; a failed one gives way to what comes later, so
 * that a replay can succeed.
 */
export function createResults({ redis }: { redis: Redis }) {
  /** Without a signal: the client would listen to it for every command, which cost a tenth of the whole. */
  const wave = async (calls: readonly (Command | ScriptCall)[]) => {
    const replies = await redis.wave(calls, { timeoutMs: 2_000 })
    for (const reply of replies) if (reply instanceof Error) throw reply
    return replies
  }

  return {
    /** Writes them and tells who listens on `results:<stream>`: one wave for those that are the first of their event. May be repeated. */
    async write(
      tenant: string,
      results: readonly EventResult[],
      { ttlSeconds }: WriteOptions,
    ): Promise<void> {
      if (results.length === 0) return
      const calls = results.flatMap((result): Command[] => [
        ['SET', resultKey(tenant, result.id), JSON.stringify(ordered(result)), 'EX', ttlSeconds, 'NX'],
        // Who reads that it failed would read so of one that was done: such a message waits for the answer.
        ...(result.status === 'done' ? [told(tenant, result)] : []),
      ])
      const replies = await wave(calls)
      let place = 0
      const late: { result: EventResult; isFirst: boolean }[] = []
      for (const result of results) {
        const isFirst = replies[place] !== null
        place += result.status === 'done' ? 2 : 1
        if (!isFirst || result.status === 'failed') late.push({ result, isFirst })
      }
      if (late.length === 0) return
      const again = late.filter(({ isFirst }) => !isFirst)
      const written = await wave(again.map(({ result }) => replaceCall(tenant, result, ttlSeconds)))
      const stands = new Set(again.filter((_, i) => written[i] === 1))
      await wave(
        late.filter((one) => one.isFirst || stands.has(one)).map(({ result }) => told(tenant, result)),
      )
    },

    /** Those of them that are there. */
    async find(tenant: string, ids: readonly string[]): Promise<Map<string, EventResult>> {
      const replies = await wave(ids.map((id) => ['GET', resultKey(tenant, id)] as const))
      return new Map(
        ids.flatMap((id, i) => {
          const text = replies[i] as string | null
          return text === null ? [] : [[id, JSON.parse(text) as EventResult] as const]
        }),
      )
    },

    /** 404 `result_not_found`. */
    async get(tenant: string, id: string): Promise<EventResult> {
      const text = (await send(redis, ['GET', resultKey(tenant, id)], { timeoutMs: 2_000 })) as string | null
      if (text !== null) return JSON.parse(text)
      const message = `There is no result \`${id}\`: it is still to come, or its time is over.`
      throw new HubError({ code: 'result_not_found', status: 404, message, param: 'id' })
    },
  }
}

export type Results = ReturnType<typeof createResults>

/** Its beginning tells whether it failed: `replace-result` looks at no more. */
const ordered = ({ id, stream, event_id, status, ...more }: EventResult) => ({
  id,
  stream,
  event_id,
  status,
  ...more,
})

const replaceCall = (tenant: string, result: EventResult, ttlSeconds: number): ScriptCall => {
  const { id, stream, event_id } = result
  const failed = JSON.stringify({ id, stream, event_id, status: 'failed' }).slice(0, -1)
  return {
    script: replaceResultScript,
    keys: [resultKey(tenant, id)],
    args: [JSON.stringify(ordered(result)), ttlSeconds, failed],
  }
}

/** The wake-up, not the result: who wants it reads it. */
const told = (tenant: string, { id, stream, event_id, status }: EventResult): Command => [
  'PUBLISH',
  resultsChannel(tenant, stream),
  JSON.stringify({ id, event_id, status }),
]
