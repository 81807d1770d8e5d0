import type { Price } from '../ports/chat.ts'
import { type EmbeddingModel, embeddingModels, prices } from './prices.ts'

/** A provider that speaks OpenAI's chat completions, as the table and `HUB_PROVIDERS` know it. */
interface Entry {
  /** Absent where only the variable can tell. */
  baseUrl?: string
  /** The variable that the provider's own packages read, where they read one. */
  baseUrlVariable: string
  /** Leads from the variable's value to the OpenAI-shaped API: some packages keep this part in their paths. */
  path?: string
  /** Port where the variable's value is a bare host, as `OLLAMA_HOST` may be. */
  port?: number
  /** The first that is set holds the key. */
  keyVariables: readonly string[]
  keyless?: boolean
  /** `azure`: deployment in the path, `api-key` header, dated version. */
  dialect?: 'azure'
  versionVariable?: string
  /** Headers taken from variables. */
  headers?: Record<string, string>
  /** Bare names that are its models wherever it can be called, whichever provider is the default. */
  makes?: RegExp
  /** Where `max_completion_tokens` is not known: the bound under OpenAI's older name. */
  boundField?: 'max_tokens'
  /** False where `stream_options` is refused; such providers report usage in a stream unasked, or not at all. */
  streamUsage: boolean
  /** False for a server of embeddings alone. */
  chat?: false
  /** False where there is no `/embeddings`; what is not known of it is `carefully`. */
  embeddings?: Embeddings | false
}

/** How a provider's `/embeddings` is asked. */
interface Embeddings {
  /** The model where none is named. */
  model?: string
  /** The most that one call takes. */
  inputs: number
  /** The most that one call takes of all texts together: UTF-16 units, by the provider's bound in tokens. */
  characters: number
  /** Takes `encoding_format: base64`, which is a quarter of the bytes and loses nothing. */
  base64?: boolean
  /** Takes token arrays in place of texts. */
  tokens?: boolean
  /** What it calls `dimensions`. */
  dimensionsField?: string
}

/** Fits every server that was looked at. */
const carefully: Embeddings = { inputs: 32, characters: 100_000 }

/**
 * 300,000 tokens and 2,048 inputs a call (developers.openai.com, "Create embeddings"). We send fewer: 512 vectors of 3,072
 * numbers are 8 MB of base64 already. A character is rarely more than a token.
 */
const openaiEmbeddings: Embeddings = { inputs: 512, characters: 250_000, base64: true, tokens: true }

