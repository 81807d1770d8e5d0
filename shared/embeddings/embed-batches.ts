import { setTimeout as sleep } from 'node:timers/promises'
import { retryWait } from '../models/retry-wait.ts'
import type { Embedded, Embedder, EmbeddingInput, EmbeddingTarget, EmbedOptions } from '../ports/embedder.ts'

export interface BatchesCall extends EmbedOptions {
  embedder: Embedder
  target: EmbeddingTarget
  inputs: readonly EmbeddingInput[]
  /** The vector of `inputs[n]`. */
  take(n: number, vector: Float32Array): void
}

export interface BatchesOutcome {
  /** Tokens that the provider says it counted. */
  stated: number
  /** Inputs whose tokens it did not say. */
  uncounted: EmbeddingInput[]
  /** What ended it; the other batches were ended too. */
  error?: unknown
}

const AT_ONCE = 4
const TRIES = 4
/** No try begins after this. */
const RETRY_WITHIN_MS = 30_000

/** Embeds any number in batches that the target takes, a few at once. Never throws: what was paid for is to be counted. */
export async function embedBatches(call: BatchesCall): Promise<BatchesOutcome> {
  const { embedder, target, inputs, take, dimensions, purpose, tenant } = call
  const outcome: BatchesOutcome = { stated: 0, uncounted: [] }
  const failed = new AbortController()
  const signal = AbortSignal.any([call.signal, failed.signal])
  const last = performance.now() + RETRY_WITHIN_MS
  const batches = batchesOf(inputs, target).values()

  async function work() {
    for (const { from, part } of batches) {
      if (signal.aborted) return
      const { vectors, tokens } = await retried(part)
      vectors.forEach((vector, n) => {
        take(from + n, vector)
      })
      if (tokens === undefined) outcome.uncounted.push(...part)
      else outcome.stated += tokens
    }
  }

  async function retried(part: EmbeddingInput[]): Promise<Embedded> {
    for (let tries = 0; ; tries++) {
      try {
        return await embedder.embed(target, part, { dimensions, purpose, tenant, signal })
      } catch (error) {
        const waitMs = tries + 1 < TRIES ? retryWait(error, tries) : undefined
        if (signal.aborted || waitMs === undefined || performance.now() + waitMs > last) throw error
        await sleep(waitMs, undefined, { signal })
      }
    }
  }

  const workers = Array.from({ length: AT_ONCE }, () =>
    work().catch((error) => {
      if (!failed.signal.aborted) outcome.error = error
      failed.abort()
    }),
  )
  await Promise.all(workers)
  if (call.signal.aborted) outcome.error ??= call.signal.reason
  return outcome
}

function batchesOf(inputs: readonly EmbeddingInput[], { batch }: EmbeddingTarget) {
  const batches: { from: number; part: EmbeddingInput[] }[] = []
  let size = 0
  for (const [n, input] of inputs.entries()) {
    const current = batches.at(-1)
    size += input.length
    if (current && current.part.length < batch.inputs && size <= batch.characters) {
      current.part.push(input)
    } else {
      batches.push({ from: n, part: [input] })
      size = input.length
    }
  }
  return batches
}
