import { HubError } from '../errors.ts'

/** A vector to search with, of the index's length; 400 for another length, for zero, and for what a float32 cannot hold. */
export function toVector(numbers: ArrayLike<number>, dimensions: number, param = 'vector'): Float32Array {
  const refuse = (message: string): never => {
    throw new HubError({ code: 'invalid_vector', status: 400, message, param })
  }
  if (numbers.length !== dimensions)
    refuse(`The vector has ${numbers.length} dimensions, and the index has ${dimensions}.`)
  const vector = Float32Array.from(numbers)
  if (!vector.every(Number.isFinite)) refuse('The vector has a number that is not finite as a float32.')
  if (vector.every((number) => number === 0)) refuse('The vector is zero, which is near to nothing.')
  return vector
}
