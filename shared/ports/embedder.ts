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
  /** The largest batch that one call takes. */
  batch: { inputs: number; characters: number }
}

export interface EmbedOptions {
  /** Shorter vectors, where the model can make them. */
  dimensions?: number
  /** Some models embed a question and a passage differently. */
  purpose?: 'document' | 'query'
  signal: AbortSignal
}

export interface Embedded {
  /** One a text, in order, all of one length and finite. */
  vectors: Float32Array[]
  /** Input tokens, where the provider says. */
  tokens?: number
}

/** The port to embedding models. */
export interface Embedder {
  /**
   * `provider/model`, or a bare name for the default provider; `local` is the embedded model.
   *
   * Errors: `HubError` `provider_not_found` (404), `provider_not_configured` (400), `model_not_found` (404).
   */
  resolve(model: string): EmbeddingTarget
  /** One call to the provider, of at most `target.batch`. Errors: `HubError`, in the terms of the chat port. */
  embed(target: EmbeddingTarget, texts: readonly string[], options: EmbedOptions): Promise<Embedded>
}
