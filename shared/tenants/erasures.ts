import { createBell } from '../bell.ts'
import { HubError, toHubError } from '../errors.ts'
import { DEFAULT_TENANT, ERASURES_DUE_KEY, ERASURES_KEY, hubKeysKey } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis } from '../ports/redis.ts'
import { claimDueScript, moveErasureScript } from '../scripts.generated.ts'
import { send } from '../send.ts'
import type { ErasurePlace } from './erasure-places.ts'
import { type Erasure, newErasure, type StoredErasure, shown } from './erasure-record.ts'

export interface ErasuresOptions {
  redis: Redis
  placesOf(tenant: string, signal?: AbortSignal): Promise<ErasurePlace[]>
  /** It is over when nothing of the tenant has turned up for so long: whatever was on its way has ended by then. */
  quietMs: number
  /** Pages of one turn, where the runtime counts calls: each costs about three. */
  mostPages?: number
  /** A key of this process is no longer trusted, whether Redis answers or not. */
  forgetKey(id: string): void
  /** There is something to do. */
  onBegun?(defer: (work: Promise<unknown>) => void): void
  clock: Clock
  log: Record<'info' | 'error', (line: Record<string, unknown>) => void>
}

const SLOW = { timeoutMs: 2_000 }
/** A worker that says nothing for so long is taken for dead. */
const LEASE_MS = 60_000
/** After a failure, and at most after a pass that found something. */
const PAUSE_MS = 10_000

/**
 * Erasures of tenants: recorded at once, done in the background by whoever is free, page by page, so that another one goes on where one died.
 * Each pass looks everywhere; two that find nothing, `quietMs` apart, are the end.
 */
