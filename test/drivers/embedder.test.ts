import { afterEach, describe, expect, it } from 'vitest'
import { createEmbedder, type EmbedderOptions } from '../../shared/drivers/embedder.ts'
import { createEmbedderLocal } from '../../shared/drivers/embedder-local.ts'
import { type Behaviour, bagOfWords, startProvider } from '../support/provider.ts'

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of open.splice(0)) await close()
})

async function start(
  behaviour: Parameters<typeof startProvider>[0] = {},
  more: Partial<EmbedderOptions> = {},
) {
  const provider = await startProvider(behaviour)
  open.push(provider.close)
  const env = { OPENAI_API_KEY: 'sk-test', OPENAI_BASE_URL: provider.url }
  const embedder = createEmbedder({ env, ...more })
  const embed = (texts: (string | number[])[], model = 'openai/text-embedding-3-small') =>
    embedder.embed(embedder.resolve(model), texts, { signal: new AbortController().signal })
  return { provider, embed }
}

describe('what goes to the provider', () => {
  const body = async (env: Record<string, string | undefined>, model: string) => {
    const provider = await startProvider()
    open.push(provider.close)
    const urls = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, value ?? provider.url]))
    const embedder = createEmbedder({ env: urls })
    const options = { signal: new AbortController().signal, dimensions: 64 }
    await embedder.embed(embedder.resolve(model), ['a'], options)
    return provider.requests[0]!
  }

  it('is base64 and `dimensions` for OpenAI', async () => {
    const sent = await body({ OPENAI_API_KEY: 'sk-test', OPENAI_BASE_URL: undefined }, 'openai/m')
    expect(sent.path).toBe('/v1/embeddings')
    expect(sent.headers.authorization).toBe('Bearer sk-test')
    expect(sent.body).toEqual({ model: 'm', input: ['a'], encoding_format: 'base64', dimensions: 64 })
  })

  it('has the deployment in its path for Azure', async () => {
    const env = { AZURE_OPENAI_API_KEY: 'key', AZURE_OPENAI_ENDPOINT: undefined }
    const { path, headers } = await body(env, 'azure/mine')
    expect(path).toMatch(/^\/v1\/openai\/deployments\/mine\/embeddings\?api-version=/)
    expect(headers['api-key']).toBe('key')
  })

  it('asks for base64 only where it is taken, and calls the length what the provider calls it', async () => {
    const mistral = startProvider({ embeddings: { dimensions: 64 } })
    const provider = await mistral
    open.push(provider.close)
    const embedder = createEmbedder({ env: { MISTRAL_API_KEY: 'key', MISTRAL_BASE_URL: provider.url } })
    const options = { signal: new AbortController().signal, dimensions: 64 }
    await embedder.embed(embedder.resolve('mistral/mistral-embed'), ['a'], options)
    expect(provider.requests[0]!.body).toEqual({ model: 'mistral-embed', input: ['a'], output_dimension: 64 })
    const tei = await body({ TEI_BASE_URL: undefined }, 'tei/any')
    expect(tei.path).toBe('/v1/embeddings')
    expect(tei.headers.authorization).toBeUndefined()
    expect(tei.body).toEqual({ model: 'any', input: ['a'], dimensions: 64 })
  })

  it('is tokens as they came, where it takes them', async () => {
    const { provider, embed } = await start()
    await embed([[1, 2, 3]])
    expect(provider.requests[0]!.body.input).toEqual([[1, 2, 3]])
  })
})

