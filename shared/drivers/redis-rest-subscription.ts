import { createParser } from 'eventsource-parser'
import { RedisTimeoutError, RedisUnavailableError } from '../errors.ts'
import type { CallOptions, Subscription } from '../ports/redis.ts'

interface SseOptions extends Pick<CallOptions, 'timeoutMs' | 'signal'> {
  url: string
  token: string
  channel: string
  onMessage: (message: string) => void
}

/** Upstash's subscription: server-sent events `subscribe,<channel>,1` and `message,<channel>,<payload>`. */
export async function subscribeOverSse(options: SseOptions): Promise<Subscription> {
  const { timeoutMs = 250, signal } = options
  signal?.throwIfAborted()
  const controller = new AbortController()
  const confirmed = Promise.withResolvers<void>()
  const timer = setTimeout(
    () =>
      confirmed.reject(
        new RedisTimeoutError(`Redis did not confirm the subscription within ${timeoutMs} ms`),
      ),
    timeoutMs,
  )
  const onAbort = () => confirmed.reject(signal?.reason)
  signal?.addEventListener('abort', onAbort, { once: true })

  follow(options, controller.signal, confirmed.resolve).catch(confirmed.reject)
  try {
    await confirmed.promise
  } catch (error) {
    controller.abort()
    throw error
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
  return { close: async () => controller.abort() }
}

/** Listens until closed: a first connection that fails is the caller's error, a later one is opened again. */
async function follow(options: SseOptions, signal: AbortSignal, onConfirmed: () => void) {
  let confirmed = false
  let failures = 0
  const onOpen = () => {
    confirmed = true
    failures = 0
    onConfirmed()
  }
  while (!signal.aborted) {
    try {
      await listen(options, signal, onOpen)
    } catch (error) {
      if (!confirmed) throw error
    }
    if (!confirmed)
      throw new RedisUnavailableError(`Redis over HTTP at ${options.url} ended the subscription`)
    await pause(Math.min(50 * 2 ** failures++, 1_000) * (0.5 + Math.random() / 2), signal)
  }
}

async function listen(
  { url, token, channel, onMessage }: SseOptions,
  signal: AbortSignal,
  onOpen: () => void,
) {
  const base = url.replace(/\/$/, '')
  const response = await fetch(`${base}/subscribe/${encodeURIComponent(channel)}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream' },
    signal,
  }).catch((cause) => {
    throw new RedisUnavailableError(`Redis over HTTP at ${base}: ${cause.cause?.message || cause.message}`, {
      cause,
    })
  })
  if (!response.ok || !response.body) {
    await response.body?.cancel()
    throw new RedisUnavailableError(`Redis over HTTP at ${base}: status ${response.status} to a subscription`)
  }
  const parser = createParser({
    onEvent({ data }) {
      if (data.startsWith(`subscribe,${channel},`)) return onOpen()
      // Cut by length: channels and messages may hold commas.
      const prefix = `message,${channel},`
      if (data.startsWith(prefix) && !signal.aborted) onMessage(data.slice(prefix.length))
    },
  })
  const decoder = new TextDecoder()
  for await (const chunk of response.body) parser.feed(decoder.decode(chunk, { stream: true }))
}

function pause(ms: number, signal: AbortSignal) {
  return new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => resolve(clearTimeout(timer)), { once: true })
  })
}
