import { Index } from '@upstash/vector'
import { HubError } from '../errors.ts'

export interface UpstashOptions {
  /** `UPSTASH_VECTOR_REST_URL` */
  url: string
  /** `UPSTASH_VECTOR_REST_TOKEN` */
  token: string
  /** The runtime's own by default. */
  fetch?: typeof globalThis.fetch
}

/** Upstash refused a request. */
export class UpstashRefusal extends HubError {
  override name = 'UpstashRefusal'
  /** HTTP status of the refusal. */
  readonly refusedWith: number

  constructor(place: string, status: number, message: string) {
    super({
      code: 'vectors_refused',
      status: 502,
      message: `Upstash Vector at ${place} refused the request: ${message.slice(0, 500)}`,
    })
    this.refusedWith = status
  }
}

export type UpstashIndex = Index

export type WithIndex = <T>(
  work: (index: Index) => Promise<T>,
  options: { timeoutMs: number; signal?: AbortSignal },
) => Promise<T>

/**
 * Runs calls of @upstash/vector within one deadline. The requests are sent here: the client's own way retries, takes a signal once
 * for all calls, and loses the status of a refusal.
 *
 * Errors: `HubError` 503 `vectors_unavailable`; `UpstashRefusal`; the signal's reason.
 *
 * @example await withIndex((index) => index.info(), { timeoutMs: 5_000 })
 */
export function createUpstashIndex({ url, token, fetch }: UpstashOptions): WithIndex {
  const base = url.replace(/\/+$/, '')
  const place = new URL(url).host

  return async function withIndex(work, { timeoutMs, signal }) {
    signal?.throwIfAborted()
    const controller = new AbortController()
    const expire = () =>
      controller.abort(unavailable(place, `it did not answer within ${Math.ceil(timeoutMs)} ms`))
    const timer = setTimeout(expire, timeoutMs)
    const onAbort = () => controller.abort(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })

    async function request({ path = [], body }: { path?: string[]; body?: unknown }) {
      try {
        const response = await (fetch ?? globalThis.fetch)([base, ...path].join('/'), {
          method: 'POST',
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          body: JSON.stringify(body),
          signal: controller.signal,
          redirect: 'manual',
        })
        const text = await response.text()
        return toResult(place, response.status, text)
      } catch (error) {
        if (controller.signal.aborted) throw controller.signal.reason
        if (error instanceof HubError) throw error
        const { cause, message } = error as Error
        throw unavailable(place, (cause as Error | undefined)?.message || message, error)
      }
    }

    try {
      return await work(new Index({ request: request as never }))
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
  }
}

function toResult(place: string, status: number, text: string) {
  let answer: { result?: unknown; error?: unknown } | undefined
  try {
    answer = JSON.parse(text)
  } catch {
    // A proxy's page.
  }
  const message = typeof answer?.error === 'string' ? answer.error : `status ${status}`
  if (status === 401 || status === 403)
    throw unavailable(place, `it refuses UPSTASH_VECTOR_REST_TOKEN: ${message}`)
  if (status === 429 || status >= 500 || !answer) throw unavailable(place, message)
  if (status !== 200 || answer.error !== undefined) throw new UpstashRefusal(place, status, message)
  return { result: answer.result }
}

const unavailable = (place: string, why: string, cause?: unknown) =>
  new HubError({
    code: 'vectors_unavailable',
    status: 503,
    message: `Upstash Vector at ${place} does not answer: ${why}. Try again soon.`,
    retryAfterSeconds: 1,
    cause,
  })
