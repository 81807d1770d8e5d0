import { once } from 'node:events'
import { ClientClosedError, ClientOfflineError, createClient, DisconnectsClientError } from '@redis/client'
import { RedisUnavailableError } from '../errors.ts'

export interface RedisConnectionOptions {
  /** `redis://user:password@host:port/db`, `rediss://` for TLS. */
  url: string
  /** What went wrong in the background: lost connections, refused logins. The connection repairs itself. */
  onError?: (error: Error) => void
  /**
   * A connection that is silent for this long is closed and opened anew; it is pinged three times in between. A
   * blocking read on it must ask for less. Milliseconds, default 10,000.
   */
  silenceMs?: number
  /**
   * Calls wait for a lost connection to come back, 250 ms at most, and it comes back at once. For runtimes that freeze
   * between requests: there a lost connection says nothing about Redis, and whoever fails fast is frozen again before
   * anything is mended. Default false: while Redis is away nobody waits.
   */
  patient?: boolean
}

/** Errors that only say that there is no connection; the reason came before, as an event. */
const CONSEQUENCES = [ClientClosedError, ClientOfflineError, DisconnectsClientError]

/** One connection that opens at first use, comes back by itself, and never queues while it is down. */
export function createRedisConnection(options: RedisConnectionOptions) {
  const { url, onError, silenceMs = 10_000, patient = false } = options
  const place = URL.parse(url)?.host
  // The platform's own error would show the URL, and the password in it.
  if (place === undefined)
    throw new TypeError('The Redis URL is not one: expected redis://user:password@host:port')
  let client = create()
  let opening: Promise<unknown> | undefined
  let returning: Promise<unknown> | undefined
  let closed = false
  let lastError: Error | undefined

  function create() {
    const created = createClient({
      url,
      RESP: 2,
      disableOfflineQueue: true,
      // node-redis's own default makes an AbortSignal per command, and does not end the wait once it is written.
      commandOptions: { timeout: 0 },
      pingInterval: Math.ceil(silenceMs / 3),
      socket: {
        connectTimeout: 5_000,
        socketTimeout: silenceMs,
        reconnectStrategy: patient ? patientBackOff : backOff,
      },
    })
    created.on('error', (error: Error) => {
      lastError = error
      onError?.(error)
    })
    return created
  }

  function unavailable(error?: unknown) {
    const cause =
      error === undefined || CONSEQUENCES.some((type) => error instanceof type) ? lastError : error
    const reason = closed ? 'it was closed' : describe(cause)
    return new RedisUnavailableError(`No connection to Redis at ${place}: ${reason}`, { cause })
  }

  return {
    /** node-redis's client where it can be written to now. */
    get ready() {
      return client.isReady ? client : undefined
    },
    /** Waits for the first connection; afterwards, unless patient, it fails at once while the connection is down. */
    async open() {
      if (closed) throw unavailable()
      opening ??= new Promise((resolve, reject) => {
        client.once('ready', resolve).once('error', reject)
        client.connect().catch(reject)
      })
      await opening.catch(() => {})
      if (patient && !client.isReady) {
        returning ??= comeBack(client).finally(() => {
          returning = undefined
        })
        await returning
      }
      if (!client.isReady) throw unavailable()
      return client
    },
    /** Drops a connection that no longer answers: its pending calls fail, and a new one is on its way. */
    restart(reason: string) {
      if (closed || !client.isReady) return
      lastError = new Error(reason)
      client.destroy()
      client = create()
      client.connect().catch(() => {})
      onError?.(lastError)
    },
    unavailable,
    /** Lets pending replies arrive for up to a second. */
    async close() {
      if (closed) return
      closed = true
      if (!client.isOpen) return
      const timer = setTimeout(() => client.destroy(), 1_000)
      await client.close().catch(() => {})
      clearTimeout(timer)
    },
  }
}

/** Resolves when it is ready, when an attempt to connect has failed, or after 250 ms. */
const comeBack = (client: NodeJS.EventEmitter) =>
  once(client, 'ready', { signal: AbortSignal.timeout(250) }).catch(() => {})

/** 50 ms, doubling up to a second, of which a random half: many instances do not come back in step. */
function backOff(retries: number) {
  const ceiling = Math.min(50 * 2 ** Math.min(retries, 10), 1_000)
  return Math.round(ceiling * (0.5 + Math.random() / 2))
}

const patientBackOff = (retries: number) => (retries === 0 ? 0 : backOff(retries - 1))

function describe(error: unknown) {
  if (!(error instanceof Error)) return 'not connected'
  // Node wraps the attempts on several addresses in an AggregateError with an empty message.
  return error.message || (error as NodeJS.ErrnoException).code || error.name
}
