import type { TokenUsage } from '../metering/token-usage.ts'
import type { CompletionRequest } from './completion-look.ts'

/** Through which route or on whose behalf a completion is asked for. */
export type Endpoint = 'chat.completions' | 'responses' | 'messages' | 'ask' | 'agent' | 'memory' | 'judge'

/** Where the answer came from. `request`: the caller wanted no stored one. `bypass`: Redis was away. `none`: there was no answer to look for. */
export type Verdict = 'exact' | 'semantic' | 'stale' | 'collapsed' | 'miss' | 'request' | 'bypass' | 'none'

/** One completion that is over, however it went. */
export interface CompletionRecord {
  tenant: string
  keyId: string | null
  requestId?: string
  /** Of the trace that it is part of, where there is one. */
  traceId?: string
  endpoint: Endpoint
  /** As the caller named it. */
  model: string
  /** `provider/model` that answered, or was asked last; undefined where it did not come to that. */
  target?: string
  streamed: boolean
  verdict: Verdict
  /** Unix ms. */
  startedAt: number
  /** Until the first piece of the answer, in ms; undefined where there was none. */
  firstMs?: number
  /** Until the end of the answer, in ms. */
  totalMs: number
  /** Of HTTP, as if it were a reply of its own: a stream that broke off has the error's. */
  status: number
  errorCode?: string
  /** Of the provider's call that it made; none for others. */
  tokens?: TokenUsage
  /** USD */
  cost: number
  /** USD that the cache saved. */
  saved: number
  /** Tokens that the cache saved. */
  savedTokens: number
  /** The caller wants neither messages nor answer to be logged. */
  contentRefused: boolean
  request: CompletionRequest
  /** The whole `chat.completion` as JSON text, where this call made it or found it stored. */
  response?: string
}

/** Told of every completion once, when it is over. What it returns is deferred; it must not throw. */
export type Observe = (record: CompletionRecord) => Promise<void> | undefined
