import { AbortError, ErrorReply, RESP_TYPES } from '@redis/client'
import { RedisReplyError, RedisTimeoutError } from '../errors.ts'
import type { Argument, CallOptions, Command, Redis, Reply, ScriptCall } from '../ports/redis.ts'
import { toInteger } from './redis-reply.ts'
import { createRedisConnection, type RedisConnectionOptions } from './redis-resp-connection.ts'
import { createSubscriptions } from './redis-resp-subscriptions.ts'

/** Callers wait 250 ms each, so this many unanswered commands mean a server that has stalled. */
const MOST_PENDING = 16_384

const TEXT = {}
const BYTES = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer, [RESP_TYPES.SIMPLE_STRING]: Buffer } }

export type RespRedis = Redis & Pick<ReturnType<typeof createSubscriptions>, 'subscribePattern'>

/**
 * The Redis port over a TCP or TLS connection to one server.
 *
 * @example const redis = createRedisResp({ url: 'redis://:password@127.0.0.1:6379' })
 */
export function createRedisResp(options: RedisConnectionOptions): RespRedis {
  const { silenceMs = 10_000 } = options
  const connection = createRedisConnection({ ...options, silenceMs })
  const subscriptions = createSubscriptions(options)
  // Only set while calls time out: a half-open socket under load takes writes for minutes, and each of them
  // postpones the socket's own idle timeout.
  let silentSince = 0
  let pending = 0

  function onTimeout() {
    const now = Date.now()
    silentSince ||= now
    if (now - silentSince < silenceMs) return
    silentSince = 0
    connection.restart(`No reply for ${silenceMs} ms`)
  }

  /** The hot path: one promise and one timer a wave, and per command only what node-redis itself needs. */
  function wave(calls: readonly (Command | ScriptCall)[], options: CallOptions = {}) {
    const { timeoutMs = 250, signal } = options
    return new Promise<Reply[]>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      if (calls.length === 0) return resolve([])
      const commands = calls.map(toCommand)
      const replies: Reply[] = new Array(calls.length)
      let missing = calls.length
      let settled = false

      // A process that was busy finds the timer due and the reply in its socket at once: the reply goes first.
      const timer = setTimeout(() => setImmediate(expire), timeoutMs)
      const expire = () => {
        if (settled) return
        fail(new RedisTimeoutError(`Redis did not answer within ${timeoutMs} ms`))
        onTimeout()
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

      const ready = connection.ready
      if (ready) sendAll(ready)
      else connection.open().then((client) => settled || sendAll(client), fail)

      function sendAll(client: NonNullable<typeof connection.ready>) {
        // All or none: node-redis's own limit could cut a wave between MULTI and EXEC.
        if (pending + commands.length > MOST_PENDING) {
          return fail(connection.unavailable(new Error(`${pending} commands are still unanswered`)))
        }
        const base = options.bytes ? BYTES : TEXT
        // node-redis withdraws what is not yet written when the signal fires.
        const commandOptions = signal ? { ...base, abortSignal: signal } : base
        for (let i = 0; i < commands.length; i++) send(i, commands[i]!)

        function send(i: number, command: (string | Buffer)[]) {
          pending++
          client.sendCommand(command, commandOptions).then(
            (reply) => {
              pending--
              keep(i, toReply(reply))
            },
            (error) => {
              pending--
              if (!(error instanceof ErrorReply)) {
                // An AbortError belongs to the signal, which ends the wave itself.
                if (!(error instanceof AbortError)) fail(connection.unavailable(error))
                return
              }
              const call = calls[i]!
              if (
                !settled &&
                'script' in call &&
                command[0] === 'EVALSHA' &&
                error.message.startsWith('NOSCRIPT')
              ) {
                send(i, ['EVAL', call.script.source, ...command.slice(2)])
              } else {
                keep(i, new RedisReplyError(error.message))
              }
            },
          )
        }
      }

      function keep(i: number, reply: Reply) {
        silentSince = 0
        replies[i] = reply
        if (--missing === 0 && end()) resolve(replies)
      }
    })
  }

  return {
    wave,
    subscribe: subscriptions.subscribe,
    subscribePattern: subscriptions.subscribePattern,
    nodes: async () => [''],
    wakeUps: 'push',
    binary: true,
    async close() {
      await Promise.all([connection.close(), subscriptions.close()])
    },
  }
}

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
