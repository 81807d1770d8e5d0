import { statfs } from 'node:fs/promises'
import { parseRedisUrl } from '../../shared/drivers/redis-resp-url.ts'
import { isMissingCommand, isNoSuchIndex } from '../../shared/drivers/redisearch-reply.ts'
import {
  credentialsKey,
  DEFAULT_TENANT,
  DOCTOR_KEY,
  DOCTOR_TTL_SECONDS,
  TENANTS_KEY,
} from '../../shared/keys.ts'
import type { Command, Reply } from '../../shared/ports/redis.ts'
import type { Env } from '../env.ts'
import { type Finding, fault, ok, warning } from './finding.ts'
import { checkClock } from './redis-clock.ts'
import { placeOf } from './redis-connection.ts'
import type { Store } from './stores.ts'

const SLOW = { timeoutMs: 5_000 }
const GIBIBYTE = 2 ** 30
/** Below it, the next rewrite of the append-only file may not find room. */
const LITTLE_DISK = 256 * 2 ** 20

/** What INFO says, by field; empty where the user may not ask. */
export type Info = Map<string, string>

/** What one server says of itself. Settings are read from INFO: managed Redis has no CONFIG. */
export async function checkRedis(store: Store, env: Env): Promise<Finding[]> {
  const { redis, holds } = store
  const [text] = await redis.wave([['INFO', 'everything']], SLOW).catch(() => [null])
  const info = readInfo(text ?? null)
  if (holds === 'models') return [version(store, info), await hasRedisai(store)]
  return [
    version(store, info),
    ...(await Promise.all([
      checkClock(store),
      takesWrites(store, info),
      allowed(store),
      ...(holds === 'state' ? [storesVectors(store, env), sealsSecrets(store, env)] : []),
    ])),
    ...eviction(store, info),
    ...(await persistence(store, info)),
  ].filter((finding) => finding !== undefined)
}

export const readInfo = (text: Reply): Info =>
  new Map([...String(text ?? '').matchAll(/^(\w+):(.*?)\r?$/gm)].map(([, name, value]) => [name!, value!]))

function version({ label, url }: Store, info: Info): Finding {
  const valkey = info.get('valkey_version')
  if (valkey) return ok(label, `Valkey ${valkey} answers at ${placeOf({ url })}.`)
  const found = info.get('redis_version')
  if (!found) return ok(label, `It answers at ${placeOf({ url })}, and does not say its version.`)
  if (Number.parseInt(found, 10) >= 7) return ok(label, `Redis ${found} answers at ${placeOf({ url })}.`)
  return fault(
    label,
    `Redis ${found} is too old: it lacks commands that the hub needs.`,
    'Upgrade to Redis 8 (7 is the least, without vectors), or leave REDIS_URL out and `npm start` brings one.',
  )
}

/** A write as the hub makes them: refused by a replica, a full disk, full memory. */
async function takesWrites({ redis, label, variable }: Store, info: Info): Promise<Finding> {
  const check = `${label} writes`
  if (info.get('role') === 'slave') {
    const primary = `${info.get('master_host')}:${info.get('master_port')}`
    const link = info.get('master_link_status') === 'down' ? ', which it has lost' : ''
    return fault(
      check,
      `${variable} leads to a read-only replica of ${primary}${link}.`,
      `Name the primary in ${variable}, or the sentinels, which follow it: redis+sentinel://…`,
    )
  }
  const command = ['SET', DOCTOR_KEY, '1', 'EX', DOCTOR_TTL_SECONDS] as const
  const [reply] = await redis.wave([command], SLOW).catch((error: Error) => [error])
  if (!(reply instanceof Error)) return ok(check, 'It takes writes.')
  const { message } = reply
  if (/^LOADING/.test(message))
    return warning(check, 'It loads its data and answers nothing else meanwhile.', 'Wait until it is done.')
  if (/^READONLY/.test(message))
    return fault(check, `${variable} leads to a read-only replica.`, `Name the primary in ${variable}.`)
  if (/^OOM/.test(message))
    return fault(
      check,
      'Its memory is full (maxmemory): it refuses writes.',
      'Raise `maxmemory`, or keep the cache elsewhere: HUB_CACHE_REDIS_URL.',
    )
  if (/No space left/i.test(message) || (/^MISCONF/.test(message) && isDiskFull(info)))
    return fault(
      check,
      `Its disk is full: ${message}`,
      'Free space where Redis keeps its data (`CONFIG GET dir`); it takes writes again by itself.',
    )
  if (/^MISCONF/.test(message))
    return fault(
      check,
      `It cannot save, and so refuses writes: ${message}`,
      'Look into the log of Redis: mostly the disk is full or its folder is not Redis’s own.',
    )
  return fault(check, `It refuses a write: ${message}`, 'Give the user the rules of infra/docker/hub.acl.')
}

