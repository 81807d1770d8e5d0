import type { Argument, Command, Redis, Reply } from '../ports/redis.ts'
import type { VectorIndex, VectorKeys } from '../ports/vectors.ts'
import type { Calls } from './vectors-calls.ts'

/** A vector as VADD and VSIM take it: bytes, or text where the connection carries only that. */
export function toVectorArguments({ binary }: Redis, vector: Float32Array): Argument[] {
  if (!binary) return ['VALUES', vector.length, ...vector]
  return ['FP32', new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength)]
}

export interface Place {
  partition: number
  member: string
}

/** So many vectors a wave: 2 MB of 1,024 dimensions. */
const A_WAVE = 500

/**
 * Scores stored vectors one by one: VEMB gives the bytes that the set holds, already normalised, and the product is made here.
 * 7 µs a vector of 384 dimensions, exact but for quantization.
 */
export function createSimilarities({ redis, keys }: { redis: Redis; keys: VectorKeys }) {
  return async function similarities(
    index: VectorIndex,
    vector: Float32Array,
    places: readonly Place[],
    calls: Calls,
  ): Promise<(number | null)[]> {
    const query = normalise(vector)
    const scores: (number | null)[] = []
    for (let at = 0; at < places.length; at += A_WAVE) {
      const commands = places
        .slice(at, at + A_WAVE)
        .map(({ partition, member }): Command => ['VEMB', keys.vectors(index, partition), member, 'RAW'])
      for (const reply of await calls.ask(redis, commands, { bytes: true })) scores.push(score(query, reply))
    }
    return scores
  }
}

/** Reply of VEMB RAW: form, bytes, norm, and of int8 the range that ±127 stands for. */
function score(query: Float32Array, reply: Reply): number | null {
  if (!Array.isArray(reply)) return null
  const [form, bytes, , range] = reply as [Uint8Array, Uint8Array, Uint8Array, Uint8Array?]
  let product = 0
  if (String.fromCharCode(...form) === 'int8') {
    const stored = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (let i = 0; i < stored.length; i++) product += query[i]! * stored[i]!
    product *= Number(new TextDecoder().decode(range)) / 127
  } else {
    const stored = toFloats(bytes)
    for (let i = 0; i < stored.length; i++) product += query[i]! * stored[i]!
  }
  return toCosine(product)
}

/** Rounding takes it a little beyond. */
export const toCosine = (value: number) => Math.min(1, Math.max(-1, value))

/** Copied where it lies askew in its buffer, which a Float32Array does not bear. */
function toFloats(bytes: Uint8Array): Float32Array {
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 4 ? bytes.slice() : bytes
  return new Float32Array(buffer, byteOffset, byteLength / 4)
}

function normalise(vector: Float32Array): Float32Array {
  let square = 0
  for (const value of vector) square += value * value
  const norm = Math.sqrt(square)
  return vector.map((value) => value / norm)
}
