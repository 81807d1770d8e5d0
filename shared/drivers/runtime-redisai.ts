import { RedisTimeoutError, RedisUnavailableError } from '../errors.ts'
import type { LoadedModel, ModelFile, ModelFormat, ModelRuntime, TensorSpec } from '../ports/model-runtime.ts'
import type { Command, ErrorReply, Redis, Reply } from '../ports/redis.ts'
import { countElements, invalidTensor } from '../tensors.ts'
import { readOnnxModel } from './onnx-model.ts'
import { BACKENDS, DTYPES, toDag, toSteps, toStore } from './redisai-commands.ts'
import { isNoSuchModel, isStored, readSteps, readTensor, toRuntimeError } from './redisai-reply.ts'
import {
  checkDag,
  invalidModel,
  loadedLate,
  timedOut,
  unavailable,
  unsupportedFormat,
} from './runtime-dag.ts'

export interface RuntimeRedisaiOptions {
  /** A connection of its own: it waits while a model runs. */
  redis: Redis
  keys: RedisaiKeys
  /** `CPU`, `GPU` or `GPU:1`. Default `CPU`. */
  device?: string
}

/** As `shared/keys.ts` builds them; all in one Cluster slot, as one command runs several models. */
interface RedisaiKeys {
  routing: string
  /** Of `ModelFile.key`. */
  model(key: string): string
  /** A model that nobody runs for so long is dropped. */
  ttlSeconds: number
}

interface Stored {
  key: string
  file: ModelFile
  /** Of `performance.now()`: when its time to live was last set. */
  since: number
}

const RUN_MS = 30_000
const LOAD_MS = 120_000

/**
 * RedisAI 1.2 in a Redis, which may be another one than the hub's. The server keeps models under keys of the hub's, for all
 * instances of it; a model that it has lost is brought to it again, once a call.
 *
 * @example const runtime = createRuntimeRedisai({ redis: createRedisResp({ url }), keys: redisaiKeys })
 */
