import { LRUCache } from 'lru-cache'
import { HubError } from '../errors.ts'
import type { Chat } from '../ports/chat.ts'
import { createChatLocal } from './chat-local.ts'
import { type ChatOpenAIOptions, createChatOpenAI } from './chat-openai.ts'
import { configureProviders, type Provider, type ProviderOption } from './providers.ts'

export interface ChatLanesOptions extends ChatOpenAIOptions {
  env: Record<string, string | undefined>
  /** `HUB_PROVIDERS`, parsed. */
  providers?: Record<string, ProviderOption>
}

export interface Lane {
  provider: string
  /** In place of the environment's. */
  apiKey?: string
  /** What an operator looks up when the provider refuses the key. */
  keyName?: string
  /** Longest wait for the head of an answer. */
  connectMs?: number
}

/**
 * Providers with another credential than the environment's, or with a bound on connecting.
 *
 * Errors: `HubError` `provider_not_found` (404).
 *
 * @example createChatLanes({ env })({ provider: 'openai', apiKey }).resolve('gpt-4o-mini')
 */
export function createChatLanes({ env, providers, fetch, ...options }: ChatLanesOptions) {
  const configured = new Map(
    configureProviders({ env, providers })
      .filter(({ chat }) => chat)
      .map((one) => [one.name, one]),
  )
  const lanes = new LRUCache<string, Chat>({ max: 1_000 })
  const local = createChatLocal()

  return function laneOf(lane: Lane): Chat {
    if (lane.provider === 'local') return local
    const id = JSON.stringify([lane.provider, lane.apiKey, lane.keyName, lane.connectMs])
    const known = lanes.get(id)
    if (known) return known
    const base = fetch ?? globalThis.fetch
    const made = createChatOpenAI(providerOf(lane), {
      ...options,
      fetch: lane.connectMs === undefined ? fetch : connectingWithin(lane.connectMs, lane.provider, base),
    })
    lanes.set(id, made)
    return made
  }

  function providerOf({ provider: name, apiKey, keyName }: Lane): Provider {
    const provider = configured.get(name)
    if (!provider) throw notFound(name, [...configured.keys()])
    if (apiKey === undefined) return provider
    // Once more, with the key where the environment has it: without one a provider has no address yet.
    const variables = provider.keyVariable ? { ...env, [provider.keyVariable]: apiKey } : env
    const found = configureProviders({ env: variables, providers }).find((one) => one.name === name)!
    // The environment's organisation and project are those of its own key.
    return { ...found, key: apiKey, headers: {}, keyVariable: keyName }
  }
}

function connectingWithin(limitMs: number, name: string, send: typeof fetch): typeof fetch {
  return async (input, init) => {
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(), limitMs)
    const signal = init?.signal ? AbortSignal.any([init.signal, late.signal]) : late.signal
    try {
      return await send(input, { ...init, signal })
    } catch (cause) {
      if (!late.signal.aborted) throw cause
      const message = `${name} did not begin to answer within ${limitMs} ms.`
      throw new HubError({ status: 504, code: 'provider_timeout', message, cause })
    } finally {
      clearTimeout(timer)
    }
  }
}

function notFound(name: string, names: string[]) {
  const message = `There is no provider "${name}". There are: ${[...names, 'local'].join(', ')}.`
  return new HubError({ status: 404, code: 'provider_not_found', message, param: 'model' })
}
