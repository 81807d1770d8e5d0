import { HubError } from '../errors.ts'
import type { Dag, LoadedModel, Tensor, TensorSpec } from '../ports/model-runtime.ts'
import { checkTensor, fits, invalidTensor } from '../tensors.ts'

/**
 * Checks a DAG and what goes in before anything is run. Errors: `invalid_tensor` (400) for an input; `inference_failed` (422) where
 * models do not fit together.
 */
export function checkDag({ nodes, outputs }: Dag, inputs: ReadonlyMap<string, Tensor>) {
  const made = new Map<string, TensorSpec>()
  const unused = new Set(inputs.keys())
  for (const [name, tensor] of inputs) checkTensor(tensor, name)

  for (const { model, ...node } of nodes) {
    mustCount('inputs', node.inputs, model)
    mustCount('outputs', node.outputs, model)
    for (const [i, name] of node.inputs.entries()) {
      const spec = model.inputs[i]!
      const given = inputs.get(name)
      unused.delete(name)
      if (given) checkTensor(given, name, spec)
      else mustFit(name, made.get(name), spec)
    }
    for (const [i, name] of node.outputs.entries()) {
      if (made.has(name) || inputs.has(name)) throw failed(`Two tensors are called \`${name}\`.`)
      made.set(name, model.outputs[i]!)
    }
  }
  for (const name of outputs) {
    if (!made.has(name) && !inputs.has(name)) throw failed(`No model makes \`${name}\`.`)
    unused.delete(name)
  }
  const [more] = unused
  if (more !== undefined) throw invalidTensor(more, `No model takes \`${more}\`.`)
}

export const failed = (message: string, cause?: unknown) =>
  new HubError({ code: 'inference_failed', status: 422, message, cause })

export const invalidModel = (message: string, cause?: unknown) =>
  new HubError({ code: 'invalid_model', status: 422, message, cause })

export const timedOut = (timeoutMs: number, cause?: unknown) =>
  new HubError({
    code: 'inference_timeout',
    status: 504,
    message: `The models were not done within ${Math.round(timeoutMs)} ms. Send fewer rows, or allow more time.`,
    cause,
  })

export const unavailable = (message: string, cause?: unknown) =>
  new HubError({ code: 'runtime_unavailable', status: 503, message, retryAfterSeconds: 1, cause })

export const loadedLate = (timeoutMs: number, cause?: unknown) =>
  unavailable(`The model was not ready within ${Math.round(timeoutMs)} ms.`, cause)

export const unsupportedFormat = (message: string) =>
  new HubError({ code: 'unsupported_format', status: 400, message })

function mustCount(side: 'inputs' | 'outputs', names: readonly string[], model: LoadedModel) {
  if (names.length === model[side].length) return
  const wanted = model[side].map(({ name }) => `\`${name}\``).join(', ')
  throw failed(`The model has ${model[side].length} ${side} (${wanted}), and ${names.length} were named.`)
}

function mustFit(name: string, made: TensorSpec | undefined, wanted: TensorSpec) {
  if (!made) throw invalidTensor(name, `\`${name}\` is missing.`)
  const { type, shape } = made
  if (type === wanted.type && (made.anyShape || fits(shape, wanted))) return
  throw failed(
    `\`${name}\` is made as ${type} [${shape}], and the model that takes it wants ${wanted.type} [${wanted.shape}].`,
  )
}
