import { HubError } from '../errors.ts'
import type { Chat } from '../ports/chat.ts'
import { createChatLocal } from './chat-local.ts'
import { type ChatOpenAIOptions, createChatOpenAI } from './chat-openai.ts'
import { configureProviders, type ProviderOption } from './providers.ts'

export interface ChatOptions extends ChatOpenAIOptions {
  env: Record<string, string | undefined>
  /** `HUB_PROVIDERS`, parsed. */
  providers?: Record<string, ProviderOption>
  /** `HUB_DEFAULT_PROVIDER`; else the first configured one in table order, else `local`. */
  defaultProvider?: string
}

/**
 * Every provider behind one `Chat`: the part of a model's name before the first slash picks the driver.
 *
 * Errors: a default provider that does not exist, and what `configureProviders` throws.
 *
 * @example createChat({ env }).resolve('openai/gpt-4o-mini')
 */
export function createChat({ env, providers, defaultProvider, ...options }: ChatOptions): Chat {
  const configured = configureProviders({ env, providers }).filter(({ chat }) => chat)
  const callable = configured.filter((provider) => provider.missing.length === 0).map(({ name }) => name)
  const drivers = new Map<string, Chat>(
    configured.map((provider) => [provider.name, createChatOpenAI(provider, options)]),
  )
  drivers.set('local', createChatLocal())
  const fallback = defaultProvider || callable[0] || 'local'
  if (!drivers.has(fallback)) {
    throw new Error(
      `HUB_DEFAULT_PROVIDER is "${fallback}", but there are only ${[...drivers.keys()].join(', ')}`,
    )
  }

  return {
    resolve(model) {
      const slash = model.indexOf('/')
      const name = slash < 0 ? ofBare(model) : model.slice(0, slash)
      const driver = drivers.get(name)
      if (driver) return driver.resolve(model.slice(slash + 1))
      throw new HubError({
        status: 404,
        code: 'provider_not_found',
        message: `There is no provider "${name}"; configured: ${[...callable, 'local'].join(', ')}.`,
        param: 'model',
      })
    },
    call: (target, request, callOptions) => drivers.get(target.provider)!.call(target, request, callOptions),
    models: () => [...drivers.values()].flatMap((driver) => driver.models()),
  }

  /** Clients of one maker's write its models without its name. */
  function ofBare(model: string): string {
    const known = configured.find(({ name }) => name === fallback)?.models.has(model)
    const maker = configured.find(({ makes, missing }) => makes?.test(model) && missing.length === 0)
    return known || !maker ? fallback : maker.name
  }
}
