import { type Command, PROGRAM } from './command.ts'
import { dim, styled } from './output.ts'

export function printHelp(
  commands: Record<string, Command>,
  { version, description }: { version: string; description: string },
) {
  console.log(`${styled('bold', `redis-ai-hub ${version}`)}\n${description}\n`)
  console.log(`  ${PROGRAM} <command> [options]\n`)
  const width = Math.max(...Object.keys(commands).map((name) => name.length))
  for (const [name, { about }] of Object.entries(commands)) {
    console.log(`  ${styled('cyan', name.padEnd(width))}  ${about}`)
  }
  console.log(`
Options and examples of a command: ${PROGRAM} <command> --help
HUB_URL names the hub (http://127.0.0.1:8787 by default), HUB_KEY holds the key. --json is for programs.
Exit codes: 0 done, 1 failed, 2 not asked rightly, 3 no hub, 4 refused, 5 not found, 6 busy, 130 interrupted.`)
}

export function printCommandHelp(name: string, { usage, about, options, examples = [] }: Command) {
  console.log(`${PROGRAM} ${name} ${usage}\n\n${about}\n`)
  const named = Object.entries(options).map(
    ([option, { value }]) => `--${option}${value ? ` <${value}>` : ''}`,
  )
  const width = Math.max(...named.map((text) => text.length))
  for (const [n, { about = '' }] of Object.values(options).entries()) {
    console.log(`  ${styled('cyan', named[n]!.padEnd(width))}  ${about}`.trimEnd())
  }
  if (examples.length > 0) console.log(`\n${dim('Such as:')}`)
  for (const example of examples) console.log(`  ${PROGRAM} ${example}`)
}
