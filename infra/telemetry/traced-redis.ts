import { SpanKind, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api'
import type { CallOptions, Command, Redis, Reply, ScriptCall } from '../../shared/ports/redis.ts'
import { errorType, TRACER } from '../../shared/telemetry/trace-context.ts'
import type { Connections } from '../wire.ts'
import type { Metrics } from './metrics.ts'
import type { Tracing } from './tracing.ts'

interface Watched {
  tracing?: Tracing
  metrics?: Metrics
}

type Calls = readonly (Command | ScriptCall)[]

/** A span and a duration for every wave; what is waited for by blocking reads stays as it is. */
export function tracedConnections(connections: Connections, watched: Watched): Connections {
  const made = new Map<Redis, Redis>()
  const of = (redis: Redis, role: string) => {
    const one = made.get(redis) ?? tracedRedis(redis, role, watched)
    made.set(redis, one) // what was one connection stays one
    return one
  }
  const { redis, cacheRedis, vectorRedis } = connections
  return {
    ...connections,
    redis: of(redis, 'state'),
    cacheRedis: of(cacheRedis, 'cache'),
    vectorRedis: { reads: of(vectorRedis.reads, 'vectors'), writes: of(vectorRedis.writes, 'vectors') },
  }
}

/** Spans only within a trace: what a worker asks again and again on its own is nobody's trace. */
function tracedRedis(redis: Redis, role: string, { tracing, metrics }: Watched): Redis {
  const tracer = tracing && trace.getTracer(TRACER)

  function wave(calls: Calls, options?: CallOptions): Promise<Reply[]> {
    if (calls.length === 0) return redis.wave(calls, options)
    if (tracer && trace.getActiveSpan()) return traced(tracer, calls, options)
    const since = performance.now()
    const replies = redis.wave(calls, options)
    replies.then(
      () => told(since),
      (error) => told(since, error),
    )
    return replies
  }

  const told = (since: number, error?: unknown) =>
    metrics?.redisWave((performance.now() - since) / 1_000, role, error ? errorType(error) : undefined)

  async function traced(tracer: Tracer, calls: Calls, options?: CallOptions): Promise<Reply[]> {
    const since = performance.now()
    const span = tracer.startSpan(`redis ${summaryOf(calls)}`, {
      kind: SpanKind.CLIENT,
      attributes: about(calls, role),
    })
    let error: unknown
    try {
      const replies = await redis.wave(calls, options)
      const refused = replies.find((reply) => reply instanceof Error)
      if (refused) span.setAttribute('db.response.status_code', (refused as { code?: string }).code ?? 'ERR')
      return replies
    } catch (cause) {
      error = cause
      span.setStatus({ code: SpanStatusCode.ERROR }).setAttribute('error.type', errorType(error))
      throw cause
    } finally {
      told(since, error)
      span.end()
    }
  }

  return { ...redis, wave }
}

const about = (calls: Calls, role: string) => ({
  'db.system.name': 'redis',
  'db.operation.name': calls.length > 1 ? 'PIPELINE' : nameOf(calls[0]!),
  ...(calls.length > 1 && { 'db.operation.batch.size': calls.length }),
  // Names alone: arguments are keys, prompts and secrets.
  'db.query.summary': summaryOf(calls),
  'hub.redis.role': role,
})

/** The first few. */
const MOST_NAMES = 8
const summaryOf = (calls: Calls) =>
  calls.slice(0, MOST_NAMES).map(nameOf).join(' ') + (calls.length > MOST_NAMES ? ' …' : '')

const nameOf = (call: Command | ScriptCall) =>
  'script' in call ? `EVALSHA ${call.script.name}` : call[0].toUpperCase()
