import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisServer } from '../../infra/local-redis/redis-server.ts'
import { startRedis } from '../../infra/local-redis/run-redis.ts'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { eventKeys, resultKey, resultsChannel } from '../../shared/keys.ts'
import type { Command, Redis, Reply } from '../../shared/ports/redis.ts'
import { ADMIN_KEY, startHub, startHubs } from './hub-process.ts'

export interface EventFaultOptions {
  events: number
  /** Between two kills, ms at most. Default 800. */
  killEveryMs?: number
  server: RedisServer
  report?: (line: string) => void
}

export interface EventFaultReport {
  events: number
  /** Events that the hub said it has. */
  accepted: number
  /** Batches that had to be sent again, because nobody had said that they were taken. */
  sent_again: number
  /** Accepted events with a result. */
  processed: number
  /** Accepted events that came to a worker again after their result was there: it stayed as it was, and was told again. */
  duplicated: number
  /** Accepted events whose result changed after it was first seen: must be none. */
  rewritten: number
  /** Accepted events without a result. */
  lost: number
  failed: number
  dead: number
  pending: number
  kills: number
  redis_restarts: number
  seconds: number
}

const STREAM = 'orders'
const LEAST_KILLS = 8
/** Sent at the same time. */
const SENDERS = 4
/** The shortest run: kills must meet work. */
const SHORTEST_MS = 12_000
const EVENTS_A_SECOND = 2_500
const PATIENT = { timeoutMs: 10_000 }

/**
 * Sends events into three hubs that are killed at random again and again, over a Redis that is restarted once in the middle; then counts.
 * That no result is written twice shows a read of every one when the last event was accepted, and another one at the end.
 */
export async function runEventFaults(options: EventFaultOptions): Promise<EventFaultReport> {
  const { events, killEveryMs = 800, server, report = () => {} } = options
  const started = performance.now()
  const directory = await mkdtemp(join(tmpdir(), 'hub-faults-'))
  // Append-only file, synced every second.
  let local = await startRedis({ server, directory, port: 0 })
  const { url, port } = local
  const redis = createRedisResp({ url })
  const hubs = await startHubs(3, () => startHub(url, { HUB_CLAIM_SECONDS: '2', FUNCTIONS: 'ingest-event' }))
  let sentAgain = 0
  const ids: string[] = []
  const told = new Map<string, number>()
  const onResult = (text: string) => {
    const { id } = JSON.parse(text) as { id: string }
    told.set(id, (told.get(id) ?? 0) + 1)
  }
  const subscription = await redis.subscribe(resultsChannel('default', STREAM), onResult, PATIENT)

  /** As a sender does that loses nothing: what was not answered with 202 is sent again. */
  async function send(from: number, to: number) {
    const batch = Array.from({ length: to - from }, (_, i) => ({
      ...{ specversion: '1.0', id: `e${from + i}`, source: '/faults', type: 'order' },
      data: { n: from + i },
    }))
    for (let first = true; ; first = false) {
      if (!first) {
        sentAgain++
        await sleep(100)
      }
      try {
        const hub = hubs.any()
        if (!hub) continue
        const reply = await fetch(`${hub.url}/v1/events/${STREAM}`, {
          method: 'POST',
          headers: {
            authorization: `Bearer ${ADMIN_KEY}`,
            'content-type': 'application/cloudevents-batch+json',
          },
          body: JSON.stringify(batch),
          signal: AbortSignal.timeout(15_000),
        })
        if (reply.status === 202) {
          const { events } = (await reply.json()) as { events: { result_id: string }[] }
          for (const { result_id } of events) ids.push(result_id)
          return
        }
        await reply.body?.cancel()
      } catch {}
    }
  }

  const put = await fetch(`${hubs.any()!.url}/v1/events/${STREAM}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ handler: { type: 'store' }, max_lag: 1_000_000 }),
  })
  if (!put.ok) throw new Error(`The stream cannot be made: ${put.status} ${await put.text()}`)
  await put.body?.cancel()

  hubs.harass(killEveryMs)
  let restarts = 0
  const batch = Math.max(1, Math.min(500, Math.ceil(events / (SENDERS * 40))))
  const lengthMs = Math.max(SHORTEST_MS, (events / EVENTS_A_SECOND) * 1_000)
  const paceMs = (lengthMs * SENDERS * batch) / events
  for (let from = 0; from < events; from += SENDERS * batch) {
    const begins = Array.from({ length: SENDERS }, (_, n) => from + n * batch).filter((n) => n < events)
    const sent = begins.map((begin) => send(begin, Math.min(begin + batch, events)))
    await Promise.all([...sent, sleep(paceMs)])
    if (restarts === 0 && from >= events / 2) {
      restarts++
      report(`${ids.length} accepted, ${hubs.kills} kills: Redis is restarted`)
      await local.stop()
      local = await startRedis({ server, directory, port })
    }
  }
  report(`${ids.length} accepted, ${hubs.kills} kills`)
  const early = await resultsOf(redis, ids)
  while (hubs.kills < LEAST_KILLS) await sleep(100)
  await hubs.relent()

  const { events: key } = eventKeys('default', STREAM)
  let pending = -1
  for (const deadline = performance.now() + 120_000; performance.now() < deadline; await sleep(250)) {
    const [groups] = await redis.wave([['XINFO', 'GROUPS', key]], PATIENT).catch(() => [[]] as Reply[])
    const flat = (groups as Reply[][])[0] ?? []
    const of = (field: string) => Number(flat[flat.indexOf(field) + 1])
    pending = of('pending') + of('lag')
    if (pending === 0) break
  }
  const results = await resultsOf(redis, ids)
  const [dead] = await redis.wave([['XLEN', `{${key}}:dead`]], PATIENT)
  const texts = [...results.values()]
  const isOther = (id: string) => early.has(id) && early.get(id) !== results.get(id)
  await subscription.close()
  await hubs.stop()
  await redis.close()
  await local.stop()
  await rm(directory, { recursive: true, force: true })
  const accepted = new Set(ids)
  return {
    ...{ events, accepted: accepted.size, sent_again: sentAgain, processed: results.size },
    duplicated: [...told.values()].filter((count) => count > 1).length,
    rewritten: [...accepted].filter(isOther).length,
    lost: [...accepted].filter((id) => !results.has(id)).length,
    failed: texts.filter((text) => JSON.parse(text).status === 'failed').length,
    ...{ dead: Number(dead), pending, kills: hubs.kills, redis_restarts: restarts },
    seconds: Math.round((performance.now() - started) / 100) / 10,
  }
}

async function resultsOf(redis: Redis, ids: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (let i = 0; i < ids.length; i += 1_000) {
    const part = ids.slice(i, i + 1_000)
    const calls = part.map((id): Command => ['GET', resultKey('default', id)])
    const replies = await redis.wave(calls, PATIENT)
    part.forEach((id, n) => {
      if (typeof replies[n] === 'string') found.set(id, replies[n])
    })
  }
  return found
}
