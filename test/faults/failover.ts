import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import slotOf from 'cluster-key-slot'
import { startCluster } from '../../infra/local-redis/cluster.ts'
import type { RedisServer } from '../../infra/local-redis/redis-server.ts'
import { startSentinel } from '../../infra/local-redis/sentinel.ts'
import type { TopologyNode } from '../../infra/local-redis/topology-node.ts'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { hubKeysKey } from '../../shared/keys.ts'
import { countBy, logOf } from './hub-log.ts'
import { startHub } from './hub-process.ts'
import { byKind, type Exchange, type Tally, tallyOf } from './paced-load.ts'
import { TENANT } from './topology-judge.ts'
import { FUNCTIONS, type LoadOptions, prepare, startTopologyLoad } from './topology-load.ts'

export interface FailoverOptions extends LoadOptions {
  topology: 'sentinel' | 'cluster'
  server: RedisServer
  /** Default 2. */
  hubs?: number
  /** Of load, before the primary is killed, after all is served again, and after the old primary is back. Default 8, 4 and 4. */
  seconds?: { before: number; after: number; back: number }
  /** For so long before it dies, the primary reaches no replica: what it says is done then is lost. Milliseconds, default 0. */
  cutMs?: number
  /** More lines of redis.conf. */
  config?: string
  /** Silence after which a primary is taken for dead. Milliseconds. */
  silenceMs?: number
  report?: (line: string) => void
}

export interface FailoverReport {
  topology: string
  cut_ms: number
  /** From the kill to the last failed request before all was served again. */
  unavailable_s: number
  /** Requests that failed before the kill, and after all was served again: of a busy machine. */
  failed_otherwise: number
  /** Requests that were not sent, as too many had no answer: the machine is too busy for the load. */
  skipped: number
  /** From two seconds before the kill on. */
  requests: Tally
  /** Of each kind, with the longest time from the kill on without an answer. */
  kinds: Record<string, Tally & { longest_gap_ms: number }>
  completions: { hit: number; miss: number; past_the_cache: number }
  /** Nobody answered: must be none. */
  unanswered: number
  acknowledged: number
  lost: number
  lost_of: Record<string, number>
  /** How long before the kill the oldest one of them was acknowledged. */
  lost_window_ms: number
  /** Lost ones that were acknowledged before the replicas were out of reach (or a second before the kill), or after the kill: must be none. */
  lost_outside: number
  /** All of these must be none. */
  wrong: {
    events_twice: number
    events_unprocessed: number
    wrong_answers: number
    went_back: number
    told_twice: number
    stale_accepted: number
    tokens_wrong: number
    answered_by_old: number
  }
  acquired: number
  stale_written: number
  stale_refused: number
  /** Lines of the hubs' error logs from the kill on, by what they say. */
  log: Record<string, number>
}

const MOST_WAIT_MS = 60_000
/** Served again: looked at for so long. */
const QUIET_MS = 2_000
const COUNTED_MS = 2_000

/**
 * Kills the primary, by SIGKILL, that the load asks most, under 500 requests a second; then its server comes back, behind Sentinel even believing
 * that it is the primary still.
 */
