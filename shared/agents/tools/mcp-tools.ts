import { LRUCache } from 'lru-cache'
import { canonicalJson } from '../../completions/completion-hash.ts'
import { HubError } from '../../errors.ts'
import { keyOf, type McpClient, type McpServer, type McpTool } from './mcp-client.ts'
import type { McpSetting, ToolOutcome, ToolOwner } from './tool.ts'
import { type Action, failed, ok } from './tool-action.ts'
import type { ToolBreaker } from './tool-breaker.ts'
import { fingerprint, type ToolCache } from './tool-cache.ts'

export interface McpToolsOptions {
  client: McpClient
  guard: ToolBreaker
  cache: ToolCache
}

/** How long a server's list is trusted: here, and by all instances. */
const HERE_MS = 60_000
const SHARED_SECONDS = 300
/** Of one server; providers take no more in all. */
const MOST_TOOLS = 128
const MOST_DESCRIPTION = 4_000

type McpAction = Pick<Action, 'name' | 'description' | 'parameters' | 'identity' | 'host' | 'invoke'>

/**
 * The tools of an MCP server that the setting lets in, under names that models' providers take.
 *
 * Errors: `HubError` 502 or 503 where the server cannot be asked for its tools.
 */
export function createMcpTools({ client, guard, cache }: McpToolsOptions) {
  const lists = new LRUCache<string, McpTool[]>({ max: 500, ttl: HERE_MS, ttlResolution: 0 })

  async function listOf(server: McpServer, timeoutMs: number, owner: ToolOwner): Promise<McpTool[]> {
    const key = keyOf(server)
    const here = lists.get(key)
    if (here) return here
    const name = fingerprint('tools', key)
    const shared = await cache.read<McpTool[]>(owner.tenant, name, owner.signal)
    const list = shared ?? (await ask(server, timeoutMs, owner))
    if (!shared) owner.defer(cache.write(owner.tenant, name, list, SHARED_SECONDS))
    lists.set(key, list)
    return list
  }

  async function ask(server: McpServer, timeoutMs: number, owner: ToolOwner): Promise<McpTool[]> {
    const late = AbortSignal.timeout(timeoutMs)
    const signal = AbortSignal.any([owner.signal, late])
    try {
      return await guard(server.url.host, owner, () => client.listTools(server, { signal }).catch(refuse))
    } catch (error) {
      owner.signal.throwIfAborted()
      if (!(error instanceof HubError)) throw error
      throw unlisted(server, error.message, error)
    }

    function refuse(error: unknown): never {
      owner.signal.throwIfAborted()
      if (!late.aborted) throw error
      const message = `It took more than ${timeoutMs / 1_000} s`
      throw new HubError({ code: 'tool_timeout', status: 504, message, cause: error })
    }
  }

  return async function mcpActions(
    setting: McpSetting,
    timeoutMs: number,
    owner: ToolOwner,
  ): Promise<McpAction[]> {
    const { allow, prefix = '', headers = {}, allow_private: allowPrivate = false } = setting
    const server: McpServer = { tenant: owner.tenant, url: new URL(setting.url), headers, allowPrivate }
    const all = await listOf(server, timeoutMs, owner)
    const tools = allow ? all.filter(({ name }) => allow.includes(name)) : all
    if (tools.length > MOST_TOOLS)
      throw unlisted(server, `It has ${tools.length} tools; name at most ${MOST_TOOLS} of them in \`allow\`.`)
    return tools.map((tool): McpAction => {
      const { name, description = '', inputSchema } = tool
      return {
        name: `${prefix}${name}`.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 64),
        description: description.slice(0, MOST_DESCRIPTION),
        parameters: inputSchema,
        identity: ['mcp', keyOf(server), name, inputSchema],
        host: () => server.url.host,
        async invoke(args, { idempotencyKey, signal }) {
          const _meta = { [IDEMPOTENCY_KEY]: idempotencyKey }
          return toOutcome(await client.callTool(server, tool, { arguments: args, _meta, signal }))
        },
      }
    })
  }
}

/** In `_meta`: MCP has no word of its own for it. */
const IDEMPOTENCY_KEY = 'redis-ai-hub/idempotency-key'

type Result = Awaited<ReturnType<McpClient['callTool']>>

/** What of a result is text; of the rest, that it is there. */
function toOutcome({ content, structuredContent, isError }: Result): ToolOutcome {
  const texts = content.map((part) => {
    if (part.type === 'text') return part.text
    if (part.type === 'resource')
      return 'text' in part.resource ? part.resource.text : `[${part.resource.uri}, not shown]`
    if (part.type === 'resource_link') return `[${part.name}: ${part.uri}]`
    return `[${part.mimeType}, not shown]`
  })
  // Servers mostly say it as text too.
  if (structuredContent !== undefined && !texts.some((text) => isSame(text, structuredContent)))
    texts.push(JSON.stringify(structuredContent))
  const output = texts.join('\n')
  return isError ? failed(output || 'The tool failed and did not say why.') : ok(output || 'Done.')
}

function isSame(text: string, value: unknown): boolean {
  try {
    return canonicalJson(JSON.parse(text)) === canonicalJson(value)
  } catch {
    return false
  }
}

const unlisted = ({ url }: McpServer, why: string, cause?: HubError) =>
  new HubError({
    ...{
      code: 'tool_server_failed',
      status: 502,
      message: `${url.host} cannot be asked for its tools: ${why}`,
      cause,
    },
    retryAfterSeconds: cause?.options.retryAfterSeconds,
  })
