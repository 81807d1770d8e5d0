import { setTimeout as sleep } from 'node:timers/promises'
import { eventKeys, resultKey } from '../../shared/keys.ts'
import type { Command, Redis, Reply } from '../../shared/ports/redis.ts'
import { falls } from './lock-torture.ts'

/** A write that the hub said is done. Times are `performance.now()`. */
export interface Acknowledged {
  what: 'event' | 'config' | 'fenced'
  /** Of the stream or the configuration. */
  name: string
  n: number
  version: number
  began: number
  ended: number
}

/** A version of a configuration that a reader or a writer was told of. */
export interface Seen {
  name: string
  version: number
  n: number
  began: number
  ended: number
}

export interface Acquired {
  lock: string
  token: number
  began: number
  ended: number
}

interface Told {
  acknowledged: readonly Acknowledged[]
  seen: readonly Seen[]
  acquired: readonly Acquired[]
}

interface Where {
  redis: Redis
  /** Of a hub. */
  url: string
  key: string
  /** When the primary died: what was told before may be lost with it. `performance.now()`. */
  from: number
}

export const TENANT = 'faults'
export const STREAMS = names('stream', 6)
export const CONFIGS = names('config', 12)
export const LOCKS = names('lock', 6)
/** Of a configuration. */
const VERSIONS_KEPT = 100
const PATIENT = { timeoutMs: 10_000 }
const LONGEST_MS = 30_000

/** What callers were told under load, against what is there in the end. */
export async function judge({ acknowledged, seen, acquired }: Told, { redis, url, key, from }: Where) {
  const configs = await readConfigs(url, key, [...CONFIGS, ...LOCKS.map(underLock)])
  const events = await readEvents(redis, from, acknowledged)
  const lost = acknowledged.filter(({ what, name, n, version }) => {
    if (what === 'event') return !events.there.has(n)
    const versions = configs.get(name)!
    const isKept = version > Math.max(0, ...versions.keys()) - VERSIONS_KEPT
    return isKept && versions.get(version)?.n !== n
  })
  const underLocks = LOCKS.map((lock) => [...configs.get(underLock(lock))!.values()])
  return {
    ...{ acknowledged: acknowledged.length, lost, acquired: acquired.length },
    ...{ events_twice: events.twice, events_unprocessed: events.unprocessed },
    ...{ went_back: wentBack(seen, from), told_twice: toldTwice(seen, from) },
    stale_accepted: underLocks.reduce((sum, all) => sum + falls(all.map(({ token }) => token)), 0),
    tokens_wrong: LOCKS.reduce((sum, lock) => sum + wrongTokens(acquired, lock), 0),
  }
}

export const underLock = (lock: string) => `under-${lock}`

export function names(of: string, count: number): string[] {
  return Array.from({ length: count }, (_, n) => `${of}-${n}`)
}

/** The body of the answer, undefined for 404; again while the hub says that Redis is away or slow. */
export async function untilAnswered(url: string, sent: RequestInit) {
  for (const deadline = performance.now() + LONGEST_MS; ; await sleep(200)) {
    const reply = await fetch(url, sent)
    const text = await reply.text()
    if (reply.ok) return JSON.parse(text)
    if (reply.status === 404) return undefined
    if (reply.status < 500 || performance.now() > deadline)
      throw new Error(`${sent.method ?? 'GET'} ${url}: ${reply.status} ${text}`)
  }
}

type Values = { n: number; token: number }

/** Every version that is kept of each. */
async function readConfigs(url: string, key: string, wanted: readonly string[]) {
  const read = (path: string) => untilAnswered(url + path, { headers: { authorization: `Bearer ${key}` } })
  const configs = new Map<string, Map<number, Values>>()
  for (const name of wanted) {
    const newest = await read(`/v1/config/${name}`)
    const versions = new Map<number, Values>()
    const last = newest?.version ?? 0
    for (let version = Math.max(1, last - VERSIONS_KEPT + 1); version <= last; version++) {
      const found = await read(`/v1/config/${name}?version=${version}`)
      if (found) versions.set(version, found.values)
    }
    configs.set(name, versions)
  }
  return configs
}

/** Which events the streams have, how many of them twice, and how many of those that came after `from` nobody has worked on. */
async function readEvents(redis: Redis, from: number, acknowledged: readonly Acknowledged[]) {
  const results = new Map<number, string>()
  let twice = 0
  for (const stream of STREAMS) {
    const [entries] = await redis.wave([['XRANGE', eventKeys(TENANT, stream).events, '-', '+']], PATIENT)
    if (entries instanceof Error) throw entries
    for (const [, fields] of entries as [string, string[]][]) {
      const field = (name: string) => fields[fields.indexOf(name) + 1]!
      const { data } = JSON.parse(field('event')) as { data: { n: number } }
      if (results.has(data.n)) twice++
      results.set(data.n, field('result'))
    }
  }
  const later = acknowledged.filter(({ what, began }) => what === 'event' && began >= from)
  const calls = later.map(({ n }): Command => ['EXISTS', resultKey(TENANT, results.get(n) ?? '')])
  let unprocessed = later.length
  for (const deadline = performance.now() + LONGEST_MS; unprocessed > 0 && performance.now() < deadline; ) {
    const replies: Reply[] = await redis.wave(calls, PATIENT)
    unprocessed = replies.filter((reply) => reply !== 1).length
    if (unprocessed > 0) await sleep(200)
  }
  return { there: results, twice, unprocessed }
}

/** Who was told of a lower version than somebody before, both asked after `from`: whoever answered did not know. */
function wentBack(seen: readonly Seen[], from: number): number {
  const byName = Map.groupBy(
    seen.filter(({ began }) => began >= from),
    ({ name }) => name,
  )
  const isLower = (later: Seen) => (one: Seen) => one.ended < later.began && one.version > later.version
  return [...byName.values()].flatMap((all) => all.filter((later) => all.some(isLower(later)))).length
}

/** Versions of which two values were told, to those who asked after `from`. */
function toldTwice(seen: readonly Seen[], from: number): number {
  const byVersion = Map.groupBy(
    seen.filter(({ began }) => began >= from),
    ({ name, version }) => `${name} ${version}`,
  )
  return [...byVersion.values()].filter((all) => new Set(all.map(({ n }) => n)).size > 1).length
}

/** Tokens that came twice, or were not above one given before: by what was told before it was asked. */
function wrongTokens(acquired: readonly Acquired[], lock: string): number {
  const all = acquired.filter((one) => one.lock === lock)
  const twice = all.length - new Set(all.map(({ token }) => token)).size
  const low = all.filter(({ began, token }) => all.some((one) => one.ended < began && one.token >= token))
  return twice + low.length
}
