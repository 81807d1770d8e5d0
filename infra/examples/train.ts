import type { DenseLayer } from './dense-model.ts'
import { normal, shuffled } from './random.ts'

export interface TrainingRow {
  x: readonly number[]
  /** Its class, from 0. */
  label: number
}

export interface TrainOptions {
  /** Widths: what goes in, hidden layers, how many classes. */
  sizes: readonly number[]
  epochs: number
  rate: number
  batch?: number
  /** Pulls weights towards zero. */
  decay?: number
  random: () => number
}

interface Layer {
  from: number
  to: number
  weights: Float64Array
  bias: Float64Array
}

/**
 * Trains a network that says how likely each class is: Tanh between layers, softmax at the end, cross-entropy by Adam (Kingma and Ba, 2015).
 * Without hidden layers it is softmax regression. The same for the same rows and random numbers.
 */
export function train(rows: readonly TrainingRow[], options: TrainOptions): DenseLayer[] {
  const { sizes, epochs, rate, batch = 32, decay = 0, random } = options
  const layers = sizes.slice(1).map((to, n): Layer => {
    const from = sizes[n]!
    const weights = Float64Array.from({ length: from * to }, () => normal(random) / Math.sqrt(from))
    return { from, to, weights, bias: new Float64Array(to) }
  })
  const optimizers = layers.map(({ weights, bias }) => [createAdam(weights, rate), createAdam(bias, rate)])
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = shuffled(rows, random)
    for (let at = 0; at < order.length; at += batch) {
      const part = order.slice(at, at + batch)
      const gradients = layers.map(({ weights, bias }) => [
        weights.map((weight) => weight * decay),
        new Float64Array(bias.length),
      ])
      for (const row of part) addGradients(layers, row, gradients, 1 / part.length)
      for (const [n, [ofWeights, ofBias]] of gradients.entries()) {
        optimizers[n]![0]!(ofWeights!)
        optimizers[n]![1]!(ofBias!)
      }
    }
  }
  return layers.map(({ weights, bias }, n) => ({
    weights: Float32Array.from(weights),
    bias: Float32Array.from(bias),
    activation: n === layers.length - 1 ? 'Softmax' : 'Tanh',
  }))
}

/** What a trained network makes of a row, as its model does. */
export function predict(layers: readonly DenseLayer[], x: readonly number[]): number[] {
  const plain = layers.map(({ weights, bias }) => ({
    from: weights.length / bias.length,
    to: bias.length,
    weights,
    bias,
  }))
  return Array.from(activationsOf(plain, x).at(-1)!)
}

type AnyLayer = Omit<Layer, 'weights' | 'bias'> & { weights: ArrayLike<number>; bias: ArrayLike<number> }

function activationsOf(layers: readonly AnyLayer[], x: readonly number[]): Float64Array[] {
  const activations = [Float64Array.from(x)]
  for (const [n, { from, to, weights, bias }] of layers.entries()) {
    const input = activations[n]!
    const sums = Float64Array.from(bias)
    for (let i = 0; i < from; i++) for (let j = 0; j < to; j++) sums[j]! += input[i]! * weights[i * to + j]!
    activations.push(n < layers.length - 1 ? sums.map(Math.tanh) : softmax(sums))
  }
  return activations
}

function addGradients(
  layers: readonly Layer[],
  { x, label }: TrainingRow,
  gradients: readonly Float64Array[][],
  share: number,
) {
  const activations = activationsOf(layers, x)
  // Of cross-entropy behind softmax.
  let errors = activations.at(-1)!.map((likely, n) => (likely - Number(n === label)) * share)
  for (let n = layers.length - 1; n >= 0; n--) {
    const { from, to, weights } = layers[n]!
    const input = activations[n]!
    const [ofWeights, ofBias] = gradients[n] as [Float64Array, Float64Array]
    const before = new Float64Array(from)
    for (let j = 0; j < to; j++) ofBias[j]! += errors[j]!
    for (let i = 0; i < from; i++) {
      for (let j = 0; j < to; j++) {
        ofWeights[i * to + j]! += input[i]! * errors[j]!
        before[i]! += weights[i * to + j]! * errors[j]!
      }
    }
    errors = before.map((error, i) => error * (1 - input[i]! ** 2)) // of Tanh; nobody asks for the first one's
  }
}

/** Moves values against their gradients. */
function createAdam(values: Float64Array, rate: number) {
  const [mean, square] = [new Float64Array(values.length), new Float64Array(values.length)]
  let step = 0
  return (gradients: Float64Array) => {
    step++
    for (const [n, gradient] of gradients.entries()) {
      mean[n] = 0.9 * mean[n]! + 0.1 * gradient
      square[n] = 0.999 * square[n]! + 0.001 * gradient ** 2
      const [first, second] = [mean[n]! / (1 - 0.9 ** step), square[n]! / (1 - 0.999 ** step)]
      values[n]! -= (rate * first) / (Math.sqrt(second) + 1e-8)
    }
  }
}

function softmax(sums: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const greatest = Math.max(...sums)
  const powers = sums.map((sum) => Math.exp(sum - greatest))
  const total = powers.reduce((sum, power) => sum + power, 0)
  return powers.map((power) => power / total)
}