describe('what comes back', () => {
  it('is put in order by its index, with the provider’s count of tokens', async () => {
    const { embed } = await start()
    const { vectors, tokens } = await embed(['one', 'two words', 'three'])
    expect(vectors).toEqual(['one', 'two words', 'three'].map((text) => bagOfWords(text, 1536)))
    expect(tokens).toBe(4)
  })

  it('is read as numbers too, whatever was asked for', async () => {
    const { embed } = await start({ embeddings: { floats: true } })
    expect((await embed(['one'])).vectors).toEqual([bagOfWords('one', 1536)])
  })

  const data = (...embeddings: unknown[]) =>
    JSON.stringify({ data: embeddings.map((embedding, index) => ({ index, embedding })) })
  it.each<[string, Behaviour, RegExp]>([
    ['too few', { embeddings: { count: 1 } }, /1 embeddings for 2 texts/],
    ['not JSON', { raw: '<html>' }, /not JSON/],
    ['no list', { raw: '{"data":null}' }, /without embeddings/],
    ['null in it', { raw: '{"data":[null,null]}' }, /not a list of finite numbers/],
    [
      'one index twice',
      { raw: '{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}' },
      /numbered/,
    ],
    [
      'an index beyond',
      { raw: '{"data":[{"index":0,"embedding":[1]},{"index":7,"embedding":[1]}]}' },
      /numbered/,
    ],
    ['several lengths', { raw: data([1, 2], [1, 2, 3]) }, /several lengths/],
    ['no numbers', { raw: data([], []) }, /finite numbers/],
    ['null for a number', { raw: data([1, null], [1, 2]) }, /finite numbers/],
    ['more than a float32 holds', { raw: data([1e300], [1]) }, /finite numbers/],
    ['NaN in base64', { raw: data('AADAfw==', 'AACAPw==') }, /finite numbers/],
    ['half a number in base64', { raw: data('AACA', 'AACA') }, /finite numbers/],
  ])('is refused with 502 where it is wrong: %s', async (_, behaviour, message) => {
    const { embed } = await start(behaviour)
    await expect(embed(['one', 'two'])).rejects.toMatchObject({
      status: 502,
      code: 'provider_bad_response',
      message: expect.stringMatching(message),
    })
  })

  it.each([
    [401, { status: 502, code: 'provider_authentication_failed' }],
    [404, { status: 404, code: 'model_not_found' }],
    [429, { status: 429, headers: { 'Retry-After': '7' } }],
    [500, { status: 502, code: 'provider_error' }],
    [503, { status: 503, headers: { 'Retry-After': '7' } }],
  ])('%i is told in the hub’s terms', async (status, error) => {
    const { embed } = await start({ status, retryAfter: '7' })
    await expect(embed(['one'])).rejects.toMatchObject(error)
  })

  it('a provider that is silent, or not there, is an error in time', async () => {
    const { embed } = await start({ silent: 'head' }, { silenceMs: 100 })
    await expect(embed(['one'])).rejects.toMatchObject({ status: 504, code: 'provider_timeout' })
    const { provider, embed: nobody } = await start()
    await provider.close()
    await expect(nobody(['one'])).rejects.toMatchObject({ status: 502, code: 'provider_unreachable' })
  })
})

