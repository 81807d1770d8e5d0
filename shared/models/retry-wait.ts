import { HubError } from '../errors.ts'

/** Full jitter: up to this, doubled with each try. */
const BACKOFF_MS = 250
const LONGEST_BACKOFF_MS = 4_000
/** A provider that asks for more than this is not waited for. */
const LONGEST_RETRY_AFTER_MS = 10_000

/** Milliseconds until the next try; nothing where one more would not help. `tries` is how many were made again already. */
export function retryWait(error: unknown, tries: number, random = Math.random): number | undefined {
  if (!(error instanceof HubError) || isRefused(error)) return undefined
  if (error.status < 500 && error.status !== 429) return undefined
  if (error.code === 'insufficient_quota') return undefined // money, not haste
  const asked = (error.options.retryAfterSeconds ?? 0) * 1000
  if (asked > LONGEST_RETRY_AFTER_MS) return undefined
  return asked + random() * Math.min(LONGEST_BACKOFF_MS, BACKOFF_MS * 2 ** tries)
}

/** The provider refused the credential. */
export const isRefused = (error: unknown) =>
  error instanceof HubError && error.code === 'provider_authentication_failed'
