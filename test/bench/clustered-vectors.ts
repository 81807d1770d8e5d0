import { seeded } from '../support/random.ts'

export interface Clustered {
  /** Unit vectors. */
  rows: Float32Array[]
  /** Of the same clusters, and none of the rows. */
  queries: Float32Array[]
}

/**
 * Vectors in clusters, as embeddings are: one cluster for 500 rows, a normal distribution around a centre of another. The same
 * for the same seed.
 */
export function clusteredVectors(options: {
  seed: number
  rows: number
  queries: number
  dimensions: number
}): Clustered {
  const random = seeded(options.seed)
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  const centres = Array.from({ length: Math.max(10, Math.round(options.rows / 500)) }, () =>
    Float32Array.from({ length: options.dimensions }, normal),
  )
  const vector = () => {
    const centre = centres[Math.floor(random() * centres.length)]!
    return normalise(centre.map((value) => value + SPREAD * normal()))
  }
  return {
    rows: Array.from({ length: options.rows }, vector),
    queries: Array.from({ length: options.queries }, vector),
  }
}

/** Of a cluster, beside the distance of the clusters: neighbours have a cosine of about 0.67. */
const SPREAD = 0.7

function normalise(vector: Float32Array): Float32Array {
  let square = 0
  for (const value of vector) square += value * value
  const norm = Math.sqrt(square)
  return vector.map((value) => value / norm)
}
