import {
  type Context,
  context,
  type Link,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import { HubError } from '../errors.ts'

/** The one scope of all spans here. */
export const TRACER = 'redis-ai-hub'

/** W3C `traceparent` of what runs now, to be kept beside what somebody else will work on; undefined where nothing is traced. */
export function traceparentNow(): string | undefined {
  if (!trace.getActiveSpan()) return undefined
  const carrier: Record<string, string> = {}
  propagation.inject(context.active(), carrier)
  return carrier.traceparent
}

export interface Consumed {
  tenant?: string
  /** Stream or queue that it came through. */
  destination: string
  /** Of each message that has one. */
  traceparents: readonly (string | undefined)[]
}

/**
 * Does work in the trace of whoever asked for it, as a consumer's span: it goes on with the first message's trace and links to those of the
 * others. Where no message has one it is just done.
 */
export function consumed<T>(
  { tenant, destination, traceparents }: Consumed,
  work: () => Promise<T>,
): Promise<T> {
  const parents = [...new Set(traceparents)].flatMap((traceparent) =>
    traceparent ? [read(traceparent)] : [],
  )
  const [first, ...others] = parents
  if (!first) return work()
  const links = others.flatMap((one): Link[] => {
    const spanContext = trace.getSpanContext(one)
    return spanContext ? [{ context: spanContext }] : []
  })
  const attributes = {
    'messaging.system': 'redis',
    'messaging.operation.type': 'process',
    'messaging.operation.name': 'process',
    'messaging.destination.name': destination,
    'messaging.batch.message_count': traceparents.length,
    'hub.tenant': tenant,
  }
  const options = { kind: SpanKind.CONSUMER, attributes, links }
  return inSpan(`process ${destination}`, options, work, first)
}

type SpanOptions = Parameters<ReturnType<typeof trace.getTracer>['startSpan']>[1]

/** Does work within a span. Of an error it tells the code, never the message: that may quote what was sent. */
export function inSpan<T>(
  name: string,
  options: SpanOptions,
  work: () => Promise<T>,
  parent: Context = context.active(),
): Promise<T> {
  return trace.getTracer(TRACER).startActiveSpan(name, options ?? {}, parent, async (span) => {
    try {
      return await work()
    } catch (error) {
      span.setAttribute('error.type', errorType(error))
      span.setStatus({ code: SpanStatusCode.ERROR })
      throw error
    } finally {
      span.end()
    }
  })
}

/** A word for an error that comes of a bounded set: `provider_timeout`, `RedisTimeoutError`. */
export const errorType = (error: unknown): string =>
  error instanceof HubError ? error.code : error instanceof Error ? error.name : '_OTHER'

const read = (traceparent: string) => propagation.extract(ROOT_CONTEXT, { traceparent })
