import type { ToolCallContext, ToolOutcome } from './tool.ts'

/** Arguments of a call, as their schema says. */
// biome-ignore lint/suspicious/noExplicitAny: checked by a schema that the compiler does not see
export type Args = Record<string, any>

/** What a tool does, and how it may be called: `tool-run.ts` makes a tool of it. */
export interface Action {
  name: string
  description: string
  /** JSON Schema. */
  parameters: Record<string, unknown>
  timeoutMs: number
  retries: number
  idempotent: boolean
  approval: boolean
  cacheTtlSeconds?: number
  /** What a result depends on besides tenant and arguments: the declaration, and whose credentials. */
  identity: unknown
  /** Name of the function that it stands for: the caller's key must have that scope too. */
  scope?: string
  /** Whom it calls, where that is another server: it has a breaker. */
  host?(args: Args): string | undefined
  /** Throws `HubError`: its status says whether the call may pass. */
  invoke(args: Args, context: ToolCallContext): Promise<ToolOutcome>
}

export const ok = (output: unknown): ToolOutcome => ({
  status: 'ok',
  output: typeof output === 'string' ? output : JSON.stringify(output),
})

export const failed = (output: string): ToolOutcome => ({ status: 'error', output })
