import { HubRequestError } from './hub-request-error.ts'
import { backOff, type Send } from './request.ts'
import type { Routes } from './routes.generated.ts'
import { sleep } from './sleep.ts'

type Instance = Routes['PUT /v1/services/{name}/{instance}']['body']

export interface HeartbeatSettings extends Omit<Instance, 'ttl_seconds'> {
  /** Others take it for dead after so long a silence; default 30. It is heard of three times as often. */
  ttlSeconds?: number
  /** Told of each time that the hub was not told. */
  onError?: (error: HubRequestError) => void
}

export interface Heartbeat {
  /** From now on, and at once: `status: 'critical'` or `weight: 0` turns calls away before it ends. */
  update(changes: Partial<Omit<Instance, 'ttl_seconds'>>): Promise<void>
  /** Deregisters; where the hub is away, its time does. */
  close(): Promise<void>
}

/** Registers an instance of a service and keeps it registered, also past a hub that is away. Throws where the first time is refused. */
export async function startHeartbeat(
  send: Send,
  service: string,
  instance: string,
  { ttlSeconds = 30, onError, ...settings }: HeartbeatSettings,
): Promise<Heartbeat> {
  const path = { name: service, instance }
  const everyMs = (ttlSeconds * 1000) / 3
  const done = new AbortController()
  const register = (retries?: number) => {
    const body = { ...settings, ttl_seconds: ttlSeconds }
    const request = { path, body, timeoutMs: everyMs, retries }
    return send('PUT /v1/services/{name}/{instance}', request, () => undefined)
  }
  await register()
  const beating = beat()

  async function close() {
    done.abort()
    await beating // none may come after it
    await send('DELETE /v1/services/{name}/{instance}', { path, timeoutMs: everyMs }, () => undefined).catch(
      () => {}, // then its time ends it
    )
  }
  return {
    async update(changes) {
      Object.assign(settings, changes)
      await register()
    },
    close,
  }

  async function beat() {
    for (let failures = 0; !done.signal.aborted; ) {
      // Spread: instances that started together do not go on together.
      const pause =
        failures === 0 ? everyMs * (0.8 + 0.2 * Math.random()) : Math.min(everyMs, backOff(failures))
      try {
        await sleep(pause, done.signal)
        await register(0)
        failures = 0
      } catch (error) {
        if (done.signal.aborted) return
        failures += 1
        if (error instanceof HubRequestError) onError?.(error)
      }
    }
  }
}
