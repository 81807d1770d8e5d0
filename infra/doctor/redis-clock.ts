import { type Finding, fault, ok, warning } from './finding.ts'
import type { Store } from './stores.ts'

/** Leases and limits are counted in seconds. */
const NOTICED_MS = 1_000
const HARMFUL_MS = 10_000
const ROUNDS = 3

/** How far this machine's clock is from that of Redis: the best of some rounds, half of each for the way there. */
export async function checkClock({ redis, label }: Store): Promise<Finding | undefined> {
  const check = `${label} clock`
  let best: { skew: number; took: number } | undefined
  for (let round = 0; round < ROUNDS; round++) {
    const began = performance.now()
    const here = Date.now()
    const [time] = await redis.wave([['TIME']], { timeoutMs: 2_000 }).catch(() => [null])
    const took = performance.now() - began
    if (!Array.isArray(time)) return undefined
    const there = Number(time[0]) * 1_000 + Number(time[1]) / 1_000
    if (!best || took < best.took) best = { skew: there - (here + took / 2), took }
  }
  const { skew, took } = best!
  const off = Math.abs(skew)
  if (off - took / 2 < NOTICED_MS) return ok(check, `It agrees with this machine’s, to ${Math.ceil(off)} ms.`)
  const message = `It is ${(off / 1_000).toFixed(1)} s ${skew > 0 ? 'ahead of' : 'behind'} this machine’s: leases, limits and schedules go wrong.`
  const cure = 'Let both machines set their clocks by NTP: `timedatectl set-ntp true`, or chrony.'
  return (off > HARMFUL_MS ? fault : warning)(check, message, cure)
}
