import type { ParseArgsOptionsConfig } from 'node:util'

export interface CommandCall {
  positionals: string[]
  values: Record<string, string | boolean | undefined>
  env: Record<string, string | undefined>
  /** Aborted by Ctrl-C. */
  signal: AbortSignal
}

export interface Command {
  /** Behind the command's name. */
  usage: string
  about: string
  options: ParseArgsOptionsConfig
  /** Resolves to the exit code. Throws `UsageError` for what the caller can mend. */
  run(call: CommandCall): Promise<number>
}

/** What the caller of the command must do otherwise: shown without a stack. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** Of every command that talks to a hub. */
export const hubOptions = {
  url: { type: 'string' },
  key: { type: 'string' },
  json: { type: 'boolean' },
} as const satisfies ParseArgsOptionsConfig

export const INTERRUPTED = 130

export function textOption({ values }: CommandCall, name: string): string | undefined {
  const value = values[name]
  return typeof value === 'string' ? value : undefined
}

export function requiredOption(call: CommandCall, name: string, about: string): string {
  const value = textOption(call, name)
  if (value === undefined) throw new UsageError(`--${name} is missing: ${about}.`)
  return value
}
