import { HubError } from '../errors.ts'
import { scheduleKeys } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis, Reply } from '../ports/redis.ts'
import { replaceFieldScript } from '../scripts.generated.ts'
import { send } from '../send.ts'
import type { Counts, Deliver, RunCall } from './deliver.ts'
import type { FetchSource } from './fetch-source.ts'
import { type Cursor, type Pull, type PullContext, type PulledPage, shortHash } from './pulled.ts'
import type { PullSource, Target } from './schedule.ts'

export interface PullOptions {
  redis: Redis
  clock: Clock
  deliver: Deliver['deliver']
  fetchSource: FetchSource
  /** Parts that one run hands on, where a runtime counts calls. */
  mostParts?: number
  pulls: { [Type in PullSource['type']]: Pull<Extract<PullSource, { type: Type }>> }
}

export interface PullCall extends RunCall {
  name: string
  /** Of the schedule: a cursor of another one with its name, or of another source, counts no more. */
  made: string
  /** When to stop between two parts, Unix ms. */
  untilMs: number
}

const TIMEOUT = { timeoutMs: 5_000 }
/** Of those that are remembered, how long after a source showed them last. */
const REMEMBERED_MS = 30 * 86_400_000
const MOST_REMEMBERED = 200_000

/**
 * Reads what is new of a source into a target. The cursor moves on only after the target has a page, and only from where this run found
 * it: of two runs at once one stops. A run that dies is repeated from its last page; what it had delivered is known by its id.
 */
export function createRunPull({
  redis,
  clock,
  deliver,
  fetchSource,
  mostParts = Number.POSITIVE_INFINITY,
  pulls,
}: PullOptions) {
  /** True where there is more to read. */
  return async function runPull(
    source: PullSource,
    target: Target,
    call: PullCall,
    counts: Counts,
  ): Promise<boolean> {
    const { schedule: key, seen } = scheduleKeys(call.tenant, call.name)
    const of = `${call.made}.${shortHash(JSON.stringify([whatIsRead(source), target]))}`
    let held = (await send(redis, ['HGET', key, 'cursor'], TIMEOUT)) as string | null
    const known = held === null ? undefined : (JSON.parse(held) as { of: string; at: Cursor })
    const startedAt = clock.now()
    const pull = pulls[source.type] as Pull<PullSource>
    let pages = 0
    let parts = 0
    for await (const page of pull(
      source,
      known?.of === of ? known.at : {},
      contextOf(source, target, call),
    )) {
      if (!(await takeIn(page))) return true
      const next = JSON.stringify({ of, at: page.cursor })
      await move(key, held, next)
      held = next
      pages++
      if (page.more && (pages >= (source.max_pages ?? 20) || clock.now() >= call.untilMs)) return true
    }
    if (pages > 0) await forget(seen, startedAt)
    return false

    /** False where it has to end before all are. */
    async function takeIn({ items, together }: PulledPage): Promise<boolean> {
      const names = items.map(({ id, mark }) => shortHash(`${of}\n${id}\n${mark}`))
      if (items.length === 0) return true
      const scores = (await send(redis, ['ZMSCORE', seen, ...names], TIMEOUT)) as (string | null)[]
      const fresh = items.filter((_, i) => scores[i] === null)
      const namesOf = new Map(items.map((item, i) => [item, names[i]!]))
      for (const part of partsOf(fresh, together)) {
        if (clock.now() >= call.untilMs || parts++ >= mostParts) return false
        await deliver(part, source, target, call, counts)
        await remember(
          seen,
          part.map((item) => namesOf.get(item)!),
        )
      }
      counts.duplicates += items.length - fresh.length
      await remember(
        seen,
        names.filter((_, i) => scores[i] !== null),
      )
      return true
    }
  }

  function contextOf(source: PullSource, target: Target, { signal }: RunCall): PullContext {
    const own = source.type === 's3' ? {} : (source.headers ?? {})
    return {
      get(url, given) {
        const headers = new Headers(own)
        for (const [name, value] of given ?? []) if (!headers.has(name)) headers.set(name, value)
        return fetchSource({
          ...{ url, headers, signal, allowPrivate: source.allow_private ?? false },
          maxBytes: source.max_bytes ?? 5 * 1024 * 1024,
          timeoutMs: (source.timeout_seconds ?? 20) * 1_000,
          followsRedirects: source.type !== 's3',
        })
      },
      forIndex: 'index' in target,
      signal,
      now: clock.now(),
    }
  }

  async function move(key: string, from: string | null, to: string): Promise<void> {
    const call = { script: replaceFieldScript, keys: [key], args: ['cursor', from ?? '', to] }
    if ((await send(redis, call, TIMEOUT)) !== 0) return
    const message = 'Another run of this schedule has read on meanwhile, or it was changed.'
    throw new HubError({ code: 'schedule_overtaken', status: 409, message })
  }

  async function remember(seen: string, names: readonly string[]): Promise<Reply | undefined> {
    const now = clock.now()
    if (names.length === 0) return undefined
    return send(redis, ['ZADD', seen, ...names.flatMap((name) => [now, name])], TIMEOUT)
  }

  /** What the source shows is as young as this run: only what it shows no more grows old. */
  async function forget(seen: string, startedAt: number): Promise<void> {
    const calls = [
      ['ZREMRANGEBYSCORE', seen, '-inf', startedAt - REMEMBERED_MS],
      ['ZREMRANGEBYRANK', seen, 0, -MOST_REMEMBERED - 1],
    ] as const
    await redis.wave(calls, TIMEOUT)
  }
}

export type RunPull = ReturnType<typeof createRunPull>

/** What makes a source another one; bounds and headers do not. */
function whatIsRead(source: PullSource): unknown {
  if (source.type === 's3') return [source.endpoint, source.bucket, source.prefix, source.listing]
  return source.type === 'rss' ? source.url : [source.url, source.items, source.id, source.since]
}

function* partsOf<T>(items: readonly T[], size: number): Generator<T[]> {
  for (let i = 0; i < items.length; i += size) yield items.slice(i, i + size)
}
