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

  constructor(status: number, reason: string) {
    const message = `Upstash Vector refused the request: ${reason.slice(0, 500)}`
    super({ code: 'vectors_refused', status: 502, message })
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
    const expire = () => controller.abort(unavailable('did not answer in time'))
    // A process that was busy finds the timer due and the answer in its socket at once: the answer goes first.
    let timer = setTimeout(() => {
      timer = setTimeout(expire, 5)
    }, timeoutMs)
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
        return toResult(response.status, text)
      } catch (error) {
        if (controller.signal.aborted) throw controller.signal.reason
        if (error instanceof HubError) throw error
        throw unavailable('cannot be reached', new Error(`Upstash Vector at ${place}`, { cause: error }))
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

function toResult(status: number, text: string) {
  let answer: { result?: unknown; error?: unknown } | undefined
  try {
    answer = JSON.parse(text)
  } catch {
    // A proxy's page.
  }
  const reason = typeof answer?.error === 'string' ? answer.error : `status ${status}`
  const cause = new Error(reason)
  if (status === 401 || status === 403) throw unavailable('refuses UPSTASH_VECTOR_REST_TOKEN', cause)
  if (status === 429) throw unavailable(`takes no more requests for now (${reason.slice(0, 200)})`, cause)
  if (status >= 500 || !answer) throw unavailable(`failed with status ${status}`, cause)
  if (status !== 200 || answer.error !== undefined) throw new UpstashRefusal(status, reason)
  return { result: answer.result }
}

const unavailable = (why: string, cause?: Error) =>
  new HubError({
    code: 'vectors_unavailable',
    status: 503,
    message: `Upstash Vector ${why}. Try again soon.`,
    retryAfterSeconds: 1,
    cause,
  })
