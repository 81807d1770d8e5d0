import { buildDense } from '../../infra/examples/dense-model.ts'

/**
 * Fully connected layers with Relu between them: input `x` [n, sizes[0]], output `y` [n, the last size].
 *
 * @example const mlp = buildMlp([384, 512, 64])
 */
export function buildMlp(sizes: readonly number[], random: () => number = Math.random): Uint8Array {
  const fill = (length: number, scale: number) =>
    Float32Array.from({ length }, () => (random() * 2 - 1) * scale)
  const layers = sizes.slice(1).map((to, n) => ({
    weights: fill(sizes[n]! * to, 1 / Math.sqrt(sizes[n]!)),
    bias: fill(to, 0.1),
    ...(n < sizes.length - 2 && { activation: 'Relu' as const }),
  }))
  return buildDense(layers)
}
