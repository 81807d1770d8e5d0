/** `npm run faults -- events [--events N]`: what is left after processes and Redis were stopped at random, as one JSON line. */
import { parseArgs } from 'node:util'
import { findRedisServer } from '../../infra/local-redis/find-redis.ts'
import { runEventFaults } from './event-faults.ts'

const { values, positionals } = parseArgs({
  options: { events: { type: 'string', default: '100000' } },
  allowPositionals: true,
})
const events = Number(values.events)

if (positionals[0] !== 'events' || !(events > 0)) {
  console.error('npm run faults -- events [--events N]')
  process.exitCode = 1
} else {
  const say = (line: string) => console.error(line)
  const server = await findRedisServer({ report: say })
  const report = await runEventFaults({ events, server, report: say })
  console.log(JSON.stringify(report))
  if (report.lost + report.rewritten + report.failed > 0) process.exitCode = 1
}
