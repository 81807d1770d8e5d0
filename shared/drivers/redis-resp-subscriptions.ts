import { ErrorReply } from '@redis/client'
import { RedisReplyError, RedisTimeoutError } from '../errors.ts'
import type { CallOptions, Subscription } from '../ports/redis.ts'
import type { Client } from './redis-resp-connection.ts'
import type { Topology } from './redis-resp-topology.ts'

type OnMessage = (message: string, channel: string) => void
type WaitOptions = Pick<CallOptions, 'timeoutMs' | 'signal'>

interface Topic {
  listener: OnMessage
  handlers: Set<OnMessage>
  joined: Promise<void>
}

/** Every subscription of a driver over one connection of its own, which subscribes anew wherever it comes back. */
export function createSubscriptions(
  { subscriber }: Pick<Topology, 'subscriber'>,
  onError?: (error: Error) => void,
) {
  const connection = subscriber({ prepare: subscribeAll })
  const channels = {
    subscribe: 'subscribe',
    unsubscribe: 'unsubscribe',
    topics: new Map<string, Topic>(),
  } as const
  const patterns = {
    subscribe: 'pSubscribe',
    unsubscribe: 'pUnsubscribe',
    topics: new Map<string, Topic>(),
  } as const
  type Kind = typeof channels | typeof patterns

  async function subscribeAll(client: Client) {
    const all = [channels, patterns].flatMap((kind) =>
      [...kind.topics].map(([name, { listener }]) => client[kind.subscribe](name, listener)),
    )
    await Promise.all(all)
  }

  async function follow(
    kind: Kind,
    name: string,
    onMessage: OnMessage,
    wait: WaitOptions,
  ): Promise<Subscription> {
    wait.signal?.throwIfAborted()
    const topic = kind.topics.get(name) ?? openTopic(kind, name)
    const handler: OnMessage = (message, channel) => onMessage(message, channel)
    topic.handlers.add(handler)
    const leave = () => {
      if (topic.handlers.delete(handler) && topic.handlers.size === 0) closeTopic(kind, name, topic)
    }
    try {
      await withDeadline(topic.joined, wait)
    } catch (error) {
      leave()
      throw error
    }
    return { close: async () => leave() }
  }

  function openTopic(kind: Kind, name: string) {
    const handlers = new Set<OnMessage>()
    const listener: OnMessage = (message, channel) => {
      // The UNSUBSCRIBE was lost.
      if (handlers.size === 0) return closeTopic(kind, name, topic)
      for (const handler of handlers) {
        try {
          handler(message, channel)
        } catch (error) {
          // Thrown further it would break node-redis's decoder in the middle of a reply.
          onError?.(error as Error)
        }
      }
    }
    const topic: Topic = { listener, handlers, joined: join(kind, name, listener) }
    topic.joined.catch(() => closeTopic(kind, name, topic))
    kind.topics.set(name, topic)
    return topic
  }

  async function join(kind: Kind, name: string, listener: OnMessage) {
    const client = await connection.open()
    try {
      await client[kind.subscribe](name, listener)
    } catch (error) {
      throw error instanceof ErrorReply ? new RedisReplyError(error.message) : connection.unavailable(error)
    }
  }

  function closeTopic(kind: Kind, name: string, topic: Topic) {
    if (kind.topics.get(name) === topic) kind.topics.delete(name)
    connection.ready?.[kind.unsubscribe](name, topic.listener).catch(() => {})
  }

  return {
    subscribe: (channel: string, onMessage: (message: string) => void, wait: WaitOptions = {}) =>
      follow(channels, channel, onMessage, wait),
    /** Like `subscribe`, for every channel that matches a glob. */
    subscribePattern: (pattern: string, onMessage: OnMessage, wait: WaitOptions = {}) =>
      follow(patterns, pattern, onMessage, wait),
    close: () => connection.close(),
  }
}

async function withDeadline(work: Promise<void>, { timeoutMs = 250, signal }: WaitOptions) {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const timer = setTimeout(
    () => reject(new RedisTimeoutError(`Redis did not confirm the subscription within ${timeoutMs} ms`)),
    timeoutMs,
  )
  const onAbort = () => reject(signal?.reason)
  signal?.addEventListener('abort', onAbort, { once: true })
  work.then(resolve, reject)
  try {
    await promise
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}
