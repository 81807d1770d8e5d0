/** `npm run faults -- events [--events N]`, `-- agents` or `-- locks`: what is left after processes were killed at random, as one JSON line. */
import { parseArgs } from 'node:util'
import { findRedisServer } from '../../infra/local-redis/find-redis.ts'
import { runAgentJob } from './agent-job.ts'
import { runEventFaults } from './event-faults.ts'
import { runLockTorture } from './lock-torture.ts'

const { values, positionals } = parseArgs({
  options: {
    events: { type: 'string', default: '100000' },
    'kill-every': { type: 'string' },
    seconds: { type: 'string', default: '12' },
  },
  allowPositionals: true,
})
const events = Number(values.events)
const seconds = Number(values.seconds)
const killEveryMs = values['kill-every'] === undefined ? undefined : Number(values['kill-every'])
const say = (line: string) => console.error(line)

async function run(): Promise<{ report: object; wrong: number } | undefined> {
  const [what] = positionals
  if (!['events', 'agents', 'locks'].includes(what ?? '')) return undefined
  if (!(events > 0) || !(seconds > 0) || Number.isNaN(killEveryMs)) return undefined
  const server = await findRedisServer({ report: say })
  if (what === 'events') {
    const report = await runEventFaults({ events, killEveryMs, server, report: say })
    return { report, wrong: report.lost + report.rewritten + report.failed }
  }
  if (what === 'locks') {
    const report = await runLockTorture({ seconds, server, report: say })
    return { report, wrong: report.stale_accepted + report.tokens_wrong + report.held_twice }
  }
  const report = await runAgentJob({ killEveryMs, server, report: say })
  const { tasks, done, questions, cited, gaps, doubled, untold, stuck } = report
  return { report, wrong: tasks - done + questions - cited + gaps + doubled + untold + stuck }
}

const ran = await run()
if (ran) console.log(JSON.stringify(ran.report))
else console.error('npm run faults -- events [--events N] | agents [--kill-every MS] | locks [--seconds N]')
if (!ran || ran.wrong > 0) process.exitCode = 1
