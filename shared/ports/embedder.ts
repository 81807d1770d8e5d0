/** A text, or the tokens of one where the target takes them. */
export type EmbeddingInput = string | readonly number[]

/** Where an embedding model's name leads. */
export interface EmbeddingTarget {
  provider: string
  /** The provider's own name of the model. */
  model: string
  /** Fingerprint of base URL and credential: vectors bought with one credential are not served under another. */
  scope: string
  /** USD per million input tokens. */
  price?: number
  /** Length of its vectors where the caller names none; absent where only a call can tell. */
  dimensions?: number
  /** The largest batch that one call takes; a text longer than that goes alone. */
  batch: { inputs: number; characters: number }
  /** Characters of the longest text; absent where the provider refuses what is too long by itself. */
  longest?: number
  /** Whether it takes tokens in place of a text. */
  tokens?: boolean
}

export interface EmbedOptions {
  /** Shorter vectors, where the model can make them. */
  dimensions?: number
  /** Some models embed a question and a passage differently. */
  purpose?: 'document' | 'query'
  /** Whose own models are meant, where the target is one. */
  tenant?: string
  signal: AbortSignal
}

export interface Embedded {
  /** One an input, in order, all of one length, finite, and as long as was asked. */
  vectors: Float32Array[]
  /** Input tokens, where the provider says. */
  tokens?: number
}

/** The port to embedding models. */
export interface Embedder {
  /** The model where none is named. */
  readonly defaultModel: string
  /**
   * `provider/model`, or a bare name for the default provider; `local` is the embedded model.
   *
   * Errors: `HubError` `provider_not_found` (404), `provider_not_configured` (400), `model_not_found` (404).
   */
  resolve(model: string): EmbeddingTarget
  /** One call to the provider, of at most `target.batch`. Errors: `HubError`, in the terms of the chat port. */
  embed(target: EmbeddingTarget, inputs: readonly EmbeddingInput[], options: EmbedOptions): Promise<Embedded>
}
