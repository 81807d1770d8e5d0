import { HubError } from '../../errors.ts'
import type { Breakers, Outcome } from '../../models/breakers.ts'
import type { Redis } from '../../ports/redis.ts'

export interface ToolBreakerOptions {
  redis: Redis
  breakers: Breakers
}

interface Guarded {
  tenant: string
  /** The caller's. That he leaves says nothing of the host. */
  signal: AbortSignal
  defer(work: Promise<unknown>): void
}

/**
 * Calls of tools to one host, of one tenant, behind one breaker: `tool/<host>`. What another instance learned of the host counts.
 *
 * Errors: `breaker_open` (503), those of the work.
 */
export function createToolBreaker({ redis, breakers }: ToolBreakerOptions) {
  return async function guard<T>(host: string, call: Guarded, work: () => Promise<T>): Promise<T> {
    const name = { tenant: call.tenant, name: `tool/${host}` }
    const look = breakers.look([name])
    // It fails open: without Redis, what this process saw decides.
    look.settle(await redis.wave(look.calls).catch((error: Error) => error))
    const permit = await breakers.admit(name)
    if (typeof permit === 'number') throw breakerOpen(host, permit)
    let outcome: Outcome = 'ok'
    try {
      return await work()
    } catch (error) {
      outcome = call.signal.aborted ? 'released' : outcomeOf(error)
      throw error
    } finally {
      const recorded = permit.end(outcome)
      if (recorded) call.defer(recorded)
    }
  }
}

export type ToolBreaker = ReturnType<typeof createToolBreaker>

/** A limit opens by itself, and what may not be called was not. */
function outcomeOf(error: unknown): Outcome {
  if (!(error instanceof HubError) || error.status === 429 || isRefusedHere(error)) return 'released'
  return error.status >= 500 ? 'failed' : 'rejected'
}

/** It was never sent: no other try will be. */
export const isRefusedHere = (error: HubError) => error.code === 'upstream_refused'

const LONGEST_OPEN_SECONDS = 60

function breakerOpen(host: string, leftMs: number) {
  const retryAfterSeconds = Math.min(LONGEST_OPEN_SECONDS, leftMs / 1_000)
  const message = `${host} failed too often of late and is not called for now. Do without it, or try again in ${Math.ceil(retryAfterSeconds)} s.`
  return new HubError({ code: 'breaker_open', status: 503, message, retryAfterSeconds })
}
