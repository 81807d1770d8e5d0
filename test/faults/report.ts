/** `npm run faults -- events`, `-- agents`, `-- locks`, …: what is left after processes were killed or slots were moved, as one JSON line. */
import { parseArgs } from 'node:util'
import { findRedisServer } from '../../infra/local-redis/find-redis.ts'
import { runAgentJob } from './agent-job.ts'
import { runEventFaults } from './event-faults.ts'
import { runLockTorture } from './lock-torture.ts'
import { reportFailovers, reportLostShard, reportMigration } from './topology-report.ts'

const { values, positionals } = parseArgs({
  options: {
    events: { type: 'string', default: '100000' },
    'kill-every': { type: 'string' },
    seconds: { type: 'string', default: '12' },
    rate: { type: 'string', default: '500' },
  },
  allowPositionals: true,
})
const events = Number(values.events)
const seconds = Number(values.seconds)
const perSecond = Number(values.rate)
const killEveryMs = values['kill-every'] === undefined ? undefined : Number(values['kill-every'])
const say = (line: string) => console.error(line)

const onTopologies = {
  failover: reportFailovers,
  migration: reportMigration,
  'lost-shard': reportLostShard,
}
const USAGE =
  'npm run faults -- events [--events N] | agents [--kill-every MS] | locks [--seconds N] | failover | migration | lost-shard [--rate N]'

async function run(): Promise<{ report: object; wrong: number } | undefined> {
  const [what] = positionals
  if (!['events', 'agents', 'locks', ...Object.keys(onTopologies)].includes(what ?? '')) return undefined
  if (!(events > 0) || !(seconds > 0) || !(perSecond > 0) || Number.isNaN(killEveryMs)) return undefined
  const server = await findRedisServer({ report: say })
  if (what! in onTopologies) {
    return onTopologies[what as keyof typeof onTopologies]({ server, perSecond, report: say })
  }
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
else console.error(USAGE)
if (!ran || ran.wrong > 0) process.exitCode = 1