const isDiskFull = (info: Info) => info.get('aof_last_write_status') === 'err'

/** Commands of every kind that the hub sends, in forms that change nothing. */
const TRIED: Command[] = [
  ['EVAL', 'return 1', 1, DOCTOR_KEY],
  ['PUBLISH', DOCTOR_KEY, ''],
  ['HGET', DOCTOR_KEY, 'x'],
  ['XLEN', DOCTOR_KEY],
  ['ZCARD', DOCTOR_KEY],
  ['SCAN', 0, 'COUNT', 1],
  ['TIME'],
]

async function allowed({ redis, label, url, variable }: Store): Promise<Finding | undefined> {
  const replies = await redis.wave(TRIED, SLOW).catch(() => [])
  const denied = TRIED.filter((_, i) => {
    const reply = replies[i]
    return reply instanceof Error && /^NOPERM/.test(reply.message)
  }).map(([name]) => name)
  if (denied.length === 0) return undefined
  const user = parseRedisUrl(url)?.login.username ?? 'default'
  return fault(
    `${label} rights`,
    `The user ${user} of ${variable} may not use ${denied.join(', ')}.`,
    'Give it the rules of infra/docker/hub.acl: `ACL SETUSER`.',
  )
}

async function storesVectors({ redis, label }: Store, env: Env): Promise<Finding> {
  const check = `${label} vectors`
  if (env.UPSTASH_VECTOR_REST_URL) return ok(check, 'Vectors lie in Upstash Vector.')
  const commands: Command[] = [
    ['FT.INFO', DOCTOR_KEY],
    ['VCARD', DOCTOR_KEY],
  ]
  const [search, sets] = await redis.wave(commands, SLOW).catch((error: Error) => [error, error])
  // Of another kind it may be, as it was just written.
  const there = (reply: unknown) =>
    !(reply instanceof Error) || isNoSuchIndex(reply) || reply.message.startsWith('WRONGTYPE')
  if (there(search)) return ok(check, 'The query engine (RediSearch) is there.')
  if (there(sets)) return ok(check, 'Vector sets are there.')
  const denied = [search, sets].some((reply) => reply instanceof Error && reply.message.startsWith('NOPERM'))
  if (![search, sets].every(isMissingCommand))
    return warning(
      check,
      `It cannot tell what it has: ${(sets as Error).message}`,
      'Try again when Redis has loaded its data.',
    )
  const cure = denied
    ? 'Let the user run the vector commands: the rules of infra/docker/hub.acl.'
    : 'Use Redis 8 or Redis Stack, or set UPSTASH_VECTOR_REST_URL; without search, leave it out of FUNCTIONS.'
  const serves = env.FUNCTIONS?.some((name) => ['search', 'ask', 'agent-step'].includes(name)) ?? true
  const what = `It can store no vectors: ${denied ? 'the user may use neither' : 'it has neither'} vector sets nor RediSearch${denied ? ' commands' : ''}.`
  return serves ? fault(check, what, cure) : ok(check, `${what} No function here needs them.`)
}

async function hasRedisai({ redis, label }: Store): Promise<Finding> {
  const [reply] = await redis.wave([['AI.MODELGET', DOCTOR_KEY]], SLOW).catch((error: Error) => [error])
  if (!isMissingCommand(reply)) return ok(label, 'RedisAI is there.')
  return fault(
    label,
    'It has no RedisAI.',
    'Load the module there, or remove HUB_REDISAI_URL: ONNX Runtime runs models too.',
  )
}

/** Credentials that somebody stored, and that nobody can open. */
async function sealsSecrets({ redis, label }: Store, env: Env): Promise<Finding | undefined> {
  if (env.HUB_SECRET_KEY || !env.HUB_ADMIN_KEY) return undefined
  const [tenants] = await redis.wave([['SMEMBERS', TENANTS_KEY]], SLOW).catch(() => [null])
  const all = [DEFAULT_TENANT, ...(Array.isArray(tenants) ? (tenants as string[]) : [])].slice(0, 1_000)
  const commands = all.map((tenant) => ['HLEN', credentialsKey(tenant)] as const)
  const counts = await redis.wave(commands, SLOW).catch(() => [])
  const holders = all.filter((_, i) => Number(counts[i]) > 0)
  if (holders.length === 0) return undefined
  return fault(
    `${label} secrets`,
    `HUB_SECRET_KEY is not set, and tenants have provider credentials stored: ${holders.slice(0, 5).join(', ')}.`,
    'Set HUB_SECRET_KEY to the value that they were stored with, on every instance; if it is lost, store them anew.',
  )
}

function eviction({ label, holds }: Store, info: Info): Finding[] {
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

async function persistence({ redis, label, url, holds }: Store, info: Info): Promise<Finding[]> {
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
