import { createHash } from 'node:crypto'
import { estimateTokenCount } from 'tokenx'
import type { Caller } from '../admission.ts'
import type { CacheRoom } from '../cache-room.ts'
import { HubError } from '../errors.ts'
import { embeddingKey } from '../keys.ts'
import type { Holds } from '../metering/holds.ts'
import type { TokenUsage } from '../metering/token-usage.ts'
import type { CountTokens } from '../ports/chat.ts'
import type { Embedder, EmbeddingInput, EmbeddingTarget } from '../ports/embedder.ts'
import type { Redis } from '../ports/redis.ts'
import { embedBatches } from './embed-batches.ts'
import { createEmbeddingCache } from './embedding-cache.ts'

interface EmbeddingCall {
  /** Whose limits, budgets and usage count. */
  caller: Caller
  /** `provider/model`, or a bare name for the default provider. */
  model: string
  /** Any number: cached ones are read, the others go to the provider in batches. Equal ones are embedded once. */
  texts: readonly EmbeddingInput[]
  /** The model is not this caller's choice but an index's or the hub's: which ones its key may name does not matter. */
  isGiven?: boolean
  dimensions?: number
  purpose?: 'document' | 'query'
  /** Both by default. */
  cache?: { read: boolean; write: boolean }
  signal: AbortSignal
  defer(work: Promise<unknown>): void
}

interface EmbeddingResult {
  /** One a text, in order. */
  vectors: Float32Array[]
  /** `provider/model` */
  model: string
  /** Input tokens that were paid for: cached texts cost none. */
  tokens: number
  /** How many texts came from the cache: `partial` is some; `bypass`: it was away; `request`: it was not to be read. */
  cache: 'hit' | 'partial' | 'miss' | 'bypass' | 'request'
}

/** Embeddings through the cache, metered. */
export interface Embeddings {
  /** Errors: as `Embedder.resolve`; the default model where none is named. */
  resolve(model?: string): EmbeddingTarget
  /**
   * Nothing is half-returned; what was paid for before a failure is in the cache, so that the next call goes on from there.
   *
   * Errors: `HubError`: 400 for no text, an empty one, or one too long for the model (`param` is `input[n]`); 403 for a model
   * that the caller may not use; 429 over a limit or budget; those of the embedder.
   */
  embed(call: EmbeddingCall): Promise<EmbeddingResult>
}

export interface EmbeddingsOptions {
  embedder: Embedder
  cacheRedis: Redis
  room: CacheRoom
  holds: Holds
  countTokens: CountTokens
  /** The most writes to the cache that one call makes, each of up to 900 KB; unbounded by default. */
  waves?: number
}

