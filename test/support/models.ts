import { readFileSync } from 'node:fs'
import { buildOnnx } from '../../infra/examples/onnx-builder.ts'
import { createInfer } from '../../shared/inference/infer.ts'
import { createLoadedModels, type LoadedModelsOptions } from '../../shared/inference/loaded-models.ts'
import { createMicroBatches } from '../../shared/inference/micro-batches.ts'
import { createModelRegistry } from '../../shared/inference/model-registry.ts'
import { createModelStore } from '../../shared/inference/model-store.ts'
import { createModels } from '../../shared/inference/models.ts'
import { createServing } from '../../shared/inference/serving.ts'
import type { ModelRuntime, Tensor } from '../../shared/ports/model-runtime.ts'
import type { Redis } from '../../shared/ports/redis.ts'

/** y = softmax(x·W + b) over the last axis: `x` FP32 [-1,4], `y` FP32 [-1,3]. */
export const softmax = new Uint8Array(
  readFileSync(new URL('../fixtures/models/softmax-4x3.onnx', import.meta.url)),
)
export const SOFTMAX_OF_1234 = [0.95121205, 0.04076147, 0.00802641]

/** y = factor · log(x), NaN below zero: `x` and `y` FP32 [-1,2]. */
export const logarithm = (factor = 1) =>
  buildOnnx({
    inputs: [{ name: 'x', type: 'FP32', shape: ['n', 2] }],
    outputs: [{ name: 'y', type: 'FP32', shape: ['n', 2] }],
    nodes: [
      { op: 'Log', inputs: ['x'], outputs: ['log'] },
      { op: 'Mul', inputs: ['log', 'factor'], outputs: ['y'] },
    ],
    constants: [{ name: 'factor', type: 'FP32', shape: [], data: Float32Array.of(factor) }],
  })

export const rows = (width: number, ...values: number[]): Map<string, Tensor> =>
  new Map([['x', { type: 'FP32', shape: [values.length / width, width], data: Float32Array.from(values) }]])

/** Tells what a runtime was asked: keys of models, and rows of each run's first input. `gate` holds runs back. */
export function counting(runtime: ModelRuntime, gate: () => Promise<void> = async () => {}) {
  const runs: number[] = []
  const loads: string[] = []
  const closed: string[] = []
  const counted: ModelRuntime = {
    ...runtime,
    async load(file, options) {
      loads.push(file.key)
      const model = await runtime.load(file, options)
      const { close } = model
      model.close = () => {
        closed.push(file.key)
        return close()
      }
      return model
    },
    async execute(dag, inputs, options) {
      const [first] = inputs.values()
      runs.push(first?.shape[0] ?? 0)
      await gate()
      return runtime.execute(dag, inputs, options)
    },
  }
  return { runs, loads, closed, runtime: counted }
}

export interface TestInferenceOptions extends Partial<Omit<LoadedModelsOptions, 'runtimes'>> {
  redis: Redis
  runtime: ModelRuntime
  delayMs?: number
}

/** The parts of inference, put together as a hub does it. */
export function startInference({ redis, runtime, delayMs = 1, ...options }: TestInferenceOptions) {
  const lines: Record<string, unknown>[] = []
  const log = { info: lines.push.bind(lines), error: lines.push.bind(lines) }
  const registry = createModelRegistry({ redis })
  const store = createModelStore({ redis, clock: Date })
  const shares = true
  const loaded = createLoadedModels({
    ...{ store, runtimes: [runtime], memoryBytes: 1e9, shares, log },
    ...options,
  })
  const serving = createServing({ registry, loaded, shares, log })
  const batches = createMicroBatches({ delayMs, timeoutMs: 10_000 })
  const models = createModels({ registry, store, loaded, onChanged: serving.onChanged })
  return { lines, registry, store, loaded, serving, models, infer: createInfer({ serving, batches }) }
}
