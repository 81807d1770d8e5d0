import { buildEmbedder, QUESTIONS } from '../examples/embedder-model.ts'
import { type Say, uploadModel } from './example-model.ts'
import type { HubClient } from './hub-client.ts'

/** An embedding model of one's own behind `/v1/embeddings`, and how well it finds passages, beside the embedded one where there is one. */
export async function runEmbedderExample(hub: HubClient, say: Say) {
  const version = await uploadModel(hub, 'ngrams', buildEmbedder(1984), 256)
  const model = `model/ngrams/${version}`
  say(`Embedding model ${model}: 2,048 hashed n-grams to 256 numbers by a random projection.`)
  say('It finds what shares words and pieces of words with a question, and knows nothing of their meaning.')
  const found: Record<string, number> = { [model]: await countFound(hub, model) }
  const local = await countFound(hub, 'local').catch(() => undefined)
  if (local !== undefined) found.local = local
  for (const [name, count] of Object.entries(found))
    say(
      `  ${name.padEnd(26)} finds the passage of ${count} of ${QUESTIONS.length} questions among ${QUESTIONS.length}`,
    )
  say('\nTry it:')
  say(`  curl ${hub.base}/v1/embeddings -H 'Content-Type: application/json' \\`)
  say(`    -d '{"model":"${model}","input":["What is Redis?"]}'`)
  return { example: 'embedder', model, questions: QUESTIONS.length, found }
}

/** Questions whose own passage is the nearest. */
async function countFound(hub: HubClient, model: string): Promise<number> {
  const [questions, passages] = await Promise.all(
    [0, 1].map((n) =>
      embed(
        hub,
        model,
        QUESTIONS.map((pair) => pair[n]!),
      ),
    ),
  )
  return questions!.filter((question, n) => {
    const near = passages!.map((passage) => cosine(question, passage))
    return near.indexOf(Math.max(...near)) === n
  }).length
}

async function embed(hub: HubClient, model: string, input: readonly string[]): Promise<number[][]> {
  const body = { model, input }
  const { data } = await hub.json<{ data: { embedding: number[] }[] }>('/v1/embeddings', {
    method: 'POST',
    body,
  })
  return data.map(({ embedding }) => embedding)
}

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]) =>
    x.reduce((sum, value, n) => sum + value * y[n]!, 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}
