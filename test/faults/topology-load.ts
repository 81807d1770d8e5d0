import { setTimeout as sleep } from 'node:timers/promises'
import { eventKeys, resultKey } from '../../shared/keys.ts'
import type { Command, Redis, Reply as RedisReply } from '../../shared/ports/redis.ts'
import { ADMIN_KEY } from './hub-process.ts'
import { falls } from './lock-torture.ts'
import { type Call, type Kind, startPacedLoad } from './paced-load.ts'

/** A write that the hub said is done. Times are `performance.now()`. */
interface Acknowledged {
  what: 'event' | 'config' | 'fenced'
  /** Of the stream or the configuration. */
  name: string
  n: number
  version: number
  began: number
  ended: number
}

/** A version of a configuration that a reader or a writer was told of. */
interface Seen {
  name: string
  version: number
  n: number
  began: number
  ended: number
}

interface Acquired {
  lock: string
  token: number
  began: number
  ended: number
}

interface Given {
  key: string
  sessions: { id: string; user: string }[]
}

export interface LoadOptions {
  /** Requests a second, default 500. */
  perSecond?: number
  /** See `PacedLoadOptions`. Default 2,000. */
  mostUnderWay?: number
}

/** What the rates below come to: who locks sends two more requests. */
const PER_SECOND = 500
/** Of a hub, that the load asks. */
export const FUNCTIONS = 'keys,cache-complete,ingest-event,platform,sessions,features'
export const TENANT = 'faults'
const STREAMS = names('stream', 6)
const CONFIGS = names('config', 12)
const LOCKS = names('lock', 6)
const FEATURED = 2_000
const PROMPTS = 40
const LEASE_SECONDS = 0.6
/** No route of these makes anybody wait for so long. */
const PATIENCE_MS = 15_000
/** Of a configuration. */
const VERSIONS_KEPT = 100
const PATIENT = { timeoutMs: 10_000 }

/** Before the load: a key of a tenant, streams with a handler, sessions, and features that never change. */
export async function prepare(url: string): Promise<Given> {
  const ask = async (method: string, path: string, body: unknown, key = ADMIN_KEY) => {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    for (const deadline = performance.now() + 30_000; ; await sleep(200)) {
      const reply = await fetch(url + path, { method, headers, body: JSON.stringify(body) })
      const text = await reply.text()
      if (reply.ok) return JSON.parse(text)
      if (reply.status < 500 || performance.now() > deadline)
        throw new Error(`${method} ${path}: ${reply.status} ${text}`)
    }
  }
  const { key } = await ask('POST', '/v1/keys', { tenant: TENANT })
  for (const stream of STREAMS)
    await ask('PUT', `/v1/events/${stream}`, { handler: { type: 'store' }, max_lag: 1_000_000 }, key)
  for (const name of CONFIGS) await ask('PUT', `/v1/config/${name}`, { n: -1 }, key)
  const rows = Array.from({ length: FEATURED }, (_, n) => ({ entity: `e${n}`, features: { n } }))
  for (let from = 0; from < FEATURED; from += 1_000)
    await ask('POST', '/v1/features/numbers', { rows: rows.slice(from, from + 1_000) }, key)
  const sessions = []
  for (const user of names('user', 12)) {
    const { id } = await ask('POST', '/v1/sessions', { user, data: {} }, key)
    sessions.push({ id, user })
  }
  return { key, sessions }
}

/**
 * 500 requests a second of what applications ask a hub: completions that are in the cache and others, events, configuration, sessions, features,
 * locks and what is written under them. It notes what it was told, and `judge` compares that with what is there.
 */
