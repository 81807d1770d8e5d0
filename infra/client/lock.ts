import { HubRequestError } from './hub-request-error.ts'
import type { Request, Route, Send } from './request.ts'
import type { FencedRoute } from './routes.generated.ts'
import { sleep } from './sleep.ts'

export interface LockSettings {
  /** Default 30: how long others wait for a holder that died. It is renewed in the background. */
  ttlSeconds?: number
  /** How long to wait while others hold it; default 0. */
  waitSeconds?: number
  /** What you call yourself, for others to read. */
  owner?: string
  /** Ends the wait, and `lock.signal` too. */
  signal?: AbortSignal
}

/** Of one wait of the hub; it has no longer one. */
const WAIT_SECONDS = 20
const SLOW_MS = 10_000

/** What a lease is, without the types of calls. */
export interface Lease {
  token: number
  signal: AbortSignal
  /** Sends a write under the lock. */
  send<T>(route: Route, request: Request, read: (response: Response) => Promise<T>): Promise<T>
}

/**
 * Runs `work` while the lock is held. Throws 409 `lock_held`; `lock_lost` where the lease was over before the work was, which
 * `signal` told it of; else what the work throws.
 */
export async function withLock<T>(
  send: Send,
  name: string,
  settings: LockSettings,
  work: (lease: Lease) => Promise<T>,
): Promise<T> {
  const { ttlSeconds = 30, signal } = settings
  const ttlMs = ttlSeconds * 1000
  const path = { name }
  let asked = performance.now()
  const { token } = await acquire()
  /** From the moment of asking on: by then the hub's lease is over too, or just about to be. */
  let until = asked + ttlMs
  const over = new AbortController()
  const ends = signal ? AbortSignal.any([signal, over.signal]) : over.signal
  const done = new AbortController()
  const lose = (cause?: unknown) => over.abort(lost(name, token, cause))
  const check = () => {
    // Whoever was asleep for longer than the lease hears of it before the timer does.
    if (performance.now() >= until) lose()
    ends.throwIfAborted()
  }

  const renewing = keep()
  try {
    const result = await work({
      token,
      signal: ends,
      send(route, request, read) {
        check()
        const headers = { ...request.headers, 'x-hub-lock': `${name}=${token}` }
        const signal = request.signal ? AbortSignal.any([request.signal, ends]) : ends
        return send(route, { ...request, headers, signal }, read)
      },
    })
    check()
    return result
  } finally {
    done.abort()
    await renewing
    // Where this fails, its time ends it.
    if (!over.signal.aborted) await release().catch(() => {})
  }

  async function acquire(): Promise<{ token: number }> {
    const { waitSeconds = 0, owner } = settings
    for (const end = performance.now() + waitSeconds * 1000; ; ) {
      const wait = Math.max(0, Math.min(WAIT_SECONDS, (end - performance.now()) / 1000))
      asked = performance.now()
      try {
        const body = { ttl_seconds: ttlSeconds, wait_seconds: wait, owner }
        // A repeated call finds what the first one acquired, but only the first one tells when.
        const request = { path, body, signal, timeoutMs: wait * 1000 + SLOW_MS, retries: 0 }
        return await send('POST /v1/locks/{name}', request, readJson<{ token: number }>)
      } catch (error) {
        const isHeld = error instanceof HubRequestError && (error.code === 'lock_held' || error.mayPass)
        if (!isHeld || performance.now() >= end) throw error
        if (error.code !== 'lock_held') await sleep(Math.min(1_000, end - performance.now()), signal)
      }
    }
  }

  /** Three times within a lease, so that two renewals may fail. */
  async function keep() {
    while (!done.signal.aborted && !ends.aborted) {
      try {
        await sleep(Math.max(0, Math.min(ttlMs / 3, until - performance.now())), done.signal)
        if (performance.now() >= until) return lose()
        const now = performance.now()
        const body = { token, ttl_seconds: ttlSeconds }
        const request = { path, body, signal: done.signal, timeoutMs: until - now, retries: 0 }
        await send('PUT /v1/locks/{name}', request, readJson)
        until = now + ttlMs
      } catch (error) {
        if (done.signal.aborted) return
        if (error instanceof HubRequestError && !error.mayPass) return lose(error)
        if (performance.now() >= until) return lose(error)
        await sleep(Math.min(250, ttlMs / 20), done.signal).catch(() => {})
      }
    }
  }

  async function release() {
    const request = { path, query: { token }, timeoutMs: Math.min(SLOW_MS, ttlMs) }
    await send('DELETE /v1/locks/{name}', request, () => undefined)
  }
}

const readJson = <T>(response: Response) => response.json() as Promise<T>

const lost = (name: string, token: number, cause: unknown) =>
  new HubRequestError(`The lock ${name} (token ${token}) is lost: stop, and acquire it again.`, {
    ...{ code: 'lock_lost', status: 412, cause },
  })

/** Of writes that a lock may guard. */
export type { FencedRoute }
