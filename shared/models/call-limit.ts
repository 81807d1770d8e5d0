import { HubError } from '../errors.ts'
import type { Timeouts } from './model-routes.ts'

/** One try of a target. */
interface Try {
  /** Aborted when a limit passed, by the error to throw, or by the caller. */
  signal: AbortSignal
  /** The first token is there. */
  heard(): void
  close(): void
}

export interface CallLimit {
  /** Of the total. */
  leftMs(): number
  begin(): Try
}

/** A target's limits on its first token (of a stream: a whole answer has none before its end) and on all its tries. */
export function createCallLimit(
  { first_token_ms, total_ms }: Timeouts = {},
  { name, streamed, caller }: { name: string; streamed: boolean; caller: AbortSignal },
): CallLimit {
  const deadline = performance.now() + (total_ms ?? Number.POSITIVE_INFINITY)
  const leftMs = () => deadline - performance.now()
  if (total_ms === undefined && first_token_ms === undefined) {
    return { leftMs, begin: () => ({ signal: caller, heard() {}, close() {} }) }
  }

  return {
    leftMs,
    begin() {
      const controller = new AbortController()
      const abort = () => controller.abort(caller.reason)
      const late = (what: string) => controller.abort(timedOut(`${name} did not ${what}.`))
      const token =
        streamed && first_token_ms !== undefined
          ? setTimeout(() => late(`begin its answer within ${first_token_ms} ms`), first_token_ms)
          : undefined
      const total =
        total_ms === undefined
          ? undefined
          : setTimeout(() => late(`end its answer within ${total_ms} ms`), Math.max(0, leftMs()))
      caller.addEventListener('abort', abort, { once: true })
      if (caller.aborted) abort()
      return {
        signal: controller.signal,
        heard: () => clearTimeout(token),
        close() {
          clearTimeout(token)
          clearTimeout(total)
          caller.removeEventListener('abort', abort)
        },
      }
    },
  }
}

const timedOut = (message: string) => new HubError({ status: 504, code: 'provider_timeout', message })
