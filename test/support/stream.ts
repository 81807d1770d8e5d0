import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import type { EventEntry } from '../../shared/events/event.ts'
import { streamKeys } from '../../shared/keys.ts'
import type { Argument, Command } from '../../shared/ports/redis.ts'
import { send } from '../../shared/send.ts'

const PATIENT = { timeoutMs: 10_000 }

/** A connection of a test's own, to look at streams as they are. */
export function connect(url: string) {
  const redis = createRedisResp({ url })
  return {
    call: (...command: [string, ...Argument[]]) => send(redis, command, PATIENT),
    async entries(stream: string): Promise<EventEntry[]> {
      const entries = (await send(redis, ['XRANGE', stream, '-', '+'], PATIENT)) as [string, string[]][]
      return entries.map(([, flat]) => toEntry(flat))
    },
    /** Dead letters 1 … count, a second apart from the beginning of 2026 on, of types `odd` and `even`. */
    async bury(stream: string, count: number): Promise<void> {
      const { dead } = streamKeys(stream, 'hub')
      const calls = Array.from({ length: count }, (_, i): Command => {
        const n = i + 1
        const event = { specversion: '1.0', id: `${n}`, source: '/test', type: n % 2 ? 'odd' : 'even' }
        const at = new Date(Date.UTC(2026, 0, 1, 0, 0, n)).toISOString()
        const about = [
          'dead:id',
          `${n}-0`,
          'dead:group',
          'hub',
          'dead:cause',
          `bad ${n}`,
          'dead:attempts',
          8,
          'dead:at',
          at,
        ]
        return ['XADD', dead, '*', 'event', JSON.stringify(event), 'result', `result-${n}`, ...about]
      })
      await redis.wave(calls, PATIENT)
    },
    close: redis.close,
  }
}

const toEntry = (flat: readonly string[]) =>
  Object.fromEntries(
    flat.flatMap((name, i) => (i % 2 ? [] : [[name, flat[i + 1]!]])),
  ) as unknown as EventEntry
