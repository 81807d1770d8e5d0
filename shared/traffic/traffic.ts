import { LRUCache } from 'lru-cache'
import type { CompletionRecord } from '../completions/completion-record.ts'
import { TRAFFIC_TTL_SECONDS, trafficKey } from '../keys.ts'
import type { Tally } from '../metering/tally.ts'
import type { Clock } from '../ports/clock.ts'
import type { Command, Redis } from '../ports/redis.ts'
import { bucketOf } from './histogram.ts'
import { type ErrorClass, field, newCounts, readMinute, type TrafficCounts, toNano } from './minute.ts'

export interface TrafficOptions {
  redis: Redis
  tally: Tally
  clock: Clock
}

/** An inference that is over. */
export interface InferenceRecord {
  tenant: string
  model: string
  ms: number
  failed: boolean
}

export interface TrafficMinute {
  /** When it began, Unix ms. */
  at: number
  counts: TrafficCounts
}

const MINUTE_MS = 60_000
/** A minute whose counters had so long to arrive is not read again for a while. */
const SETTLED_MS = 90_000
const REMEMBERED_MS = 60_000

/** What a tenant's completions and inferences come to each minute, counted by all instances together. */
export function createTraffic({ redis, tally, clock }: TrafficOptions) {
  const settled = new LRUCache<string, TrafficCounts>({ max: 5_000, ttl: REMEMBERED_MS, ttlResolution: 0 })

  let current = { number: 0, name: '', target: {} }

  /** Made once a minute: every completion asks for it. */
  function thisMinute() {
    const number = Math.floor(clock.now() / MINUTE_MS)
    if (number !== current.number) {
      current = {
        number,
        name: nameOf(number),
        target: { expireAt: (number + 1) * 60 + TRAFFIC_TTL_SECONDS },
      }
    }
    return current
  }

  function count(tenant: string, counts: readonly (readonly [string, number])[]) {
    const { name, target } = thisMinute()
    return tally.add(trafficKey(tenant, name), counts, target)
  }

  return {
    /** Returns work to be deferred: counters are written a moment later, and kept while Redis is away. */
    observe(record: CompletionRecord): Promise<void> | undefined {
      const { tenant, verdict, endpoint, totalMs, firstMs, tokens } = record
      const counts: [string, number][] = [
        [field.verdict(verdict), 1],
        [field.endpoint(endpoint), 1],
        [field.total(bucketOf(totalMs)), 1],
      ]
      const set = (name: string, by: number) => {
        if (by > 0) counts.push([name, by])
      }
      if (firstMs !== undefined) set(field.first(bucketOf(firstMs)), 1)
      if (tokens) {
        set('input_tokens', tokens.input + tokens.cachedRead + tokens.cacheWrite)
        set('output_tokens', tokens.output)
      }
      set('cost', toNano(record.cost))
      set('saved', toNano(record.saved))
      set('saved_tokens', record.savedTokens)
      const failed = errorClassOf(record)
      if (failed) set(field.error(failed), 1)
      return count(tenant, counts)
    },

    /** The same of a model's run. */
    observeInference({ tenant, model, ms, failed }: InferenceRecord): Promise<void> | undefined {
      const name = failed ? field.inferenceError(model) : field.inference(bucketOf(ms), model)
      return count(tenant, [[name, 1]])
    },

    /** The latest minutes, this one too, the oldest first; at most a day of them are kept. One wave. */
    async read(tenant: string, minutes: number): Promise<TrafficMinute[]> {
      const now = clock.now()
      const last = Math.floor(now / MINUTE_MS)
      const all = Array.from({ length: minutes }, (_, i) => last - minutes + 1 + i)
      const keys = all.map((minute) => trafficKey(tenant, nameOf(minute)))
      const asked = keys.filter((key) => !settled.has(key))
      const replies =
        asked.length > 0
          ? await redis.wave(
              asked.map((key): Command => ['HGETALL', key]),
              { timeoutMs: 5_000 },
            )
          : []
      const read = new Map<string, TrafficCounts>()
      for (const [i, reply] of replies.entries()) {
        if (reply instanceof Error) throw reply
        read.set(asked[i]!, readMinute(reply as string[]))
      }
      return all.map((minute, i) => {
        const key = keys[i]!
        const counts = read.get(key) ?? settled.get(key) ?? newCounts()
        if (read.has(key) && now - (minute + 1) * MINUTE_MS > SETTLED_MS) settled.set(key, counts)
        return { at: minute * MINUTE_MS, counts }
      })
    },
  }
}

export type Traffic = ReturnType<typeof createTraffic>

/** `yyyymmddhhmm`, UTC. */
const nameOf = (minute: number) =>
  new Date(minute * MINUTE_MS).toISOString().slice(0, 16).replace(/[-T:]/g, '')

/** That there is no stored answer is what `only-if-cached` asks to be told. */
export function errorClassOf({
  status,
  errorCode,
}: Pick<CompletionRecord, 'status' | 'errorCode'>): ErrorClass | undefined {
  if (status < 400 || errorCode === 'not_cached') return undefined
  if (status === 429) return 'limited'
  return status < 500 ? 'client' : 'server'
}