/** Table order is the order of preference for the default provider. */
const table: Record<string, Entry> = {
  openai: {
    baseUrl: 'https://api.openai.com/v1',
    baseUrlVariable: 'OPENAI_BASE_URL',
    keyVariables: ['OPENAI_API_KEY'],
    headers: { 'OpenAI-Organization': 'OPENAI_ORG_ID', 'OpenAI-Project': 'OPENAI_PROJECT_ID' },
    streamUsage: true,
    embeddings: { ...openaiEmbeddings, model: 'text-embedding-3-small' },
  },
  anthropic: {
    baseUrl: 'https://api.anthropic.com/v1',
    baseUrlVariable: 'ANTHROPIC_BASE_URL',
    path: '/v1',
    keyVariables: ['ANTHROPIC_API_KEY'],
    makes: /^claude-/,
    streamUsage: true,
    embeddings: false, // docs.anthropic.com, "Embeddings"
  },
  cohere: {
    baseUrl: 'https://api.cohere.ai/compatibility/v1',
    baseUrlVariable: 'CO_API_URL',
    path: '/compatibility/v1',
    keyVariables: ['COHERE_API_KEY', 'CO_API_KEY'],
    boundField: 'max_tokens',
    streamUsage: false,
    // 96 texts and 128,000 tokens a call (docs.cohere.com, "Embed").
    embeddings: { model: 'embed-v4.0', inputs: 96, characters: 100_000 },
  },
  google: {
    baseUrl: 'https://generativelanguage.googleapis.com/v1beta/openai',
    baseUrlVariable: 'GOOGLE_GEMINI_BASE_URL',
    path: '/v1beta/openai',
    keyVariables: ['GEMINI_API_KEY'],
    streamUsage: true,
    // 100 a batch (ai.google.dev, "batchEmbedContents").
    embeddings: { model: 'gemini-embedding-001', inputs: 100, characters: 100_000 },
  },
  groq: {
    baseUrl: 'https://api.groq.com/openai/v1',
    baseUrlVariable: 'GROQ_BASE_URL',
    path: '/openai/v1',
    keyVariables: ['GROQ_API_KEY'],
    streamUsage: true,
    embeddings: false, // console.groq.com, "OpenAI compatibility"
  },
  mistral: {
    baseUrl: 'https://api.mistral.ai/v1',
    baseUrlVariable: 'MISTRAL_BASE_URL',
    keyVariables: ['MISTRAL_API_KEY'],
    boundField: 'max_tokens',
    streamUsage: false,
    // 16,384 tokens a call (its own error says so).
    embeddings: {
      model: 'mistral-embed',
      inputs: 128,
      characters: 16_000,
      dimensionsField: 'output_dimension',
    },
  },
  together: {
    baseUrl: 'https://api.together.xyz/v1',
    baseUrlVariable: 'TOGETHER_BASE_URL',
    keyVariables: ['TOGETHER_API_KEY'],
    boundField: 'max_tokens',
    streamUsage: true,
  },
  openrouter: {
    baseUrl: 'https://openrouter.ai/api/v1',
    baseUrlVariable: 'OPENROUTER_BASE_URL',
    keyVariables: ['OPENROUTER_API_KEY'],
    streamUsage: true,
  },
  azure: {
    baseUrlVariable: 'AZURE_OPENAI_ENDPOINT',
    path: '/openai',
    keyVariables: ['AZURE_OPENAI_API_KEY'],
    dialect: 'azure',
    versionVariable: 'OPENAI_API_VERSION',
    streamUsage: true,
    embeddings: openaiEmbeddings, // the model is a deployment's name
  },
  ollama: {
    baseUrlVariable: 'OLLAMA_HOST',
    path: '/v1',
    port: 11434,
    keyVariables: ['OLLAMA_API_KEY'],
    keyless: true,
    boundField: 'max_tokens',
    streamUsage: true,
  },
  vllm: {
    baseUrlVariable: 'VLLM_BASE_URL',
    path: '/v1',
    keyVariables: ['VLLM_API_KEY'],
    keyless: true,
    streamUsage: true,
  },
  // Hugging Face Text Embeddings Inference: `/v1/embeddings`, whatever the model is called.
  tei: {
    baseUrlVariable: 'TEI_BASE_URL',
    path: '/v1',
    keyVariables: ['TEI_API_KEY'],
    keyless: true,
    streamUsage: false,
    chat: false,
    // Its --max-client-batch-size.
    embeddings: { model: 'text-embeddings-inference', inputs: 32, characters: 100_000 },
  },
  huggingface: {
    baseUrl: 'https://router.huggingface.co/v1',
    baseUrlVariable: 'HUGGINGFACE_BASE_URL',
    keyVariables: ['HF_TOKEN'],
    boundField: 'max_tokens',
    streamUsage: true,
    embeddings: false, // its router serves chats; `tei` is its server of embeddings
  },
}

/**
 * One value of `HUB_PROVIDERS`. With a `base_url` it says all: no `key_env` means that no key is sent. Without one it
 * adds to the provider of that name in the table.
 */
export interface ProviderOption {
  base_url?: string
  key_env?: string
  models?: Record<string, Partial<Price>>
  /** Whether it takes `stream_options`; true when absent. */
  stream_usage?: boolean
}

/** A provider in this environment. */
export interface Provider {
  name: string
  /** Without a slash at its end, user or password; empty while it is missing. */
  baseUrl: string
  key: string | undefined
  /** Variables to set before it can be called; none when it can. */
  missing: readonly string[]
  /** Where the operator looks when the provider refuses the credential. */
  keyVariable: string | undefined
  headers: Record<string, string>
  dialect: Entry['dialect']
  apiVersion: string | undefined
  makes: Entry['makes']
  boundField: Entry['boundField']
  streamUsage: boolean
  chat: boolean
  /** Absent where it has no embeddings. */
  embeddings?: Embeddings
  /** Its models that are known by name; the price may be unknown. */
  models: ReadonlyMap<string, Price | undefined>
  /** Of its embedding models, those that are known by name. */
  embeddingModels: ReadonlyMap<string, EmbeddingModel>
}

/**
 * The table and `HUB_PROVIDERS`, seen in an environment. Empty variables count as absent.
 *
 * Errors: names the variable whose value is no URL, or the entry of `HUB_PROVIDERS` that cannot be used.
 *
 * @example configureProviders({ env, providers: { mine: { base_url: 'http://gpu:8000/v1' } } })
 */
export function configureProviders({
  env,
  providers = {},
}: {
  env: Record<string, string | undefined>
  providers?: Record<string, ProviderOption>
}): Provider[] {
  const names = new Set([...Object.keys(table), ...Object.keys(providers)])
  return [...names].map((name) => {
    const option = Object.hasOwn(providers, name) ? providers[name]! : {}
    const known = Object.hasOwn(table, name) ? table[name] : undefined
    return configure(name, toEntry(name, known, option), option, env)
  })
}

