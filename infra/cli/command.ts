export interface CommandCall {
  positionals: string[]
  values: Record<string, string | boolean | string[] | undefined>
  env: Record<string, string | undefined>
  /** Aborted by Ctrl-C. */
  signal: AbortSignal
}

export interface CommandOption {
  type: 'string' | 'boolean'
  /** May be given several times. */
  multiple?: boolean
  /** What stands behind it in the help: `name`. */
  value?: string
  about?: string
}

export interface Command {
  /** Behind the command's name. */
  usage: string
  about: string
  /** `--json` of any of them: one document on stdout, or one a line, and nothing else. */
  options: Record<string, CommandOption>
  /** Whole lines behind the command's name, for its help. */
  examples?: readonly string[]
  /** It ends itself when it is told to (SIGINT, SIGTERM), rather than by `signal`. */
  ownsSignals?: boolean
  /** Resolves to the exit code. Throws `UsageError` for what the caller can mend. */
  run(call: CommandCall): Promise<number>
}

/** What the caller of the command must do otherwise: shown without a stack. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** How commands end; infra/docs/command-line.md explains them. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  refused: 4,
  notFound: 5,
  busy: 6,
  interrupted: 130,
} as const

/** As it is run here: from the sources, or from the package. */
export const PROGRAM = import.meta.filename.endsWith('.ts') ? 'npm run hub --' : 'npx redis-ai-hub'

/** Of every command that talks to a hub. */
export const hubOptions = {
  url: { type: 'string', value: 'url', about: 'of the hub; HUB_URL, else http://127.0.0.1:8787' },
  key: { type: 'string', value: 'key', about: 'a hub key; better in HUB_KEY, which `ps` does not show' },
  timeout: { type: 'string', value: 'seconds', about: 'longest wait for an answer; 300 by default' },
  json: { type: 'boolean', about: 'for programs: JSON on stdout and nothing else' },
} as const satisfies Record<string, CommandOption>

export function textOption({ values }: CommandCall, name: string): string | undefined {
  const value = values[name]
  return typeof value === 'string' ? value : undefined
}

export function requiredOption(call: CommandCall, name: string, about: string): string {
  const value = textOption(call, name)
  if (value === undefined) throw new UsageError(`--${name} is missing: ${about}.`)
  return value
}

/** All that were given, also several in one: `--scopes ask,search`. */
export function listOption({ values }: CommandCall, name: string): string[] | undefined {
  const value = values[name]
  if (!Array.isArray(value)) return undefined
  return value.flatMap((one) => one.split(',')).map((one) => one.trim())
}

/** A positive number. */
export function numberOption(call: CommandCall, name: string): number | undefined {
  const text = textOption(call, name)
  if (text === undefined) return undefined
  const number = Number(text)
  if (text.trim() === '' || !Number.isFinite(number) || number <= 0)
    throw new UsageError(`--${name}: ${text} is no number above 0.`)
  return number
}
