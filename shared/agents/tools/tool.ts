import type { Caller } from '../../admission.ts'
import type { Waiting } from '../agent.ts'

/** As an agent declares it; `tool-settings.ts` has its schema. */
export type ToolSetting = BuiltInSetting | WebhookToolSetting | McpSetting

interface ToolPolicy {
  timeout_seconds?: number
  /** More attempts where a call may pass: only of idempotent tools. */
  retries?: number
  /** A person must agree to each call. */
  approval?: boolean
  /** It may be called again with the same idempotency key. */
  idempotent?: boolean
  /** Results may be reused for so long. */
  cache_ttl_seconds?: number
}

export interface BuiltInSetting extends ToolPolicy {
  type: 'builtin'
  name: string
  /** Its own: `index` of search, `allow` of http_fetch, … */
  [setting: string]: unknown
}

export interface WebhookToolSetting extends ToolPolicy {
  type: 'webhook'
  name: string
  description?: string
  /** JSON Schema of the arguments. */
  parameters?: Record<string, unknown>
  url: string
  /** Signs by Standard Webhooks; sealed where it is kept. */
  secret?: string
  /** Plain HTTP and addresses that are not public: an admin's to decide. */
  allow_private?: boolean
}

/** All tools of an MCP server, or those that are named. */
export interface McpSetting extends ToolPolicy {
  type: 'mcp'
  url: string
  /** Before the names of its tools; none by default. */
  prefix?: string
  /** `Authorization` and the like; sealed. */
  headers?: Record<string, string>
  allow?: readonly string[]
  allow_private?: boolean
}

/** For whom tools are opened. */
export interface ToolOwner {
  tenant: string
  agent: string
  caller: Caller
  signal: AbortSignal
  defer(work: Promise<unknown>): void
}

/** One call's. */
export interface ToolCallContext extends ToolOwner {
  /** `<agent>/<incarnation>/<step>/<n>`: the same however often the call is made. */
  idempotencyKey: string
  step: number
  signal: AbortSignal
}

/** What a tool wants to happen: it is committed with the step and happens once. */
export type Effect =
  /** To an agent's inbox. */
  | { kind: 'message'; to: string; data: unknown }
  | { kind: 'task'; input: unknown; to?: string; topic?: string }
  /** To a channel: `agent:events`, `agent:logs`, or one of the tenant's own. */
  | { kind: 'publish'; channel: string; type?: string; data: unknown }

export type ToolOutcome =
  | { status: 'ok'; output: string; cached?: boolean; effects?: readonly Effect[]; wait?: Waiting }
  /** Told to the model, which may try something else. */
  | { status: 'error'; output: string }

export interface Tool {
  name: string
  description: string
  /** JSON Schema of its arguments. */
  parameters: Record<string, unknown>
  /** Run again where nobody knows how it ended. */
  idempotent: boolean
  approval: boolean
  /**
   * Checks the arguments and runs, within the tool's timeout, retries, breaker and bounds. Whatever goes wrong with the call is an
   * `error` outcome; throws the signal's reason only, and `RedisUnavailableError`.
   */
  run(args: string, context: ToolCallContext): Promise<ToolOutcome>
}

export interface Tools {
  /** Of an agent, for one step. A server that cannot be asked for its tools is an error of the step: `HubError` 502. */
  open(settings: readonly ToolSetting[], owner: ToolOwner): Promise<ReadonlyMap<string, Tool>>
  /** For Redis: secrets sealed. One that is left out stays as it was. Errors: 400, 501 without HUB_SECRET_KEY. */
  seal(
    tenant: string,
    agent: string,
    settings: readonly ToolSetting[],
    before?: readonly ToolSetting[],
  ): ToolSetting[]
  /** For everybody else: without secrets. */
  hide(settings: readonly ToolSetting[]): ToolSetting[]
}
