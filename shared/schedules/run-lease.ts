import type { Clock } from '../ports/clock.ts'
import type { Redis } from '../ports/redis.ts'
import { send } from '../send.ts'
import { moveCall } from './schedules.ts'

export interface RunLease {
  /** Aborts where another runner may have taken over. */
  signal: AbortSignal
  end(): void
}

/** Says again and again that the run goes on. */
export function keepLease(
  { redis, clock, leaseMs }: { redis: Redis; clock: Clock; leaseMs: number },
  { tenant, name, run }: { tenant: string; name: string; run: string },
): RunLease {
  const lost = new AbortController()
  let renewedAt = clock.now()
  const timer = setInterval(() => void renew(), leaseMs / 3)
  async function renew() {
    const renewal = moveCall(tenant, name, { run, keptMs: leaseMs })
    const kept = await send(redis, renewal, { timeoutMs: leaseMs / 3 }).catch(() => undefined)
    if (kept === 1) renewedAt = clock.now()
    if (kept === 0 || clock.now() - renewedAt >= leaseMs)
      lost.abort(new Error('The lease of the run is lost'))
  }
  return { signal: lost.signal, end: () => clearInterval(timer) }
}
