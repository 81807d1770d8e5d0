import { createBell } from '../bell.ts'
import { HubError } from '../errors.ts'
import type { CompletionKeys } from '../keys.ts'
import type { Redis, Reply } from '../ports/redis.ts'
import type { Attempt, Piece } from './answer.ts'
import type { Paid } from './completion-entry.ts'
import type { RunEnd } from './run-publisher.ts'

/** What its leader paid; `lost`: the run is gone without an end. `alone`: it will not be shared any more. */
export type Followed = { paid?: Paid } | 'lost' | 'alone'

const PUSH_POLL_MS = 500
const FIRST_POLL_MS = 100
const LAST_POLL_MS = 1_000

/**
 * Reads another caller's run into `attempt` until it ends. Throws the run's own error, or the Redis port's.
 *
 * @param calls how many Redis calls it may make
 */
export async function followRun(
  redis: Redis,
  keys: CompletionKeys,
  run: string,
  attempt: Attempt,
  { signal, calls }: { signal: AbortSignal; calls: number },
): Promise<Followed> {
  const wakeUp = createBell()
  const subscription =
    redis.wakeUps === 'push'
      ? await redis.subscribe(keys.wakeUp, wakeUp.ring, { signal }).catch(() => undefined) // then it polls
      : undefined
  let last = '-'
  let have = 0
  let pause = subscription ? PUSH_POLL_MS : FIRST_POLL_MS
  try {
    for (; calls > 0; calls--) {
      const [entries, owner] = await redis.wave(
        [
          ['XRANGE', keys.chunks, last, '+'],
          ['HGET', keys.run, 'run'],
        ],
        { signal },
      )
      for (const { id, fields } of readEntries(entries)) {
        last = `(${id}`
        if (fields.run !== run) continue
        const from = Number(fields.from)
        if (from > have) return 'lost'
        const pieces: Piece[] = JSON.parse(fields.pieces ?? '[]')
        const fresh = pieces.slice(have - from)
        fresh.forEach(attempt.push)
        have += fresh.length
        if (!fields.end) continue
        const end: RunEnd = JSON.parse(fields.end)
        if (end.type === 'error') throw new HubError(end.error)
        if (end.type === 'overflow') return 'alone'
        if (end.type === 'refused') return 'lost'
        if (end.pieces !== have) return 'lost' // nothing was published: the stored entry has it
        attempt.end()
        return { paid: end.paid }
      }
      if (owner !== run) return 'lost'
      await wakeUp.sleep(pause, signal)
      signal.throwIfAborted()
      if (!subscription) pause = Math.min(pause * 1.5, LAST_POLL_MS)
    }
    return 'alone'
  } finally {
    void subscription?.close().catch(() => {})
  }
}

function readEntries(reply: Reply | undefined): { id: string; fields: Record<string, string> }[] {
  if (reply instanceof Error) throw reply
  if (!Array.isArray(reply)) return []
  return (reply as [string, string[]][]).map(([id, list]) => {
    const fields: Record<string, string> = {}
    for (let i = 0; i < list.length; i += 2) fields[list[i]!] = list[i + 1]!
    return { id, fields }
  })
}
