import { statfs } from 'node:fs/promises'
import { parseRedisUrl } from '../../shared/drivers/redis-resp-url.ts'
import { type Finding, fault, ok, warning } from './finding.ts'
import type { Info } from './redis-info.ts'
import type { Store } from './stores.ts'

const SLOW = { timeoutMs: 5_000 }
const GIBIBYTE = 2 ** 30
/** Below it, the next rewrite of the append-only file may not find room. */
const LITTLE_DISK = 256 * 2 ** 20

/** Whether what must stay may be thrown away, and how full it is. */
export function eviction({ label, holds }: Store, info: Info): Finding[] {
  const check = `${label} memory`
  const policy = info.get('maxmemory_policy')
  const most = Number(info.get('maxmemory') ?? 0)
  const used = Number(info.get('used_memory') ?? 0)
  if (!policy) return []
  const findings: Finding[] = []
  if (holds === 'state' && policy !== 'noeviction') {
    const says = `maxmemory-policy is ${policy}: `
    const cure =
      '`CONFIG SET maxmemory-policy noeviction`, and in redis.conf. For a cache that may be evicted set HUB_CACHE_REDIS_URL to a second Redis with allkeys-lfu.'
    findings.push(
      most > 0
        ? fault(check, `${says}when memory is full, Redis throws away locks, agents and events.`, cure)
        : warning(check, `${says}with a \`maxmemory\` it would throw away locks, agents and events.`, cure),
    )
  }
  if (holds === 'cache' && policy === 'noeviction' && most > 0)
    findings.push(
      warning(
        check,
        'maxmemory-policy is noeviction: a full cache takes nothing new.',
        '`CONFIG SET maxmemory-policy allkeys-lfu`.',
      ),
    )
  if (most > 0 && used > 0.9 * most && !(holds === 'cache' && policy !== 'noeviction'))
    findings.push(
      warning(
        check,
        `${percent(used / most)} of maxmemory are used.`,
        'Raise `maxmemory` before writes are refused.',
      ),
    )
  if (findings.length > 0) return findings
  const bound =
    most > 0 ? `${percent(used / most)} of ${gibibytes(most)} used` : `${gibibytes(used)} used, no maxmemory`
  return [ok(check, `${bound}, ${policy}.`)]
}

/** Whether a restart would bring back what is held. */
export async function persistence({ redis, label, url, holds }: Store, info: Info): Promise<Finding[]> {
  if (holds === 'cache' || info.size === 0) return []
  const check = `${label} persistence`
  const findings: Finding[] = []
  const cureOfDisk = 'Free space where Redis keeps its data (`CONFIG GET dir`), and look into its log.'
  const failed = {
    rdb_last_bgsave_status: 'snapshot',
    aof_last_write_status: 'write to the append-only file',
    aof_last_bgrewrite_status: 'rewrite of the append-only file',
  }
  for (const [field, what] of Object.entries(failed))
    if (info.get(field) === 'err') findings.push(fault(check, `The last ${what} failed.`, cureOfDisk))
  const [dir, save] = (await redis
    .wave(
      [
        ['CONFIG', 'GET', 'dir'],
        ['CONFIG', 'GET', 'save'],
      ],
      SLOW,
    )
    .catch(() => [])) as string[][]
  const isHere = parseRedisUrl(url)?.places.every(({ host }) => /^(localhost|127\.|::1$)/.test(host))
  if (isHere && Array.isArray(dir) && dir[1]) {
    const disk = await statfs(dir[1]).catch(() => undefined)
    const free = disk ? disk.bavail * disk.bsize : Number.POSITIVE_INFINITY
    if (free < LITTLE_DISK)
      findings.push(
        warning(
          check,
          `Only ${Math.floor(free / 2 ** 20)} MiB are free in ${dir[1]}.`,
          'Free space there before writes are refused.',
        ),
      )
  }
  if (info.get('aof_enabled') === '1')
    return findings.length ? findings : [ok(check, 'The append-only file is on.')]
  if (Array.isArray(save) && save[1] === '')
    findings.push(
      warning(
        check,
        'Nothing is saved: a restart of Redis loses everything.',
        '`CONFIG SET appendonly yes`, and in redis.conf. For a trial it does not matter.',
      ),
    )
  else if (Array.isArray(save))
    findings.push(
      warning(
        check,
        'Only snapshots are saved: a crash loses what came after the last one.',
        '`CONFIG SET appendonly yes`, and in redis.conf.',
      ),
    )
  return findings
}

const percent = (part: number) => `${Math.round(part * 100)} %`
const gibibytes = (bytes: number) =>
  bytes < GIBIBYTE / 10 ? `${Math.round(bytes / 2 ** 20)} MiB` : `${(bytes / GIBIBYTE).toFixed(1)} GiB`
