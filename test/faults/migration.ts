import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import slotOf from 'cluster-key-slot'
import { type LocalCluster, startCluster } from '../../infra/local-redis/cluster.ts'
import type { RedisServer } from '../../infra/local-redis/redis-server.ts'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { hubKeysKey } from '../../shared/keys.ts'
import type { Redis } from '../../shared/ports/redis.ts'
import { scan } from '../../shared/scan.ts'
import { logOf } from './hub-log.ts'
import { startHub } from './hub-process.ts'
import { byKind, type Tally, tallyOf } from './paced-load.ts'
import { TENANT } from './topology-judge.ts'
import { FUNCTIONS, type LoadOptions, prepare, startTopologyLoad } from './topology-load.ts'

export interface MigrationOptions extends LoadOptions {
  server: RedisServer
  /** How many slots move there and back. Default 600. */
  slots?: number
  /** Of each primary. Default 1. */
  replicas?: number
  report?: (line: string) => void
}

export interface MigrationReport {
  /** Each moved there and back. */
  slots: number
  /** Moves of keys, both ways. */
  keys_moved: number
  /** That the two moves took together. */
  migrating_s: number
  requests: Tally
  /** While slots moved: must be none. */
  failed: number
  /** Lines of the hub's error log. A `RedisTimeoutError` alone is of a machine that is too busy. */
  log: Record<string, number>
  skipped: number
  kinds: ReturnType<typeof byKind>
  /** What the nodes told the hub. */
  moved: number
  ask: number
  tryagain: number
  acknowledged: number
  /** All must be none. */
  lost: number
  wrong: Record<string, number>
}

/** Slots that hold what is being asked for move to another primary and back, under 500 requests a second. */
export async function runMigration(options: MigrationOptions): Promise<MigrationReport> {
  const { server, slots: wanted = 600, replicas, report = () => {} } = options
  const directory = await mkdtemp(join(tmpdir(), 'hub-migration-'))
  await using open = new AsyncDisposableStack()
  open.defer(() => rm(directory, { recursive: true, force: true }))
  const cluster = await startCluster({ server, directory, persist: false, replicas, nodeTimeoutMs: 15_000 })
  open.defer(cluster.stop)
  const log: string[] = []
  const hub = await startHub(cluster.url, { FUNCTIONS }, (text) => void log.push(text))
  open.defer(hub.stop)
  const redis = createRedisResp({ url: cluster.url })
  open.defer(redis.close)
  const { load, judge } = startTopologyLoad([hub.url], await prepare(hub.url), options)

  const from = await cluster.ownerOf(slotOf(hubKeysKey(TENANT)))
  const others = (await cluster.roles()).filter(({ node, role }) => role === 'primary' && node !== from)
  const slots = await slotsInUse(redis, cluster, from, wanted)
  report(`${slots.length} slots move, after ${load.exchanges.length} requests`)
  const began = performance.now()
  log.splice(0)
  let keys = await cluster.migrateSlots({ slots, to: others[0]!.node })
  report(`${keys} keys have moved, and go back one by one`)
  keys += await cluster.migrateSlots({ slots, to: from, keysAtOnce: 1 })
  const ended = performance.now()
  await sleep(500)
  await load.stop()

  const told = await toldByNodes(cluster)
  const { lost, acknowledged, ...found } = await judge(redis)
  const during = load.exchanges.filter((one) => one.ended >= began && one.began <= ended + 500)
  const { acquired: _, stale_written: __, stale_refused: ___, ...wrong } = found
  return {
    ...{ slots: slots.length, keys_moved: keys, migrating_s: Math.round((ended - began) / 100) / 10 },
    ...{ requests: tallyOf(during), failed: tallyOf(during).failed, log: logOf(log) },
    skipped: load.skipped,
    kinds: byKind(during, began),
    ...{ moved: told('MOVED'), ask: told('ASK'), tryagain: told('TRYAGAIN') },
    ...{ acknowledged, lost: lost.length, wrong },
  }
}

/** Slots of a node that hold keys, once the load has made enough of them. */
async function slotsInUse(redis: Redis, cluster: LocalCluster, node: { port: number }, wanted: number) {
  const { slots: ranges = [] } = (await cluster.roles()).find((one) => one.node.port === node.port)!
  for (;;) {
    const slots = new Set<number>([slotOf(hubKeysKey(TENANT))])
    for await (const page of scan(redis, '*', { count: 1_000, timeoutMs: 10_000 }))
      for (const slot of page.map(slotOf))
        if (ranges.some(([first, last]) => first <= slot && slot <= last)) slots.add(slot)
    if (slots.size >= wanted) return [...slots].slice(0, wanted)
    await sleep(500)
  }
}

async function toldByNodes({ nodes }: LocalCluster) {
  const infos = await Promise.all(nodes.map((node) => node.command('INFO', 'errorstats').then(String)))
  return (error: string) =>
    infos.reduce((sum, info) => {
      const [, count = 0] = new RegExp(`errorstat_${error}:count=(\\d+)`).exec(info) ?? []
      return sum + Number(count)
    }, 0)
}
