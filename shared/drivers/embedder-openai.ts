import type { OpenAI } from 'openai'
import { HubError } from '../errors.ts'
import type { Clock } from '../ports/clock.ts'
import type { Embedded, Embedder, EmbeddingInput, EmbeddingTarget, EmbedOptions } from '../ports/embedder.ts'
import { allFinite, fromBase64 } from '../text/float32.ts'
import {
  badResponse,
  checkCallable,
  createOpenAIClient,
  scopeOf,
  toAbortError,
  toCallError,
} from './openai-client.ts'
import { readText } from './provider-body.ts'
import type { Provider } from './providers.ts'
import { createSilence } from './silence.ts'

export interface EmbedderOpenAIOptions {
  fetch?: typeof globalThis.fetch
  /** Longest wait for the first byte and between two; default 60,000 ms. */
  silenceMs?: number
  clock?: Clock
}

/** 512 vectors of 3,072 numbers, as JSON, and room. */
const maxBytes = 48 * 1024 * 1024

/**
 * One provider that speaks OpenAI's embeddings; `resolve` takes the provider's own name of the model.
 *
 * Errors of `embed`: the provider's own 4xx; `dimensions_not_supported` (400); `provider_unreachable`,
 * `provider_authentication_failed`, `provider_error`, `provider_bad_response` (502); `provider_error` (503);
 * `provider_timeout` (504).
 *
 * @example createEmbedderOpenAI(provider).embed(target, ['a text'], { signal })
 */
export function createEmbedderOpenAI(
  provider: Provider,
  { fetch, silenceMs = 60_000, clock = Date }: EmbedderOpenAIOptions = {},
): Embedder {
  const { name, embeddings } = provider
  let client: OpenAI | undefined
  let scope: string | undefined

  function toBody({ model }: EmbeddingTarget, input: readonly EmbeddingInput[], dimensions?: number): object {
    const { base64, dimensionsField = 'dimensions' } = embeddings!
    const format = base64 ? { encoding_format: 'base64' } : {}
    return { model, input, ...format, ...(dimensions === undefined ? {} : { [dimensionsField]: dimensions }) }
  }

  function read(text: string, count: number, { model }: EmbeddingTarget, dimensions?: number): Embedded {
    let answer: Answer | null
    try {
      answer = JSON.parse(text)
    } catch (cause) {
      throw badResponse(name, 'answered what is not JSON', cause)
    }
    if (!Array.isArray(answer?.data)) throw badResponse(name, 'answered without embeddings')
    if (answer.data.length !== count)
      throw badResponse(name, `answered ${answer.data.length} embeddings for ${count} texts`)
    const vectors: Float32Array[] = []
    for (const [position, item] of answer.data.entries()) {
      const index = item?.index ?? position
      if (!Number.isInteger(index) || index < 0 || index >= count || vectors[index])
        throw badResponse(name, `numbered its embeddings wrongly (${index} of ${count})`)
      vectors[index] = toVector(item?.embedding)
    }
    const { length } = vectors[0]!
    if (vectors.some((vector) => vector.length !== length))
      throw badResponse(name, 'answered embeddings of several lengths')
    if (dimensions !== undefined && length !== dimensions) throw fixedLength(`${name}/${model}`, length)
    const { prompt_tokens, total_tokens } = answer.usage ?? {}
    // Google's are 0, whatever was sent.
    return { vectors, tokens: [prompt_tokens, total_tokens].find((tokens) => Number(tokens) > 0) }
  }

  /** Some send numbers though they were asked for base64. */
  function toVector(embedding: unknown): Float32Array {
    const vector = typeof embedding === 'string' ? fromBase64(embedding) : toNumbers(embedding)
    if (!vector) throw badResponse(name, 'answered an embedding that is not a list of finite numbers')
    return vector
  }

  return {
    defaultModel: embeddings?.model ? `${name}/${embeddings.model}` : name,
    resolve(model) {
      if (!embeddings) throw noEmbeddings(name)
      checkCallable(provider, model)
      scope ??= scopeOf(provider)
      const { inputs, characters, tokens } = embeddings
      const known = provider.embeddingModels.get(model)
      return { provider: name, model, scope, batch: { inputs, characters }, tokens, ...known }
    },
    async embed(target, inputs, { dimensions, signal }: EmbedOptions) {
      const silence = createSilence(silenceMs, signal)
      try {
        client ??= await createOpenAIClient(provider, { fetch, silenceMs, clock })
        const body = toBody(target, inputs, dimensions)
        silence.expect()
        const response = await client.post('/embeddings', { body, signal: silence.signal }).asResponse()
        return read(await readText(response, { maxBytes, silence }), inputs.length, target, dimensions)
      } catch (error) {
        if (silence.ended === 'aborted') throw toAbortError(signal)
        throw toCallError(error, { name, silence, silenceMs })
      } finally {
        silence.close()
      }
    },
  }
}

interface Answer {
  data?: ({ index?: number; embedding?: unknown } | null)[]
  usage?: { prompt_tokens?: number; total_tokens?: number } | null
}

function toNumbers(embedding: unknown): Float32Array | undefined {
  if (!Array.isArray(embedding) || embedding.length === 0 || !allFinite(embedding)) return undefined
  const vector = Float32Array.from(embedding)
  return allFinite(vector) ? vector : undefined
}

export const fixedLength = (model: string, length: number) =>
  new HubError({
    status: 400,
    code: 'dimensions_not_supported',
    message: `${model} makes vectors of ${length} numbers and no other: leave \`dimensions\` out.`,
    param: 'dimensions',
  })

const noEmbeddings = (name: string) =>
  new HubError({
    status: 400,
    code: 'embeddings_not_supported',
    message: `${name} has no embeddings: name a model of another provider, or \`local\`.`,
    param: 'model',
  })
