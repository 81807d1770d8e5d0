import { expect, test } from 'vitest'
import { createEmbedder } from '../../shared/drivers/embedder.ts'
import { createEmbedderLocal } from '../../shared/drivers/embedder-local.ts'
import { createFetchUndici } from '../../shared/drivers/fetch-undici.ts'
import { startProvider } from '../support/provider.ts'
import { testEmbedder } from './embedder.contract.ts'

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
