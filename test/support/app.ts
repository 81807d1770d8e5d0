import type { Log } from '../../functions/deps.ts'
import { connectRedis, type Rim, wire } from '../../infra/wire.ts'
import type { CallOptions, Command, Redis, ScriptCall } from '../../shared/ports/redis.ts'
import { startProvider } from './provider.ts'
import { testRedisUrl } from './redis.ts'

/** Names of one test run's own: tests share a Redis. */
export const unique = (prefix: string) => `${prefix}-${crypto.randomUUID().slice(0, 8)}`

export interface TestAppOptions extends Partial<Rim> {
  env?: Record<string, string | undefined>
  provider?: Parameters<typeof startProvider>[0]
}

/**
 * The whole hub in this process, over a real Redis and a provider's real protocol. `waves` are all that went through the
 * Redis port.
 */
export async function startApp({ env = {}, provider: behaviour, ...rim }: TestAppOptions = {}) {
  const provider = await startProvider(behaviour)
  const lines: Record<string, unknown>[] = []
  const log: Log = { info: (line) => lines.push(line), error: (line) => lines.push(line) }
  const waves: (readonly (Command | ScriptCall)[])[] = []
  const variables = {
    REDIS_URL: testRedisUrl(),
    OPENAI_API_KEY: 'sk-test',
    HUB_BREAKER_MIN_CALLS: '1000000', // tests share a Redis, and break the same model
    OPENAI_BASE_URL: provider.url,
    ...env,
  }
  const hub = wire(
    variables,
    { sharesRequests: true, tallyDelayMs: 0, keySecret: 'a secret of this test', log, ...rim },
    (env, log) => {
      const { redis, cacheRedis, vectorRedis } = connectRedis(env, log)
      const counted = counting(redis, waves)
      const count = (one: Redis) => (one === redis ? counted : counting(one, waves))
      return {
        redis: counted,
        cacheRedis: count(cacheRedis),
        vectorRedis: { reads: count(vectorRedis.reads), writes: count(vectorRedis.writes) },
      }
    },
  )
  let deferred: Promise<unknown>[] = []
  /** As the rims do it: its failure stops nothing. */
  const defer = (work: Promise<unknown>) =>
    void deferred.push(work.catch((cause) => lines.push({ msg: 'Deferred work failed', cause })))
  const request = (path: string, init: RequestInit = {}) =>
    hub.app.request(`http://localhost${path}`, init, { defer }) as Promise<Response>
  const send = (method: string, path: string, body: unknown, headers: Record<string, string> = {}) =>
    request(path, {
      method,
      body: typeof body === 'string' ? body : JSON.stringify(body),
      headers: { host: 'localhost', 'content-type': 'application/json', ...headers },
    })
  return {
    ...{ provider, waves, lines, app: hub.app, send, request },
    /** What a process that lives on does beside answering, until the signal. */
    work: hub.work,
    /** The platform's schedule fires. */
    scheduled: () => hub.scheduled('a test'),
    get: (path: string, headers: Record<string, string> = {}) =>
      request(path, { headers: { host: 'localhost', ...headers } }),
    delete: (path: string, headers: Record<string, string> = {}) =>
      request(path, { method: 'DELETE', headers: { host: 'localhost', ...headers } }),
    complete: (body: object, headers: Record<string, string> = {}, signal?: AbortSignal) =>
      request('/v1/chat/completions', {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { host: 'localhost', 'content-type': 'application/json', ...headers },
        signal,
      }),
    /** What was deferred is done. */
    async settled() {
      while (deferred.length > 0) await Promise.all(deferred.splice(0))
      deferred = []
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(deferred)
      await hub.close()
      await provider.close()
    },
  }
}

export type TestApp = Awaited<ReturnType<typeof startApp>>

/** A user's message that no other test sends. */
export const ask = (text: string = crypto.randomUUID(), more: object = {}) => ({
  model: 'openai/gpt-4o-mini',
  messages: [{ role: 'user', content: text }],
  ...more,
})

/** The `data:` lines of an event stream. */
export async function readSse(response: Response): Promise<string[]> {
  return (await response.text())
    .split('\n\n')
    .filter(Boolean)
    .map((event) => event.replace(/^data: /, ''))
}

/** The text that a stream's chunks add up to. */
export const textOf = (events: string[]) =>
  events
    .filter((data) => data !== '[DONE]')
    .map((data) => JSON.parse(data).choices?.[0]?.delta?.content ?? '')
    .join('')

function counting(redis: Redis, waves: (readonly (Command | ScriptCall)[])[]): Redis {
  return {
    ...redis,
    wave(calls: readonly (Command | ScriptCall)[], options?: CallOptions) {
      waves.push(calls)
      return redis.wave(calls, options)
    },
  }
}