function toEntry(name: string, known: Entry | undefined, option: ProviderOption): Entry {
  if (!/^[\w.-]{1,64}$/.test(name) || name === 'local') {
    throw new Error(
      `HUB_PROVIDERS: "${name}" cannot be a provider's name (letters, digits, _ . -, and not "local")`,
    )
  }
  if (option.base_url === undefined) {
    if (!known) throw new Error(`HUB_PROVIDERS: "${name}" needs a base_url`)
    return option.key_env === undefined ? known : { ...known, keyVariables: [option.key_env], keyless: false }
  }
  return {
    dialect: known?.dialect,
    versionVariable: known?.versionVariable,
    baseUrl: option.base_url,
    baseUrlVariable: `HUB_PROVIDERS (${name})`,
    keyVariables: option.key_env === undefined ? [] : [option.key_env],
    keyless: option.key_env === undefined,
    makes: known?.makes,
    boundField: known?.boundField,
    streamUsage: known?.streamUsage ?? true,
    chat: known?.chat,
    // Behind another address there may be some.
    embeddings: known?.embeddings || undefined,
  }
}

function configure(
  name: string,
  entry: Entry,
  option: ProviderOption,
  env: Record<string, string | undefined>,
): Provider {
  const keyVariable = entry.keyVariables.find((variable) => env[variable]) ?? entry.keyVariables[0]
  const key = keyVariable === undefined ? undefined : env[keyVariable] || undefined
  const given = env[entry.baseUrlVariable]
  const base = given || entry.baseUrl
  const missing = [
    ...(key || entry.keyless ? [] : [keyVariable!]),
    ...(base === undefined ? [entry.baseUrlVariable] : []),
  ]
  const url = base === undefined || missing.length > 0 ? undefined : toUrl(base, entry, Boolean(given))
  const headers: Record<string, string> = {}
  for (const [header, variable] of Object.entries(entry.headers ?? {})) {
    if (env[variable]) headers[header] = env[variable]
  }
  // fetch refuses a URL with a user in it, and its error would show the password.
  if (url?.username && !key)
    headers.Authorization = `Basic ${btoa(decodeURIComponent(`${url.username}:${url.password}`))}`
  if (url) url.username = url.password = ''
  return {
    name,
    baseUrl: url?.href.replace(/\/+$/, '') ?? '',
    key,
    missing,
    keyVariable,
    headers,
    dialect: entry.dialect,
    // The last dated version; Azure's older stable ones do not know `stream_options`.
    apiVersion: (entry.versionVariable && env[entry.versionVariable]) || '2025-04-01-preview',
    makes: entry.makes,
    boundField: entry.boundField,
    streamUsage: option.stream_usage ?? entry.streamUsage,
    chat: entry.chat ?? true,
    embeddings: entry.embeddings === false ? undefined : (entry.embeddings ?? carefully),
    embeddingModels: toEmbeddingModels(name, option.models),
    models: toModels(prices[name]?.models, option.models),
  }
}

function toUrl(value: string, { path = '', port, baseUrlVariable }: Entry, isVariable: boolean): URL {
  const bare = !value.includes('://')
  const url = URL.parse(bare ? `http://${value}` : value)
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new Error(`${baseUrlVariable} is not a URL: it should read like http://127.0.0.1:8000/v1`)
  }
  if (bare && !url.port && port) url.port = String(port)
  const pathname = url.pathname.replace(/\/+$/, '')
  url.pathname = isVariable && !pathname.endsWith(path) ? pathname + path : pathname
  return url
}

function toModels(
  known: Record<string, Price> = {},
  added: Record<string, Partial<Price>> = {},
): Map<string, Price | undefined> {
  const models = new Map<string, Price | undefined>(Object.entries(known))
  for (const [model, { input, cached = input, output }] of Object.entries(added)) {
    const priced = input !== undefined && cached !== undefined && output !== undefined
    models.set(model, priced ? { input, cached, output } : undefined)
  }
  return models
}

/** `input` of a model of `HUB_PROVIDERS` is what its embeddings cost too. */
function toEmbeddingModels(
  name: string,
  added: Record<string, Partial<Price>> = {},
): Map<string, EmbeddingModel> {
  const models = new Map(Object.entries(embeddingModels[name] ?? {}))
  for (const [model, { input }] of Object.entries(added)) {
    if (input !== undefined) models.set(model, { ...models.get(model), price: input })
  }
  return models
}
