import type { CompletionRecord, Endpoint, Verdict } from '../completions/completion-record.ts'
import { errorClassOf } from '../traffic/traffic.ts'
import { contentOf, type LoggedContent } from './content.ts'

/** A completion in the log. */
interface LoggedRequest {
  /** When it began, Unix ms. */
  at: number
  request_id: string | null
  key_id: string | null
  endpoint: Endpoint
  /** As the caller named it, and `provider/model` that answered or was asked last. */
  model: string
  target: string | null
  verdict: Verdict
  streamed: boolean
  status: number
  error_code: string | null
  first_ms: number | null
  total_ms: number
  /** Of the provider's call that it made. */
  tokens: {
    input: number
    cached: number
    cache_write: number
    output: number
    reasoning: number
    estimated: boolean
  } | null
  /** USD */
  cost: number
  saved: number
  saved_tokens: number
  trace_id: string | null
}

/** With its id in the log. */
export interface LogEntry extends LoggedRequest {
  id: string
  content: LoggedContent | null
}

export interface LogFilter {
  /** As it was named, or `provider/model`. */
  model?: string
  /** `none`: without a hub key. */
  key?: string
  endpoint?: string
  verdict?: string
  /** From and to, both included. */
  status?: readonly [number, number]
  /** Only those that failed. */
  errors?: boolean
  minMs?: number
  /** When it began: Unix ms; `to` is not included. */
  from?: number
  to?: number
  /** A part of its content where that is logged, of its id or of a model; letters may be large or small. */
  query?: string
}

/** What is left out of an entry: most are answers of the cache, and there are many. */
const DEFAULTS = {
  ...{ request_id: null, key_id: null, target: null, streamed: false, status: 200, error_code: null },
  ...{ first_ms: null, tokens: null, cost: 0, saved: 0, saved_tokens: 0, trace_id: null },
} satisfies Partial<LoggedRequest>

/** What its stream entry holds: JSON, and '' where there is no content. */
export function toFields(
  record: CompletionRecord,
  withContent: boolean,
): { request: string; content: string } {
  const { tokens, firstMs } = record
  const summary: Omit<LoggedRequest, keyof typeof DEFAULTS> & Partial<LoggedRequest> = {
    at: record.startedAt,
    request_id: record.requestId,
    key_id: record.keyId ?? undefined,
    endpoint: record.endpoint,
    model: record.model,
    target: record.target,
    verdict: record.verdict,
    streamed: record.streamed || undefined,
    status: record.status === DEFAULTS.status ? undefined : record.status,
    error_code: record.errorCode,
    first_ms: firstMs === undefined ? undefined : toMs(firstMs),
    total_ms: toMs(record.totalMs),
    tokens: tokens && {
      ...{ input: tokens.input, cached: tokens.cachedRead, cache_write: tokens.cacheWrite },
      ...{ output: tokens.output, reasoning: tokens.reasoning, estimated: tokens.estimated },
    },
    cost: record.cost || undefined,
    saved: record.saved || undefined,
    saved_tokens: record.savedTokens || undefined,
    trace_id: record.traceId,
  }
  const isWanted = withContent && !record.contentRefused
  return {
    request: JSON.stringify(summary),
    content: isWanted ? JSON.stringify(contentOf(record)) : '',
  }
}

/** Undefined for what is none. */
export function readEntry([id, fields]: [id: string, fields: string[]]): LogEntry | undefined {
  const named = (name: string) => {
    const at = fields.indexOf(name)
    return at % 2 === 0 ? fields[at + 1] : undefined
  }
  const summary = named('request')
  if (summary === undefined) return undefined
  const content = named('content')
  return {
    id,
    ...DEFAULTS,
    ...JSON.parse(summary),
    content: content === undefined ? null : JSON.parse(content),
  }
}

export function matches(entry: LogEntry, filter: LogFilter): boolean {
  const { model, key, endpoint, verdict, status, errors, minMs, from, to, query } = filter
  const is = (wanted: unknown, ...found: unknown[]) => wanted === undefined || found.includes(wanted)
  return (
    is(model, entry.model, entry.target) &&
    is(key, entry.key_id ?? 'none') &&
    is(endpoint, entry.endpoint) &&
    is(verdict, entry.verdict) &&
    (status === undefined || (entry.status >= status[0] && entry.status <= status[1])) &&
    (!errors ||
      errorClassOf({ status: entry.status, errorCode: entry.error_code ?? undefined }) !== undefined) &&
    entry.total_ms >= (minMs ?? 0) &&
    entry.at >= (from ?? 0) &&
    entry.at < (to ?? Number.POSITIVE_INFINITY) &&
    (query === undefined || holds(entry, query.toLowerCase()))
  )
}

function holds({ id, request_id, model, target, content }: LogEntry, query: string): boolean {
  const texts = [id, request_id, model, target, content?.messages, content?.answer]
  return texts.some((text) => text?.toLowerCase().includes(query))
}

const toMs = (ms: number) => Math.round(ms * 1000) / 1000
