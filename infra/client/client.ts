import { type FollowSettings, follow, type HubEvent, readEvents } from './events.ts'
import { createGuard, type GuardSettings } from './guarded.ts'
import { type Heartbeat, type HeartbeatSettings, startHeartbeat } from './heartbeat.ts'
import { HubRequestError } from './hub-request-error.ts'
import { type Lease, type LockSettings, withLock } from './lock.ts'
import { type CallSettings, createSender, type Request, type Route, type SenderOptions } from './request.ts'
import type { EventStream, FencedRoute, Routes } from './routes.generated.ts'

/** What one of the fields of a route asks for, optional where the route lets it be. */
type Field<R extends Route, Name extends string> = Name extends keyof Routes[R]
  ? Pick<Routes[R], Name>
  : unknown
/** JSON, or what else the route reads as it is. */
type Body<R extends Route> = 'raw' extends keyof Routes[R]
  ?
      | ('body' extends keyof Routes[R] ? Field<R, 'body'> : never)
      | { raw: BodyInit; contentType: Routes[R]['raw'] }
  : Field<R, 'body'>

export type CallOptions<R extends Route> = CallSettings & Field<R, 'path'> & Field<R, 'query'> & Body<R>
/** May be left out where nothing of it is needed. */
type Given<Options> = object extends Options ? [options?: Options] : [options: Options]

/** What a route replies with; `undefined` for an empty body, a `Response` for what is not JSON. */
export type Reply<R extends Route> = Exclude<Routes[R]['reply'], EventStream>
export type EventRoute = {
  [R in Route]: [Extract<Routes[R]['reply'], EventStream>] extends [never] ? never : R
}[Route]
export type Config = Reply<'GET /v1/config/{namespace}'>

export interface HeldLock extends Omit<Lease, 'send'> {
  /** A write under the lock: 412 `lock_lost`, and nothing is written, once a later holder wrote there. */
  call<R extends FencedRoute>(route: R, ...options: Given<CallOptions<R>>): Promise<Reply<R>>
}

/**
 * A client of the hub for Node, browsers and Workers. Errors are `HubRequestError`s.
 *
 * @example const hub = createHubClient({ baseUrl: 'http://127.0.0.1:8787', key }); await hub.call('POST /v1/ask', { body: { index, question } })
 */
export function createHubClient(options: SenderOptions) {
  const send = createSender(options)
  const guard = createGuard(send)
  const requestOf = (given: readonly unknown[]): Request => ({ ...(given[0] as Request | undefined) })

  return {
    /** Any route by its name, such as `GET /v1/usage`; repeated where that is safe. */
    call<R extends Route>(route: R, ...options: Given<CallOptions<R>>): Promise<Reply<R>> {
      return send(route, requestOf(options), readReply<Reply<R>>)
    },

    /** The same, with the response as it came: for its headers, and for bodies that are not JSON. The deadline is that of its head. */
    raw<R extends Route>(route: R, ...options: Given<CallOptions<R>>): Promise<Response> {
      return send(route, requestOf(options), (response) => response)
    },

    /** Events of one reply, such as those of a completion with `stream: true`. Not repeated once it has begun. */
    async *stream<R extends Route>(route: R, ...options: Given<CallOptions<R>>): AsyncGenerator<HubEvent> {
      yield* readEvents(await send(route, requestOf(options), (response) => response))
    },

    /** Events of a stream without an end, connection after connection: none is missed, none comes twice. */
    follow<R extends EventRoute>(
      route: R,
      ...options: Given<FollowSettings & Field<R, 'path'> & Field<R, 'query'>>
    ): AsyncGenerator<HubEvent> {
      return follow(send, route, requestOf(options))
    },

    /** A configuration as it is now, then after each change; undefined while there is none. */
    async *watchConfig(namespace: string, settings: FollowSettings = {}): AsyncGenerator<Config | undefined> {
      const request = { ...settings, path: { namespace } }
      for await (const { type, data } of follow(send, 'GET /v1/config/{namespace}', request)) {
        yield type === 'deleted' ? undefined : (data as Config)
      }
    },

    /**
     * Runs the work while the lock is held, and renews it meanwhile. Throws 409 `lock_held`; 412 `lock_lost` where the lease was over before
     * the work was; what the work throws.
     */
    lock<T>(name: string, settings: LockSettings, work: (lock: HeldLock) => Promise<T>): Promise<T> {
      return withLock(send, name, settings, ({ send, ...lease }) =>
        work({
          ...lease,
          call: (route, ...options) => send(route, requestOf(options), readReply<Reply<typeof route>>),
        }),
      )
    },

    /** Registers an instance of a service, and keeps it registered until it is closed. */
    heartbeat(service: string, instance: string, settings: HeartbeatSettings): Promise<Heartbeat> {
      return startHeartbeat(send, service, instance, settings)
    },

    /** Calls a target behind the breaker `app/<name>`. */
    guarded: guard.guarded,

    /** When the breakers were told of every call: before a process ends, and for `waitUntil` on Workers. */
    settled: guard.settled,
  }
}

export type HubClient = ReturnType<typeof createHubClient>

export type {
  CallSettings,
  FollowSettings,
  GuardSettings,
  Heartbeat,
  HeartbeatSettings,
  HubEvent,
  LockSettings,
  Route,
  Routes,
  SenderOptions,
}
export { HubRequestError }

async function readReply<T>(response: Response): Promise<T> {
  if (response.status === 204) return undefined as T
  if (/\bjson\b/.test(response.headers.get('content-type') ?? '')) return response.json()
  return response as T
}