export function startTopologyLoad(
  urls: readonly string[],
  { key, sessions }: Given,
  { perSecond = PER_SECOND, mostUnderWay = 2_000 }: LoadOptions,
) {
  const acknowledged: Acknowledged[] = []
  const seen: Seen[] = []
  const acquired: Acquired[] = []
  const unsure: { stream: string; n: number }[] = []
  const wrong: string[] = []
  const paths = { hit: 0, miss: 0, past_the_cache: 0 }
  const noted = { stale_refused: 0, stale_written: 0 }

  async function complete(call: Call, content: string) {
    const body = { model: 'local/echo', messages: [{ role: 'user', content }] }
    const reply = await call('POST', '/v1/chat/completions', { body })
    if (!reply.fine) return
    const status = String(reply.headers['cache-status'])
    paths[status.includes('; hit') ? 'hit' : status.includes('bypass') ? 'past_the_cache' : 'miss']++
    const said = reply.body.choices[0].message.content
    if (said !== content) wrong.push(`completion of ${content}: ${said}`)
  }

  async function write(call: Call, name: string, n: number, fence?: { lock: string; token: number }) {
    const reply = await call('PUT', `/v1/config/${name}`, {
      body: { n, ...(fence && { token: fence.token }) },
      headers: fence && { 'x-hub-lock': `${fence.lock}=${fence.token}` },
      takes: fence && [412],
    })
    if (reply.status === 412) noted.stale_refused++
    if (reply.status >= 300 || !reply.fine) return
    const { version } = reply.body as { version: number }
    const { began, ended } = reply
    acknowledged.push({ what: fence ? 'fenced' : 'config', name, n, version, began, ended })
    seen.push({ name, version, n, began, ended })
  }

  /** A fifth outlives its lease, and writes all the same. */
  async function lockAndWrite(call: Call, n: number) {
    const lock = LOCKS[n % LOCKS.length]!
    const path = `/v1/locks/${lock}`
    const reply = await call('POST', path, { body: { ttl_seconds: LEASE_SECONDS }, takes: [409] })
    if (reply.status !== 201) return
    const { token } = reply.body as { token: number }
    acquired.push({ lock, token, began: reply.began, ended: reply.ended })
    const isLate = n % 5 === 0
    if (isLate) await sleep(LEASE_SECONDS * 2_000)
    if (isLate) noted.stale_written++
    await write(call, `under-${lock}`, n, { lock, token })
    await call('DELETE', `${path}?token=${token}`, { takes: [412] })
  }

  const kinds: Kind[] = [
    { name: 'completion, known', rate: 180, ask: (call, n) => complete(call, `known ${n % PROMPTS}`) },
    { name: 'completion, new', rate: 50, ask: (call, n) => complete(call, `new ${n}`) },
    {
      ...{ name: 'event', rate: 80 },
      async ask(call, n) {
        const stream = STREAMS[n % STREAMS.length]!
        const { status, began, ended } = await call('POST', `/v1/events/${stream}`, { body: eventOf(n) })
        if (status !== 202) unsure.push({ stream, n })
        else acknowledged.push({ what: 'event', name: stream, n, version: 0, began, ended })
      },
    },
    {
      ...{ name: 'config, written', rate: 30 },
      ask: (call, n) => write(call, CONFIGS[n % CONFIGS.length]!, n),
    },
    {
      ...{ name: 'config, read', rate: 44 },
      async ask(call, n) {
        const name = CONFIGS[n % CONFIGS.length]!
        const reply = await call('GET', `/v1/config/${name}`)
        if (!reply.fine) return
        const { version, values } = reply.body
        seen.push({ name, version, n: values.n, began: reply.began, ended: reply.ended })
      },
    },
    {
      ...{ name: 'session', rate: 40 },
      async ask(call, n) {
        const { id, user } = sessions[n % sessions.length]!
        const reply = await call('GET', '/v1/sessions/current', { headers: { 'x-hub-session': id } })
        if (reply.fine && reply.body.user !== user) wrong.push(`session of ${user}: ${reply.body.user}`)
      },
    },
    {
      ...{ name: 'features', rate: 40 },
      async ask(call, n) {
        const wanted = Array.from({ length: 20 }, (_, i) => (20 * n + i) % FEATURED)
        const entities = wanted.map((entity) => `e${entity}`)
        const reply = await call('POST', '/v1/features/numbers/query', { body: { entities } })
        const values = reply.fine
          ? reply.body.data.map((row: { features: { n: number } }) => row.features?.n)
          : wanted
        if (String(values) !== String(wanted)) wrong.push(`features of ${entities}: ${values}`)
      },
    },
    { name: 'lock', rate: 12, ask: lockAndWrite },
  ]
  const load = startPacedLoad({
    ...{ urls, patienceMs: PATIENCE_MS, mostUnderWay },
    kinds: kinds.map((kind) => ({ ...kind, rate: (kind.rate * perSecond) / PER_SECOND })),
    headers: { authorization: `Bearer ${key}` },
  })

  return {
    ...{ load, completions: paths },
    /** What is there now, against what was told. `killedAt`: what was told before may be lost with whoever died. */
    async judge(redis: Redis, killedAt = Number.NEGATIVE_INFINITY) {
      await sendAgain(urls[0]!, key, unsure)
      const configs = await readConfigs(urls[0]!, key, [...CONFIGS, ...LOCKS.map((lock) => `under-${lock}`)])
      const events = await readEvents(redis, killedAt, acknowledged)
      const lost = acknowledged.filter(({ what, name, n, version }) => {
        if (what === 'event') return !events.there.has(n)
        const versions = configs.get(name)!
        const isKept = version > Math.max(0, ...versions.keys()) - VERSIONS_KEPT
        return isKept && versions.get(version)?.n !== n
      })
      const underLocks = LOCKS.map((lock) => [...(configs.get(`under-${lock}`)?.values() ?? [])])
      return {
        acknowledged: acknowledged.length,
        lost,
        events_twice: events.twice,
        events_unprocessed: events.unprocessed,
        wrong_answers: wrong.length,
        went_back: wentBack(seen, killedAt),
        told_twice: toldTwice(seen, killedAt),
        acquired: acquired.length,
        ...noted,
        stale_accepted: underLocks.reduce((sum, all) => sum + falls(all.map(({ token }) => token)), 0),
        tokens_wrong: LOCKS.reduce((sum, lock) => sum + wrongTokens(acquired, lock), 0),
      }
    },
  }
}

const eventOf = (n: number) => ({
  id: `e${n}`,
  source: '/faults',
  type: 'fault',
  specversion: '1.0',
  data: { n },
})

function names(of: string, count: number): string[] {
  return Array.from({ length: count }, (_, n) => `${of}-${n}`)
}

/** As a sender does that loses nothing: nobody had said that these were taken. */
async function sendAgain(url: string, key: string, unsure: readonly { stream: string; n: number }[]) {
  for (const { stream, n } of unsure) {
    const reply = await fetch(`${url}/v1/events/${stream}`, {
      ...{ method: 'POST', body: JSON.stringify(eventOf(n)) },
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    })
    if (reply.status !== 202) throw new Error(`Event ${n} again: ${reply.status} ${await reply.text()}`)
    await reply.body?.cancel()
  }
}

type Values = { n: number; token: number }

/** Every version that is kept of each. */
async function readConfigs(url: string, key: string, wanted: readonly string[]) {
  const read = async (path: string) => {
    const reply = await fetch(url + path, { headers: { authorization: `Bearer ${key}` } })
    return reply.ok ? reply.json() : undefined
  }
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
  for (const deadline = performance.now() + 30_000; unprocessed > 0 && performance.now() < deadline; ) {
    const replies: RedisReply[] = await redis.wave(calls, PATIENT)
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