export function createEmbeddings({
  embedder,
  cacheRedis,
  room,
  holds,
  countTokens,
  waves,
}: EmbeddingsOptions): Embeddings {
  const cache = createEmbeddingCache({ redis: cacheRedis, room, waves })

  async function embed(call: EmbeddingCall): Promise<EmbeddingResult> {
    const { caller, model, signal, defer } = call
    const { read, write } = call.cache ?? { read: true, write: true }
    const target = embedder.resolve(model)
    if (!call.isGiven) refuseForeignModel(caller, model, target)
    // Halves of UTF-16 pairs are no text, and some providers say so.
    const texts = call.texts.map((text) => (typeof text === 'string' ? text.toWellFormed() : text))
    for (const [n, text] of texts.entries()) checkInput(text, n, target)
    if (texts.length === 0) throw invalid('input', 'There is no text to embed.')

    const unique = new Map(texts.map((text) => [idOf(text), text]))
    const inputs = [...unique.values()]
    const keys = [...unique.keys()].map((id) => embeddingKey(caller.tenant, hashOf(target, call, id)))
    const found = read ? await cache.read(keys, signal) : undefined
    const vectors: (Float32Array | undefined)[] = found ?? keys.map(() => undefined)
    const missing = [...vectors.keys()].filter((n) => !vectors[n])
    const wanted = missing.map((n) => inputs[n]!)
    const { tokens, error } = await pay(call, target, wanted, (n, vector) => {
      vectors[missing[n]!] = vector
    })
    const made = missing.filter((n) => vectors[n])
    if (write && made.length > 0) defer(cache.write(made.map((n) => [keys[n]!, vectors[n]!])))
    if (error) throw error

    const { length } = vectors[missing[0] ?? 0]!
    if (vectors.some((vector) => vector!.length !== length)) {
      if (!read) throw severalLengths(target)
      // The model was exchanged under its name: what is stored does not go with what is made now.
      const again = await embed({ ...call, cache: { read: false, write } })
      return { ...again, tokens: tokens + again.tokens }
    }

    const order = new Map([...unique.keys()].map((id, n) => [id, vectors[n]!]))
    const cached = keys.length - missing.length
    return {
      vectors: texts.map((text) => order.get(idOf(text))!),
      model: nameOf(target),
      tokens,
      cache: !read ? 'request' : !found ? 'bypass' : !cached ? 'miss' : missing.length ? 'partial' : 'hit',
    }
  }

  /** Embeds within the caller's limits, and counts what was used, however it ended. */
  async function pay(
    call: EmbeddingCall,
    target: EmbeddingTarget,
    inputs: readonly EmbeddingInput[],
    take: (n: number, vector: Float32Array) => void,
  ): Promise<{ tokens: number; error?: unknown }> {
    const { caller, defer } = call
    const { price } = target
    const priced = {
      ...target,
      price: price === undefined ? undefined : { input: price, cached: price, output: 0 },
    }
    if (inputs.length === 0) {
      defer(holds.settle({ caller, target: priced }, undefined, undefined))
      return { tokens: 0 }
    }
    const estimate = () => usageOf(Math.ceil(1.5 * sizeOf(inputs, estimateTokenCount)) + 16, true)
    const held = await holds.hold({ caller, target: priced, estimate, defer })
    const { stated, uncounted, error } = await embedBatches({
      ...{ ...call, tenant: caller.tenant, embedder, target, inputs, take },
    })
    const { length: unstated } = uncounted
    const counted = unstated
      ? await countAll(uncounted).catch(() => sizeOf(uncounted, estimateTokenCount))
      : 0
    const tokens = stated + counted
    defer(
      holds.settle({ caller, target: priced }, held, tokens > 0 ? usageOf(tokens, unstated > 0) : undefined),
    )
    return { tokens, error }
  }

  /** What a provider does not say. */
  async function countAll(inputs: readonly EmbeddingInput[]): Promise<number> {
    const texts = inputs.filter((input) => typeof input === 'string')
    return sizeOf(inputs, () => 0) + (await countTokens(texts.join('\n')))
  }

  return { resolve: (model = embedder.defaultModel) => embedder.resolve(model), embed }
}

const nameOf = ({ provider, model }: EmbeddingTarget) => `${provider}/${model}`

const idOf = (input: EmbeddingInput) =>
  typeof input === 'string' ? `text ${input}` : `tokens ${input.join(' ')}`

function hashOf(target: EmbeddingTarget, { dimensions, purpose }: EmbeddingCall, id: string): string {
  const scope = [target.scope, nameOf(target), dimensions ?? null, purpose ?? null]
  return createHash('sha256')
    .update(`${JSON.stringify(scope)}\n${id}`)
    .digest('hex')
}

function sizeOf(inputs: readonly EmbeddingInput[], count: (text: string) => number): number {
  return inputs.reduce<number>(
    (sum, input) => sum + (typeof input === 'string' ? count(input) : input.length),
    0,
  )
}

const usageOf = (input: number, estimated: boolean): TokenUsage => ({
  ...{ input, cachedRead: 0, cacheWrite: 0, output: 0, reasoning: 0, estimated },
})

function checkInput(input: EmbeddingInput, n: number, target: EmbeddingTarget): void {
  const param = `input[${n}]`
  if (input.length === 0) throw invalid(param, `${param} is empty: there is nothing to embed.`)
  if (typeof input !== 'string') {
    if (target.tokens) return
    throw invalid(param, `${nameOf(target)} takes texts, not tokens: send ${param} as a string.`)
  }
  const { longest = Number.POSITIVE_INFINITY } = target
  if (input.length <= longest) return
  const message = `${param} has ${input.length} characters; ${nameOf(target)} takes ${longest}. Split it.`
  throw invalid(param, message)
}

const invalid = (param: string, message: string) =>
  new HubError({ code: 'invalid_value', status: 400, message, param })

const severalLengths = (target: EmbeddingTarget) =>
  new HubError({
    code: 'provider_bad_response',
    status: 502,
    message: `${nameOf(target)} answered vectors of several lengths.`,
  })

function refuseForeignModel({ models: allowed }: Caller, asked: string, target: EmbeddingTarget) {
  if (!allowed || allowed.includes(nameOf(target)) || allowed.includes(asked)) return
  const message = `This key may not use ${nameOf(target)}. It may use: ${allowed.join(', ')}.`
  throw new HubError({ code: 'model_not_allowed', status: 403, message, param: 'model' })
}
