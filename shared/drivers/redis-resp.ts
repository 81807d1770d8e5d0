import { setTimeout as sleep } from 'node:timers/promises'
import { AbortError, ErrorReply, RESP_TYPES } from '@redis/client'
import { RedisReplyError, RedisTimeoutError, RedisUnavailableError } from '../errors.ts'
import type { Argument, CallOptions, Command, Redis, Reply, Script, ScriptCall } from '../ports/redis.ts'
import { keyOf } from './redis-command-key.ts'
import { toInteger } from './redis-reply.ts'
import { createCluster } from './redis-resp-cluster.ts'
import type { Connection } from './redis-resp-connection.ts'
import { createSentinel } from './redis-resp-sentinel.ts'
import { createSingle } from './redis-resp-single.ts'
import { createSubscriptions } from './redis-resp-subscriptions.ts'
import type { Redirection, TopologyOptions } from './redis-resp-topology.ts'
import { parseRedisUrl, REDIS_URL_FORMATS } from './redis-resp-url.ts'

/** Callers wait 250 ms each, so this many unanswered commands mean a server that has stalled. */
const MOST_PENDING = 16_384

const TEXT = {}
const BYTES = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer, [RESP_TYPES.SIMPLE_STRING]: Buffer } }

const TOPOLOGIES = { single: createSingle, sentinel: createSentinel, cluster: createCluster }

export interface RedisRespOptions extends TopologyOptions {
  /** One of `REDIS_URL_FORMATS`. */
  url: string
}

export type RespRedis = Redis & Pick<ReturnType<typeof createSubscriptions>, 'subscribePattern'>

/**
 * The Redis port over TCP or TLS to one server, to a primary behind sentinels, or to a Cluster. What a server refused because
 * another one is in charge goes there, within the call's deadline; what may have been done is never sent again.
 *
 * @example const redis = createRedisResp({ url: 'redis://:password@127.0.0.1:6379' })
 */
