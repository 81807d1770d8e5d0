import type { VectorIndex, VectorKeys, WriteOptions } from '../ports/vectors.ts'
import { type UpstashIndex, UpstashRefusal, type WithIndex } from './upstash-index.ts'
import { type Calls, createCalls } from './vectors-calls.ts'

/** What one call of the port asks of Redis and of Upstash, all of it within one deadline. */
export interface UpstashCalls {
  redis: Calls & { commands: string[] }
  upstash<T>(work: (index: UpstashIndex) => Promise<T>): Promise<T>
  /** Of the hub's index. */
  namespace: string
}

const WRITE_MS = 30_000

export function createUpstashCalls(
  { withIndex, keys }: { withIndex: WithIndex; keys: VectorKeys },
  index: VectorIndex,
  { timeoutMs = WRITE_MS, signal }: WriteOptions = {},
): UpstashCalls {
  const end = performance.now() + timeoutMs
  return {
    redis: createCalls({ timeoutMs, signal }),
    upstash: (work) => withIndex(work, { timeoutMs: Math.max(0, end - performance.now()), signal }),
    namespace: keys.name(index),
  }
}

/** A namespace exists once something was put into it: until then it is as good as empty. */
export async function emptyWhereAbsent<T>(list: Promise<T[]>): Promise<T[]> {
  try {
    return await list
  } catch (error) {
    const absent = error instanceof UpstashRefusal && error.refusedWith === 404
    if (absent && /namespace/i.test(error.message)) return []
    throw error
  }
}

/** Numbers of the vectors in one request or answer: about 3 MB of JSON. */
const MOST_NUMBERS = 250_000

/** https://upstash.com/docs/vector/help/faq: vectors in one request. */
const MOST_VECTORS = 1_000

/** As many vectors as fit into one request. */
export function inBatches<T>(items: readonly T[], { dimensions }: VectorIndex): T[][] {
  const size = Math.max(1, Math.min(MOST_VECTORS, Math.floor(MOST_NUMBERS / dimensions)))
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
    items.slice(i * size, (i + 1) * size),
  )
}

/** Nine digits tell every float32 from its neighbours; all that a double has would double the request. */
export const toNumbers = (vector: Float32Array): number[] =>
  Array.from(vector, (number) => Number(number.toPrecision(9)))
