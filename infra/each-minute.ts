import { setTimeout as sleep } from 'node:timers/promises'

/** At once, then each minute, until the signal aborts. */
export async function eachMinute(
  step: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await step(signal)
    await sleep(60_000, undefined, { signal }).catch(() => {})
  }
}
