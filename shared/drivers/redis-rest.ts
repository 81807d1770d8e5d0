import { Redis as UpstashClient } from '@upstash/redis/cloudflare'
import { RedisReplyError, RedisTimeoutError, RedisUnavailableError } from '../errors.ts'
import type { Argument, CallOptions, Command, Redis, Reply, ScriptCall } from '../ports/redis.ts'
import { toInteger } from './redis-reply.ts'
import { subscribeOverSse } from './redis-rest-subscription.ts'

export interface RedisRestOptions {
  /** `UPSTASH_REDIS_REST_URL` */
  url: string
  /** `UPSTASH_REDIS_REST_TOKEN` */
  token: string
}

/**
 * The Redis port over HTTP: Upstash, or this hub's bridge in front of any Redis. Runs wherever `fetch` does, and keeps
 * nothing of one request for the next.
 *
 * @example const redis = createRedisRest({ url: 'https://x.upstash.io', token })
 */
export function createRedisRest({ url, token }: RedisRestOptions): Redis {
  const client = new PipelineClient({
    url,
    token,
    enableAutoPipelining: false,
    automaticDeserialization: false,
    // `retry: false` still sends a failed request twice.
    retry: { retries: 0 },
    // Decoded here: the client's own decoding turns bytes that are not UTF-8 into U+FFFD and drops nested errors.
    responseEncoding: false,
    enableTelemetry: false,
  })
  const place = new URL(url).host
  const subscriptions = new Set<() => Promise<void>>()
  /** Scripts that were sent whole: one that comes first keeps its place in its wave, as a retry would not. */
  const known = new Set<string>()

  async function wave(calls: readonly (Command | ScriptCall)[], options: CallOptions = {}): Promise<Reply[]> {
    const { timeoutMs = 250, signal, bytes = false } = options
    signal?.throwIfAborted()
    if (calls.length === 0) return []
    const fresh = new Set<string>()
    const commands = calls.map((call) => {
      const command = toCommand(call)
      if (!('script' in call) || known.has(call.script.sha) || fresh.has(call.script.sha)) return command
      fresh.add(call.script.sha)
      return withSource(call, command)
    })
    const controller = new AbortController()
    // A process that was busy finds the timer due and the reply in its socket at once: the reply goes first.
    let timer = setTimeout(() => {
      timer = setTimeout(expire, 5)
    }, timeoutMs)
    const expire = () =>
      controller.abort(new RedisTimeoutError(`Redis did not answer within ${timeoutMs} ms`))
    const onAbort = () => controller.abort(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })

    const send = async (batch: string[][]) => {
      try {
        return toReplies(await client.send(batch, controller.signal), batch.length, bytes)
      } catch (error) {
        if (controller.signal.aborted) throw controller.signal.reason
        throw toUnavailable(place, error)
      }
    }
    try {
      const replies = await send(commands)
      for (const sha of fresh) known.add(sha)
      const unknown = calls.flatMap((call, i) => ('script' in call && isNoScript(replies[i]) ? [i] : []))
      if (unknown.length > 0) {
        const again = await send(unknown.map((i) => withSource(calls[i] as ScriptCall, commands[i]!)))
        unknown.forEach((i, n) => {
          replies[i] = again[n]!
        })
      }
      return replies
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  return {
    wave,
    async subscribe(channel, onMessage, options) {
      const subscription = await subscribeOverSse({ url, token, channel, onMessage, ...options })
      const close = async () => {
        subscriptions.delete(close)
        await subscription.close()
      }
      subscriptions.add(close)
      return { close }
    },
    nodes: async () => [''],
    wakeUps: 'poll',
    binary: false,
    async close() {
      await Promise.all([...subscriptions].map((close) => close()))
    },
  }
}

class PipelineClient extends UpstashClient {
  /** One explicit `/pipeline` request: of a single command too, because only there error replies stay apart from failures. */
  send(commands: string[][], signal: AbortSignal) {
    return this.client.request({
      path: ['pipeline'],
      headers: { 'Upstash-Encoding': 'base64' },
      body: commands,
      // Given a plain signal the client answers an aborted request with a made-up 200; given a function it throws.
      signal: (() => signal) as unknown as AbortSignal,
    }) as Promise<unknown>
  }
}

function toCommand(call: Command | ScriptCall): string[] {
  if (!('script' in call)) return (call as readonly Argument[]).map(toArgument)
  const { script, keys, args } = call
  return ['EVALSHA', script.sha, String(keys.length), ...keys, ...args.map(toArgument)]
}

function withSource({ script }: ScriptCall, command: string[]) {
  return ['EVAL', script.source, ...command.slice(2)]
}

function isNoScript(reply: Reply | undefined) {
  return reply instanceof RedisReplyError && reply.code === 'NOSCRIPT'
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

function toArgument(value: Argument): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number') return String(value)
  try {
    return strictUtf8.decode(value)
  } catch (cause) {
    throw new TypeError('Redis over HTTP carries text: encode these bytes (base64) before storing them', {
      cause,
    })
  }
}

function toReplies(body: unknown, count: number, bytes: boolean): Reply[] {
  if (!Array.isArray(body) || body.length !== count) throw new Error('the answer is not that of a pipeline')
  return body.map((item) => toItem(item, bytes))
}

function toItem(item: { result?: unknown; error?: unknown }, bytes: boolean): Reply {
  if (item.error !== undefined) return toReply(item, bytes)
  // At the top level, and only there, OK is not encoded.
  if (item.result === 'OK') return bytes ? new TextEncoder().encode('OK') : 'OK'
  return toReply(item.result, bytes)
}

function toReply(value: unknown, bytes: boolean): Reply {
  if (value === null || value === undefined) return null
  if (typeof value === 'number') return toInteger(value)
  if (typeof value === 'string') return bytes ? fromBase64(value) : utf8.decode(fromBase64(value))
  if (Array.isArray(value)) return value.map((item) => toReply(item, bytes))
  return new RedisReplyError(String((value as { error?: unknown }).error))
}

function fromBase64(text: string) {
  const binary = atob(text)
  const bytes = new Uint8Array(binary.length)
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i)
  return bytes
}

/** The client's messages repeat the commands, which may hold what no log should: only the server's own words are kept. */
function toUnavailable(place: string, error: unknown) {
  const { name, message, cause } = error as Error
  if (name === 'UpstashError') {
    return new RedisUnavailableError(
      `Redis over HTTP at ${place}: ${message.replace(/, command was: .*/s, '')}`,
    )
  }
  if (name === 'UpstashJSONParseError' || error instanceof SyntaxError) {
    return new RedisUnavailableError(`Redis over HTTP at ${place}: the answer is not JSON`)
  }
  const reason = (cause as Error | undefined)?.message || message
  return new RedisUnavailableError(`Redis over HTTP at ${place}: ${reason}`, { cause: error })
}
