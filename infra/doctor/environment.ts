import { isIP } from 'node:net'
import { z } from 'zod'
import { table } from '../../functions/index.ts'
import { Env } from '../env.ts'
import { type Finding, fault, ok, warning } from './finding.ts'

type Variables = Record<string, string | undefined>

const LEAST_SECRET = 16

/** Bad variables are left out of `env`, so that the other checks go on; undefined where that does not help. */
export function checkEnvironment(variables: Variables): { env: Env | undefined; findings: Finding[] } {
  const findings = [nodeVersion()]
  const set = Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== ''))
  let parsed = Env.safeParse(set)
  if (parsed.success) findings.push(ok('Environment', 'Every variable can be read.'))
  const named = new Set<string>()
  // Conditions between variables are looked at once each by itself is right.
  for (let round = 0; !parsed.success && round < 3; round++) {
    for (const { path, message } of parsed.error.issues) {
      const name = String(path[0])
      if (!named.has(name)) findings.push(badVariable(name, z.core.toDotPath(path), message))
      named.add(name)
      delete set[name]
      if (message.includes('is missing')) for (const other of partnersOf(name)) delete set[other]
    }
    parsed = Env.safeParse(set)
  }
  if (!parsed.success) return { env: undefined, findings }
  findings.push(...unknownFunctions(parsed.data), ...secrets(parsed.data))
  return { env: parsed.data, findings }
}

function badVariable(name: string, path: string, message: string): Finding {
  const about = (Env.shape as Record<string, z.ZodType | undefined>)[name]?.description
  return fault(
    'Environment',
    `${path}: ${message}`,
    `Set ${name} right, or remove it.${about ? ` ${about}` : ''}`,
  )
}

/** What a token belongs to, and the other way round. */
const partnersOf = (name: string) => [name.replace(/_TOKEN$/, '_URL'), name.replace(/_URL$/, '_TOKEN')]

function nodeVersion(): Finding {
  const { node } = process.versions
  const major = Number.parseInt(node, 10)
  if (major >= 24) return ok('Node', `Version ${node}.`)
  return warning(
    'Node',
    `Version ${node}: the hub is made for 24.`,
    'Start it by `npm start`, which brings Node 24 along, or install Node 24.',
  )
}

function unknownFunctions({ FUNCTIONS = [] }: Env): Finding[] {
  const unknown = FUNCTIONS.filter((name) => !Object.hasOwn(table, name))
  if (unknown.length === 0) return []
  return [
    fault(
      'Functions',
      `FUNCTIONS names ${unknown.join(', ')}, which there is not.`,
      `Choose of ${Object.keys(table).join(', ')}.`,
    ),
  ]
}

function secrets(env: Env): Finding[] {
  const findings: Finding[] = []
  if (!env.HUB_ADMIN_KEY && !isLoopback(env.HOST)) {
    findings.push(
      fault(
        'Keys',
        `HOST is ${env.HOST} and HUB_ADMIN_KEY is not set: the hub will not start where others can reach it.`,
        'Set HUB_ADMIN_KEY to a long random text (`openssl rand -base64 32`), or HOST to 127.0.0.1.',
      ),
    )
  }
  for (const name of ['HUB_ADMIN_KEY', 'HUB_KEY_SECRET', 'HUB_SECRET_KEY'] as const) {
    const length = env[name]?.length ?? LEAST_SECRET
    if (length < LEAST_SECRET) {
      const cure = `Make it ${LEAST_SECRET} random characters or more: \`openssl rand -base64 32\`.`
      findings.push(warning('Keys', `${name} is short: ${length} characters can be guessed.`, cure))
    }
  }
  if (findings.length > 0) return findings
  return [
    ok(
      'Keys',
      env.HUB_ADMIN_KEY ? 'HUB_ADMIN_KEY is set.' : 'No HUB_ADMIN_KEY: the hub serves this machine only.',
    ),
  ]
}

const isLoopback = (host: string) =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
