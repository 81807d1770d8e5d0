import { configureProviders } from '../shared/drivers/providers.ts'
import { PROGRAM } from './cli/command.ts'
import type { Env } from './env.ts'

export interface GreetingOptions {
  url: string
  env: Env
  variables: Record<string, string | undefined>
  /** Whether the pages of the face were built. */
  hasPages: boolean
}

/** What an operator wants to know once the hub serves. */
export function greeting({ url, env, variables, hasPages }: GreetingOptions): string[] {
  const named = Object.keys(env.HUB_PROVIDERS ?? {})
  const providers = configureProviders({ env: variables, providers: env.HUB_PROVIDERS })
    .filter(({ name, key, missing }) => (key || named.includes(name)) && missing.length === 0)
    .map(({ name }) => name)
  const served = (name: string) => hasPages && (env.FUNCTIONS?.includes(name) ?? true)
  return [
    ...(served('face') ? [`  Dashboard  ${url}/`, `  Reference  ${url}/docs`] : []),
    providers.length > 0
      ? `  Providers  ${providers.join(', ')}`
      : '  Providers  none: `local` answers, by quoting. Set OPENAI_API_KEY (or another’s key) and start again for a real model',
    env.HUB_ADMIN_KEY
      ? '  Access     with a key: `keys create` makes one with HUB_ADMIN_KEY'
      : '  Access     from this machine, without a key. To serve others set HUB_ADMIN_KEY and HOST',
    `  Try it     ${PROGRAM} ingest <folder> --index docs`,
    `             ${PROGRAM} ask "<question>" --index docs`,
    '  Stop       Ctrl-C',
  ]
}
