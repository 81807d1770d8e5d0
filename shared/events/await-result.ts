import { createBell } from '../bell.ts'
import { HubError } from '../errors.ts'
import type { EventResult, Results } from './results.ts'

export interface AwaitOptions {
  waitMs: number
  /** Longest pause between two looks. */
  pauseMs: number
  signal: AbortSignal
}

/** The result once it is there; 404 `result_not_found` when the time is up. Looks ever more rarely, at most once in `pauseMs`. */
export async function awaitResult(
  results: Pick<Results, 'get'>,
  [tenant, id]: [tenant: string, id: string],
  { waitMs, pauseMs, signal }: AwaitOptions,
): Promise<EventResult> {
  const until = performance.now() + waitMs
  const bell = createBell()
  for (let pause = 20; ; pause = Math.min(pause * 1.5, pauseMs)) {
    try {
      return await results.get(tenant, id)
    } catch (error) {
      const left = until - performance.now()
      const isLate = !(error instanceof HubError && error.status === 404) || left <= 0 || signal.aborted
      if (isLate) throw error
      await bell.sleep(Math.min(pause, left), signal)
    }
  }
}
