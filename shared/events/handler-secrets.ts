import { noSecretKey, type Secrets } from '../secrets.ts'
import type { EventHandlers } from './handlers.ts'
import type { HandlerSettings } from './streams.ts'

export interface HandlerSecretsOptions {
  handlers: EventHandlers
  secrets?: Secrets
}

/** Secrets among a handler's settings: Redis holds them sealed, and nobody is shown them. */
export function createHandlerSecrets({ handlers, secrets }: HandlerSecretsOptions) {
  const namesOf = ({ type }: HandlerSettings) =>
    (Object.hasOwn(handlers, type) ? handlers[type]?.secrets : undefined) ?? []
  const contextOf = (tenant: string, { type }: HandlerSettings, name: string) =>
    `handler/${tenant}/${type}/${name}`

  return {
    /** For Redis. One that is left out stays as it was before, under the same handler. Throws 501 without HUB_SECRET_KEY. */
    seal(tenant: string, settings: HandlerSettings, before?: HandlerSettings): HandlerSettings {
      const sealed = { ...settings }
      for (const name of namesOf(settings)) {
        const text = settings[name]
        const kept = before?.type === settings.type ? before[name] : undefined
        if (typeof text === 'string') {
          if (!secrets) throw noSecretKey('secrets of handlers')
          sealed[name] = { sealed: secrets.seal(text, contextOf(tenant, settings, name)) }
        } else if (kept !== undefined) sealed[name] = kept
      }
      return sealed
    },

    /** For the handler. Throws where HUB_SECRET_KEY is not the one that sealed them. */
    open(tenant: string, settings: HandlerSettings): HandlerSettings {
      const opened = { ...settings }
      for (const name of namesOf(settings)) {
        const held = settings[name]
        if (!isSealed(held)) continue
        if (!secrets) throw noSecretKey('secrets of handlers')
        opened[name] = secrets.open(held.sealed, contextOf(tenant, settings, name))
      }
      return opened
    },

    /** For everybody else. */
    hide(settings: HandlerSettings): HandlerSettings {
      const names = namesOf(settings)
      return Object.fromEntries(
        Object.entries(settings).filter(([name]) => !names.includes(name)),
      ) as HandlerSettings
    },
  }
}

export type HandlerSecrets = ReturnType<typeof createHandlerSecrets>

const isSealed = (value: unknown): value is { sealed: string } =>
  typeof value === 'object' && value !== null && typeof (value as { sealed?: unknown }).sealed === 'string'
