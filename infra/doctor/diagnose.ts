import { setTimeout as sleep } from 'node:timers/promises'
import { checkEnvironment } from './environment.ts'
import { type Finding, fault } from './finding.ts'
import { checkPort, checkRunningHub } from './hub.ts'
import { checkProviders } from './providers.ts'
import { checkStores } from './stores.ts'
import { checkUpstashVector } from './upstash-vector.ts'

/** No check takes longer. */
const LONGEST_MS = 20_000

/**
 * Looks at everything that a hub of this environment would need: side by side, and without starting one. Changes nothing but a key
 * that lives for a second.
 */
export async function diagnose(variables: Record<string, string | undefined>): Promise<Finding[]> {
  const { env, findings } = checkEnvironment(variables)
  if (!env) return findings
  const checks: Record<string, Promise<Finding[]>> = {
    Redis: checkStores(env),
    'Upstash Vector': checkUpstashVector(env),
    Providers: checkProviders(env, variables),
    Port: checkPort(env),
    Hub: checkRunningHub(variables),
  }
  const late = new AbortController()
  const all = Object.entries(checks).map(([check, findings]) =>
    Promise.race([
      findings,
      sleep(LONGEST_MS, undefined, { signal: late.signal, ref: false }).then(() => undefined),
    ])
      .catch((error: Error) => [
        fault(check, `The check itself failed: ${error.message}`, 'Tell the maintainers of the hub.'),
      ])
      .then(
        (found) =>
          found ?? [
            fault(check, `No end after ${LONGEST_MS / 1_000} s.`, 'See whether its server answers at all.'),
          ],
      ),
  )
  const found = await Promise.all(all)
  late.abort()
  return [...findings, ...found.flat()]
}
