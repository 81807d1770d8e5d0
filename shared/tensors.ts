import { HubError } from './errors.ts'
import type { Tensor, TensorData, TensorSpec, TensorType } from './ports/model-runtime.ts'

type TensorArray = {
  new (buffer: ArrayBuffer): TensorData
  readonly BYTES_PER_ELEMENT: number
}

/** What holds a tensor's numbers. */
export const TENSOR_ARRAYS: Readonly<Record<TensorType, TensorArray>> = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
}

/** Longer ones are refused: an element more would not be counted exactly by every runtime. */
const MOST_ELEMENTS = 2 ** 31 - 1

/**
 * Checks that a tensor holds what it says and, with `spec`, that a model takes it; `name` is what the caller calls it. What the
 * numbers are, NaN among them, is the model's business. Errors: `invalid_tensor` (400).
 */
export function checkTensor({ type, shape, data }: Tensor, name: string, spec?: TensorSpec) {
  if (!(data instanceof TENSOR_ARRAYS[type]))
    throw invalidTensor(name, `\`${name}\` is ${type}, and its numbers are no ${TENSOR_ARRAYS[type].name}.`)
  const elements = countElements(shape)
  if (elements === undefined)
    throw invalidTensor(name, `\`${name}\` has no shape: ${format(shape)} must be whole numbers from 0.`)
  if (elements !== data.length) {
    const message = `\`${name}\` has ${data.length} numbers, and its shape ${format(shape)} wants ${elements}.`
    throw invalidTensor(name, message)
  }
  if (type === 'BOOL' && (data as Uint8Array).some((value) => value > 1))
    throw invalidTensor(name, `\`${name}\` is BOOL: it can hold 0 and 1 only.`)
  if (!spec) return
  if (spec.type !== type) throw invalidTensor(name, `\`${name}\` must be ${spec.type}, and is ${type}.`)
  if (!fits(shape, spec))
    throw invalidTensor(
      name,
      `\`${name}\` must have the shape ${format(spec.shape)}, and has ${format(shape)}.`,
    )
}

/** Whether both can be the same tensor's shape: -1 is any length. */
export const fits = (shape: readonly number[], spec: Pick<TensorSpec, 'shape' | 'anyShape'>): boolean =>
  spec.anyShape === true ||
  (shape.length === spec.shape.length &&
    shape.every((length, i) => length === spec.shape[i] || length === -1 || spec.shape[i] === -1))

/** Undefined for what is no shape. Of a scalar, whose shape is empty, 1. */
export function countElements(shape: readonly number[]): number | undefined {
  let elements = 1
  for (const length of shape) {
    if (!Number.isInteger(length) || length < 0) return undefined
    elements *= length
  }
  return elements <= MOST_ELEMENTS ? elements : undefined
}

/** Little-endian, without a copy. */
export const toTensorBytes = ({ data }: Tensor): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength)

/** The numbers in little-endian bytes, copied; undefined when these are not as many as the shape wants. */
export function fromTensorBytes(
  type: TensorType,
  shape: readonly number[],
  bytes: Uint8Array,
): Tensor | undefined {
  const array = TENSOR_ARRAYS[type]
  if (bytes.length !== (countElements(shape) ?? Number.NaN) * array.BYTES_PER_ELEMENT) return undefined
  // Not `bytes.slice()`, which of a Buffer is no copy, and would lie at any offset.
  return { type, shape, data: new array(Uint8Array.from(bytes).buffer) }
}

export const invalidTensor = (name: string, message: string) =>
  new HubError({ code: 'invalid_tensor', status: 400, message, param: name })

const format = (shape: readonly number[]) => `[${shape.join(', ')}]`
