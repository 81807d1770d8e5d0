import { HubError } from '../errors.ts'
import type { Embedder } from '../ports/embedder.ts'
import { createEmbedderOpenAI, type EmbedderOpenAIOptions } from './embedder-openai.ts'
import { configureProviders, type ProviderOption } from './providers.ts'

export interface EmbedderOptions extends EmbedderOpenAIOptions {
  env: Record<string, string | undefined>
  /** `HUB_PROVIDERS`, parsed. */
  providers?: Record<string, ProviderOption>
  /** `HUB_DEFAULT_PROVIDER`: goes before the first configured one. */
  defaultProvider?: string
  /** `HUB_EMBEDDING_MODEL`; else that of the first configured provider which has one, else `local`. */
  defaultModel?: string
  /** The embedded model, where the runtime can carry it. */
  local?: Embedder
  /** Models of tenants' own, `model/<name>/<version>`, where the runtime can run them. */
  own?: Embedder
}

/**
 * Every provider behind one `Embedder`: the part of a model's name before the first slash picks the driver, a bare name
 * is the default model's provider's, or the first configured one's.
 *
 * Errors: a default model whose provider does not exist, and what `configureProviders` throws.
 *
 * @example createEmbedder({ env }).resolve('openai/text-embedding-3-small')
 */
export function createEmbedder({
  env,
  providers,
  defaultProvider,
  defaultModel,
  local,
  own,
  ...options
}: EmbedderOptions): Embedder {
  const configured = configureProviders({ env, providers })
  const drivers = new Map(configured.map((one) => [one.name, createEmbedderOpenAI(one, options)]))
  drivers.set('local', local ?? absent)
  if (own) drivers.set('model', own)
  const callable = configured
    .filter(({ missing, embeddings }) => missing.length === 0 && embeddings)
    .sort((a, b) => Number(b.name === defaultProvider) - Number(a.name === defaultProvider))
  const withModel =
    defaultProvider === 'local' ? undefined : callable.find(({ embeddings }) => embeddings?.model)
  const model = defaultModel || (withModel ? drivers.get(withModel.name)!.defaultModel : 'local')
  const named = model.includes('/') ? model.slice(0, model.indexOf('/')) : undefined
  const home = (named !== 'local' && named) || (withModel ?? callable[0])?.name || 'local'
  if (!drivers.has(named ?? home)) {
    throw new Error(`HUB_EMBEDDING_MODEL is "${model}", but there are only ${[...drivers.keys()].join(', ')}`)
  }

  return {
    defaultModel: model,
    resolve(asked) {
      const slash = asked.indexOf('/')
      const name = asked === 'local' ? 'local' : slash < 0 ? home : asked.slice(0, slash)
      const driver = drivers.get(name)
      if (driver) return driver.resolve(asked.slice(slash + 1))
      throw new HubError({
        status: 404,
        code: 'provider_not_found',
        message: `There is no provider "${name}"; configured: ${[...callable.map((one) => one.name), 'local'].join(', ')}.`,
        param: 'model',
      })
    },
    embed: (target, inputs, options) => drivers.get(target.provider)!.embed(target, inputs, options),
  }
}

const absent: Embedder = {
  defaultModel: 'local',
  resolve() {
    throw new HubError({
      status: 400,
      code: 'provider_not_configured',
      message:
        'This runtime carries no embedding model of its own. Set the key of a provider, such as OPENAI_API_KEY, or TEI_BASE_URL or OLLAMA_HOST, and name a model of it, in HUB_EMBEDDING_MODEL too.',
      param: 'model',
    })
  },
  embed: () => Promise.reject(new Error('unreachable: nothing resolves to it')),
}
