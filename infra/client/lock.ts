import { HubRequestError } from './hub-request-error.ts'
import { newKey, type Request, type Route, readJson, type Send } from './request.ts'
import { sleep } from './sleep.ts'

export interface LockSettings {
  /** How long others wait for a holder that died; default 30. It is renewed while the work lasts. */
  ttlSeconds?: number
  /** How long to wait while others hold it; default 0. */
  waitSeconds?: number
  /** What the holder calls itself, for others to read. */
  owner?: string
  /** Ends the wait, and aborts the work's signal too. */
  signal?: AbortSignal
}

/** A lock that is held. */
export interface Lease {
  /** Higher than that of every earlier holder. */
  readonly token: number
  /** Aborts with `lock_lost` when the lease is over though the work is not. */
  readonly signal: AbortSignal
  /** Sends a write under the lock: the hub refuses it (412 `lock_lost`) once a later holder wrote there. */
  send<T>(route: Route, request: Request, read: (response: Response) => Promise<T>): Promise<T>
}

/** The hub waits no longer at once. */
const WAIT_SECONDS = 20
const SLOW_MS = 10_000

/**
 * Runs the work while the lock is held. Throws 409 `lock_held`, 412 `lock_lost` where the lease was over before the work was, or
 * what the work throws.
 */
export async function withLock<T>(
  send: Send,
  name: string,
  settings: LockSettings,
  work: (lease: Lease) => Promise<T>,
): Promise<T> {
  const { ttlSeconds = 30, waitSeconds = 0, owner, signal } = settings
  const path = { name }
  const ttlMs = ttlSeconds * 1000
  const lease = await acquire()
  const over = new AbortController()
  const ends = signal ? AbortSignal.any([signal, over.signal]) : over.signal
  const done = new AbortController()
  const lose = (cause?: unknown) => over.abort(lost(name, lease.token, cause))
  const renewing = keepRenewing()
  try {
    const result = await work({
      ...{ token: lease.token, signal: ends },
      send(route, request, read) {
        checkTime()
        ends.throwIfAborted()
        const headers = { ...request.headers, 'x-hub-lock': `${name}=${lease.token}` }
        const signal = request.signal ? AbortSignal.any([request.signal, ends]) : ends
        return send(route, { ...request, headers, signal }, read)
      },
    })
    checkTime()
    over.signal.throwIfAborted()
    return result
  } finally {
    done.abort()
    await renewing
    // Where this fails, its time ends it.
    if (!over.signal.aborted) await release().catch(() => {})
  }

  /** Who slept for longer than the lease learns of it before its timers do. */
  function checkTime() {
    if (performance.now() >= lease.until) lose()
  }

  /** One acquisition, however often it is asked for: its place in the queue survives a hub that restarts. */
  async function acquire(): Promise<{ token: number; until: number }> {
    const idempotencyKey = newKey()
    for (const end = performance.now() + waitSeconds * 1000; ; ) {
      const began = performance.now()
      const wait = Math.max(0, Math.min(WAIT_SECONDS, (end - began) / 1000))
      try {
        const body = { ttl_seconds: ttlSeconds, wait_seconds: wait, owner }
        const request = { path, body, signal, idempotencyKey, timeoutMs: wait * 1000 + SLOW_MS }
        const { token } = await send('POST /v1/locks/{name}', request, readJson<{ token: number }>)
        // The lease began at some time since; a renewal says since when at the latest.
        const isFresh = performance.now() - began < ttlMs / 4
        return { token, until: isFresh ? began + ttlMs : await renew(token, ttlMs, signal) }
      } catch (error) {
        const mayCome = error instanceof HubRequestError && (error.mayPass || /^lock_/.test(error.code))
        if (!mayCome || performance.now() >= end) throw error
        await sleep(250, signal)
      }
    }
  }

  /** Until when it is held at least: counted from the question, not from the answer. */
  async function renew(token: number, timeoutMs: number, signal?: AbortSignal): Promise<number> {
    const until = performance.now() + ttlMs
    const body = { token, ttl_seconds: ttlSeconds }
    await send('PUT /v1/locks/{name}', { path, body, signal, timeoutMs, retries: 0 }, readJson)
    return until
  }

  /** Three times within a lease, so that two may fail. */
  async function keepRenewing() {
    const left = () => lease.until - performance.now()
    let pause = ttlMs / 3
    while (!done.signal.aborted && !over.signal.aborted) {
      try {
        await sleep(Math.max(0, Math.min(pause, left())), done.signal)
        if (left() <= 0) return lose()
        lease.until = await renew(lease.token, left(), done.signal)
        pause = ttlMs / 3
      } catch (error) {
        if (done.signal.aborted) return
        if (left() <= 0 || (error instanceof HubRequestError && !error.mayPass)) return lose(error)
        pause = ttlMs / 20
      }
    }
  }

  async function release() {
    const request = { path, query: { token: lease.token }, timeoutMs: SLOW_MS }
    await send('DELETE /v1/locks/{name}', request, () => undefined)
  }
}

const lost = (name: string, token: number, cause: unknown) =>
  new HubRequestError(`The lock ${name} (token ${token}) is lost: stop, and acquire it again.`, {
    ...{ code: 'lock_lost', status: 412, cause },
  })
