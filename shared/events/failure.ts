import { mayPass, toHubError } from '../errors.ts'
import type { Handled } from './handlers.ts'

/** What an error means for the event that met it: whether and when to try again. */
export function toFailure(error: unknown): Extract<Handled, { failed: unknown }> {
  const { headers } = toHubError(error)
  const retryAfterMs = Number(headers['Retry-After'] ?? 0) * 1_000
  return { failed: error, permanent: !mayPass(error), ...(retryAfterMs > 0 && { retryAfterMs }) }
}

/** All at once; where one of them is bad for good, one by one, so that it fails no others. */
export async function together<T>(
  items: readonly T[],
  signal: AbortSignal,
  work: (items: readonly T[]) => Promise<readonly Handled[]>,
): Promise<readonly Handled[]> {
  try {
    return await work(items)
  } catch (error) {
    signal.throwIfAborted()
    if (items.length === 1 || mayPass(error)) return items.map(() => toFailure(error))
  }
  const handled: Handled[] = []
  for (const item of items) handled.push(...(await together([item], signal, work)))
  return handled
}
