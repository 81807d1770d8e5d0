import type { Metric } from '../ports/vectors.ts'
import { toCosine } from './vectorset-similarities.ts'

/** Similarity of two vectors of one length, in the port's terms. */
export function similarityOf(metric: Metric, a: Float32Array, b: Float32Array): number {
  let [product, aa, bb, squared] = [0, 0, 0, 0]
  for (let at = 0; at < a.length; at++) {
    const [x, y] = [a[at]!, b[at]!]
    product += x * y
    aa += x * x
    bb += y * y
    squared += (x - y) ** 2
  }
  if (metric === 'euclidean') return 1 / (1 + squared)
  return metric === 'dot_product' ? product : toCosine(product / Math.sqrt(aa * bb))
}
