import type { Bell } from '../bell.ts'
import { AGENTS_DUE, AGENTS_DUE_KEY } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis } from '../ports/redis.ts'
import { claimDueScript } from '../scripts.generated.ts'
import type { GroupLog } from '../streams/group-worker.ts'
import type { Drive } from './drive.ts'
import { readMember } from './due.ts'
import type { Tasks } from './tasks/task.ts'

export interface AgentRunnerOptions {
  redis: Redis
  drive: Pick<Drive, 'lookAfter'>
  tasks: Pick<Tasks, 'sweep'>
  /** Rings when an agent is due in this process. */
  bell: Bell
  clock: Clock
  log: GroupLog
  /** A runner that says nothing for so long is dead. */
  claimMs: number
  /** Agents at the same time. Default 16. */
  lanes?: number
}

/** Of `claimMs`: a runner that was given an agent and died before it began; another one is given it then. */
const LEASE = 1.3
const SWEEP_MS = 5_000
const PAUSE_MS = 1_000
/** How long steps may go on that run when the process is to stop. */
const STOP_MS = 8_000
/** One agent may not keep a lane for ever. */
const TURN_MS = 60_000

/** Looks after agents that are due, on any instance. */
export function createAgentRunner({
  redis,
  drive,
  tasks,
  bell,
  clock,
  log,
  claimMs,
  lanes = 16,
}: AgentRunnerOptions) {
  /** Those that are due, and when the next one is: ms from now. */
  async function claim(most: number): Promise<{ members: string[]; nextMs: number }> {
    const [members, next] = await redis.wave(
      [
        { script: claimDueScript, keys: [AGENTS_DUE_KEY], args: [most, Math.ceil(LEASE * claimMs)] },
        ['ZRANGE', AGENTS_DUE_KEY, 0, 0, 'WITHSCORES'],
      ],
      { timeoutMs: 2_000 },
    )
    for (const reply of [members, next]) if (reply instanceof Error) throw reply
    const score = (next as string[])[1]
    return {
      members: members as string[],
      nextMs: score === undefined ? Number.POSITIVE_INFINITY : Number(score) - clock.now(),
    }
  }

  async function lookAfter(
    member: string,
    untilMs: number,
    signal: AbortSignal,
    left?: AbortSignal,
  ): Promise<number> {
    const { tenant, agent } = readMember(member)
    const deferred: Promise<unknown>[] = []
    const defer = (work: Promise<unknown>) => void deferred.push(work)
    try {
      return await drive.lookAfter({ tenant, agent, signal, left, untilMs, defer })
    } catch (cause) {
      if (!signal.aborted) log.error({ msg: 'An agent cannot go on for now', tenant, agent, cause })
      return 0
    } finally {
      await Promise.allSettled(deferred)
    }
  }

  return {
    /** Works until nothing is due, or time is up: for runtimes that do not live on. Resolves with the steps that were taken. */
    async drain(ms: number, most = Number.POSITIVE_INFINITY): Promise<number> {
      const signal = AbortSignal.timeout(ms)
      const untilMs = clock.now() + ms / 2 // a step that begins later would not come to its end
      let steps = 0
      await tasks.sweep(untilMs)
      while (clock.now() < untilMs && steps < most) {
        const { members } = await claim(Math.min(lanes, most - steps))
        if (members.length === 0) break
        const taken = await Promise.all(members.map((member) => lookAfter(member, untilMs, signal)))
        steps += taken.reduce((sum, one) => sum + one, 0)
      }
      return steps
    },

    /** Until the signal aborts: what runs then is finished or left to others. */
    async run(signal: AbortSignal): Promise<void> {
      const running = new Set<Promise<unknown>>()
      const tooLate = new AbortController()
      signal.addEventListener('abort', () => void setTimeout(() => tooLate.abort(), STOP_MS).unref(), {
        once: true,
      })
      const subscription = redis.subscribe(AGENTS_DUE, bell.ring, { signal }).catch(() => undefined)
      let sweptAt = Number.NEGATIVE_INFINITY
      while (!signal.aborted) {
        let waitMs = SWEEP_MS
        try {
          if (performance.now() - sweptAt >= SWEEP_MS) {
            sweptAt = performance.now()
            await tasks.sweep(clock.now() + SWEEP_MS)
          }
          const free = lanes - running.size
          if (free > 0) {
            const { members, nextMs } = await claim(free)
            for (const member of members) {
              const over = lookAfter(member, clock.now() + TURN_MS, tooLate.signal, signal).then(() => {
                running.delete(over)
                bell.ring()
              })
              running.add(over)
            }
            waitMs = Math.min(SWEEP_MS, Math.max(members.length < free ? nextMs : 0, 10))
          }
        } catch (cause) {
          if (!signal.aborted) log.error({ msg: 'Agents that are due cannot be asked for', cause })
          waitMs = PAUSE_MS
        }
        await bell.sleep(waitMs, signal)
      }
      await Promise.all(running)
      await (await subscription)?.close()
    },
  }
}
