/** The command line: `npm run hub -- <command> …`. Speaks to a running hub over HTTP. */
import { parseArgs } from 'node:util'
import { ask } from './cli/ask.ts'
import { type Command, INTERRUPTED, UsageError } from './cli/command.ts'
import { example } from './cli/example.ts'
import { HubReplyError } from './cli/hub-client.ts'
import { importCommand } from './cli/import.ts'
import { ingest } from './cli/ingest.ts'
import { search } from './cli/search.ts'

const commands: Record<string, Command> = { ingest, search, ask, import: importCommand, example }

async function main([name, ...args]: string[]): Promise<number> {
  if (name === undefined || ['help', '--help', '-h'].includes(name)) return help(console.log)
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (!command) {
    console.error(`There is no command \`${name}\`.`)
    help(console.error)
    return 2
  }
  const interruption = new AbortController()
  process.on('SIGINT', () => {
    if (interruption.signal.aborted) process.exit(INTERRUPTED) // they mean it
    interruption.abort()
  })
  try {
    const { positionals, values } = parseArgs({ args, options: command.options, allowPositionals: true })
    const given = values as Record<string, string | boolean | undefined>
    return await command.run({ positionals, values: given, env: process.env, signal: interruption.signal })
  } catch (error) {
    if (interruption.signal.aborted) return INTERRUPTED
    const isUsage =
      error instanceof UsageError || (error as Error & { code?: string }).code?.startsWith('ERR_PARSE_ARGS')
    if (!isUsage && !(error instanceof HubReplyError)) throw error
    console.error((error as Error).message)
    if (isUsage) console.error(`Usage: npm run hub -- ${name} ${command.usage}`)
    return isUsage ? 2 : 1
  }
}

function help(print: (line: string) => void): number {
  print('npm run hub -- <command> [--url http://127.0.0.1:8787] [--key <hub key>] [--json]\n')
  for (const [name, { usage, about }] of Object.entries(commands)) print(`  ${name} ${usage}\n      ${about}`)
  print('\nHUB_URL and HUB_KEY stand in for --url and --key.')
  return 0
}

process.exitCode = await main(process.argv.slice(2))