describe('where a name leads', () => {
  const resolve = (env: Record<string, string>, model?: string, more: Partial<EmbedderOptions> = {}) => {
    const local = createEmbedderLocal()
    open.push(local.close)
    const embedder = createEmbedder({ env, local, ...more })
    const { provider, model: found } = embedder.resolve(model ?? embedder.defaultModel)
    return `${provider}/${found}`
  }
  const OPENAI_API_KEY = 'sk'

  it.each<[string, Record<string, string>, string | undefined, Partial<EmbedderOptions>, string]>([
    ['no key: the embedded model', {}, undefined, {}, 'local/local'],
    ['its own name', { OPENAI_API_KEY }, 'local', {}, 'local/local'],
    [
      'the first provider with a key',
      { OPENAI_API_KEY, COHERE_API_KEY: 'k' },
      undefined,
      {},
      'openai/text-embedding-3-small',
    ],
    ['not one without embeddings', { ANTHROPIC_API_KEY: 'k' }, undefined, {}, 'local/local'],
    [
      'one after it',
      { ANTHROPIC_API_KEY: 'k', MISTRAL_API_KEY: 'k' },
      undefined,
      {},
      'mistral/mistral-embed',
    ],
    [
      'TEI, which has one model',
      { TEI_BASE_URL: 'http://gpu' },
      undefined,
      {},
      'tei/text-embeddings-inference',
    ],
    ['not one whose models nobody knows', { OLLAMA_HOST: 'gpu' }, undefined, {}, 'local/local'],
    ['but a bare name is its', { OLLAMA_HOST: 'gpu' }, 'nomic-embed-text', {}, 'ollama/nomic-embed-text'],
    [
      'the default provider',
      { OPENAI_API_KEY, COHERE_API_KEY: 'k' },
      undefined,
      { defaultProvider: 'cohere' },
      'cohere/embed-v4.0',
    ],
    ['a local default provider', { OPENAI_API_KEY }, undefined, { defaultProvider: 'local' }, 'local/local'],
    ['the default model', { OPENAI_API_KEY }, undefined, { defaultModel: 'local' }, 'local/local'],
    [
      'a bare default model',
      { OPENAI_API_KEY },
      undefined,
      { defaultModel: 'text-embedding-3-large' },
      'openai/text-embedding-3-large',
    ],
    ['a bare name beside a local default', { OPENAI_API_KEY }, 'x', { defaultModel: 'local' }, 'openai/x'],
    [
      'a bare name beside a default',
      { OPENAI_API_KEY, TEI_BASE_URL: 'http://gpu' },
      'x',
      { defaultModel: 'tei/y' },
      'tei/x',
    ],
    ['a name with slashes', { TOGETHER_API_KEY: 'k' }, 'together/BAAI/bge', {}, 'together/BAAI/bge'],
  ])('%s', (_, env, model, more, found) => {
    expect(resolve(env, model, more)).toBe(found)
  })

  it.each<[string, Record<string, string>, string, object]>([
    ['an unknown provider', {}, 'nobody/m', { status: 404, code: 'provider_not_found' }],
    ['one without a key', {}, 'openai/m', { status: 400, code: 'provider_not_configured' }],
    [
      'one without embeddings',
      { ANTHROPIC_API_KEY: 'k' },
      'anthropic/m',
      { status: 400, code: 'embeddings_not_supported' },
    ],
    ['an unknown local model', {}, 'local/big', { status: 404, code: 'model_not_found' }],
    ['no model', { OPENAI_API_KEY }, 'openai/', { status: 404, code: 'model_not_found' }],
  ])('nowhere: %s', (_, env, model, error) => {
    expect(() => resolve(env, model)).toThrow(expect.objectContaining({ ...error, param: 'model' }))
  })

  it('the embedded model is refused, with the way out, where the runtime cannot carry it', () => {
    const embedder = createEmbedder({ env: {} })
    expect(() => embedder.resolve('local')).toThrow(/OPENAI_API_KEY.*HUB_EMBEDDING_MODEL/)
    expect(() => embedder.resolve(embedder.defaultModel)).toThrow(expect.objectContaining({ status: 400 }))
  })

  it('a default model of no provider stops the start', () => {
    expect(() => createEmbedder({ env: {}, defaultModel: 'nobody/m' })).toThrow(/HUB_EMBEDDING_MODEL.*openai/)
  })

  it('knows length and price of what it knows, and takes prices from HUB_PROVIDERS', () => {
    const providers = { openai: { models: { mine: { input: 3 } } } }
    const embedder = createEmbedder({ env: { OPENAI_API_KEY }, providers })
    expect(embedder.resolve('openai/text-embedding-3-large')).toMatchObject({ price: 0.13, dimensions: 3072 })
    expect(embedder.resolve('openai/mine')).toMatchObject({ price: 3 })
    expect(embedder.resolve('openai/other').price).toBeUndefined()
  })

  it('another credential is another scope', () => {
    const scope = (OPENAI_API_KEY: string) =>
      createEmbedder({ env: { OPENAI_API_KEY } }).resolve('openai/m').scope
    expect(scope('a')).not.toBe(scope('b'))
  })
})
