import type { Finding } from '../doctor/finding.ts'
import { type Command, EXIT } from './command.ts'
import { dim, printJson, shown, styled } from './output.ts'

const STYLES = { ok: 'green', warning: 'yellow', fault: 'red' } as const

export const doctor: Command = {
  usage: '[--json]',
  about: 'checks the environment, Redis, providers and the port, and says what to do',
  options: { json: { type: 'boolean', about: 'for programs: JSON on stdout and nothing else' } },
  examples: ['doctor', 'doctor --json'],

  /** 1 with any fault. */
  async run({ env, values }) {
    // It knows every driver: other commands need not wait until all that is loaded.
    const { diagnose } = await import('../doctor/diagnose.ts')
    const findings = await diagnose(env)
    const count = (level: Finding['level']) => findings.filter((finding) => finding.level === level).length
    const faults = count('fault')
    if (values.json) printJson({ faults, warnings: count('warning'), findings })
    else {
      for (const finding of findings) print(finding)
      console.log(`\n${counted(faults, 'fault')}, ${counted(count('warning'), 'warning')}.`)
    }
    return faults > 0 ? EXIT.failed : EXIT.ok
  },
}

function print({ check, level, message, cure }: Finding) {
  console.log(`${styled(STYLES[level], level.padEnd(8))} ${check}: ${shown(message)}`)
  if (cure) for (const line of shown(cure).split('\n')) console.log(`${' '.repeat(9)}${dim('→')} ${line}`)
}

const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`