export function createRuntimeRedisai({ redis, keys, device = 'CPU' }: RuntimeRedisaiOptions): ModelRuntime {
  const models = new WeakMap<LoadedModel, Stored>()

  const expire = (key: string): Command => ['EXPIRE', key, keys.ttlSeconds]

  async function ask(
    commands: Command[],
    timeoutMs: number,
    signal: AbortSignal | undefined,
    late: typeof timedOut,
  ): Promise<Reply[]> {
    if (!redis.binary) {
      throw unavailable('RedisAI takes bytes, which Redis over HTTP cannot carry: set HUB_REDISAI_URL.')
    }
    try {
      return await redis.wave(commands, { timeoutMs, signal, bytes: true })
    } catch (error) {
      if (error instanceof RedisTimeoutError) throw late(timeoutMs, error)
      if (error instanceof RedisUnavailableError) throw unavailable(error.message, error)
      throw error
    }
  }

  /** Looks first: storing onto a key of another kind ends the server, and most often the model is there. */
  async function store({ key, file }: Stored, timeoutMs: number, signal?: AbortSignal) {
    const [found] = await ask([['AI.MODELGET', key, 'META']], timeoutMs, signal, loadedLate)
    if (found instanceof Error && !isNoSuchModel(found)) throw toRuntimeError(found as ErrorReply, 'store')
    const isThere = !(found instanceof Error) && isStored(found!, file.format, device)
    const commands = isThere ? [expire(key)] : [toStore(key, file, device), expire(key)]
    for (const reply of await ask(commands, timeoutMs, signal, loadedLate)) {
      if (reply instanceof Error) throw toRuntimeError(reply, 'store')
    }
  }

  function storedOf(model: LoadedModel): Stored {
    const stored = models.get(model)
    if (!stored) throw unavailable('A model was just unloaded. Try again.')
    return stored
  }

  /** From time to time, so that what is in use stays. */
  function toKeep(used: Iterable<Stored>): Command[] {
    const now = performance.now()
    const old = [...used].filter(({ since }) => now - since > (keys.ttlSeconds * 1_000) / 24)
    for (const stored of old) stored.since = now
    return old.map(({ key }) => expire(key))
  }

  return {
    name: 'redisai',
    formats: Object.keys(BACKENDS) as ModelFormat[],

    async load(file, { signal } = {}) {
      const { inputs, outputs } = specsOf(file)
      const stored: Stored = { key: keys.model(file.key), file, since: performance.now() }
      await store(stored, LOAD_MS, signal)
      const model: LoadedModel = {
        ...{ inputs, outputs, memoryBytes: file.bytes.length },
        // The server keeps it for other instances, until it expires.
        close: async () => void models.delete(model),
      }
      models.set(model, stored)
      return model
    },

    async execute(dag, inputs, { signal, timeoutMs = RUN_MS } = {}) {
      checkDag(dag, inputs)
      for (const [name, { shape }] of inputs) {
        if (countElements(shape) === 0)
          throw invalidTensor(name, `\`${name}\` is empty: RedisAI takes no such tensors.`)
      }
      const used = new Set(dag.nodes.map(({ model }) => storedOf(model)))
      const made = dag.outputs.filter((name) => !inputs.has(name))
      const end = performance.now() + timeoutMs
      const remaining = () => {
        const left = end - performance.now()
        if (left <= 0) throw timedOut(timeoutMs)
        return left
      }
      const { steps: sent, reads } = toSteps(dag, made, inputs, (model) => storedOf(model).key)

      async function run(): Promise<Reply> {
        if (sent.length === 0) return []
        const left = remaining()
        const commands = [...toKeep(used), toDag(keys.routing, left, sent)]
        const replies = await ask(commands, left, signal, timedOut)
        return replies.at(-1)!
      }

      let reply = await run()
      if (isNoSuchModel(reply)) {
        for (const stored of used) await store(stored, remaining(), signal)
        reply = await run()
      }
      if (reply instanceof Error) throw toRuntimeError(reply, 'run')
      const steps = readSteps(reply, timeoutMs)
      const tensors = new Map(made.map((name, i) => [name, readTensor(steps[reads[i]!])]))
      return new Map(dag.outputs.map((name) => [name, inputs.get(name) ?? tensors.get(name)!]))
    },

    close: () => redis.close(),
  }
}

function specsOf(file: ModelFile): Pick<LoadedModel, 'inputs' | 'outputs'> {
  const { inputs, outputs, operators } =
    file.format === 'onnx' ? readOnnxModel(file.bytes) : { ...file, operators: undefined }
  if (!inputs || !outputs)
    throw invalidModel(
      `A ${file.format} model does not say what it takes and makes: give \`inputs\` and \`outputs\`.`,
    )
  for (const { name, type } of [...inputs, ...outputs]) {
    if (!DTYPES[type])
      throw unsupportedFormat(`RedisAI has no ${type}, which \`${name}\` is: run the model in ONNX Runtime.`)
  }
  for (const output of outputs) mustBeSafe(output, operators)
  return { inputs, outputs }
}

/** Operators that make as many rows as they find, none among them. */
const FINDERS = ['Compress', 'Loop', 'NonMaxSuppression', 'NonZero', 'Range', 'Scan', 'SequenceAt']

/**
 * RedisAI divides by an output's first dimension: 0 ends the server, with all that is in it, and a scalar has none, so that it
 * divides by whatever lies there.
 */
function mustBeSafe({ name, shape, anyShape }: TensorSpec, operators?: ReadonlySet<string>) {
  const refuse = (why: string) =>
    invalidModel(
      `RedisAI cannot run the model: its output \`${name}\` ${why}. Run it in ONNX Runtime, or give the output rows.`,
    )
  if (anyShape) throw refuse('says nothing of its shape, and could be a scalar')
  if (shape.length === 0) throw refuse('is a scalar')
  if (shape[0] === 0) throw refuse('has no rows')
  const finder = FINDERS.find((operator) => operators?.has(operator))
  if (shape[0] === -1 && finder) throw refuse(`could have no rows (${finder})`)
}
