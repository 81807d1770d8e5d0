import { type Bell, createBell } from '../bell.ts'
import type { Clock } from '../ports/clock.ts'
import type { DueTimes } from './due-times.ts'
import type { Delivery, Failure, GroupLedger } from './group-ledger.ts'
import { createKeyLanes } from './key-lanes.ts'

export interface StreamEntry {
  id: string
  fields: Readonly<Record<string, string>>
  /** From 1: one more than the attempts that failed. */
  attempt: number
  /** No attempt follows this one. */
  isLast: boolean
  /** It was in somebody's hands before: what it does may have been done already. */
  redelivered: boolean
}

/** How an entry went: undefined where it went well. */
export type Outcome =
  | undefined
  | {
      /** An error, or what the dead letter shall say. */
      failed: unknown
      /** Another attempt is of no use. */
      permanent?: boolean
      /** At least this long until the next attempt. */
      retryAfterMs?: number
    }

/**
 * Works on entries, of which no two have the same key. Returns their outcomes in order, or nothing where all went well; what it
 * throws is the failure of all. An entry may come more than once: what it does must not matter twice. The signal ends when the
 * group stops or the entries were taken over: what it then throws is no failure.
 */
export type Handle = (
  entries: readonly StreamEntry[],
  signal: AbortSignal,
  // biome-ignore lint/suspicious/noConfusingVoidType: a handler without outcomes returns nothing
) => Promise<readonly Outcome[] | void>

interface Retry {
  /** In all. Default 8. */
  attempts?: number
  /** Wait after the first failure; it doubles, of which up to half at random. Milliseconds, default 1,000. */
  firstMs?: number
  /** Milliseconds, default 300,000. */
  longestMs?: number
  /** Consumers that may die with an entry in hand before it goes to the dead letters. Default 10. */
  takeovers?: number
}

export interface GroupLog {
  error(line: Record<string, unknown>): void
}

export interface GroupWorkerOptions {
  ledger: GroupLedger
  /** Where it notes when what failed is due. */
  dues: DueTimes
  handle: Handle
  keyOf?: (entry: { fields: Readonly<Record<string, string>> }) => string | undefined
  /** Told before an entry goes to the dead letters; may be told twice. */
  onDead?: (entry: StreamEntry, cause: string) => Promise<void>
  concurrency: number
  batch: number
  retry: Retry
  claimIdleMs: number
  clock: Clock
  log: GroupLog
}

interface Held {
  entry: Delivery
  /** When Redis was last told that it is worked on; `performance.now()`. */
  since: number
  controller?: AbortController
}

