import { loadavg } from 'node:os'
import type { RedisServer } from '../../infra/local-redis/redis-server.ts'
import { type FailoverOptions, runFailover } from './failover.ts'
import { runLostShard } from './lost-shard.ts'
import { runMigration } from './migration.ts'
import type { byKind } from './paced-load.ts'

interface Given {
  server: RedisServer
  perSecond: number
  report: (line: string) => void
}

interface Ran {
  report: object
  wrong: number
}

/** As they come, with a cable that breaks first, and with that and a primary that then refuses writes. */
const FAILOVERS: Pick<FailoverOptions, 'topology' | 'cutMs' | 'config'>[] = [
  { topology: 'sentinel' },
  { topology: 'cluster' },
  { topology: 'sentinel', cutMs: 300 },
  { topology: 'cluster', cutMs: 300 },
  { topology: 'sentinel', cutMs: 300, config: 'min-replicas-to-write 1' },
]

export async function reportFailovers(given: Given): Promise<Ran> {
  const reports = []
  let wrong = 0
  for (const { config, ...one } of FAILOVERS) {
    given.report(`\n${JSON.stringify({ ...one, config })}, load average ${loadavg()[0]?.toFixed(1)}`)
    const ran = await runFailover({ ...given, ...one, config })
    given.report(table(ran.kinds))
    const { kinds: _, log: __, ...rest } = ran
    given.report(JSON.stringify(rest, undefined, 1))
    reports.push({ ...ran, config })
    wrong += ran.lost_outside + ran.unanswered + sum(ran.wrong)
  }
  return { report: { runs: reports }, wrong }
}

export async function reportMigration(given: Given): Promise<Ran> {
  given.report(`Load average ${loadavg()[0]?.toFixed(1)}`)
  const report = await runMigration(given)
  given.report(table(report.kinds))
  return { report, wrong: report.failed + report.lost + sum(report.wrong) }
}

export async function reportLostShard(given: Given): Promise<Ran> {
  const runs = []
  for (const coverage of ['yes', 'no'] as const) {
    const report = await runLostShard({ ...given, coverage })
    given.report(`cluster-require-full-coverage ${coverage}\n${table(report.kinds)}`)
    runs.push(report)
  }
  return { report: { runs }, wrong: 0 }
}

const sum = (counts: Record<string, number>) => Object.values(counts).reduce((all, count) => all + count, 0)

function table(kinds: ReturnType<typeof byKind>): string {
  const rows = Object.entries(kinds).map(([kind, one]) => [
    ...[kind, one.requests, one.failed, one.p50_ms, one.p99_ms, one.slowest_ms, one.longest_gap_ms].map(
      String,
    ),
    Object.entries(one.failures)
      .map(([what, count]) => `${count} × ${what}`)
      .join(', '),
  ])
  const head = ['kind', 'requests', 'failed', 'p50 ms', 'p99 ms', 'slowest ms', 'longest gap ms', 'failures']
  const widths = head.map((_, at) => Math.max(...[head, ...rows].map((row) => row[at]!.length)))
  const line = (row: string[]) => row.map((cell, at) => cell.padEnd(widths[at]!)).join('  ')
  return [head, ...rows].map((row) => line(row).trimEnd()).join('\n')
}
