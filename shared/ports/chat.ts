/** USD per million tokens. */
export interface Price {
  input: number
  cached: number
  output: number
  /** Tokens written to the provider's cache; like input where the provider charges no more for it. */
  cache_write?: number
}

/** A chat completion request in OpenAI's shape; unknown fields travel on to the provider. */
export interface ChatRequest {
  model: string
  messages: readonly object[]
  stream?: boolean | null
  [field: string]: unknown
}

/** Where a model name leads. */
export interface ChatTarget {
  provider: string
  /** The provider's own name of the model. */
  model: string
  /** Fingerprint of base URL and credential: answers bought with one credential are not served under another. */
  scope: string
  price?: Price
}

interface ChatModel {
  /** `provider/model` */
  id: string
  provider: string
  price?: Price
}

/** The port to language models. */
export interface Chat {
  /**
   * `provider/model`, or a bare name for the default provider.
   *
   * Errors: `HubError` `provider_not_found` (404), `provider_not_configured` (400), `model_not_found` (404).
   */
  resolve(model: string): ChatTarget
  /**
   * Yields the JSON text of each `chat.completion.chunk` when `request.stream`, else of the one `chat.completion`.
   * Ends only after the provider's terminal event; whatever else happens throws a `HubError`. A failure before the first
   * yield is thrown by the first `next()`. Leaving the loop or `signal` ends the provider's call.
   */
  call(target: ChatTarget, request: ChatRequest, options: { signal: AbortSignal }): AsyncIterable<string>
  /** Every model with a stated price or of a keyless provider, of the providers that can be called now. */
  models(): ChatModel[]
}

/** Counts the tokens of a text: exactly where the runtime can carry a tokenizer, else by estimate. */
export type CountTokens = (text: string) => Promise<number>
