import { parseRedisUrl } from '../../shared/drivers/redis-resp-url.ts'
import { isMissingCommand, isNoSuchIndex } from '../../shared/drivers/redisearch-reply.ts'
import {
  credentialsKey,
  DEFAULT_TENANT,
  DOCTOR_KEY,
  DOCTOR_TTL_SECONDS,
  TENANTS_KEY,
} from '../../shared/keys.ts'
import type { Command } from '../../shared/ports/redis.ts'
import type { Env } from '../env.ts'
import { type Finding, fault, ok, warning } from './finding.ts'
import { checkClock } from './redis-clock.ts'
import { placeOf } from './redis-connection.ts'
import { type Info, readInfo } from './redis-info.ts'
import { eviction, persistence } from './redis-memory.ts'
import type { Store } from './stores.ts'

const SLOW = { timeoutMs: 5_000 }

/** What one server says of itself. Settings are read from INFO: managed Redis has no CONFIG. Not from `INFO everything`, at which RedisAI 1.2.7 dies that has run no ONNX model. */
export async function checkRedis(store: Store, env: Env): Promise<Finding[]> {
  const { redis, holds } = store
  const [text] = await redis.wave([['INFO']], SLOW).catch(() => [null])
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
  try {
    const [reply] = await redis.wave([['AI.MODELGET', DOCTOR_KEY]], SLOW)
    if (!isMissingCommand(reply)) return ok(label, 'RedisAI is there.')
  } catch (error) {
    return fault(label, `It does not answer: ${(error as Error).message}`, 'See what keeps that server busy.')
  }
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