export function createErasures(options: ErasuresOptions) {
  const {
    redis,
    placesOf,
    quietMs,
    mostPages = Number.POSITIVE_INFINITY,
    forgetKey,
    onBegun,
    clock,
    log,
  } = options
  const bell = createBell()

  const readText = async (tenant: string) =>
    (await send(redis, ['HGET', ERASURES_KEY, tenant], SLOW)) as string | null

  /** False where somebody else has moved it meanwhile. `dueMs` undefined: nobody needs to go on. */
  async function move(tenant: string, from: string | null, to: string, dueMs?: number): Promise<boolean> {
    const args = [tenant, from ?? '', to, dueMs ?? '']
    const keys = [ERASURES_KEY, ERASURES_DUE_KEY]
    return (await send(redis, { script: moveErasureScript, keys, args }, SLOW)) === 1
  }

  async function claim(): Promise<{ tenant?: string; now: number; nextMs: number }> {
    const replies = await redis.wave(
      [
        { script: claimDueScript, keys: [ERASURES_DUE_KEY], args: [1, LEASE_MS] },
        ['ZRANGE', ERASURES_DUE_KEY, 0, 0, 'WITHSCORES'],
        ['TIME'],
      ],
      SLOW,
    )
    for (const reply of replies) if (reply instanceof Error) throw reply
    const [[tenant], [, next], [seconds, microseconds]] = replies as [string[], string[], string[]]
    const now = Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000)
    return { tenant, now, nextMs: next === undefined ? Number.POSITIVE_INFINITY : Number(next) - now }
  }

  /** One pass, or a part of it. */
  async function turn(tenant: string, startedAt: number, { untilMs, pages, signal }: Turn): Promise<number> {
    let text = await readText(tenant)
    if (!text) return 0
    let erasure: StoredErasure = JSON.parse(text)
    if (erasure.status === 'erased') return 0
    const since = performance.now()
    const now = () => Math.round(startedAt + performance.now() - since)

    async function save(change: Partial<StoredErasure>, dueMs?: number): Promise<boolean> {
      const to = JSON.stringify({ ...erasure, ...change })
      const isOurs = await move(tenant, text, to, dueMs)
      text = to
      erasure = JSON.parse(to)
      return isOurs
    }

    let used = 0
    try {
      const places = await placesOf(tenant, signal)
      let at = places.findIndex(({ name }) => name === erasure.place)
      if (at < 0) {
        // Anew; where the servers are others now, what was looked at says nothing.
        at = 0
        const isFirst = erasure.place === ''
        if (!(await save({ place: places[0]!.name, cursor: '0', found: isFirst ? 0 : 1 }, LEASE_MS)))
          return used
      }
      for (;;) {
        if (signal?.aborted || used >= pages || performance.now() >= untilMs) {
          await save({}, 0)
          return used
        }
        const place = places[at]!
        const { removed, next } = await place.erase(erasure.cursor, signal)
        used++
        erasure = { ...erasure, problem: null, [place.counts]: erasure[place.counts] + removed }
        erasure.found += removed
        if (next === undefined) at++
        if (at === places.length) break
        erasure = { ...erasure, place: places[at]!.name, cursor: next ?? '0' }
        // Where nothing was found, whoever repeats it finds nothing again.
        if ((removed > 0 || used % 10 === 0) && !(await save({}, LEASE_MS))) return used
      }
      await endPass()
    } catch (cause) {
      if (signal?.aborted) throw cause
      log.error({ msg: 'A tenant cannot be erased for now', tenant, cause })
      await save({ problem: toHubError(cause).message }, PAUSE_MS)
    }
    return used

    async function endPass() {
      const { found, quiet_since: before } = erasure
      const since = found > 0 ? null : (before ?? now())
      const passed = {
        passes: erasure.passes + 1,
        place: '',
        cursor: '0',
        found: 0,
        quiet_since: since,
        problem: null,
      }
      const left = since === null ? 0 : quietMs - (now() - since)
      if (found > 0 || before === null || left > 0) {
        await save(passed, found > 0 ? Math.min(PAUSE_MS, quietMs / 4) : Math.max(1, left))
        return
      }
      const { keys, members, indexes } = erasure
      if (await save({ ...passed, status: 'erased', erased_at: new Date(now()).toISOString() }))
        log.info({ msg: 'A tenant is erased', tenant, keys, members, indexes })
    }
  }

  /** Works off what is due, until `performance.now()` is `untilMs`. Resolves with when the next one is due: ms from now. */
  async function work({ untilMs, pages, signal }: Turn): Promise<number> {
    for (let left = pages; ; ) {
      const { tenant, now, nextMs } = await claim()
      if (tenant === undefined) return nextMs
      left -= await turn(tenant, now, { untilMs, pages: left, signal })
      if (left <= 0 || performance.now() >= untilMs || signal?.aborted) return 0
    }
  }

  return {
    /** Records it and takes its hub keys away. While it runs the same one is returned. Throws 400 for the default tenant. */
    async begin(tenant: string, defer: (work: Promise<unknown>) => void): Promise<Erasure> {
      if (tenant === DEFAULT_TENANT) throw notTheDefault()
      for (;;) {
        const text = await readText(tenant)
        const before: StoredErasure | undefined = text ? JSON.parse(text) : undefined
        if (before?.status === 'erasing') return shown(before)
        const erasure = newErasure(tenant, clock.now(), before)
        if (!(await move(tenant, text, JSON.stringify(erasure), 0))) continue
        const ids = (await send(redis, ['HKEYS', hubKeysKey(tenant)], SLOW)) as string[]
        for (const id of ids) forgetKey(id)
        await send(redis, ['UNLINK', hubKeysKey(tenant)], SLOW)
        bell.ring()
        onBegun?.(defer)
        return shown(erasure)
      }
    },

    /** Undefined where it was never erased. */
    async find(tenant: string): Promise<Erasure | undefined> {
      const text = await readText(tenant)
      return text ? shown(JSON.parse(text)) : undefined
    },

    /** Of tenants that are being erased now. */
    async running(): Promise<string[]> {
      return (await send(redis, ['ZRANGE', ERASURES_DUE_KEY, 0, -1], SLOW)) as string[]
    },

    /** Until the signal aborts. */
    async run(signal: AbortSignal): Promise<void> {
      // Over HTTP every look is a request that somebody pays for.
      const lookMs = redis.wakeUps === 'push' ? LOOK_MS : SLOW_LOOK_MS
      while (!signal.aborted) {
        const turn = { untilMs: Number.POSITIVE_INFINITY, pages: Number.POSITIVE_INFINITY, signal }
        const nextMs = await work(turn).catch((cause) => {
          if (!signal.aborted) log.error({ msg: 'Erasures', cause })
          return lookMs
        })
        await bell.sleep(Math.max(10, Math.min(nextMs, lookMs)), signal)
      }
    },

    /** Works for so long: where nothing lives on between requests. */
    async drain(ms: number): Promise<void> {
      await work({ untilMs: performance.now() + ms, pages: mostPages })
    },
  }
}

export type Erasures = ReturnType<typeof createErasures>

interface Turn {
  /** `performance.now()`. */
  untilMs: number
  pages: number
  signal?: AbortSignal
}

const LOOK_MS = 5_000
const SLOW_LOOK_MS = 60_000

const notTheDefault = () =>
  new HubError({
    code: 'default_tenant',
    status: 400,
    message:
      'The default tenant cannot be erased: it is the hub itself, and its keys are those without a name before them. Delete what it holds by its routes, or empty this Redis.',
    param: 'tenant',
  })
