import { existsSync, readFileSync } from 'node:fs'
import type { Plan } from './topology.ts'

/** By which the sentinels know the primary, whoever it is. */
export const NAME = 'mymaster'
const QUORUM = 2

interface SentinelConf {
  plan: Plan
  /** Of all sentinels, and which of them this one is. */
  ids: readonly string[]
  at: number
  directory: string
  downAfterMs?: number
  failoverTimeoutMs?: number
}

/** The others are named, as Sentinel would itself write down whom it met: there is no wait for their greetings. */
export function sentinelConf(options: SentinelConf): string {
  const { plan, ids, at, directory, downAfterMs = 1_000, failoverTimeoutMs = 5_000 } = options
  const [primary, ...replicas] = plan.ports.slice(0, 3)
  const ports = plan.ports.slice(3)
  const others = ids.map((id, index) => `known-sentinel ${NAME} 127.0.0.1 ${ports[index]} ${id}`)
  const lines = [
    `sentinel-pass ${JSON.stringify(plan.sentinelPassword)}`,
    `myid ${ids[at]}`,
    `monitor ${NAME} 127.0.0.1 ${primary} ${QUORUM}`,
    `auth-pass ${NAME} ${JSON.stringify(plan.password)}`,
    `down-after-milliseconds ${NAME} ${downAfterMs}`,
    `failover-timeout ${NAME} ${failoverTimeoutMs}`,
    ...replicas.map((port) => `known-replica ${NAME} 127.0.0.1 ${port}`),
    ...others.filter((_, index) => index !== at),
  ]
  return `bind 127.0.0.1
port ${ports[at]}
dir ${JSON.stringify(directory)}
requirepass ${JSON.stringify(plan.sentinelPassword)}
${lines.map((line) => `sentinel ${line}`).join('\n')}
`
}

/** Port of the primary that the sentinels of an earlier run agreed on last: Sentinel keeps its file up to date. */
export function keptPrimary(files: readonly string[]): number | undefined {
  const kept = files.filter(existsSync).map((file) => readFileSync(file, 'utf8'))
  const views = kept.map((text) => ({
    port: Number(new RegExp(`^sentinel monitor ${NAME} \\S+ (\\d+)`, 'm').exec(text)?.[1]),
    epoch: Number(new RegExp(`^sentinel config-epoch ${NAME} (\\d+)`, 'm').exec(text)?.[1] ?? 0),
  }))
  return views.sort((a, b) => b.epoch - a.epoch)[0]?.port
}
