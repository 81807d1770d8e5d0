/** `npm run faults -- events [--events N]` or `-- agents`: what is left after processes were killed at random, as one JSON line. */
import { parseArgs } from 'node:util'
import { findRedisServer } from '../../infra/local-redis/find-redis.ts'
import { runAgentJob } from './agent-job.ts'
import { runEventFaults } from './event-faults.ts'

const { values, positionals } = parseArgs({
  options: { events: { type: 'string', default: '100000' }, 'kill-every': { type: 'string' } },
  allowPositionals: true,
})
const events = Number(values.events)
const killEveryMs = values['kill-every'] === undefined ? undefined : Number(values['kill-every'])
const say = (line: string) => console.error(line)

async function run(): Promise<{ report: object; wrong: number } | undefined> {
  const [what] = positionals
  if ((what !== 'events' && what !== 'agents') || !(events > 0) || Number.isNaN(killEveryMs)) return undefined
  const server = await findRedisServer({ report: say })
  if (what === 'events') {
    const report = await runEventFaults({ events, killEveryMs, server, report: say })
    return { report, wrong: report.lost + report.rewritten + report.failed }
  }
  const report = await runAgentJob({ killEveryMs, server, report: say })
  const { tasks, done, questions, cited, gaps, doubled, untold, stuck } = report
  return { report, wrong: tasks - done + questions - cited + gaps + doubled + untold + stuck }
}

const ran = await run()
if (ran) console.log(JSON.stringify(ran.report))
else console.error('npm run faults -- events [--events N] | agents [--kill-every MS]')
if (!ran || ran.wrong > 0) process.exitCode = 1
