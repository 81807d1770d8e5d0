import type { Tensor } from '../ports/model-runtime.ts'
import type { MicroBatches } from './micro-batches.ts'
import type { Serving } from './serving.ts'
import { checkInputs, checkOutputs } from './tensors.ts'

interface InferOptions {
  /** Names; all of the model's by default. */
  outputs?: readonly string[]
  signal?: AbortSignal
}

export interface Inference {
  model: string
  version: string
  /** In the order that they were asked for, else in the model's. */
  outputs: Map<string, Tensor>
}

/**
 * Runs a model of a tenant: any number of rows at once, joined with other callers' where it does not change the answer.
 *
 * Errors: `HubError` `model_not_found`, `model_version_not_found` (404); `invalid_tensor` (400, `param` names the input);
 * `inference_failed` (422), `inference_timeout` (504), `overloaded` (503); those of `LoadedModels.acquire`; the signal's reason.
 *
 * @example await infer('acme', 'iris', undefined, new Map([['x', { type: 'FP32', shape: [1, 4], data }]]))
 */
export type Infer = (
  tenant: string,
  model: string,
  /** Or a label; `stable` by default, else the greatest. */
  version: string | undefined,
  inputs: ReadonlyMap<string, Tensor>,
  options?: InferOptions,
) => Promise<Inference>

export function createInfer({ serving, batches }: { serving: Serving; batches: MicroBatches }): Infer {
  return async (tenant, model, version, inputs, { outputs, signal } = {}) => {
    const lease = await serving.acquire(tenant, model, version)
    try {
      signal?.throwIfAborted()
      checkInputs(lease.model.inputs, inputs)
      checkOutputs(lease.model.outputs, outputs)
      const answer = await batches.run(lease, inputs, { outputs, signal })
      return { model, version: lease.ref.version, outputs: answer }
    } finally {
      lease.release()
    }
  }
}