export async function runFailover(options: FailoverOptions): Promise<FailoverReport> {
  const { topology, cutMs = 0, report = () => {} } = options
  const seconds = options.seconds ?? { before: 8, after: 4, back: 4 }
  const directory = await mkdtemp(join(tmpdir(), 'hub-failover-'))
  await using open = new AsyncDisposableStack()
  open.defer(() => rm(directory, { recursive: true, force: true }))
  const servers = await start(options, directory)
  open.defer(servers.stop)
  const log: string[] = []
  const hubs = await Promise.all(
    Array.from({ length: options.hubs ?? 2 }, () =>
      startHub(servers.url, { FUNCTIONS }, (text) => void log.push(text)),
    ),
  )
  for (const hub of hubs) open.defer(hub.stop)
  const given = await prepare(hubs[0]!.url)
  const urls = hubs.map(({ url }) => url)
  const { load, completions, judge } = startTopologyLoad(urls, given, options)
  await sleep(seconds.before * 1_000)

  const victim = await servers.victim()
  const others = servers.nodes.filter((node) => node !== victim)
  const cutAt = performance.now()
  if (cutMs > 0) await cut(victim, others, cutMs)
  report(`The primary is killed after ${load.exchanges.length} requests`)
  log.splice(0)
  const killedAt = performance.now()
  await victim.kill()
  if (cutMs > 0) await Promise.all(others.map((node) => setLogin(node, servers.password)))
  await untilServed(load.exchanges, killedAt)
  const servedAt = performance.now()
  const lines = logOf(log)
  report('All is served again')
  await sleep(seconds.after * 1_000)
  await victim.start()
  if (topology === 'sentinel') await victim.command('REPLICAOF', 'NO', 'ONE')
  report('The old primary is back')
  await sleep(seconds.back * 1_000)
  await load.stop()

  const redis = createRedisResp({ url: servers.url })
  open.defer(redis.close)
  const { lost, acknowledged, acquired, stale_written, stale_refused, ...wrong } = await judge(
    redis,
    killedAt,
  )
  const { exchanges } = load
  const from = cutMs > 0 ? cutAt : killedAt - 1_000
  // Without a new process's first seconds.
  const counted = exchanges.filter(({ due }) => due >= killedAt - COUNTED_MS)
  const failures = failedOf(exchanges).map(({ ended }) => ended)
  const outage = failures.filter((ended) => ended >= killedAt && ended < servedAt)
  return {
    ...{ topology, cut_ms: cutMs },
    unavailable_s: Math.round((Math.max(killedAt, ...outage) - killedAt) / 10) / 100,
    ...{ failed_otherwise: failures.length - outage.length, skipped: load.skipped },
    requests: tallyOf(counted),
    kinds: byKind(counted, killedAt),
    ...{ completions, unanswered: exchanges.filter(({ status }) => status === 0).length },
    ...{ acknowledged, lost: lost.length, lost_of: countBy(lost.map(({ what }) => what)) },
    lost_window_ms: Math.round(Math.max(0, ...lost.map(({ ended }) => killedAt - ended))),
    lost_outside: lost.filter(({ began, ended }) => ended < from || began >= killedAt).length,
    wrong: { ...wrong, answered_by_old: await answersOf(victim) },
    ...{ acquired, stale_written, stale_refused, log: lines },
  }
}

async function start(options: FailoverOptions, directory: string) {
  const { topology, server, config, silenceMs } = options
  const common = { server, directory, config, persist: false }
  if (topology === 'sentinel') {
    const sentinel = await startSentinel({ ...common, downAfterMs: silenceMs })
    return { ...sentinel, victim: () => sentinel.primary() }
  }
  const cluster = await startCluster({ ...common, nodeTimeoutMs: silenceMs })
  // Where the keys of this tenant's callers lie: nearly every request asks for one.
  return { ...cluster, victim: () => cluster.ownerOf(slotOf(hubKeysKey(TENANT))) }
}

/** As a broken cable: the primary's replicas are gone, and cannot come back. */
async function cut(primary: TopologyNode, others: readonly TopologyNode[], ms: number) {
  await Promise.all(others.map((node) => setLogin(node, 'of nobody')))
  await primary.command('CLIENT', 'KILL', 'TYPE', 'replica')
  await sleep(ms)
}

const setLogin = (node: TopologyNode, password: string) =>
  node.command('CONFIG', 'SET', 'masterauth', password)

/** Each kind of request is answered, and hardly one fails. */
async function untilServed(exchanges: readonly Exchange[], killedAt: number) {
  const kinds = new Set(exchanges.map(({ kind }) => kind))
  for (const deadline = performance.now() + MOST_WAIT_MS; ; await sleep(100)) {
    const now = performance.now()
    const late = exchanges.slice(-3_000).filter(({ ended }) => ended > now - QUIET_MS)
    const fine = late.filter(({ fine }) => fine)
    const areAll = new Set(fine.map(({ kind }) => kind)).size === kinds.size
    if (now - killedAt > QUIET_MS && areAll && fine.length >= 0.9 * late.length) return
    if (now < deadline) continue
    const { requests, failures } = tallyOf(late)
    throw new Error(`Not served again within ${MOST_WAIT_MS} ms: of ${requests} ${JSON.stringify(failures)}`)
  }
}

const failedOf = (exchanges: readonly Exchange[]) => exchanges.filter(({ fine }) => !fine)

/** What clients have asked it since it started: replication runs none of these commands. */
async function answersOf(node: TopologyNode): Promise<number> {
  const info = String(await node.command('INFO', 'commandstats'))
  const calls = info.matchAll(/^cmdstat_(?:evalsha|eval|get|hmget|hgetall|xrange|exists):calls=(\d+)/gm)
  return [...calls].reduce((sum, [, count]) => sum + Number(count), 0)
}
