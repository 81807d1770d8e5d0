import { type Bell, createBell } from '../bell.ts'
import type { Redis, Reply, Subscription } from '../ports/redis.ts'
import { send } from '../send.ts'
import type { ChannelSource } from './channels.ts'
import type { RealtimeMessage } from './realtime.ts'
import { BEGINNING, compareStreamIds, isEntryId } from './stream-ids.ts'

/** The newest messages of a channel, which all of its readers share. */
const MOST_MESSAGES = 512
const MOST_CHARACTERS = 2 * 1024 * 1024
/** Entries of one XRANGE: of the feed, and of a reader that catches up. */
const NEWS = 500
const PAGE = 32
const DEADLINE = { timeoutMs: 2_000 }
/** Between two looks where nothing wakes it up, growing; and after a failure. */
const FIRST_PAUSE_MS = 250
const LAST_PAUSE_MS = 5_000

export interface FeedOptions {
  redis: Redis
  source: ChannelSource
  /** How often it looks although nothing woke it up: a wake-up may be lost while Redis is away. */
  checkMs: number
  /** Counts a call. False: no more may be made. */
  spend(): boolean
}

/**
 * Follows one channel for all of its readers: one subscription, and one XRANGE a wake-up. It keeps no list per reader: a reader has a
 * place (`after`), and one that is further behind than what is kept here reads the stream at its own pace (`page`).
 */
export function createFeed({ redis, source, checkMs, spend }: FeedOptions) {
  const { stream } = source
  const recent: RealtimeMessage[] = []
  let characters = 0
  /** `recent` holds everything after `floor`, up to `tail`. */
  let floor = BEGINNING
  let tail = BEGINNING
  const bells = new Set<Bell>()
  const wakeUp = createBell()
  let subscription: Subscription | undefined
  let closed = false
  let count = 0
  /** It has begun to ask where the stream is. */
  let looking = false

  const opened = open()
  opened.catch(() => {}) // told to whoever joins

  async function open() {
    const onMessage = stream ? wakeUp.ring : (data: string) => add({ id: `0-${++count}`, data, kept: false })
    // First the subscription, then where it begins: nothing falls in between.
    const subscribing = redis.subscribe(source.channel, onMessage, DEADLINE)
    if (!stream) subscription = await subscribing
    else {
      subscription = await subscribing.catch(() => undefined) // then it polls
      looking = true
      const newest = await range(['XREVRANGE', stream, '+', '-', 'COUNT', 1])
      floor = tail = newest[0]?.id ?? BEGINNING
      void follow()
    }
    if (closed) void subscription?.close().catch(() => {})
  }

  async function follow() {
    let pause = subscription ? checkMs : FIRST_PAUSE_MS
    while (!closed) {
      await wakeUp.sleep(pause)
      if (closed) return
      const before = tail
      const looked = await refresh().then(
        () => true,
        () => false,
      )
      if (looked && subscription) pause = checkMs
      else if (looked && tail !== before) pause = FIRST_PAUSE_MS
      else pause = Math.min(Math.max(pause * 1.5, FIRST_PAUSE_MS), LAST_PAUSE_MS)
    }
  }

  let running: Promise<void> | undefined
  let following: Promise<void> | undefined
  /** Reads what is new now. Callers of the same moment share it. */
  function refresh(): Promise<void> {
    if (!running) return start()
    following ??= running
      .catch(() => {})
      .then(() => {
        following = undefined
        return start()
      })
    return following
  }
  function start() {
    running = readNews().finally(() => {
      running = undefined
    })
    return running
  }

  async function readNews() {
    while (stream && !closed) {
      const news = await range(['XRANGE', stream, `(${tail}`, '+', 'COUNT', NEWS])
      news.forEach(keep)
      if (news.length > 0) for (const bell of bells) bell.ring()
      if (news.length < NEWS) return
    }
  }

  function add(message: RealtimeMessage) {
    keep(message)
    for (const bell of bells) bell.ring()
  }

  function keep(message: RealtimeMessage) {
    recent.push(message)
    tail = message.id
    characters += message.data.length
    while (recent.length > MOST_MESSAGES || (characters > MOST_CHARACTERS && recent.length > 1)) {
      const dropped = recent.shift()!
      characters -= dropped.data.length
      floor = dropped.id
    }
  }

  async function range(command: readonly [string, ...(string | number)[]]): Promise<RealtimeMessage[]> {
    if (!spend()) {
      close()
      return []
    }
    const reply = (await send(redis, command, DEADLINE)) as [string, string[]][] | null
    return (reply ?? []).map(([id, list]) => source.read(id, toFields(list)))
  }

  function close() {
    if (closed) return
    closed = true
    wakeUp.ring()
    for (const bell of bells) bell.ring()
    void subscription?.close().catch(() => {})
  }

  return {
    /** Rung at news and at the end. */
    bells,
    get closed() {
      return closed
    },
    get tail() {
      return tail
    },
    get floor() {
      return floor
    },
    /** Whether messages have ids that a later reader may come back with. */
    kept: stream !== undefined,
    /** Resolves when it knows all that was published before the call. Rejects while Redis is away. */
    async upToDate() {
      const isLate = looking
      await opened
      if (isLate) await refresh()
    },
    /** What came after that place; undefined where the place is before what is kept here. */
    after(place: string): RealtimeMessage[] | undefined {
      if (place === tail) return []
      if (compareStreamIds(place, floor) < 0) return undefined
      let from = recent.length
      while (from > 0 && compareStreamIds(recent[from - 1]!.id, place) > 0) from--
      return recent.slice(from)
    },
    /** Entries of the stream after that place. `missing`: the place's own entry is gone, and so may be some that came after it. */
    async page(place: string): Promise<{ messages: RealtimeMessage[]; missing: boolean }> {
      if (!stream) return { messages: [], missing: true }
      const isEntry = isEntryId(place)
      const from = isEntry ? place : `(${place}`
      const found = await range(['XRANGE', stream, from, '+', 'COUNT', PAGE + 1])
      const missing = isEntry && found[0]?.id !== place
      return { messages: isEntry && !missing ? found.slice(1) : found, missing }
    },
    close,
  }
}

export type Feed = ReturnType<typeof createFeed>

function toFields(list: Reply[]): Record<string, string> {
  const fields: Record<string, string> = {}
  for (let i = 0; i < list.length; i += 2) fields[list[i] as string] = list[i + 1] as string
  return fields
}
