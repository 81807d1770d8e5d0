import type { CacheRoom } from '../../cache-room.ts'
import { HubError } from '../../errors.ts'
import type { Oip } from '../../inference/oip.ts'
import type { Breakers } from '../../models/breakers.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Outgoing } from '../../ports/outgoing.ts'
import type { Redis } from '../../ports/redis.ts'
import type { Secrets } from '../../secrets.ts'
import type { BuiltIn, BuiltIns } from './built-in.ts'
import { effectTools } from './built-in-effects.ts'
import { fetchTools } from './built-in-fetch.ts'
import { inferTools } from './built-in-infer.ts'
import { type MemoryToolsOptions, memoryTools } from './built-in-memory.ts'
import { type RetrievalToolsOptions, retrievalTools } from './built-in-retrieval.ts'
import { createMcpClient } from './mcp-client.ts'
import { createMcpTools } from './mcp-tools.ts'
import type { BuiltInSetting, Tool, ToolOwner, ToolSetting, Tools } from './tool.ts'
import type { Action } from './tool-action.ts'
import { createToolBreaker } from './tool-breaker.ts'
import { createToolCache } from './tool-cache.ts'
import { createToolRunner, type ToolRunnerOptions } from './tool-run.ts'
import { createToolSecrets } from './tool-secrets.ts'
import { type BuiltInName, type BuiltInTool, isIdempotent, nameOf } from './tool-settings.ts'
import { webhookAction } from './tool-webhook.ts'

export interface ToolsOptions extends RetrievalToolsOptions, MemoryToolsOptions {
  redis: Redis
  /** Of results that may be reused. */
  cacheRedis: Redis
  room: CacheRoom
  outgoing: Outgoing
  breakers: Breakers
  clock: Clock
  secrets?: Secrets
  /** Where the hub runs models. */
  oip?: Pick<Oip, 'answerJson'>
  onError: ToolRunnerOptions['onError']
}

const TIMEOUT_SECONDS = 30

/** What agents may call: tools of the hub, and their owners' own by webhook or MCP. Settings alone say which there are. */
export function createTools(options: ToolsOptions): Tools {
  const { outgoing, clock, oip, onError } = options
  const guard = createToolBreaker(options)
  const cache = createToolCache(options)
  const toTool = createToolRunner({ guard, cache, onError })
  const mcpActions = createMcpTools({ client: createMcpClient({ outgoing }), guard, cache })
  const secrets = createToolSecrets(options)
  const builtIns: BuiltIns = {
    ...retrievalTools(options),
    ...memoryTools(options),
    ...effectTools(options),
    ...fetchTools(options),
    ...(oip && inferTools(oip)),
  }

  async function toolsOf(given: ToolSetting, owner: ToolOwner): Promise<Tool[]> {
    const setting = secrets.open(owner.tenant, owner.agent, given)
    const policy = policyOf(setting)
    if (setting.type === 'mcp')
      return (await mcpActions(setting, policy.timeoutMs, owner)).map((action) =>
        toTool({ ...action, ...policy }),
      )
    if (setting.type === 'webhook')
      return [toTool({ ...webhookAction(setting, { outgoing, clock }), ...policy })]
    const found: BuiltIn<BuiltInTool> | undefined = builtIns[setting.name as BuiltInName]
    return found ? [toTool({ ...toAction(found, setting, owner.agent), ...policy })] : []
  }

  return {
    async open(settings, owner) {
      const opened = await Promise.all(
        settings.map(async (setting) => ({ setting, tools: await toolsOf(setting, owner) })),
      )
      // A server may not take the place of what the agent's owner named, nor of an earlier server's tool.
      const named = opened.filter(({ setting }) => setting.type !== 'mcp')
      const listed = opened.filter(({ setting }) => setting.type === 'mcp')
      const tools = new Map<string, Tool>()
      for (const tool of [...named, ...listed].flatMap(({ tools }) => tools))
        if (!tools.has(tool.name)) tools.set(tool.name, tool)
      return tools
    },

    seal(tenant, agent, settings, before = []) {
      return settings.map((setting, i) => {
        if (setting.type === 'builtin' && !builtIns[setting.name as BuiltInName])
          throw invalid(`tools[${i}].name`, `this hub has no tool \`${setting.name}\``)
        if (setting.type !== 'builtin')
          checkUrl(setting.url, setting.allow_private ?? false, `tools[${i}].url`)
        return secrets.seal(tenant, agent, setting, before)
      })
    },

    hide: (settings) => settings.map(secrets.hide),
  }

  /** What can be told of a URL before it is called. */
  function checkUrl(url: string, allowPrivate: boolean, param: string) {
    try {
      outgoing.check(new URL(url), allowPrivate)
    } catch (error) {
      throw invalid(param, (error as Error).message)
    }
  }
}

function toAction(
  { scope, description, parameters, host, invoke }: BuiltIn<BuiltInTool>,
  setting: BuiltInSetting,
  agent: string,
): Omit<Action, keyof ReturnType<typeof policyOf>> {
  // Its fields were checked as those of its name.
  const own = setting as BuiltInTool
  const { timeout_seconds, retries, idempotent, approval, cache_ttl_seconds, ...declared } = own
  return {
    ...{ scope, host, name: nameOf(setting)!, description: own.description ?? description },
    parameters: parameters(own),
    identity: [agent, declared],
    invoke: (args, context) => invoke(args, own, context),
  }
}

const policyOf = (setting: ToolSetting) => ({
  timeoutMs: (setting.timeout_seconds ?? TIMEOUT_SECONDS) * 1_000,
  retries: setting.retries ?? 0,
  idempotent: isIdempotent(setting),
  approval: setting.approval ?? false,
  cacheTtlSeconds: setting.cache_ttl_seconds,
})

const invalid = (param: string, what: string) =>
  new HubError({ code: 'invalid_value', status: 400, message: `${param}: ${what}.`, param })
