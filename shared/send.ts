import type { CallOptions, Command, Redis, Reply, ScriptCall } from './ports/redis.ts'

/** A wave of one call whose error reply is thrown. */
export async function send(redis: Redis, call: Command | ScriptCall, options?: CallOptions): Promise<Reply> {
  const [reply] = await redis.wave([call], options)
  if (reply instanceof Error) throw reply
  return reply as Reply
}

/** What one server of two replied, or why it did not. */
export type Replies = Reply[] | Error

/** The replies to the first `count` calls, and the others; an outage is both's. */
export function splitReplies(replies: Replies, count: number): [Replies, Replies] {
  return replies instanceof Error ? [replies, replies] : [replies.slice(0, count), replies.slice(count)]
}

/** Two groups of calls: one wave where both go to one Redis, else two at the same time. One outage does not hide the other's replies. */
export async function together(
  first: { redis: Redis; calls: (Command | ScriptCall)[] },
  second: { redis: Redis; calls: (Command | ScriptCall)[] },
  options: CallOptions,
): Promise<[Replies, Replies]> {
  const ask = ({ redis, calls }: typeof first): Promise<Replies> =>
    calls.length === 0 ? Promise.resolve([]) : redis.wave(calls, options).catch((error: Error) => error)
  if (first.redis !== second.redis) return Promise.all([ask(first), ask(second)])
  const replies = await ask({ redis: first.redis, calls: [...first.calls, ...second.calls] })
  return splitReplies(replies, first.calls.length)
}
