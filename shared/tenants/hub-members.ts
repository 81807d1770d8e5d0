import {
  AGENTS_DUE_KEY,
  ALERTING_TENANTS_KEY,
  AUDIT_STREAM,
  BREAKERS_KEY,
  DELIVERIES_STREAM,
  DOCTOR_KEY,
  EMBED_STREAM,
  ERASURES_KEY,
  HANDLED_STREAMS_KEY,
  MEMORIES_DUE_KEY,
  QUESTIONS_KEY,
  QUEUES_KEY,
  ROUTES_KEY,
  SCHEDULES_DUE_KEY,
  SCHEDULES_RUNS_KEY,
  SWEEPS_KEY,
  streamKeys,
  TASK_TENANTS_KEY,
  TENANTS_KEY,
} from '../keys.ts'
import type { CallOptions, Command, Redis, Reply } from '../ports/redis.ts'
import { send } from '../send.ts'

/** A key of the whole hub that has members of several tenants. */
export interface HubList {
  key: string
  type: 'set' | 'zset' | 'hash' | 'stream'
  /** Of a member of a set, a field of a hash, or the field `tenant` of an entry. */
  tenantOf(name: string): string | undefined
}

export interface HubMember {
  /** Member, field, or id of an entry. */
  name: string
  /** Score, value, or fields; null of a set. */
  value: string | string[] | null
}

const whole = (name: string) => name
const first = (name: string) => name.split('/')[0]
const json =
  (read: (value: { tenant?: string; index?: { tenant?: string } }) => string | undefined) =>
  (name: string) => {
    try {
      return read(JSON.parse(name))
    } catch {
      return undefined // nothing of ours
    }
  }
const stream = (key: string): HubList[] => [
  { key, type: 'stream', tenantOf: whole },
  { key: streamKeys(key, '').dead, type: 'stream', tenantOf: whole },
]

/** Where the keys of the whole hub name tenants, and how. */
export const HUB_LISTS: readonly HubList[] = [
  { key: TENANTS_KEY, type: 'set', tenantOf: whole },
  { key: HANDLED_STREAMS_KEY, type: 'set', tenantOf: first },
  { key: QUEUES_KEY, type: 'set', tenantOf: first },
  { key: TASK_TENANTS_KEY, type: 'set', tenantOf: whole },
  { key: ALERTING_TENANTS_KEY, type: 'set', tenantOf: whole },
  { key: AGENTS_DUE_KEY, type: 'zset', tenantOf: first },
  { key: SCHEDULES_DUE_KEY, type: 'zset', tenantOf: first },
  { key: SCHEDULES_RUNS_KEY, type: 'hash', tenantOf: first },
  { key: BREAKERS_KEY, type: 'zset', tenantOf: first },
  { key: SWEEPS_KEY, type: 'zset', tenantOf: json(({ tenant }) => tenant) },
  { key: MEMORIES_DUE_KEY, type: 'zset', tenantOf: json(({ tenant }) => tenant) },
  { key: QUESTIONS_KEY, type: 'zset', tenantOf: json(({ index }) => index?.tenant) },
  ...stream(EMBED_STREAM),
  ...stream(DELIVERIES_STREAM),
]

/** Those that stay as they are: the operator's routes, what is kept to tell what was done, and the doctor's trial. */
export const HUB_KEPT: readonly string[] = [ROUTES_KEY, AUDIT_STREAM, ERASURES_KEY, DOCTOR_KEY]

/** Looked at at once: names are short, entries hold whole documents. */
const COUNT = { names: 500, entries: 100 }

/** A tenant's members of one page of a list, from `cursor` (first `0`); `next` is undefined at the end. */
export async function readMembers(
  redis: Redis,
  list: HubList,
  { tenant, cursor }: { tenant: string; cursor: string },
  options: CallOptions,
): Promise<{ members: HubMember[]; next?: string }> {
  const { members, next } = list.type === 'stream' ? await readEntries() : await readScanned()
  return { members: members.filter((one) => list.tenantOf(one.of) === tenant), next }

  async function readEntries() {
    const call: Command = [
      'XRANGE',
      list.key,
      cursor === '0' ? '-' : `(${cursor}`,
      '+',
      'COUNT',
      COUNT.entries,
    ]
    const entries = (await send(redis, call, options)) as [string, string[]][]
    const members = entries.map(([name, value]) => {
      const at = value.findIndex((field, i) => i % 2 === 0 && field === 'tenant')
      return { name, value, of: at < 0 ? '' : value[at + 1]! }
    })
    return { members, next: entries.length < COUNT.entries ? undefined : entries.at(-1)![0] }
  }

  async function readScanned() {
    const command = { set: 'SSCAN', zset: 'ZSCAN', hash: 'HSCAN' }[list.type as 'set' | 'zset' | 'hash']
    const reply = await send(redis, [command, list.key, cursor, 'COUNT', COUNT.names], options)
    const [next, flat] = reply as [string, string[]]
    const step = list.type === 'set' ? 1 : 2
    const members = []
    for (let i = 0; i < flat.length; i += step)
      members.push({ name: flat[i]!, value: step === 1 ? null : flat[i + 1]!, of: flat[i]! })
    return { members, next: next === '0' ? undefined : next }
  }
}

/** Returns how many were there. Of an entry also what its groups know of it. May be repeated. */
export async function removeMembers(
  redis: Redis,
  { key, type }: HubList,
  names: readonly string[],
  options: CallOptions,
): Promise<number> {
  if (names.length === 0) return 0
  if (type !== 'stream')
    return (await send(
      redis,
      [{ set: 'SREM', zset: 'ZREM', hash: 'HDEL' }[type], key, ...names],
      options,
    )) as number
  const groups = ((await send(redis, ['XINFO', 'GROUPS', key], options)) as Reply[][]).map(
    (flat) => flat[flat.indexOf('name') + 1] as string,
  )
  const replies = await redis.wave(
    [
      ...groups.flatMap((group): Command[] => [
        ['XACK', key, group, ...names],
        ['HDEL', streamKeys(key, group).failures, ...names],
      ]),
      ['XDEL', key, ...names],
    ],
    options,
  )
  for (const reply of replies) if (reply instanceof Error) throw reply
  return replies.at(-1) as number
}
