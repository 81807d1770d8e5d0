import { buildOnnx, type OnnxConstant, type OnnxNode } from './onnx-builder.ts'

export interface DenseLayer {
  /** Row-major: from each input to all outputs. */
  weights: Float32Array
  bias: Float32Array
  /** What is done to its sums. Default: nothing. */
  activation?: 'Relu' | 'Sigmoid' | 'Softmax' | 'Tanh'
}

/**
 * Fully connected layers as ONNX: input `x` [n, width of the first], output `y` [n, width of the last].
 *
 * @example const logistic = buildDense([{ weights, bias, activation: 'Sigmoid' }])
 */
export function buildDense(layers: readonly DenseLayer[]): Uint8Array {
  const constants: OnnxConstant[] = []
  const nodes: OnnxNode[] = []
  for (const [n, { weights, bias, activation }] of layers.entries()) {
    const shape = [weights.length / bias.length, bias.length]
    constants.push(
      { name: `w${n}`, type: 'FP32', shape, data: weights },
      { name: `b${n}`, type: 'FP32', shape: [bias.length], data: bias },
    )
    const output = n === layers.length - 1 ? 'y' : `h${n + 1}`
    const sum = activation ? `z${n}` : output
    nodes.push({ op: 'Gemm', inputs: [n === 0 ? 'x' : `h${n}`, `w${n}`, `b${n}`], outputs: [sum] })
    if (activation) nodes.push({ op: activation, inputs: [sum], outputs: [output] })
  }
  const [first, last] = [layers[0]!, layers.at(-1)!]
  return buildOnnx({
    inputs: [{ name: 'x', type: 'FP32', shape: ['n', first.weights.length / first.bias.length] }],
    outputs: [{ name: 'y', type: 'FP32', shape: ['n', last.bias.length] }],
    constants,
    nodes,
  })
}
