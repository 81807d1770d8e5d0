import type { Bell } from '../bell.ts'
import type { Feed } from './feed.ts'
import type { RealtimeMessage } from './realtime.ts'
import { compareStreamIds } from './stream-ids.ts'

/** What a reader gets next. `gap`: messages after that id were removed before they were read. */
export type Reading =
  | { kind: 'messages'; messages: readonly RealtimeMessage[] }
  | { kind: 'gap'; after: string }
  | { kind: 'quiet' }
  | { kind: 'end' }

/** Characters of one reading, unless one message alone has more. */
const AT_ONCE = 64 * 1024

interface ReaderOptions {
  feed: Feed
  bell: Bell
  /** By default what is published from now on. */
  after?: string
  leave(): Promise<void>
}

/**
 * One who listens. It is a place in the stream and nothing more: who reads slowly holds nothing up and keeps nothing in memory.
 */
export function createReader({ feed, bell, after, leave }: ReaderOptions) {
  let place = after ?? feed.tail
  let lost: string | undefined
  let left = false
  // No such message was ever published here, or Redis has lost it: waiting for it would hide what comes.
  if (compareStreamIds(place, feed.tail) > 0) {
    lost = place
    place = feed.tail
  }
  /** Whether a place whose entry is gone means that messages were missed. */
  let mayMiss = lost === undefined

  /** From the stream itself; undefined where there is nothing more before what the feed keeps. */
  async function catchUp(): Promise<Reading | undefined> {
    const { floor } = feed
    const { messages, missing } = await feed.page(place)
    if (missing && mayMiss) {
      mayMiss = false
      return { kind: 'gap', after: place }
    }
    mayMiss = true
    if (messages.length > 0) return take(messages)
    if (compareStreamIds(place, floor) < 0) place = floor
    return undefined
  }

  function take(messages: readonly RealtimeMessage[]): Reading {
    let end = 0
    let characters = 0
    while (end < messages.length && (end === 0 || characters < AT_ONCE)) {
      characters += messages[end++]!.data.length
    }
    place = messages[end - 1]!.id
    return { kind: 'messages', messages: messages.slice(0, end) }
  }

  return {
    /** Where it begins: whoever comes back with this id misses nothing. */
    start: feed.kept ? place : undefined,
    /** Waits for the next messages, up to `quietMs`. Rejects when it is behind and Redis is away. */
    async next(quietMs: number): Promise<Reading> {
      const until = performance.now() + quietMs
      for (;;) {
        if (left || feed.closed) return { kind: 'end' }
        if (lost !== undefined) {
          const reading: Reading = { kind: 'gap', after: lost }
          lost = undefined
          return reading
        }
        const ready = feed.after(place)
        if (ready === undefined) {
          const reading = await catchUp()
          if (reading) return reading
        } else if (ready.length > 0) {
          mayMiss = true
          return take(ready)
        } else {
          const pause = until - performance.now()
          if (pause <= 0) return { kind: 'quiet' }
          await bell.sleep(pause)
        }
      }
    },
    /** Ends it, and a `next` that waits. Resolves when the channel knows that it left. */
    leave() {
      left = true
      bell.ring()
      return leave()
    },
  }
}

export type Reader = ReturnType<typeof createReader>
