import type { Tensor, TensorData, TensorSpec, TensorType } from '../ports/model-runtime.ts'
import { checkTensor, invalidTensor, TENSOR_ARRAYS } from '../tensors.ts'

export const TENSOR_TYPES = Object.keys(TENSOR_ARRAYS) as TensorType[]

export const isTensorType = (name: string): name is TensorType => Object.hasOwn(TENSOR_ARRAYS, name)

/** All zeros. */
export function createData(type: TensorType, length: number): TensorData {
  const array = TENSOR_ARRAYS[type]
  return new array(new ArrayBuffer(length * array.BYTES_PER_ELEMENT))
}

/** `param` is the path of a field, and begins the message. */
export const invalidAt = (param: string, message: string) => invalidTensor(param, `${param}: ${message}`)

/**
 * Holds inputs against what a model declares: names, types, shapes, and as many elements as the shape says.
 *
 * Errors: `HubError` `invalid_tensor` (400); `param` names the input.
 */
export function checkInputs(specs: readonly TensorSpec[], inputs: ReadonlyMap<string, Tensor>): void {
  for (const { name } of specs) {
    if (!inputs.has(name)) throw invalidTensor('inputs', `The input \`${name}\` is missing.`)
  }
  for (const [name, tensor] of inputs) {
    const spec = specs.find((spec) => spec.name === name)
    if (!spec) {
      throw invalidTensor(name, `The model has no input \`${name}\`. Its inputs are: ${namesOf(specs)}.`)
    }
    checkTensor(tensor, name, spec)
  }
}

/** Errors: `HubError` `invalid_tensor` (400); `param` is e.g. `outputs[0].name`. */
export function checkOutputs(specs: readonly TensorSpec[], wanted: readonly string[] = []): void {
  wanted.forEach((name, index) => {
    if (specs.some((spec) => spec.name === name)) return
    throw invalidAt(`outputs[${index}].name`, `the model makes no \`${name}\`. It makes: ${namesOf(specs)}.`)
  })
}

const namesOf = (specs: readonly TensorSpec[]) => specs.map(({ name }) => name).join(', ')
