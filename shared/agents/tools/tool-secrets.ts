import { HubError } from '../../errors.ts'
import { noSecretKey, type Secrets } from '../../secrets.ts'
import type { McpSetting, ToolSetting, WebhookToolSetting } from './tool.ts'

type Keeper = WebhookToolSetting | McpSetting

/** Secrets among an agent's tools: Redis holds them sealed, each opens for its own tool only, and nobody is shown them. */
export function createToolSecrets({ secrets }: { secrets?: Secrets }) {
  const contextOf = (tenant: string, agent: string, setting: Keeper) =>
    `agent/${tenant}/${agent}/${setting.type === 'mcp' ? setting.url : setting.name}`

  return {
    /** For Redis. What is left out stays as it was `before`, sealed. Throws 501 without HUB_SECRET_KEY. */
    seal(tenant: string, agent: string, setting: ToolSetting, before: readonly ToolSetting[]): ToolSetting {
      if (setting.type === 'builtin') return setting
      const context = contextOf(tenant, agent, setting)
      const earlier = before.find(
        (one) => one.type === setting.type && contextOf(tenant, agent, one as Keeper) === context,
      )
      const seal = (text: string) => {
        if (!secrets) throw noSecretKey('secrets of tools')
        return secrets.seal(text, context)
      }
      const given = valuesOf(setting)
      if (!given) return withValues(setting, earlier && valuesOf(earlier as Keeper))
      return withValues(setting, mapped(given, seal))
    },

    /** For the tool. Throws 501 where HUB_SECRET_KEY is not the one that sealed them. */
    open(tenant: string, agent: string, setting: ToolSetting): ToolSetting {
      const sealed = setting.type === 'builtin' ? undefined : valuesOf(setting)
      if (setting.type === 'builtin' || !sealed) return setting
      if (!secrets) throw noSecretKey('secrets of tools')
      try {
        return withValues(
          setting,
          mapped(sealed, (text) => secrets.open(text, contextOf(tenant, agent, setting))),
        )
      } catch (cause) {
        const message = `The secrets of the agent’s tools were sealed with another HUB_SECRET_KEY. Put the agent \`${agent}\` again.`
        throw new HubError({ code: 'secret_unreadable', status: 501, message, cause })
      }
    },

    /** For everybody else. */
    hide: (setting: ToolSetting): ToolSetting =>
      setting.type === 'builtin' ? setting : withValues(setting, undefined),
  }
}

type Values = Record<string, string>

const valuesOf = (setting: Keeper): Values | undefined => {
  if (setting.type === 'mcp') return setting.headers
  return setting.secret === undefined ? undefined : { secret: setting.secret }
}

function withValues(setting: Keeper, values: Values | undefined): ToolSetting {
  if (setting.type === 'mcp') {
    const { headers: _, ...rest } = setting
    return values ? { ...rest, headers: values } : rest
  }
  const { secret: _, ...rest } = setting
  return values ? { ...rest, ...values } : rest
}

const mapped = (values: Values, change: (text: string) => string): Values =>
  Object.fromEntries(Object.entries(values).map(([name, text]) => [name, change(text)]))
