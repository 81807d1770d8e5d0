import { Buffer } from 'node:buffer'

/** A vector as base64 of little-endian float32, which is how OpenAI sends it and how it is stored. */
export function toBase64({ buffer, byteOffset, byteLength }: Float32Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64')
}

/** Undefined where it is no vector of finite numbers. */
export function fromBase64(text: string): Float32Array | undefined {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length === 0 || bytes.length % 4 !== 0) return undefined
  // A copy: small buffers lie in a shared one, at any offset.
  const vector = new Float32Array(new Uint8Array(bytes).buffer)
  return allFinite(vector) ? vector : undefined
}

/** Of nothing but finite numbers, which JSON and Redis cannot promise. */
export const allFinite = (vector: ArrayLike<unknown>): boolean => {
  for (let at = 0; at < vector.length; at++) if (!Number.isFinite(vector[at])) return false
  return true
}
