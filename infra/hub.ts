/** The command line: `npm run hub -- <command> …`, and `npx redis-ai-hub <command> …` of the package. */
import { parseArgs } from 'node:util'
import packageJson from '../package.json' with { type: 'json' }
import { ask } from './cli/ask.ts'
import { chat } from './cli/chat.ts'
import { type Command, type CommandCall, EXIT, PROGRAM, UsageError } from './cli/command.ts'
import { dead } from './cli/dead.ts'
import { doctor } from './cli/doctor.ts'
import { events } from './cli/events.ts'
import { example } from './cli/example.ts'
import { toFailure } from './cli/failure.ts'
import { printCommandHelp, printHelp } from './cli/help.ts'
import { importCommand } from './cli/import.ts'
import { ingest } from './cli/ingest.ts'
import { keys } from './cli/keys.ts'
import { models } from './cli/models.ts'
import { nearest } from './cli/nearest.ts'
import { styled } from './cli/output.ts'
import { search } from './cli/search.ts'
import { start } from './cli/start.ts'

const commands: Record<string, Command> = {
  ...{ start, doctor, ingest, search, ask, chat, models, keys, events, dead, example },
  import: importCommand,
}

async function main([name = '', ...args]: string[]): Promise<number> {
  if (['--version', '-v', 'version'].includes(name)) {
    console.log(packageJson.version)
    return EXIT.ok
  }
  const asksHelp = ['', 'help', '--help', '-h'].includes(name)
  if (asksHelp && args.length === 0) {
    printHelp(commands, packageJson)
    return EXIT.ok
  }
  const wanted = asksHelp ? args[0]! : name
  const command = Object.hasOwn(commands, wanted) ? commands[wanted] : undefined
  if (!command) {
    const meant = nearest(wanted, Object.keys(commands))
    console.error(`There is no command \`${wanted}\`.${meant ? ` Did you mean \`${meant}\`?` : ''}`)
    console.error(`All of them: ${PROGRAM} help`)
    return EXIT.usage
  }
  if (asksHelp || isHelp(args)) {
    printCommandHelp(wanted, command)
    return EXIT.ok
  }
  return run(name, command, args)
}

/** Not behind `--`, where everything is text. */
const isHelp = (args: readonly string[]) =>
  args.slice(0, args.includes('--') ? args.indexOf('--') : undefined).some((arg) => /^(--help|-h)$/.test(arg))

async function run(name: string, command: Command, args: string[]): Promise<number> {
  const interruption = new AbortController()
  if (!command.ownsSignals) {
    process.on('SIGINT', () => {
      if (interruption.signal.aborted) process.exit(EXIT.interrupted) // they mean it
      interruption.abort()
    })
  }
  try {
    const { positionals, values } = parse(command, args)
    const call = { positionals, values: values as CommandCall['values'], env: process.env }
    return await command.run({ ...call, signal: interruption.signal })
  } catch (error) {
    if (interruption.signal.aborted) return EXIT.interrupted
    const failure = toFailure(error)
    if (!failure) throw error
    const { exit, message, hint, ...about } = failure
    if (args.includes('--json')) {
      console.error(JSON.stringify({ error: { message, ...(hint && { hint }), ...about, exit } }))
      return exit
    }
    console.error(styled('red', message, process.stderr))
    if (hint) console.error(hint)
    if (error instanceof UsageError) {
      console.error(`Usage: ${PROGRAM} ${name} ${command.usage}\nMore: ${PROGRAM} ${name} --help`)
    }
    return exit
  }
}

function parse({ options }: Command, args: string[]) {
  try {
    return parseArgs({ args, options, allowPositionals: true })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (!code?.startsWith('ERR_PARSE_ARGS')) throw error
    const [, unknown] = /^Unknown option '-*([^']*)'/.exec(message) ?? []
    if (unknown === undefined) throw new UsageError(message)
    const meant = nearest(unknown, Object.keys(options))
    throw new UsageError(`There is no option --${unknown}.${meant ? ` Did you mean --${meant}?` : ''}`)
  }
}

/** `… | head`: whoever read has seen enough. */
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.ok)
    throw error
  })
}

process.exitCode = await main(process.argv.slice(2))
