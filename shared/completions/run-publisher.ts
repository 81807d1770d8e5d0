import { createBell } from '../bell.ts'
import type { HubError } from '../errors.ts'
import { type CompletionKeys, RUN_ENDED_MS, RUN_LEASE_MS } from '../keys.ts'
import type { Redis, ScriptCall } from '../ports/redis.ts'
import { appendScript, beatScript, endScript, releaseScript } from '../scripts.generated.ts'
import type { Piece } from './answer.ts'
import type { Paid } from './completion-entry.ts'

/** How a run ended, as its followers read it. */
export type RunEnd =
  | { type: 'ok'; pieces: number; paid?: Paid }
  | { type: 'error'; error: HubError['options'] }
  /** Too large to share: followers call for themselves. */
  | { type: 'overflow' }
  /** The leader may not make the call: followers ask who leads now. */
  | { type: 'refused' }

export interface RunPublisher {
  /** Stops the beat, writes what is unwritten and the end. False when the lease was lost: then nothing was stored. */
  end(end: RunEnd, store: { entry: string; ttlMs: number } | undefined, timeoutMs: number): Promise<boolean>
  /** Gives the run up unless someone waits for it; true when it was given up. */
  release(): Promise<boolean>
}

const BEAT_MS = 1_500
const SLOW_AFTER_MS = 30_000
const SLOW_GAP_MS = 1_000
/** Appends and beats delay nobody, so they may take as long as leaves the lease alive. */
const WRITE_TIMEOUT_MS = 1_000

/**
 * The leader's side of a run: keeps its lease and, once someone waits, hands the pieces over, one write in flight at a
 * time. Nobody waits: no piece is written.
 *
 * @param pieces grows while the answer comes
 * @param calls how many Redis calls it may make (a Worker's subrequests are counted); then it falls silent until the end
 */
export function createRunPublisher(
  redis: Redis,
  keys: CompletionKeys,
  run: string,
  pieces: readonly Piece[],
  calls: number,
): RunPublisher {
  const gapMs = redis.wakeUps === 'push' ? 100 : 250
  const started = performance.now()
  const stopped = createBell()
  let stop = false
  let published = 0
  let waiting = 0
  let lost = false
  const beating = beat()

  return {
    async end(end, store, timeoutMs) {
      halt()
      await beating
      if (lost) return false
      // Followers of an answer that nothing published of read the stored entry instead.
      const rest = end.type === 'ok' && store && published === 0 ? [] : pieces.slice(published)
      const [reply] = await redis.wave(
        [
          {
            script: endScript,
            keys: [keys.entry, keys.run, keys.chunks],
            args: [
              run,
              store?.entry ?? '',
              store?.ttlMs ?? 0,
              published,
              JSON.stringify(end.type === 'overflow' ? [] : rest),
              JSON.stringify(end),
              keys.wakeUp,
              RUN_ENDED_MS,
            ],
          },
        ],
        { timeoutMs },
      )
      return reply === 1
    },
    async release() {
      const [waiting] = await redis.wave([
        { script: releaseScript, keys: [keys.run, keys.chunks], args: [run] },
      ])
      if (waiting instanceof Error) throw waiting
      if (waiting !== 0) return false
      lost = true
      halt()
      return true
    },
  }

  function halt() {
    stop = true
    stopped.ring()
  }

  async function beat() {
    let renewed = performance.now()
    while (!lost && calls > 0) {
      const slow = performance.now() - started > SLOW_AFTER_MS
      const until = waiting > 0 ? (slow ? SLOW_GAP_MS : gapMs) : BEAT_MS
      await stopped.sleep(until)
      if (stop) return
      const upTo = pieces.length
      const append = waiting > 0 && upTo > published
      if (!append && performance.now() - renewed < BEAT_MS - gapMs) continue
      calls -= 1
      const reply = await write(append ? appendCall(upTo) : beatCall())
      if (typeof reply !== 'number') continue // Redis is away or refuses: the next beat tries again, the lease is longer
      renewed = performance.now()
      if (append) published = upTo
      lost = reply < 0
      waiting = reply
    }
  }

  async function write(call: ScriptCall) {
    return redis.wave([call], { timeoutMs: WRITE_TIMEOUT_MS }).then(
      ([reply]) => reply,
      () => undefined,
    )
  }

  function appendCall(upTo: number): ScriptCall {
    const part = JSON.stringify(pieces.slice(published, upTo))
    return {
      script: appendScript,
      keys: [keys.run, keys.chunks],
      args: [run, RUN_LEASE_MS, published, part, keys.wakeUp],
    }
  }

  function beatCall(): ScriptCall {
    return { script: beatScript, keys: [keys.run, keys.chunks], args: [run, RUN_LEASE_MS] }
  }
}
