import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from '../../shared/ports/redis.ts'
import { ADMIN_KEY } from './hub-process.ts'
import { type Call, type Kind, startPacedLoad } from './paced-load.ts'
import {
  type Acknowledged,
  type Acquired,
  CONFIGS,
  judge,
  LOCKS,
  names,
  type Seen,
  STREAMS,
  TENANT,
  underLock,
  untilAnswered,
} from './topology-judge.ts'

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
const FEATURED = 2_000
const PROMPTS = 40
const LEASE_SECONDS = 0.6
/** No route of these makes anybody wait for so long. */
const PATIENCE_MS = 15_000

/** Before the load: a key of a tenant, streams with a handler, sessions, and features that never change. */
export async function prepare(url: string): Promise<Given> {
  const ask = (method: string, path: string, body: unknown, key = ADMIN_KEY) => {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    return untilAnswered(url + path, { method, headers, body: JSON.stringify(body) })
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
    await write(call, underLock(lock), n, { lock, token })
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
      const send = {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      }
      // As a sender does that loses nothing: nobody had said that these were taken.
      for (const { stream, n } of unsure)
        await untilAnswered(`${urls[0]}/v1/events/${stream}`, { ...send, body: JSON.stringify(eventOf(n)) })
      const found = await judge(
        { acknowledged, seen, acquired },
        { redis, url: urls[0]!, key, from: killedAt },
      )
      return { ...found, ...noted, wrong_answers: wrong.length }
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
