import { LRUCache } from 'lru-cache'
import { HubError } from '../errors.ts'
import type { LoadedModel, ModelFormat, ModelRuntime } from '../ports/model-runtime.ts'
import { createKeptModels, type KeptModel, type KeptModels } from './kept-models.ts'
import type { ModelRef, ModelStore, StoredModel } from './model-store.ts'
import { unknownVersion } from './model-versions.ts'
import { warmUp } from './trial-runs.ts'

/** A model in a runtime, for as long as `release` is not called. */
export interface ModelLease extends KeptModel {
  release(): void
}

export interface LoadedModelsOptions {
  store: Pick<ModelStore, 'find' | 'readBytes'>
  /** The first that takes a model's format runs it. */
  runtimes: readonly ModelRuntime[]
  /** Of all models of a runtime together. */
  memoryBytes: number
  /** Whether one request may wait for what another one of this process loads. */
  shares: boolean
  /** What is in the runtimes; given by who uses a runtime longer than this. */
  kept?: WeakMap<ModelRuntime, KeptModels>
  log: Record<'info' | 'error', (line: Record<string, unknown>) => void>
}

/** A runtime that hangs over a model must not hang its callers. */
const LOAD_MS = 120_000
/** What cannot be loaded is not fetched anew for every request. Where timers end with their request, none may keep the time. */
const FAILURES = { max: 1_000, ttl: 5_000, ttlResolution: 0 }

/** Brings models from where they are stored into the runtimes of this process, and keeps them there. */
export function createLoadedModels({
  store,
  runtimes,
  memoryBytes,
  shares,
  kept = new WeakMap(),
  log,
}: LoadedModelsOptions) {
  const loading = new Map<string, Promise<void>>()
  const failures = new LRUCache<string, HubError>(FAILURES)

  function keptBy(runtime: ModelRuntime): KeptModels {
    const models = kept.get(runtime) ?? createKeptModels({ memoryBytes, log })
    kept.set(runtime, models)
    return models
  }

  function leaseOf(key: string): ModelLease | undefined {
    for (const runtime of runtimes) {
      const lease = keptBy(runtime).lease(key)
      if (lease) return lease
    }
    return undefined
  }

  function load(key: string, ref: ModelRef): Promise<void> {
    const failure = failures.get(key)
    if (failure) return Promise.reject(failure)
    const running = (shares && loading.get(key)) || read(key, ref)
    loading.set(key, running)
    const end = () => loading.get(key) === running && loading.delete(key)
    running.then(end, end)
    return running
  }

  async function read(key: string, ref: ModelRef): Promise<void> {
    try {
      const stored = await store.find(ref)
      if (stored?.sha256 !== ref.sha256) throw unknownVersion(ref.name, ref.version)
      refuseOver(memoryBytes, ref.name, stored.size)
      const runtime = runtimeOf(stored.format)
      const bytes = await store.readBytes(ref, stored.size)
      if (models.has(ref)) return // another request was faster
      const model = await models.loadBytes(ref, stored, bytes)
      await warmUp(runtime, model).catch((cause) =>
        log.info({ msg: 'A model was not warmed up', model: ref.name, cause }),
      )
      keptBy(runtime).add(key, { ref, runtime, model, maxBatch: stored.maxBatch })
    } catch (error) {
      // The model's own fault stays; what is away may be back with the next request.
      if (error instanceof HubError && error.status !== 503) failures.set(key, error)
      throw error
    }
  }

  function runtimeOf(format: ModelFormat): ModelRuntime {
    const runtime = runtimes.find(({ formats }) => formats.includes(format))
    if (runtime) return runtime
    const message = `No runtime here runs ${format} models. Deploy the Worker or the Lambda that brings ONNX Runtime along (infra/docs/deploying.md), use the Node server, or set HUB_REDISAI_URL.`
    throw new HubError({ code: 'runtime_unavailable', status: 503, message })
  }

  const models = {
    /**
     * Loads it where it is not loaded yet.
     *
     * Errors: `HubError` `model_version_not_found` (404), `model_corrupt` (500), `model_too_large` (507), `runtime_unavailable`
     * (503), and those of the runtime; 503 where Redis is away.
     */
    async acquire(ref: ModelRef): Promise<ModelLease> {
      const key = keyOf(ref)
      for (;;) {
        const lease = leaseOf(key)
        if (lease) return lease
        await load(key, ref)
      }
    },

    has: (ref: ModelRef): boolean => runtimes.some((runtime) => keptBy(runtime).has(keyOf(ref))),

    /** Into a runtime and nowhere else: whoever asks closes it. Throws 507 where it is larger than all the memory. */
    async loadBytes(
      ref: ModelRef,
      { format, inputs, outputs }: Pick<StoredModel, 'format'> & Partial<StoredModel>,
      bytes: Uint8Array,
    ): Promise<LoadedModel> {
      const file = { key: keyOf(ref), format, bytes, inputs, outputs }
      const model = await runtimeOf(format).load(file, { signal: AbortSignal.timeout(LOAD_MS) })
      try {
        refuseOver(memoryBytes, ref.name, model.memoryBytes)
        return model
      } catch (error) {
        await model.close()
        throw error
      }
    },

    runtimeOf,

    /** It may be whole again. */
    forgetFailure: (ref: ModelRef): void => void failures.delete(keyOf(ref)),

    /** Lets go of all models of these runtimes; of one that is in use when its calls are over. */
    async close(those: readonly ModelRuntime[] = runtimes): Promise<void> {
      await Promise.all(those.map((runtime) => keptBy(runtime).close()))
    },
  }
  return models
}

export type LoadedModels = ReturnType<typeof createLoadedModels>

const keyOf = ({ tenant, name, version, sha256 }: ModelRef) => `${tenant}/${name}/${version}/${sha256}`

function refuseOver(bound: number, name: string, bytes: number): void {
  if (bytes <= bound) return
  const message = `The model ${name} takes ${bytes} bytes of memory, and all models together may take ${bound}. HUB_MODEL_MEMORY_BYTES sets the bound.`
  throw new HubError({ code: 'model_too_large', status: 507, message, param: 'model' })
}