/** Works on what it is given, and tells Redis how it went. */
export function createGroupWorker(options: GroupWorkerOptions) {
  const { ledger, dues, handle, keyOf, onDead, concurrency, batch, claimIdleMs, clock, log } = options
  const { attempts = 8, firstMs = 1_000, longestMs = 300_000, takeovers = 10 } = options.retry
  const lanes = createKeyLanes(keyOf)
  const stopping = new AbortController()
  /** Everything that is ours until Redis has confirmed how it went. */
  const held = new Map<string, Held>()
  let running = 0
  let burying = 0
  let count = 0
  let paused = false
  let done: Delivery[] = []
  let failed: { entry: Delivery; failure: Failure }[] = []
  let telling: Promise<void> | undefined
  /** Rings whenever something is over. */
  const bell: Bell = createBell()

  function accept(entries: readonly Delivery[]) {
    const since = performance.now()
    for (const entry of entries) {
      if (held.has(entry.id)) continue
      held.set(entry.id, { entry, since })
      if (entry.takeovers > takeovers) {
        void bury(entry, `${entry.takeovers} consumers died while they worked on it`)
      } else lanes.add(entry)
    }
    pump()
  }

  function pump() {
    while (running < concurrency && lanes.ready > 0 && !paused) {
      running++
      void work(lanes.take(batch))
    }
  }

  async function work(entries: Delivery[]) {
    const controller = new AbortController()
    for (const { id } of entries) held.get(id)!.controller = controller
    const signal = AbortSignal.any([stopping.signal, controller.signal])
    const shown = entries.map(show)
    let outcomes: readonly Outcome[]
    try {
      outcomes = (await handle(shown, signal)) ?? []
    } catch (error) {
      outcomes = entries.map(() => ({ failed: error }))
    }
    running--
    for (const [i, entry] of entries.entries()) {
      if (!held.has(entry.id)) continue // another consumer's by now
      const outcome = outcomes[i]
      if (!outcome) done.push(entry)
      else if (!signal.aborted) fail(entry, outcome)
    }
    tell()
    pump()
    bell.ring()
  }

  const show = ({ id, fields, failures, takeovers }: Delivery): StreamEntry => ({
    id,
    fields,
    attempt: failures + 1,
    isLast: failures + 1 >= attempts,
    redelivered: failures + takeovers > 0,
  })

  function fail(entry: Delivery, { failed: cause, permanent, retryAfterMs = 0 }: NonNullable<Outcome>) {
    const text = describe(cause)
    if (permanent || entry.failures + 1 >= attempts) return void bury(entry, text)
    const backOff = Math.min(firstMs * 2 ** entry.failures, longestMs) * (0.5 + Math.random() / 2)
    const waitMs = Math.max(backOff, retryAfterMs)
    failed.push({ entry, failure: { id: entry.id, waitMs, cause: text } })
  }

  async function bury(entry: Delivery, cause: string) {
    burying++
    await announce(entry, cause)
    burying--
    if (stopping.signal.aborted) return
    log.error({ msg: 'An entry goes to the dead letters', id: entry.id, attempts: entry.failures + 1, cause })
    failed.push({ entry, failure: { id: entry.id, waitMs: undefined, cause } })
    tell()
  }

  async function announce(entry: Delivery, cause: string) {
    for (let pause = 100; onDead && !stopping.signal.aborted; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      try {
        return await onDead(show(entry), cause)
      } catch (error) {
        log.error({ msg: 'A dead letter could not be announced', id: entry.id, cause: error })
        await sleep(pause, stopping.signal)
      }
    }
  }

  /** One wave at a time; what is over meanwhile goes with the next. */
  function tell() {
    telling ??= tellAll().finally(() => {
      telling = undefined
      bell.ring()
      // It came when the last wave was read, but not yet over.
      if (done.length + failed.length > 0 && !stopping.signal.aborted) tell()
    })
  }

  async function tellAll() {
    let pause = 50
    while (done.length + failed.length > 0) {
      const [doneNow, failedNow] = [done.slice(0, MOST_A_WAVE), failed.slice(0, MOST_A_WAVE)]
      try {
        const failures = failedNow.map(({ failure }) => failure)
        await ledger.settle(doneNow, failures, new Date(clock.now()).toISOString())
        pause = 50
      } catch (error) {
        // It stays ours, and is told again; if we die before that, another consumer does it again.
        log.error({ msg: 'Entries could not be acknowledged', count: doneNow.length, cause: error })
        if (stopping.signal.aborted) return
        await sleep(pause, stopping.signal)
        pause = Math.min(pause * 2, LONGEST_PAUSE_MS)
        continue
      }
      done = done.slice(doneNow.length)
      failed = failed.slice(failedNow.length)
      for (const entry of doneNow) settled(entry)
      for (const { entry, failure } of failedNow) {
        if (failure.waitMs === undefined) settled(entry)
        else {
          held.delete(entry.id)
          dues.add(performance.now() + failure.waitMs)
        }
      }
      pump()
      bell.ring()
    }
  }

  function settled(entry: Delivery) {
    count++
    held.delete(entry.id)
    lanes.settled(entry)
  }

  return {
    accept,
    bell,
    hold: lanes.hold,
    /** How many entries are in hand. */
    get size() {
      return held.size
    },
    get settledCount() {
      return count
    },
    /** Nothing is worked on any more, or the time is up. */
    async quiet(until: number, signal?: AbortSignal): Promise<void> {
      while ((running > 0 || burying > 0 || telling) && !signal?.aborted) {
        const left = until - performance.now()
        if (left <= 0) return
        await bell.sleep(Math.min(left, 1_000), signal)
      }
    },
    /** Renews what has been in hand for a while; ends work on what was taken over. */
    async keep(): Promise<void> {
      const now = performance.now()
      const old = [...held].filter(([, { since }]) => now - since > claimIdleMs / 3)
      for (let i = 0; i < old.length; i += MOST_A_WAVE) {
        const part = old.slice(i, i + MOST_A_WAVE)
        const lost = await ledger.keep(part.map(([id]) => id))
        for (const [, one] of part) one.since = now
        for (const id of lost) {
          const one = held.get(id)
          if (!one || done.includes(one.entry)) continue
          one.controller?.abort(new Error('Another consumer has taken the entry over'))
          settled(one.entry)
        }
      }
    },
    /** Frees the keys whose entry somebody else settled. */
    async free(): Promise<void> {
      const before = new Set(held.keys())
      for (const { id } of await ledger.waiting()) before.add(id)
      lanes.free((id) => before.has(id) || held.has(id))
      pump()
    },
    /** Begins nothing more. */
    pause(): void {
      paused = true
    },
    /** What still runs is told to end. */
    stop(): void {
      paused = true
      stopping.abort(new Error('The consumer stops'))
      bell.ring()
    },
  }
}

export type GroupWorker = ReturnType<typeof createGroupWorker>

const MOST_A_WAVE = 1_000
const LONGEST_PAUSE_MS = 5_000

const sleep = (ms: number, signal: AbortSignal) => createBell().sleep(ms, signal)

/** What a dead letter says: no stack, no cause that the public should not see. */
function describe(cause: unknown): string {
  const text = cause instanceof Error ? cause.message || cause.name : String(cause)
  return text.slice(0, 1_000)
}
