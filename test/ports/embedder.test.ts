import { expect, onTestFinished, test } from 'vitest'
import { buildEmbedder } from '../../infra/examples/embedder-model.ts'
import { createEmbedder } from '../../shared/drivers/embedder.ts'
import { createEmbedderLocal } from '../../shared/drivers/embedder-local.ts'
import { createEmbedderModel } from '../../shared/drivers/embedder-model.ts'
import { createFetchUndici } from '../../shared/drivers/fetch-undici.ts'
import { createRuntimeOnnx } from '../../shared/drivers/runtime-onnx.ts'
import { startProvider } from '../support/provider.ts'
import { testEmbedder } from './embedder.contract.ts'
import { JOIN } from './model-runtime.models.ts'

testEmbedder(
  'embedder-local',
  async () => {
    const local = createEmbedderLocal()
    return { embedder: createEmbedder({ env: {}, local }), model: 'local', close: local.close }
  },
  { dimensions: 'refused' },
)

/** Providers by what they are asked like. */
const dialects: Record<string, (url: string) => { env: Record<string, string>; model: string }> = {
  openai: (url) => ({
    env: { OPENAI_API_KEY: 'sk-test', OPENAI_BASE_URL: url },
    model: 'openai/text-embedding-3-small',
  }),
  azure: (url) => ({
    env: { AZURE_OPENAI_API_KEY: 'key', AZURE_OPENAI_ENDPOINT: url },
    model: 'azure/my-deployment',
  }),
  cohere: (url) => ({ env: { COHERE_API_KEY: 'key', CO_API_URL: url }, model: 'cohere/embed-other' }),
  ollama: (url) => ({ env: { OLLAMA_HOST: url }, model: 'ollama/nomic-embed-text' }),
  tei: (url) => ({ env: { TEI_BASE_URL: url }, model: 'tei/any' }),
}

for (const [name, configure] of Object.entries(dialects)) {
  for (const runtime of name === 'openai' ? ['fetch', 'undici'] : ['fetch']) {
    testEmbedder(
      `embedder-openai: ${name} over ${runtime}`,
      async () => {
        const provider = await startProvider()
        const { env, model } = configure(provider.url)
        const fetch = runtime === 'undici' ? createFetchUndici() : undefined
        return { embedder: createEmbedder({ env, fetch }), model, close: provider.close }
      },
      { dimensions: 'made' },
    )
  }
}

testEmbedder(
  'embedder-model',
  async () => {
    const runtime = createRuntimeOnnx()
    const bytes = buildEmbedder(7)
    const model = await runtime.load({ key: 'ngrams', format: 'onnx', bytes })
    const own = createEmbedderModel({
      acquire: async (_, __, version) => ({ ref: { version }, runtime, model, maxBatch: 2, release() {} }),
    })
    return { embedder: createEmbedder({ env: {}, own }), model: 'model/ngrams/1', close: runtime.close }
  },
  { dimensions: 'refused' },
)

test('a model of one’s own is named with its version, and makes vectors of texts', async () => {
  const runtime = createRuntimeOnnx()
  onTestFinished(runtime.close)
  const softmax = await runtime.load({ key: 'two', format: 'onnx', bytes: JOIN })
  const own = createEmbedderModel({
    acquire: async () => ({ ref: { version: '1' }, runtime, model: softmax, maxBatch: 64, release() {} }),
  })
  const embedder = createEmbedder({ env: {}, own })
  expect(() => embedder.resolve('model/ngrams')).toThrow(expect.objectContaining({ status: 400 }))
  const { signal } = new AbortController()
  const embed = (model: string) => embedder.embed(embedder.resolve(model), ['a text'], { signal })
  await expect(embed('model/join/stable')).rejects.toMatchObject({ status: 400, code: 'invalid_value' })
  await expect(embed('model/join/1')).rejects.toMatchObject({ code: 'embeddings_not_supported' })
})

test('the local model ends with what it was closed in, and what waits for it is told', async () => {
  const embedder = createEmbedderLocal()
  const target = embedder.resolve('local')
  const { signal } = new AbortController()
  const waiting = Array.from({ length: 3 }, () => embedder.embed(target, ['a text'], { signal }))
  const settled = Promise.allSettled(waiting)
  await embedder.close()
  for (const one of await settled) {
    expect(one).toMatchObject({ status: 'rejected', reason: { status: 503, code: 'provider_error' } })
  }
  await expect(embedder.embed(target, ['a text'], { signal })).rejects.toMatchObject({ status: 503 })
})
