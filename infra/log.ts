import { context, createContextKey, trace } from '@opentelemetry/api'
import type { Log } from '../functions/deps.ts'
import { RedisUnavailableError } from '../shared/errors.ts'
import { redact } from './telemetry/redact.ts'

type Line = Record<string, unknown>

/** The request that is worked on, in the context of its trace. */
export const REQUEST_ID = createContextKey('request id')

const LEVELS = { debug: 0, info: 0, warn: 1, error: 1, silent: 2 } as const

/**
 * One JSON line each: information to stdout, errors to stderr. A cause is told by name and message, its stack only for bugs; what looks
 * like a secret or quotes what was sent is not shown. Reads `HUB_LOG_LEVEL` or else `LOG_LEVEL`, and `HUB_LOG_CONTENT`.
 */
export function createLog(variables: Record<string, unknown> = {}): Log {
  const level = String(variables.HUB_LOG_LEVEL || variables.LOG_LEVEL || 'info').toLowerCase()
  const least = LEVELS[level as keyof typeof LEVELS] ?? 0
  const showsContent = variables.HUB_LOG_CONTENT === 'on'
  const ready = (line: Line) => redact({ ...line, ...traceNow() }, showsContent) as Line
  return {
    info(line) {
      if (least < 1) write(console.log, ready({ level: 'info', ...line }), isOfRedis(line))
    },
    error({ cause, ...line }) {
      if (least > 1) return
      const isOutage = cause instanceof RedisUnavailableError || isOfRedis(line)
      write(console.error, ready({ level: 'error', ...line, cause: describe(cause) }), isOutage)
    },
  }
}

export const log: Log = createLog()

/** While Redis is away every request and every worker says so: of lines that say the same, one is written in this time. */
const SPARED_MS = 10_000
const MOST_KNOWN = 1_000
const written = new Map<string, { until: number; more: number }>()

/** `repeated`: how many there were like it since the last one that was written. */
function write(to: (text: string) => void, line: Line, isSpared: boolean) {
  if (!isSpared) return to(JSON.stringify(line))
  const what = `${line.msg} ${line.at ?? line.cause}`
  const last = written.get(what)
  if (last && Date.now() < last.until) return last.more++
  if (written.size >= MOST_KNOWN) written.clear()
  written.set(what, { until: Date.now() + SPARED_MS, more: 0 })
  to(JSON.stringify(last?.more ? { ...line, repeated: last.more } : line))
}

const isOfRedis = ({ msg }: Line) => String(msg).startsWith('Redis connection')

/** Where the line belongs, if it is traced. */
function traceNow(): Line | undefined {
  const span = trace.getActiveSpan()?.spanContext()
  const id = context.active().getValue(REQUEST_ID)
  return span && { ...(id ? { request_id: id } : {}), trace_id: span.traceId, span_id: span.spanId }
}

function describe(cause: unknown): unknown {
  if (!(cause instanceof Error)) return cause
  const text = `${cause.name}: ${cause.message}`
  const isBug = cause instanceof TypeError || cause instanceof RangeError || cause instanceof ReferenceError
  return isBug ? cause.stack : text
}
