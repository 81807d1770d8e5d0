import { type Bell, createBell } from '../bell.ts'
import { HubError } from '../errors.ts'
import { newId } from '../ids.ts'
import type { Redis } from '../ports/redis.ts'
import { type ChannelSource, channelSource } from './channels.ts'
import { createFeed, type Feed } from './feed.ts'
import { PRESENCE_BEAT_MS, type Presence } from './presence.ts'
import { createReader, type Reader } from './reader.ts'

export interface ReadersOptions {
  redis: Redis
  presence: Presence
  /** Readers of one channel share a feed; where a request may not read what another one receives, each has its own. */
  shares: boolean
  /** Redis calls that one reader may cause, where the runtime counts them: then its stream ends, and its client comes back. */
  callBudget?: number
  /** The longest that a stream may last, for runtimes that end it otherwise. */
  longestMs?: number
  mostReaders?: number
  checkMs?: number
  beatMs?: number
}

export interface Wanted {
  /** Go on after this entry. */
  after?: string
  /** Under which name it is present. */
  as?: string
  /** What is followed, where it is no channel: then the channel is only what readers share it by. */
  source?: ChannelSource
}

/** A feed and what hangs on it. */
interface Room {
  feed: Feed
  /** Readers that are open or about to be. */
  guests: number
  /** `<id>/<name>` of those that gave a name. */
  named: Set<string>
  timers: NodeJS.Timeout[]
}

/** Everyone who listens on this instance. */
export function createReaders(options: ReadersOptions) {
  const { redis, presence, shares, callBudget, longestMs } = options
  const { mostReaders = 10_000, beatMs = PRESENCE_BEAT_MS } = options
  // Where each reader has a feed of its own, the look costs a call each.
  const { checkMs = shares ? 5_000 : 15_000 } = options
  const shared = new Map<string, Room>()
  const rooms = new Set<Room>()
  let open = 0
  let stopping = false

  function enter(tenant: string, channel: string, source?: ChannelSource): Room {
    const name = `${tenant} ${channel}`
    const known = shared.get(name)
    const room = known && !known.feed.closed ? known : build(tenant, channel, source)
    if (shares) shared.set(name, room)
    room.guests++
    return room
  }

  function build(tenant: string, channel: string, source = channelSource(tenant, channel)): Room {
    let calls = callBudget ?? Number.POSITIVE_INFINITY
    const spend = () => --calls >= 0
    const feed = createFeed({ redis, source, checkMs, spend })
    const named = new Set<string>()
    // One that is shared also notices for others who went without a word.
    const beat = () => {
      if (!source.hasPresence || (named.size === 0 && !shares)) return
      if (spend()) presence.see(tenant, channel, [...named]).catch(() => {}) // the next one tells
    }
    const timers = [setInterval(beat, beatMs)]
    if (longestMs) timers.push(setTimeout(feed.close, longestMs))
    const room = { feed, guests: 0, named, timers }
    rooms.add(room)
    return room
  }

  function exit(room: Room, name: string, bell: Bell) {
    room.feed.bells.delete(bell)
    if (--room.guests > 0) return
    for (const timer of room.timers) clearTimeout(timer)
    room.feed.close()
    rooms.delete(room)
    if (shared.get(name) === room) shared.delete(name)
  }

  return {
    /**
     * Begins to listen: with the messages after `after`, else with what is published from now on.
     *
     * Errors: 400 `invalid_channel`, 503 while Redis is away, or `too_many_readers`.
     */
    async open(tenant: string, channel: string, { after, as, source }: Wanted = {}): Promise<Reader> {
      if (stopping || open >= mostReaders) throw full(mostReaders)
      const room = enter(tenant, channel, source)
      const bell = createBell()
      room.feed.bells.add(bell)
      open++
      const connection = as === undefined ? undefined : `${newId()}/${as}`
      let left: Promise<void> | undefined
      const leave = () => {
        left ??= (async () => {
          open--
          exit(room, `${tenant} ${channel}`, bell)
          if (!connection || !room.named.delete(connection)) return
          await presence.leave(tenant, channel, [connection])
        })()
        return left
      }
      try {
        await room.feed.upToDate()
        const reader = createReader({ feed: room.feed, bell, after, leave })
        if (connection) {
          room.named.add(connection)
          await presence.see(tenant, channel, [connection])
        }
        return reader
      } catch (error) {
        leave().catch(() => {}) // it expires
        throw error
      }
    },
    /** Readers, and channels that they listen on. */
    count: () => ({ readers: open, channels: rooms.size }),
    /** Ends every stream: their clients come back, to whoever serves then. */
    close() {
      stopping = true
      for (const { feed, timers } of rooms) {
        feed.close()
        for (const timer of timers) clearTimeout(timer)
      }
    },
  }
}

export type Readers = ReturnType<typeof createReaders>

const full = (most: number) =>
  new HubError({
    code: 'too_many_readers',
    status: 503,
    message: `This instance serves ${most} readers already, or is about to stop. Try again.`,
    retryAfterSeconds: 2,
  })
