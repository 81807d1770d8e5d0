import { ClientClosedError, ClientOfflineError, DisconnectsClientError, RedisClient } from '@redis/client'
import { RedisUnavailableError } from '../errors.ts'
import { nameOf, type Place, type RedisUrl } from './redis-resp-url.ts'

export interface ConnectionOptions extends Pick<RedisUrl, 'login' | 'tls' | 'database'> {
  /** Asked before each attempt. What it throws fails the attempt. */
  place: () => Place | Promise<Place>
  /** Throws where the server that answers is not the one that is wanted. */
  verify?: (client: Client) => Promise<void>
  /** Before a new connection is used. */
  prepare?: (client: Client) => Promise<void>
  /** It was lost, or an attempt failed. */
  onDown?: () => void
  /** It is there again, at that address. */
  onBack?: (place: string) => void
  /** A replica of a cluster, which answers reads only after it was told so. */
  readonly?: boolean
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

export type Client = ReturnType<typeof create>
export type Connection = ReturnType<typeof createConnection>

/** Errors that only say that there is no connection; the reason came before. */
const CONSEQUENCES = [ClientClosedError, ClientOfflineError, DisconnectsClientError]

/**
 * One connection that opens at first use, comes back by itself (to where `place` says then), and never queues while it
 * is down.
 */
export function createConnection(options: ConnectionOptions) {
  const { onError, silenceMs = 10_000, patient = false } = options
  let where = 'its address'
  let place: Place | undefined
  /** Connected and verified. */
  let client: Client | undefined
  let firstAttempt: Promise<void> | undefined
  let attempted = Promise.withResolvers<void>()
  let endAttempt = (_reason: Error) => {}
  let endPause = () => {}
  let closed = false
  let lastError: unknown
  // Only set while calls time out: a half-open socket under load takes writes for minutes, and each of them
  // postpones the socket's own idle timeout.
  let silentSince = 0

  const ready = () => (client?.isReady ? client : undefined)

  function unavailable(error?: unknown) {
    const cause =
      error === undefined || CONSEQUENCES.some((type) => error instanceof type) ? lastError : error
    const reason = closed ? 'it was closed' : describe(cause)
    return new RedisUnavailableError(`No connection to Redis at ${where}: ${reason}`, { cause })
  }

  /** Connects, and again whenever the connection is lost. */
  async function keep() {
    for (let failures = 0; !closed; failures++) {
      try {
        const { lost } = await connect()
        if (failures > 0) options.onBack?.(where)
        failures = 0
        attempted.resolve()
        throw await lost
      } catch (error) {
        client = undefined
        if (closed) break
        lastError = error
        onError?.(error as Error)
        options.onDown?.()
        attempted.resolve()
        attempted = Promise.withResolvers()
        await pause(patient ? patientBackOff(failures) : backOff(failures))
      }
    }
    attempted.resolve()
  }

  async function connect(): Promise<{ lost: Promise<unknown> }> {
    place = await options.place()
    if (closed) throw unavailable()
    where = nameOf(place)
    const created = create({ ...options, place, silenceMs })
    const lost = new Promise<unknown>((resolve) => {
      let reason: unknown
      created
        .on('error', (error) => {
          reason ??= error
          if (!created.isReady) resolve(reason)
        })
        .once('end', () => resolve(reason ?? lastError))
    })
    const ended = new Promise<never>((_, reject) => {
      endAttempt = reject
    })
    ended.catch(() => {})
    try {
      await Promise.race([created.connect(), ended])
      await options.verify?.(created)
      await options.prepare?.(created)
      if (closed) throw unavailable()
    } catch (error) {
      created.destroy()
      throw error
    }
    client = created
    return { lost: lost.finally(() => created.destroy()) }
  }

  const pause = (ms: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      endPause = () => {
        clearTimeout(timer)
        resolve()
      }
    })

  const connection = {
    /** node-redis's client where it can be written to now. */
    get ready() {
      return ready()
    },
    get place() {
      return place
    },
    /** Waits for the first connection; afterwards, unless patient, it fails at once while the connection is down. */
    async open(): Promise<Client> {
      if (closed) throw unavailable()
      if (!firstAttempt) {
        firstAttempt = attempted.promise
        void keep()
      }
      await firstAttempt
      if (patient && !ready()) await within(attempted.promise, 250)
      const opened = ready()
      if (!opened) throw unavailable()
      return opened
    },
    /** Drops the connection, or the attempt at one: its pending calls fail, and a new one is on its way. */
    restart(reason: string) {
      if (closed) return
      lastError = new Error(reason)
      endAttempt(lastError as Error)
      client?.destroy()
    },
    answered() {
      silentSince = 0
    },
    /** A call's deadline passed without a reply. */
    timedOut() {
      const now = Date.now()
      silentSince ||= now
      if (now - silentSince < silenceMs) return
      silentSince = 0
      connection.restart(`No reply for ${silenceMs} ms`)
    },
    unavailable,
    /** Lets pending replies arrive for up to a second. */
    async close() {
      if (closed) return
      closed = true
      endPause()
      endAttempt(new Error('it was closed'))
      const open = client
      if (!open?.isOpen) return
      const timer = setTimeout(() => open.destroy(), 1_000)
      await open.close().catch(() => {})
      clearTimeout(timer)
    },
  }
  return connection
}

/** node-redis makes a class of all commands for every other configuration, in 20 ms: this is the one of all connections. */
const createClient = once(() => RedisClient.factory({ RESP: 2 }))

function create({
  place,
  login,
  tls,
  database,
  readonly,
  silenceMs,
}: Omit<ConnectionOptions, 'place'> & { place: Place; silenceMs: number }) {
  return createClient()({
    ...{ ...login, database, readonly },
    ...({ RESP: 2 } as object), // asked for here too, whatever its types say
    disableOfflineQueue: true,
    // node-redis's own default makes an AbortSignal per command, and does not end the wait once it is written.
    commandOptions: { timeout: 0 },
    pingInterval: Math.ceil(silenceMs / 3),
    socket: {
      ...place,
      ...(tls ? { tls: true as const } : {}),
      connectTimeout: 5_000,
      socketTimeout: silenceMs,
      // Each attempt has a client of its own: the next place may be another one.
      reconnectStrategy: false,
    },
  })
}

/** Resolves when the promise does, after that time at the latest. */
async function within(promise: Promise<void>, ms: number) {
  let timer: ReturnType<typeof setTimeout> | undefined
  await Promise.race([
    promise,
    new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms)
    }),
  ])
  clearTimeout(timer)
}

function once<T>(make: () => T): () => T {
  let made: T | undefined
  return () => (made ??= make())
}

/** 50 ms, doubling up to a second, of which a random half: many instances do not come back in step. */
function backOff(failures: number) {
  const ceiling = Math.min(50 * 2 ** Math.min(failures, 10), 1_000)
  return Math.round(ceiling * (0.5 + Math.random() / 2))
}

const patientBackOff = (failures: number) => (failures === 0 ? 0 : backOff(failures - 1))

function describe(error: unknown) {
  if (!(error instanceof Error)) return 'not connected'
  // Node wraps the attempts on several addresses in an AggregateError with an empty message.
  return error.message || (error as NodeJS.ErrnoException).code || error.name
}
