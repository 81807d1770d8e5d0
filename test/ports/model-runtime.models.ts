import { readFileSync } from 'node:fs'
import { buildOnnx } from '../../infra/examples/onnx-builder.ts'
import type { Tensor, TensorType } from '../../shared/ports/model-runtime.ts'
import { TENSOR_ARRAYS } from '../../shared/tensors.ts'
import { buildMlp } from '../support/mlp.ts'

/** y = softmax(x·W + b) over the last axis: x [n, 4], y [n, 3]. */
export const SOFTMAX = new Uint8Array(
  readFileSync(new URL('../fixtures/models/softmax-4x3.onnx', import.meta.url)),
)

/** Its weights, and what they make, in float64. */
export function softmaxOf(x: readonly number[]): number[] {
  const weights = [
    [0.5, -0.25, 0.125],
    [-0.5, 0.75, 0.25],
    [1, -1, 0.5],
    [0.25, 0.5, -0.75],
  ]
  const sums = [0.1, 0.2, -0.3].map((bias, j) =>
    x.reduce((sum, value, i) => sum + value * weights[i]![j]!, bias),
  )
  const powers = sums.map((sum) => Math.exp(sum))
  return powers.map((power) => power / powers.reduce((sum, one) => sum + one, 0))
}

/** scaled = (x - mean) * factor: x [n, 4]. Also `size` [n, 1], the mean of |scaled|. */
export const SCALE = buildOnnx({
  inputs: [{ name: 'x', type: 'FP32', shape: ['n', 4] }],
  outputs: [
    { name: 'scaled', type: 'FP32', shape: ['n', 4] },
    { name: 'size', type: 'FP32', shape: ['n', 1] },
  ],
  constants: [
    { name: 'mean', type: 'FP32', shape: [4], data: Float32Array.of(1, 2, 3, 4) },
    { name: 'factor', type: 'FP32', shape: [4], data: Float32Array.of(0.5, 0.25, 2, -1) },
  ],
  nodes: [
    { op: 'Sub', inputs: ['x', 'mean'], outputs: ['centred'] },
    { op: 'Mul', inputs: ['centred', 'factor'], outputs: ['scaled'] },
    { op: 'Abs', inputs: ['scaled'], outputs: ['lengths'] },
    { op: 'ReduceMean', inputs: ['lengths'], outputs: ['size'], attributes: { axes: [1], keepdims: 1 } },
  ],
})

export const scaleOf = (x: readonly number[]) =>
  x.map((value, i) => (value - [1, 2, 3, 4][i]!) * [0.5, 0.25, 2, -1][i]!)

/** joined [n, 5]: probabilities [n, 3], size [n, 1], and flags [n, 1] as numbers. */
export const JOIN = buildOnnx({
  inputs: [
    { name: 'p', type: 'FP32', shape: ['n', 3] },
    { name: 'size', type: 'FP32', shape: ['n', 1] },
    { name: 'flag', type: 'BOOL', shape: ['n', 1] },
  ],
  outputs: [{ name: 'joined', type: 'FP32', shape: ['n', 5] }],
  nodes: [
    { op: 'Cast', inputs: ['flag'], outputs: ['number'], attributes: { to: 1 } },
    { op: 'Concat', inputs: ['p', 'size', 'number'], outputs: ['joined'], attributes: { axis: 1 } },
  ],
})

export const ADD_SUBTRACT = buildOnnx({
  inputs: [
    { name: 'p', type: 'FP32', shape: ['n', 2] },
    { name: 'q', type: 'FP32', shape: ['n', 2] },
  ],
  outputs: [
    { name: 'sum', type: 'FP32', shape: ['n', 2] },
    { name: 'difference', type: 'FP32', shape: ['n', 2] },
  ],
  nodes: [
    { op: 'Add', inputs: ['p', 'q'], outputs: ['sum'] },
    { op: 'Sub', inputs: ['p', 'q'], outputs: ['difference'] },
  ],
})

/** What comes in, of any shape of two dimensions. */
export const identityOf = (type: TensorType) =>
  buildOnnx({
    inputs: [{ name: 'x', type, shape: ['n', null] }],
    outputs: [{ name: 'y', type, shape: ['n', null] }],
    nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
  })

/** Rows of a table of three by their numbers: any other number is an error when it runs. */
export const LOOK_UP = buildOnnx({
  inputs: [{ name: 'row', type: 'INT64', shape: ['n'] }],
  outputs: [{ name: 'y', type: 'FP32', shape: ['n', 2] }],
  constants: [{ name: 'table', type: 'FP32', shape: [3, 2], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
  nodes: [{ op: 'Gather', inputs: ['table', 'row'], outputs: ['y'] }],
})

/** x [n, 1024] through eight layers of 1,024: 64 rows are a billion multiplications. */
export const SLOW = buildMlp(
  Array.from({ length: 9 }, () => 1024),
  () => 0.5,
)

export const slowRows = (rows: number) => fp32([rows, 1024], new Array(rows * 1024).fill(0.5))

export const fp32 = (shape: number[], values: readonly number[]): Tensor => ({
  type: 'FP32',
  shape,
  data: Float32Array.from(values),
})

/** A tensor with the least and the greatest that its type holds. */
export function extremesOf(type: TensorType): Tensor {
  const [low, high] = EXTREMES[type]
  const data = new TENSOR_ARRAYS[type](new ArrayBuffer(4 * TENSOR_ARRAYS[type].BYTES_PER_ELEMENT))
  for (const [i, value] of [low, high, high, low].entries()) data[i] = value as never
  return { type, shape: [2, 2], data }
}

const EXTREMES: Record<TensorType, readonly [number | bigint, number | bigint]> = {
  BOOL: [0, 1],
  UINT8: [0, 255],
  UINT16: [0, 65_535],
  UINT32: [0, 4_294_967_295],
  UINT64: [0n, 2n ** 64n - 1n],
  INT8: [-128, 127],
  INT16: [-32_768, 32_767],
  INT32: [-2_147_483_648, 2_147_483_647],
  INT64: [-(2n ** 63n), 2n ** 63n - 1n],
  FP16: [0xfbff, 0x3c01],
  FP32: [Number.NEGATIVE_INFINITY, 1.401298464324817e-45],
  FP64: [Number.NaN, Number.MAX_VALUE],
}
