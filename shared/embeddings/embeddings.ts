import type { Caller } from '../admission.ts'
import type { EmbeddingTarget } from '../ports/embedder.ts'

export interface EmbeddingCall {
  /** Whose limits, budgets and usage count. */
  caller: Caller
  /** `provider/model`, or a bare name for the default provider. */
  model: string
  /** Any number: cached ones are read, the others go to the provider in batches. */
  texts: readonly string[]
  dimensions?: number
  purpose?: 'document' | 'query'
  signal: AbortSignal
  defer(work: Promise<unknown>): void
}

export interface EmbeddingResult {
  /** One a text, in order. */
  vectors: Float32Array[]
  /** `provider/model` */
  model: string
  /** Input tokens that were paid for: cached texts cost none. */
  tokens: number
}

/** Embeddings through the cache, metered. */
export interface Embeddings {
  /** Errors: as `Embedder.resolve`; the default model where none is named. */
  resolve(model?: string): EmbeddingTarget
  /** Errors: `HubError`; 429 over a limit; 403 for a model that the caller may not use. Nothing is half-returned. */
  embed(call: EmbeddingCall): Promise<EmbeddingResult>
}
