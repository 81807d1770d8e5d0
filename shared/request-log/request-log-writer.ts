import type { CompletionRecord } from '../completions/completion-record.ts'
import { requestLogKey } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis, ScriptCall } from '../ports/redis.ts'
import { logRequestsScript } from '../scripts.generated.ts'
import { toFields } from './entry.ts'

export interface RequestLogWriterOptions {
  redis: Redis
  clock: Clock
  /** How long entries may be collected before they are written, in ms; 0 where nothing runs between requests. */
  delayMs: number
  keptDays: number
  /** Of one tenant. Redis trims whole nodes, so somewhat more. */
  most: number
  /** Messages and answers too. */
  withContent: boolean
  log: Record<'error', (line: Record<string, unknown>) => void>
}

interface Line {
  tenant: string
  request: string
  content: string
  size: number
}

const DAY_MS = 86_400_000
/** What a process keeps while Redis is away: entries, and characters of them. */
const KEPT = { lines: 10_000, size: 16 * 1024 * 1024 }
/** They are written together, in one call for a tenant; so many do not wait for others. */
const WAVE_LINES = 500
const TIMEOUT_MS = 2_000
const OVERDUE_MS = 1_000

/**
 * Writes the request log behind the requests: what ends within `delayMs`, or the first 500, goes to Redis in one wave. What Redis did not take
 * is kept for the next time while the process lives, the oldest dropped beyond a bound. An entry whose acknowledgement was lost is there twice.
 */
export function createRequestLogWriter(options: RequestLogWriterOptions) {
  const { redis, clock, delayMs, keptDays, most, withContent, log } = options
  let lines: Line[] = []
  let size = 0
  let dropped = 0
  let reported = 0
  /** When the next flush is due. A runtime may drop the work: then a later call starts it again. */
  let due = Number.NEGATIVE_INFINITY
  let isAway = false
  let hasEnough = () => {}

  return {
    /** Returns the work that writes it, to be deferred; nothing where an earlier call's work will take it along. */
    observe(record: CompletionRecord): Promise<void> | undefined {
      const { request, content } = toFields(record, withContent)
      keep([{ tenant: record.tenant, request, content, size: request.length + content.length }], 'last')
      if (lines.length >= WAVE_LINES && !isAway) hasEnough()
      const now = performance.now()
      if (now < due + OVERDUE_MS) return undefined
      due = now + delayMs
      return flush()
    },
    /** Entries that were lost since the process began. */
    get dropped() {
      return dropped
    },
  }

  function keep(more: Line[], place: 'first' | 'last') {
    if (place === 'first') lines = [...more, ...lines]
    else lines.push(...more)
    for (const line of more) size += line.size
    let over = 0
    for (
      let left = size;
      lines.length - over > KEPT.lines || (left > KEPT.size && over < lines.length);
      over++
    ) {
      left -= lines[over]!.size
    }
    if (over > 0) dropped += take(over).length
  }

  function take(count: number): Line[] {
    const taken = lines.splice(0, count)
    for (const line of taken) size -= line.size
    return taken
  }

  async function flush() {
    if (delayMs > 0) await collected()
    while (lines.length > 0) {
      // What comes meanwhile goes with the next turn.
      due = performance.now() + TIMEOUT_MS
      const taken = take(Math.min(lines.length, WAVE_LINES))
      try {
        await write(taken)
        isAway = false
      } catch {
        isAway = true
        keep(taken, 'first')
        break
      }
    }
    due = Number.NEGATIVE_INFINITY
    if (lines.length > 0) return
    if (dropped > reported)
      log.error({ msg: 'Entries of the request log were lost', dropped: dropped - reported })
    reported = dropped
  }

  /** Until the delay is over, or there is enough for a wave. */
  function collected() {
    return new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs)
      hasEnough = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  /** Throws where Redis is away; what it refuses is lost. */
  async function write(some: readonly Line[]) {
    const keptMs = keptDays * DAY_MS
    const oldest = Math.max(0, clock.now() - keptMs)
    const tenants = [...Map.groupBy(some, ({ tenant }) => tenant)]
    const calls = tenants.map(
      ([tenant, own]): ScriptCall => ({
        script: logRequestsScript,
        keys: [requestLogKey(tenant)],
        args: [most, oldest, keptMs, ...own.flatMap(({ request, content }) => [request, content])],
      }),
    )
    const replies = await redis.wave(calls, { timeoutMs: TIMEOUT_MS })
    for (const [i, reply] of replies.entries()) if (reply instanceof Error) dropped += tenants[i]![1].length
  }
}
