import { HubError } from '../errors.ts'
import type { Embedder, EmbeddingInput } from '../ports/embedder.ts'
import type { LoadedModel, ModelRuntime, Tensor } from '../ports/model-runtime.ts'
import { hashedNgrams } from '../text/hashed-ngrams.ts'
import { fixedLength } from './embedder-openai.ts'

/** A model that is not let go of before `release`. */
interface HeldModel {
  ref: { version: string }
  runtime: ModelRuntime
  model: LoadedModel
  /** Rows that may be run together. */
  maxBatch: number
  release(): void
}

export interface EmbedderModelOptions {
  /** Errors: `HubError` 404 where the tenant has no such model. */
  acquire(tenant: string, name: string, version: string): Promise<HeldModel>
  /** Of one run. */
  timeoutMs?: number
}

/** Changes with what models are given of a text: vectors made before are not comparable. */
const SCOPE = 'hashed-ngrams-1'
const BATCH = { inputs: 256, characters: 256_000 }
const LONGEST = 32_000

/**
 * Embeddings by a tenant's own models, wherever those run (ONNX Runtime, RedisAI): `model/<name>/<version>`. Such a model takes one tensor,
 * FP32 [n, places], which holds each text's hashed n-grams, and its first output, FP32 [n, length], is the vectors. A version never changes,
 * so that its vectors can be kept; a label would lead to others.
 *
 * @example createEmbedderModel({ acquire: serving.acquire }).resolve('ngrams/1')
 */
export function createEmbedderModel({ acquire, timeoutMs = 30_000 }: EmbedderModelOptions): Embedder {
  async function run({ runtime, model, maxBatch }: HeldModel, texts: readonly string[], signal: AbortSignal) {
    const { input, output } = specsOf(model)
    const places = input.shape[1]!
    const vectors: Float32Array[] = []
    let tokens = 0
    for (let from = 0; from < texts.length; from += maxBatch) {
      const part = texts.slice(from, from + maxBatch)
      const data = new Float32Array(part.length * places)
      for (const [n, text] of part.entries()) {
        const { vector, words } = hashedNgrams(text, places)
        data.set(vector, n * places)
        tokens += words
      }
      const tensor: Tensor = { type: 'FP32', shape: [part.length, places], data }
      const node = { model, inputs: [input.name], outputs: model.outputs.map(({ name }) => name) }
      const dag = { nodes: [node], outputs: [output.name] }
      const made = await runtime.execute(dag, new Map([[input.name, tensor]]), { signal, timeoutMs })
      const all = made.get(output.name)!.data as Float32Array
      const length = all.length / part.length
      for (let n = 0; n < part.length; n++) vectors.push(all.slice(n * length, (n + 1) * length))
    }
    return { vectors, tokens }
  }

  return {
    defaultModel: 'model',
    resolve(model) {
      const [name, version, ...more] = model.split('/')
      if (!name || !version || more.length > 0) {
        const message = `Name the version of an embedding model of your own, as in \`model/${name || 'ngrams'}/1\`: vectors of two versions are not comparable.`
        throw new HubError({ code: 'invalid_value', status: 400, message, param: 'model' })
      }
      return { provider: 'model', model, scope: SCOPE, price: 0, batch: BATCH, longest: LONGEST }
    },
    async embed({ model }, inputs, { dimensions, tenant = '', signal }) {
      const [name, version] = model.split('/') as [string, string]
      const texts = inputs.map(toText)
      const held = await acquire(tenant, name, version)
      try {
        signal.throwIfAborted()
        if (held.ref.version !== version) throw isLabel(name, version, held.ref.version)
        const { vectors, tokens } = await run(held, texts, signal)
        const { length } = vectors[0]!
        if (dimensions !== undefined && dimensions !== length) throw fixedLength(`model/${model}`, length)
        if (vectors.every((vector) => vector.every(Number.isFinite))) return { vectors, tokens }
        const message = `The model ${model} made NaN or an infinity of a text.`
        throw new HubError({ code: 'not_a_number', status: 422, message, param: 'model' })
      } finally {
        held.release()
      }
    },
  }
}

function specsOf({ inputs, outputs }: LoadedModel) {
  const [input, ...others] = inputs
  const [output] = outputs
  const isRows = (spec: typeof input) =>
    spec?.type === 'FP32' && spec.shape.length === 2 && spec.shape[0] !== 0
  if (isRows(input) && input!.shape[1]! > 0 && others.length === 0 && isRows(output))
    return { input: input!, output: output! }
  throw new HubError({
    code: 'embeddings_not_supported',
    status: 400,
    message:
      'This model makes no embeddings: it must take one tensor, FP32 [n, places] with a fixed number of places, and make FP32 [n, length].',
    param: 'model',
  })
}

function toText(input: EmbeddingInput): string {
  if (typeof input === 'string') return input
  const message = 'Models of your own take texts, not tokens.'
  throw new HubError({ code: 'tokens_not_supported', status: 400, message })
}

const isLabel = (name: string, label: string, version: string) =>
  new HubError({
    code: 'invalid_value',
    status: 400,
    message: `\`${label}\` is a label of ${name}, and may lead to another version tomorrow, whose vectors are not comparable: name \`model/${name}/${version}\`.`,
    param: 'model',
  })
