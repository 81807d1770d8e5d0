import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type ChatOptions, createChat } from '../../shared/drivers/chat.ts'
import { createFetchUndici } from '../../shared/drivers/fetch-undici.ts'
import { HubError } from '../../shared/errors.ts'
import type { Chat, ChatRequest } from '../../shared/ports/chat.ts'
import { type ProviderOptions, startProvider } from '../support/provider.ts'

const messages = [{ role: 'user', content: 'hello' }]
let send: typeof globalThis.fetch | undefined
const never = new AbortController().signal
const key = 'sk-very-secret'

const open: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const server of open.splice(0)) await server.close()
})

async function start(behaviour: ProviderOptions = {}, options: Partial<ChatOptions> = {}) {
  const provider = await startProvider(behaviour)
  open.push(provider)
  const env = { OPENAI_API_KEY: key, OPENAI_BASE_URL: provider.url, ...options.env }
  return { provider, chat: createChat({ fetch: send, ...options, env }) }
}

function call(chat: Chat, request: Partial<ChatRequest> = {}, signal = never): AsyncIterable<string> {
  const model = request.model ?? 'gpt-4o-mini'
  return chat.call(chat.resolve(model), { messages, ...request, model }, { signal })
}

/** Fills `chunks` as they come, so that a test sees what came before a failure. */
async function collect(
  chat: Chat,
  request: Partial<ChatRequest> = {},
  { signal = never, chunks = [] as string[] } = {},
): Promise<string[]> {
  for await (const chunk of call(chat, request, signal)) chunks.push(chunk)
  return chunks
}