export function createRedisResp({ url, ...options }: RedisRespOptions): RespRedis {
  const parsed = parseRedisUrl(url)
  // The URL itself would show the password in it.
  if (!parsed) throw new TypeError(`The Redis URL is not one: expected ${REDIS_URL_FORMATS}`)
  const topology = TOPOLOGIES[parsed.topology](parsed, options)
  const subscriptions = createSubscriptions(topology, options.onError)
  let pending = 0

  /** The hot path: one promise and one timer a wave, and per command only what node-redis itself needs. */
  function wave(calls: readonly (Command | ScriptCall)[], options: CallOptions = {}) {
    const { timeoutMs = 250, signal, stale = false, near } = options
    return new Promise<Reply[]>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      if (calls.length === 0) return resolve([])
      const commands = calls.map(toCommand)
      const replies: Reply[] = new Array(calls.length)
      const keys = topology.slots ? calls.map((call) => keyOf(call) ?? near) : undefined
      const sentTo: Connection[] = []
      let missing = calls.length
      let settled = false

      // A process that was busy finds the timer due and the reply in its socket at once: the reply goes first.
      const timer = setTimeout(() => setImmediate(expire), timeoutMs)
      const expire = () => {
        if (settled) return
        fail(new RedisTimeoutError(`Redis did not answer within ${timeoutMs} ms`))
        for (const connection of new Set(sentTo.filter((_, i) => replies[i] === undefined)))
          connection.timedOut()
      }
      const onAbort = signal && (() => fail(signal.reason))
      if (onAbort) signal.addEventListener('abort', onAbort, { once: true })

      function end() {
        if (settled) return false
        settled = true
        clearTimeout(timer)
        if (onAbort) signal.removeEventListener('abort', onAbort)
        return true
      }
      const fail = (error: unknown) => void (end() && reject(error))

      const base = options.bytes ? BYTES : TEXT
      // node-redis withdraws what is not yet written when the signal fires.
      const commandOptions = signal ? { ...base, abortSignal: signal } : base
      const routeOf = (i: number) => topology.route(keys?.[i], stale)

      if (routeOf(0)) sendAll()
      else topology.locate().then(() => settled || sendAll(), fail)

      function sendAll() {
        const routes = commands.map((_, i) => routeOf(i))
        const closed = routes.find((connection) => connection && !connection.ready)
        if (!closed) return writeAll(routes)
        // All or none, as far as is known beforehand.
        const opening = new Set(routes)
        Promise.all([...opening].map((connection) => connection?.open())).then(
          () => settled || writeAll(routes),
          fail,
        )
      }

      function writeAll(routes: (Connection | undefined)[]) {
        if (pending + commands.length > MOST_PENDING) {
          const reason = new Error(`${pending} commands are still unanswered`)
          return fail(routes[0]!.unavailable(reason))
        }
        for (let i = 0; i < commands.length; i++) write(i, commands[i]!, routes[i])
      }

      function write(i: number, command: (string | Buffer)[], connection?: Connection, asking = false) {
        const client = connection?.ready
        if (!connection || !client) {
          return fail(
            connection?.unavailable() ??
              new RedisUnavailableError('No node of the Redis Cluster serves this key'),
          )
        }
        const call = calls[i]!
        let sent = command
        if ('script' in call && command[0] === 'EVALSHA') {
          const known = scriptsOf(client)
          if (!known.has(call.script.sha)) sent = toEval(call.script, command)
          known.add(call.script.sha)
        }
        sentTo[i] = connection
        pending++
        // They must follow one another: neither may be withdrawn.
        if (asking) client.sendCommand(['ASKING']).catch(() => {})
        client.sendCommand(sent, asking ? base : commandOptions).then(
          (reply) => {
            pending--
            connection.answered()
            keep(i, toReply(reply))
          },
          (error) => {
            pending--
            if (!(error instanceof ErrorReply)) {
              // An AbortError belongs to the signal, which ends the wave itself.
              if (!(error instanceof AbortError)) fail(connection.unavailable(error))
              return
            }
            connection.answered()
            if (settled) return
            if ('script' in call && error.message.startsWith('NOSCRIPT')) {
              return write(i, toEval(call.script, command), connection, asking)
            }
            const elsewhere = topology.redirect(error.message, connection, keys?.[i])
            if (elsewhere === undefined) keep(i, new RedisReplyError(error.message))
            else if (elsewhere instanceof RedisUnavailableError) fail(elsewhere)
            else void follow(i, command, elsewhere)
          },
        )
      }

      /** Nothing was done yet: another server is asked, or the same one a little later. */
      async function follow(i: number, command: (string | Buffer)[], { pause, ...to }: Redirection) {
        if (pause !== undefined) await sleep(pause)
        const connection = to.connection ?? routeOf(i)
        if (connection && !connection.ready) await connection.open().catch(fail)
        if (!settled) write(i, command, connection, to.asking)
      }

      function keep(i: number, reply: Reply) {
        replies[i] = reply
        if (--missing === 0 && end()) resolve(replies)
      }
    })
  }

  /** Runs of calls to one node, one after the other. */
  async function inOrder(calls: readonly (Command | ScriptCall)[], options: CallOptions): Promise<Reply[]> {
    const until = performance.now() + (options.timeoutMs ?? 250)
    const routeOf = (call: Command | ScriptCall) => topology.route(keyOf(call) ?? options.near, false)
    const replies: Reply[] = []
    while (replies.length < calls.length) {
      const from = replies.length
      const next = calls.findIndex((call, i) => i > from && routeOf(call) !== routeOf(calls[from]!))
      const timeoutMs = Math.max(1, until - performance.now())
      replies.push(
        ...(await wave(calls.slice(from, next === -1 ? undefined : next), { ...options, timeoutMs })),
      )
    }
    return replies
  }

  return {
    wave: (calls, options) =>
      options?.ordered && topology.slots ? inOrder(calls, options) : wave(calls, options),
    subscribe: subscriptions.subscribe,
    subscribePattern: subscriptions.subscribePattern,
    async nodes({ timeoutMs = 250, signal } = {}) {
      // Only a Cluster has more than one, and knows them once anything was asked.
      if (topology.slots) await wave([['PING']], { timeoutMs, signal })
      return topology.nodes()
    },
    wakeUps: 'push',
    binary: true,
    async close() {
      await Promise.all([topology.close(), subscriptions.close()])
    },
  }
}

/** Scripts that were sent whole over a connection: one that comes first keeps its place in its wave, as a retry would not. */
const scripts = new WeakMap<object, Set<string>>()

function scriptsOf(client: object): Set<string> {
  const known = scripts.get(client) ?? new Set()
  scripts.set(client, known)
  return known
}

const toEval = ({ source }: Script, [, , ...keysAndArgs]: (string | Buffer)[]) => [
  'EVAL',
  source,
  ...keysAndArgs,
]

function toCommand(call: Command | ScriptCall): (string | Buffer)[] {
  if (!('script' in call)) return (call as readonly Argument[]).map(toArgument)
  const { script, keys, args } = call
  return ['EVALSHA', script.sha, String(keys.length), ...keys, ...args.map(toArgument)]
}

function toArgument(value: Argument): string | Buffer {
  if (typeof value === 'string') return value
  if (typeof value === 'number') return String(value)
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
}

function toReply(value: unknown): Reply {
  if (typeof value === 'string' || value === null) return value
  // A Buffer is a Uint8Array whose slice() does not copy: a trap for whoever relies on the port's type.
  if (value instanceof Buffer) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = toReply(value[i])
    return value
  }
  if (typeof value === 'number') return toInteger(value)
  return new RedisReplyError(value instanceof Error ? value.message : 'ERR unexpected reply')
}
