import type { LoadedModel, ModelRuntime, Tensor } from '../ports/model-runtime.ts'

export interface RunOptions {
  /** Names; all of the model's by default. */
  outputs?: readonly string[]
  signal?: AbortSignal
  timeoutMs?: number
}

/** One model alone, as a DAG of one node. Errors: as `ModelRuntime.execute`. */
export function runModel(
  { runtime, model }: { runtime: ModelRuntime; model: LoadedModel },
  inputs: ReadonlyMap<string, Tensor>,
  { outputs, ...options }: RunOptions = {},
): Promise<Map<string, Tensor>> {
  const all = namesOf(model.outputs)
  const node = { model, inputs: namesOf(model.inputs), outputs: all }
  return runtime.execute({ nodes: [node], outputs: outputs ?? all }, inputs, options)
}

const namesOf = (specs: LoadedModel['inputs']) => specs.map(({ name }) => name)