async function failure(promise: Promise<unknown>): Promise<HubError> {
  const error = await promise.then(
    () => expect.fail('it should have thrown'),
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(HubError)
  return error as HubError
}

function thrown(run: () => unknown): HubError {
  try {
    run()
  } catch (error) {
    if (error instanceof HubError) return error
    throw error
  }
  return expect.fail('it should have thrown')
}

const contentOf = (chunks: string[]) =>
  chunks.map((chunk) => JSON.parse(chunk).choices[0]?.delta.content ?? '').join('')

describe.each([
  ['the runtime’s fetch', undefined],
  ['undici.request', createFetchUndici()],
])('over %s', (_, fetch) => {
  beforeAll(() => {
    send = fetch
  })

  describe('the name of a model', () => {
    it('goes to the first configured provider of the table when it has no slash', () => {
      const chat = createChat({ env: { GROQ_API_KEY: 'a', ANTHROPIC_API_KEY: 'b' } })
      expect(chat.resolve('claude-opus-5')).toMatchObject({ provider: 'anthropic', model: 'claude-opus-5' })
    })

    it('of Claude goes to Anthropic where that can be called, unless the default provider has a model of that name', () => {
      const models = { 'claude-mine': {} }
      const providers = { mine: { base_url: 'http://127.0.0.1:1/v1', models } }
      const env = { ANTHROPIC_API_KEY: 'a' }
      const chat = createChat({ env, providers, defaultProvider: 'mine' })
      expect(chat.resolve('claude-opus-5')).toMatchObject({ provider: 'anthropic', model: 'claude-opus-5' })
      expect(chat.resolve('claude-mine').provider).toBe('mine')
      expect(chat.resolve('gpt-4o').provider).toBe('mine')
      const without = createChat({ env: {}, providers, defaultProvider: 'mine' })
      expect(without.resolve('claude-opus-5').provider).toBe('mine')
    })

    it('goes to HUB_DEFAULT_PROVIDER when there is one, and to local when nothing is configured', () => {
      const chat = createChat({ env: { OPENAI_API_KEY: 'a', GROQ_API_KEY: 'b' }, defaultProvider: 'groq' })
      expect(chat.resolve('m').provider).toBe('groq')
      expect(createChat({ env: {} }).resolve('local').provider).toBe('local')
      expect(() => createChat({ env: {}, defaultProvider: 'nope' })).toThrow('HUB_DEFAULT_PROVIDER is "nope"')
    })

    it('is split at the first slash only', () => {
      const chat = createChat({ env: { HF_TOKEN: 'a' } })
      expect(chat.resolve('huggingface/deepseek-ai/DeepSeek-R1')).toMatchObject({
        provider: 'huggingface',
        model: 'deepseek-ai/DeepSeek-R1',
      })
    })

    it.each(['nope/m', '__proto__/m', 'constructor/m', '/m'])(
      '%s is 404 and lists what is configured',
      (model) => {
        const error = thrown(() => createChat({ env: { GROQ_API_KEY: 'a' } }).resolve(model))
        expect(error).toMatchObject({ status: 404, code: 'provider_not_found', param: 'model' })
        expect(error.message).toContain('configured: groq, local')
      },
    )

    it.each([
      ['openai', 'OPENAI_API_KEY'],
      ['cohere', 'COHERE_API_KEY'],
      ['azure', 'AZURE_OPENAI_API_KEY and AZURE_OPENAI_ENDPOINT'],
      ['ollama', 'OLLAMA_HOST'],
      ['vllm', 'VLLM_BASE_URL'],
    ])('%s without its key is 400 and names %s', (name, variables) => {
      const error = thrown(() => createChat({ env: {} }).resolve(`${name}/m`))
      expect(error).toMatchObject({ status: 400, code: 'provider_not_configured', param: 'model' })
      expect(error.message).toContain(`set ${variables}.`)
    })

    it('without a model is 404', () => {
      expect(thrown(() => createChat({ env: { GROQ_API_KEY: 'a' } }).resolve('groq/'))).toMatchObject({
        status: 404,
        code: 'model_not_found',
      })
    })

    it('has a scope for each base URL and key', () => {
      const scope = (env: Record<string, string>) => createChat({ env }).resolve('openai/m').scope
      const one = scope({ OPENAI_API_KEY: 'a' })
      expect(one).toMatch(/^[0-9a-f]{16}$/)
      expect(scope({ OPENAI_API_KEY: 'a' })).toBe(one)
      expect(scope({ OPENAI_API_KEY: 'b' })).not.toBe(one)
      expect(scope({ OPENAI_API_KEY: 'a', OPENAI_BASE_URL: 'http://127.0.0.1:1/v1' })).not.toBe(one)
    })

    it('has the price of the model, also for a dated snapshot', () => {
      const chat = createChat({ env: { OPENAI_API_KEY: 'a' } })
      const price = { input: 0.15, cached: 0.075, output: 0.6 }
      expect(chat.resolve('gpt-4o-mini').price).toEqual(price)
      expect(chat.resolve('gpt-4o-mini-2024-07-18').price).toEqual(price)
      expect(chat.resolve('gpt-4o-2024-05-13').price?.input).toBe(5)
      expect(chat.resolve('unheard-of').price).toBeUndefined()
    })
  })

  describe('HUB_PROVIDERS', () => {
    it('adds a provider with prices, which is called without a key when it names none', async () => {
      const { provider } = await start()
      const providers = { mine: { base_url: provider.url, models: { m: { input: 1, output: 2 } } } }
      const chat = createChat({ env: {}, providers })
      expect(chat.resolve('m')).toMatchObject({ provider: 'mine', price: { input: 1, cached: 1, output: 2 } })
      expect(chat.models().map(({ id }) => id)).toEqual(['mine/m', 'local/local', 'local/echo'])
      await collect(chat, { model: 'mine/m' })
      expect(provider.requests[0]?.headers.authorization).toBeUndefined()
    })

    it('gives a known provider another place and key, and keeps its prices', async () => {
      const { provider } = await start()
      const providers = { groq: { base_url: provider.url, key_env: 'MY_KEY' } }
      expect(createChat({ env: { MY_KEY: '' }, providers }).models()).toHaveLength(2)
      const chat = createChat({ env: { MY_KEY: 'mine', GROQ_API_KEY: 'not this' }, providers })
      await collect(chat, { model: 'groq/llama-3.1-8b-instant' })
      expect(provider.requests[0]?.headers.authorization).toBe('Bearer mine')
      expect(chat.resolve('groq/llama-3.1-8b-instant').price?.input).toBe(0.05)
    })

    it('only adds prices when it gives no place', () => {
      const providers = { openai: { models: { 'gpt-4o': { input: 1, cached: 1, output: 1 } } } }
      const chat = createChat({ env: { OPENAI_API_KEY: 'a' }, providers })
      expect(chat.resolve('gpt-4o').price).toEqual({ input: 1, cached: 1, output: 1 })
      expect(chat.resolve('gpt-4o-mini').price?.input).toBe(0.15)
    })

    it.each([
      [{ mine: {} }, '"mine" needs a base_url'],
      [{ local: { base_url: 'http://x' } }, '"local" cannot be'],
      [{ 'a/b': { base_url: 'http://x' } }, '"a/b" cannot be'],
      [{ mine: { base_url: 'gpu' } }, undefined],
      [{ mine: { base_url: 'ftp://gpu' } }, 'HUB_PROVIDERS (mine) is not a URL'],
    ])('%j', (providers, message) => {
      const make = () => createChat({ env: {}, providers })
      if (message) expect(make).toThrow(message)
      else expect(make().resolve('mine/m').model).toBe('m')
    })
  })

  describe('where a call goes', () => {
    it('ANTHROPIC_BASE_URL, OLLAMA_HOST and others need no /v1, as for their own packages', async () => {
      const { provider } = await start()
      const root = provider.url.replace('/v1', '')
      const env = {
        ANTHROPIC_API_KEY: 'a',
        ANTHROPIC_BASE_URL: root,
        OLLAMA_HOST: root.replace('http://', ''),
        VLLM_BASE_URL: provider.url,
        GROQ_API_KEY: 'g',
        GROQ_BASE_URL: `${root}/`,
      }
      const chat = createChat({ env })
      for (const name of ['anthropic', 'ollama', 'vllm', 'groq']) await collect(chat, { model: `${name}/m` })
      const path = '/v1/chat/completions'
      expect(provider.requests.map((request) => request.path)).toEqual([path, path, path, `/openai${path}`])
    })

    it('names the deployment, the version and the api-key to Azure', async () => {
      const { provider } = await start()
      const chat = createChat({
        env: {
          AZURE_OPENAI_API_KEY: 'azure-key',
          AZURE_OPENAI_ENDPOINT: provider.url.replace('/v1', '/'),
          OPENAI_API_VERSION: '2099-01-01',
        },
      })
      await collect(chat, { model: 'azure/my-deployment' })
      const [{ path, headers } = expect.fail('no request')] = provider.requests
      expect(path).toBe('/openai/deployments/my-deployment/chat/completions?api-version=2099-01-01')
      expect(headers['api-key']).toBe('azure-key')
      expect(headers.authorization).toBeUndefined()
    })

    it('takes nothing from process.env, and sends the organization of env to OpenAI alone', async () => {
      const { provider } = await start()
      process.env.OPENAI_ORG_ID = 'org-of-the-process'
      try {
        const env = { OPENAI_API_KEY: key, OPENAI_BASE_URL: provider.url, VLLM_BASE_URL: provider.url }
        const chat = createChat({ env: { ...env, OPENAI_ORG_ID: 'org-of-env' } })
        await collect(chat)
        await collect(chat, { model: 'vllm/m' })
      } finally {
        delete process.env.OPENAI_ORG_ID
      }
      const organizations = provider.requests.map(({ headers }) => headers['openai-organization'])
      expect(organizations).toEqual(['org-of-env', undefined])
    })

    it('a user in a base URL becomes Basic authorization', async () => {
      const { provider } = await start()
      const chat = createChat({ env: { VLLM_BASE_URL: provider.url.replace('//', '//me:pass%40word@') } })
      await collect(chat, { model: 'vllm/m' })
      expect(provider.requests[0]?.headers.authorization).toBe(`Basic ${btoa('me:pass@word')}`)
    })
  })

  describe('what a call sends', () => {
    it('passes unknown fields on, replaces the model and keeps the hub’s own field back', async () => {
      const { provider, chat } = await start()
      await collect(chat, {
        model: 'openai/gpt-4o',
        prompt: { id: 'p' },
        temperature: 1,
        mine: [1],
        stream: false,
        stream_options: {},
      })
      expect(provider.requests[0]?.body).toEqual({ model: 'gpt-4o', messages, temperature: 1, mine: [1] })
    })

    it('asks for usage in a stream and keeps other stream options', async () => {
      const { provider, chat } = await start()
      const chunks = await collect(chat, { stream: true, stream_options: { include_obfuscation: false } })
      expect(provider.requests[0]?.body.stream_options).toEqual({
        include_usage: true,
        include_obfuscation: false,
      })
      expect(JSON.parse(chunks.at(-1)!)).toMatchObject({ choices: [], usage: { total_tokens: 15 } })
    })

    it.each([
      ['OPENAI', 'max_completion_tokens'],
      ['TOGETHER', 'max_tokens'],
    ])('bounds the output by the name that %s knows: %s', async (name, field) => {
      const { provider } = await start()
      const env = { [`${name}_API_KEY`]: 'a', [`${name}_BASE_URL`]: provider.url }
      await collect(createChat({ env }), { max_completion_tokens: 7 })
      const { max_tokens, max_completion_tokens } = provider.requests[0]!.body
      expect({ max_tokens, max_completion_tokens }).toEqual({ [field]: 7 })
      await collect(createChat({ env }), { max_tokens: 5 })
      expect(provider.requests[1]!.body).toMatchObject({ max_tokens: 5 })
    })

    it('does not send stream_options where they are refused', async () => {
      const { provider } = await start()
      const env = { MISTRAL_API_KEY: 'a', MISTRAL_BASE_URL: provider.url }
      await collect(createChat({ env }), { stream: true, stream_options: { include_usage: true } })
      expect(provider.requests[0]?.body).not.toHaveProperty('stream_options')
    })
  })

  describe('an answer', () => {
    it('is yielded as it was sent', async () => {
      const raw = '{ "choices" : [ ],\n "odd": 1.0, "snow": "☃" }\n'
      const { chat } = await start({ raw })
      expect(await collect(chat)).toEqual([raw])
    })

    it('of more than 1 MiB arrives whole', async () => {
      const { chat } = await start({ size: 3_000_000 })
      const [text = ''] = await collect(chat)
      expect(JSON.parse(text).choices[0].message.content).toHaveLength(3_000_000)
    })

    it.each([
      ['<html>', 'not JSON'],
      ['', 'not JSON'],
      ['null', 'without choices'],
      ['{"id":1}', 'without choices'],
    ])('%s is provider_bad_response', async (raw, message) => {
      const { chat } = await start({ raw })
      const error = await failure(collect(chat))
      expect(error).toMatchObject({ status: 502, code: 'provider_bad_response' })
      expect(error.message).toContain(message)
    })

    it('beyond 16 MiB is provider_bad_response', async () => {
      const { chat } = await start({ size: 17 * 1024 * 1024 })
      expect(await failure(collect(chat))).toMatchObject({ status: 502, code: 'provider_bad_response' })
    })

    it('with status 200 that is an error has that error’s status', async () => {
      const { chat } = await start({ raw: '{"error":{"message":"slow down","code":429}}' })
      expect(await failure(collect(chat))).toMatchObject({ status: 429, message: 'slow down' })
    })

    it('that breaks off is provider_unreachable', async () => {
      const { chat } = await start({ cut: 'destroy' })
      expect(await failure(collect(chat))).toMatchObject({ status: 502, code: 'provider_unreachable' })
    })
  })

  describe('a stream', () => {
    it('is yielded chunk by chunk as it was sent, without [DONE]', async () => {
      const raw =
        ': comment\r\n\r\ndata: {"a" : 1}\r\n\r\nid: 7\ndata:{"b":2}\n\ndata: [DONE]\n\ndata: {"after":1}\n\n'
      const { chat } = await start({ raw, contentType: 'text/event-stream' })
      expect(await collect(chat, { stream: true })).toEqual(['{"a" : 1}', '{"b":2}'])
    })

    it('may end with [DONE] and no line feed', async () => {
      const { chat } = await start({ raw: 'data: {"a":1}\n\ndata: [DONE]', contentType: 'text/event-stream' })
      expect(await collect(chat, { stream: true })).toEqual(['{"a":1}'])
    })

    it('survives characters that are split between packets', async () => {
      const { chat } = await start({ deltas: ['snow ☃ ', 'naïve ', '👩‍🚀'], bytewise: true })
      expect(contentOf(await collect(chat, { stream: true }))).toBe('snow ☃ naïve 👩‍🚀')
    })

    it('of more than 1 MiB arrives whole', async () => {
      const { chat } = await start({ size: 2_000_000 })
      expect(contentOf(await collect(chat, { stream: true }))).toHaveLength(2_000_000)
    })

    it('carries tool calls', async () => {
      const { chat } = await start({ toolCalls: [{ name: 'look', arguments: '{}' }] })
      const chunks = (await collect(chat, { stream: true })).map((chunk) => JSON.parse(chunk))
      expect(chunks[1].choices[0].delta.tool_calls[0].function.name).toBe('look')
      expect(chunks[2].choices[0].finish_reason).toBe('tool_calls')
    })

    it.each([
      ['destroy', 'stream_interrupted'],
      ['end', 'stream_interrupted'],
      ['error', 'provider_error'],
    ] as const)('that is cut (%s) gives what came, then %s', async (cut, code) => {
      const { chat } = await start({ cut, deltas: ['one ', 'two ', 'three ', 'four'] })
      const chunks: string[] = []
      expect(await failure(collect(chat, { stream: true }, { chunks }))).toMatchObject({ status: 502, code })
      expect(contentOf(chunks)).toBe('one two ')
    })

    it('is not taken for an error because its text says so', async () => {
      const text = 'an "error": {"message"} 	'
      const { chat } = await start({ deltas: [text] })
      expect(contentOf(await collect(chat, { stream: true }))).toBe(text)
    })

    it.each([
      ['JSON', '{"choices":[]}', 'application/json', 'answered without a stream'],
      ['text', 'data: <html>\n\n', 'text/event-stream', 'not a JSON object'],
      ['a line beyond 16 MiB', `data: ${'x'.repeat(17 * 1024 * 1024)}`, 'text/event-stream', 'more than'],
    ])('that is %s is provider_bad_response', async (_, raw, contentType, message) => {
      const { chat } = await start({ raw, contentType })
      const error = await failure(collect(chat, { stream: true }))
      expect(error).toMatchObject({ status: 502, code: 'provider_bad_response' })
      expect(error.message).toContain(message)
    })
  })

  describe('a refusal', () => {
    it.each([400, 404, 409, 413, 422])(
      '%i is the caller’s: passed on as the provider said it',
      async (status) => {
        const errorBody = { error: { message: 'm', type: 't', code: 'c', param: 'p' } }
        const { chat } = await start({ status, errorBody })
        for (const stream of [false, true]) {
          expect(await failure(collect(chat, { stream }))).toMatchObject({ status, ...errorBody.error })
        }
      },
    )

    it.each([401, 403])('%i is the hub’s: 502, and names the variable', async (status) => {
      const errorBody = { error: { message: `Incorrect API key provided: ${key}` } }
      const { chat } = await start({ status, errorBody })
      const error = await failure(collect(chat))
      expect(error).toMatchObject({ status: 502, code: 'provider_authentication_failed' })
      expect(error.message).toBe("openai refused the hub's credential: check OPENAI_API_KEY.")
    })

    it.each([
      ['7', '7'],
      [new Date(1_000_000 + 90_000).toUTCString(), '90'],
      ['soon', undefined],
    ])('429 keeps Retry-After %s', async (retryAfter, seconds) => {
      const { chat } = await start({ status: 429, retryAfter }, { clock: { now: () => 1_000_000 } })
      const error = await failure(collect(chat))
      expect(error).toMatchObject({ status: 429, code: 'rate_limit_exceeded' })
      expect(error.headers['Retry-After']).toBe(seconds)
    })

    it.each([
      [500, 502, undefined],
      [504, 502, undefined],
      [418, 502, undefined],
      [503, 503, '3'],
      [529, 503, '3'],
    ])('%i is %i', async (status, ours, retryAfter) => {
      const { chat } = await start({ status, retryAfter: '3' })
      const error = await failure(collect(chat))
      expect(error).toMatchObject({ status: ours, code: 'provider_error' })
      expect(error.headers['Retry-After']).toBe(retryAfter)
    })

    it.each([
      [
        [{ error: { code: 400, message: 'of Google', status: 'INVALID_ARGUMENT' } }],
        'of Google',
        'INVALID_ARGUMENT',
      ],
      [{ object: 'error', message: 'of Mistral', type: 'invalid_model', code: '1500' }, 'of Mistral', '1500'],
      [{ detail: [{ msg: 'of FastAPI' }] }, '[{"msg":"of FastAPI"}]', 'provider_rejected'],
      [{ error: 'of Ollama' }, 'of Ollama', 'provider_rejected'],
      ['<h1>of a proxy</h1>', 'openai answered 400.', 'provider_rejected'],
      [{ error: { message: `you sent ${key}` } }, 'you sent ***', 'provider_rejected'],
    ])('%j is understood', async (errorBody, message, code) => {
      const { chat } = await start({ status: 400, errorBody })
      expect(await failure(collect(chat))).toMatchObject({ status: 400, message, code })
    })

    it('with an endless body is cut', async () => {
      const { chat } = await start({ status: 400, errorBody: 'x'.repeat(5_000_000) })
      expect((await failure(collect(chat))).message).toBe('openai answered 400.')
    })

    it('is not tried again', async () => {
      const { chat, provider } = await start({ status: 500 })
      await failure(collect(chat))
      expect(provider.count).toBe(1)
    })
  })

  describe('nobody there', () => {
    it('is provider_unreachable, without address or key', async () => {
      const { provider, chat } = await start()
      await provider.close()
      const error = await failure(collect(chat))
      expect(error).toMatchObject({
        status: 502,
        code: 'provider_unreachable',
        message: 'openai cannot be reached.',
      })
      expect(JSON.stringify(error)).not.toMatch(/127\.0\.0\.1|secret/)
    })
  })

  describe('silence', () => {
    it.each([
      ['head', false],
      ['head', true],
      ['middle', true],
    ] as const)('at the %s (stream: %s) is provider_timeout and ends the call', async (silent, stream) => {
      const { provider, chat } = await start({ silent }, { silenceMs: 150 })
      expect(await failure(collect(chat, { stream }))).toMatchObject({
        status: 504,
        code: 'provider_timeout',
      })
      await expect.poll(() => provider.aborted).toBe(1)
    })

    it('is not a slow answer whose parts come in time', async () => {
      const { chat } = await start(
        { deltas: ['a', 'b', 'c', 'd', 'e', 'f'], delayMs: 60 },
        { silenceMs: 200 },
      )
      expect(contentOf(await collect(chat, { stream: true }))).toBe('abcdef')
    })

    it('is not a slow reader', async () => {
      const { chat } = await start({}, { silenceMs: 60 })
      const chunks: string[] = []
      for await (const chunk of call(chat, { stream: true })) {
        chunks.push(chunk)
        if (chunks.length < 3) await new Promise((resolve) => setTimeout(resolve, 150))
      }
      expect(contentOf(chunks)).toBe('Hello from the mock.')
    })
  })

  describe('who leaves', () => {
    it('by the signal gets an AbortError at once, and the provider is left', async () => {
      const { provider, chat } = await start({ silent: 'head' })
      const controller = new AbortController()
      const reading = collect(chat, {}, { signal: controller.signal })
      await expect.poll(() => provider.count).toBe(1)
      controller.abort()
      await expect(reading).rejects.toMatchObject({ name: 'AbortError' })
      await expect.poll(() => provider.aborted).toBe(1)
    })

    it('by a signal that is already aborted calls nobody', async () => {
      const { provider, chat } = await start()
      await expect(collect(chat, {}, { signal: AbortSignal.abort() })).rejects.toMatchObject({
        name: 'AbortError',
      })
      expect(provider.count).toBe(0)
    })

    it('by a reason of its own gets that reason', async () => {
      const { chat } = await start({ silent: 'middle' })
      const controller = new AbortController()
      const chunks = call(chat, { stream: true }, controller.signal)[Symbol.asyncIterator]()
      await chunks.next()
      const reason = new HubError({ status: 504, code: 'deadline', message: 'too late' })
      controller.abort(reason)
      await expect(chunks.next().then(() => chunks.next())).rejects.toBe(reason)
    })

    it('by leaving the loop leaves the provider', async () => {
      const { provider, chat } = await start({ deltas: ['a', 'b', 'c'], delayMs: 200 })
      for await (const _ of call(chat, { stream: true })) break
      await expect.poll(() => provider.aborted).toBe(1)
    })

    it('while a chunk is awaited leaves the provider too, and the wait ends', async () => {
      const { provider, chat } = await start({ silent: 'middle', deltas: ['a'] })
      const chunks = call(chat, { stream: true })[Symbol.asyncIterator]()
      await chunks.next()
      const pending = chunks.next()
      await chunks.return?.()
      expect(await pending).toEqual({ value: undefined, done: true })
      await expect.poll(() => provider.aborted).toBe(1)
    })

    it('after the last chunk has not left, and its connection serves later calls', async () => {
      const { provider, chat } = await start()
      for (const stream of [true, true, false, true, true, false]) await collect(chat, { stream })
      expect(provider.aborted).toBe(0)
      // Two, as fetch tells the end of a body shortly before it frees the connection.
      expect(provider.connections).toBeLessThanOrEqual(2)
    })
  })
})
