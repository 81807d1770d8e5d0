import { createBell } from '../bell.ts'
import { eventKeys } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Command, Redis, Reply, ScriptCall } from '../ports/redis.ts'
import { trimStreamScript } from '../scripts.generated.ts'
import type { ConsumerGroup } from '../streams/consumer-group.ts'
import type { GroupLog } from '../streams/group-worker.ts'
import { DEFAULT_RETENTION_SECONDS, HUB_GROUP, type Processor } from './processor.ts'
import type { StreamSettings, Streams } from './streams.ts'

export interface RunnerOptions {
  redis: Redis
  streams: Pick<Streams, 'handled' | 'settings'>
  processor: Processor
  /** A connection for reads that wait; where there are none, streams are looked at when they are woken, and every 30 s. */
  connectBlocking?: () => Redis
  /** Streams that get a connection of their own. Default 32; the others are woken. */
  mostBlocking?: number
  /** Calls to other servers that one drain may make, where the runtime counts them. */
  callBudget?: number
  clock: Clock
  log: GroupLog
}

type Handled = StreamSettings & Required<Pick<StreamSettings, 'handler'>>

interface Running {
  /** Of the settings that it runs with: others need another consumer. */
  settings: string
  group: ConsumerGroup | undefined
  blocking: Redis | undefined
  stop: AbortController
  over: Promise<void>
}

/** Drives the processor over every stream that has a handler: all the time where the runtime lives on, else when it is told. */
export function createRunner(options: RunnerOptions) {
  const { redis, streams, processor, connectBlocking, mostBlocking = 32, callBudget, clock, log } = options
  const running = new Map<string, Running>()
  const looking = createBell()
  // Over HTTP every look is a request that somebody pays for.
  const lookMs = redis.wakeUps === 'push' ? LOOK_MS : SLOW_LOOK_MS
  const nameOf = (tenant: string, stream: string) => `${tenant}/${stream}`

  /** A consumer for it; none, said once, where its handler is missing: its events wait, and none is trimmed. */
  function groupOf(tenant: string, stream: string, settings: Handled, blocking?: Redis) {
    try {
      return processor.groupOf(tenant, stream, settings, blocking)
    } catch (cause) {
      log.error({ msg: 'Events wait: nobody can work on them', tenant, stream, cause })
      return undefined
    }
  }

  async function handled(tenant: string, stream: string): Promise<Handled | undefined> {
    const settings = await streams.settings(tenant, stream)
    return settings.handler && (settings as Handled)
  }

  /** Begins and ends consumers so that they are those that there should be. */
  async function look(signal: AbortSignal) {
    const wanted = new Map<string, { tenant: string; stream: string; settings: Handled }>()
    await Promise.all(
      (await streams.handled()).map(async ({ tenant, stream }) => {
        const settings = await handled(tenant, stream)
        if (settings) wanted.set(nameOf(tenant, stream), { tenant, stream, settings })
      }),
    )
    if (signal.aborted) return
    let room = mostBlocking - [...running.values()].filter(({ blocking }) => blocking).length
    for (const [name, one] of running) {
      const now = wanted.get(name)
      const mayWait = connectBlocking && one.group && !one.blocking && room > 0
      if (now && JSON.stringify(now.settings) === one.settings && !mayWait) continue
      one.stop.abort() // begins anew, where it should, once it has ended
      if (mayWait) room--
    }
    for (const [name, one] of wanted) if (!running.has(name)) begin(name, one)
  }

  function begin(
    name: string,
    { tenant, stream, settings }: { tenant: string; stream: string; settings: Handled },
  ) {
    const mayWait = [...running.values()].filter(({ blocking }) => blocking).length < mostBlocking
    const blocking = mayWait ? connectBlocking?.() : undefined
    const group = groupOf(tenant, stream, settings, blocking)
    const stop = new AbortController()
    const over = (group ? group.run(stop.signal) : createBell().sleep(FOREVER_MS, stop.signal)).finally(
      async () => {
        running.delete(name)
        await blocking?.close()
        looking.ring()
      },
    )
    running.set(name, { settings: JSON.stringify(settings), group, blocking, stop, over })
    // From now on nothing that was not worked on is trimmed, whether somebody can work on it or not.
    if (!group) redis.wave([createCall(tenant, stream)], PATIENT).catch(() => {})
  }

  async function drain(tenant: string, stream: string, untilMs: number, calls = callBudget): Promise<number> {
    const settings = await handled(tenant, stream)
    const cost = settings && processor.costOf(settings)
    const group = settings && groupOf(tenant, stream, settings)
    if (!cost || !group) return 0
    const rounds =
      calls === undefined
        ? undefined
        : Math.max(1, Math.floor((calls - 8) / (4 + cost.concurrency * cost.calls)))
    const { settled } = await group.drain({ untilMs, rounds })
    return settled
  }

  return {
    /** Until the signal aborts. Streams that come, change and go are noticed within a second. */
    async run(signal: AbortSignal): Promise<void> {
      while (!signal.aborted) {
        await look(signal).catch(
          (cause) => signal.aborted || log.error({ msg: 'Streams cannot be listed', cause }),
        )
        await looking.sleep(lookMs, signal)
      }
      const all = [...running.values()]
      for (const { stop } of all) stop.abort()
      await Promise.all(all.map(({ over }) => over))
    },

    /** There is something new in it. */
    wake(tenant: string, stream: string): void {
      const known = running.get(nameOf(tenant, stream))
      if (!known) looking.ring()
      else if (!known.blocking) known.group?.wake()
    },

    /** Works on one stream for so long. Asks Redis nothing where the stream has no handler, but for its settings. */
    drain: (tenant: string, stream: string, ms: number) => drain(tenant, stream, clock.now() + ms),

    /** Works on all streams for so long. One wave tells which have something to do. */
    async drainAll(ms: number): Promise<number> {
      const untilMs = clock.now() + ms
      const all = await streams.handled()
      if (all.length === 0) return 0
      const settings = await Promise.all(all.map(({ tenant, stream }) => handled(tenant, stream)))
      const found = await redis.wave(
        all.flatMap(({ tenant, stream }, i) =>
          lookCalls(eventKeys(tenant, stream).events, settings[i], clock.now()),
        ),
        PATIENT,
      )
      const busy = all.filter((_, i) => settings[i] && hasWork(found[2 * i]))
      // Where the calls do not reach for all, another one is first the next time.
      const first = Math.floor(Math.random() * busy.length)
      const turns = [...busy.slice(first), ...busy.slice(0, first)]
      let settled = 0
      for (const [i, { tenant, stream }] of turns.entries()) {
        if (clock.now() >= untilMs) break
        const calls = callBudget && Math.floor((callBudget - 4 - all.length) / (turns.length - i))
        if (calls !== undefined && calls < 8 && i > 0) break
        settled += await drain(tenant, stream, untilMs, calls)
      }
      return settled
    },
  }
}

const LOOK_MS = 1_000
const SLOW_LOOK_MS = 30_000
const FOREVER_MS = 2 ** 31 - 1
const PATIENT = { timeoutMs: 2_000 }

const createCall = (tenant: string, stream: string): Command => [
  ...(['XGROUP', 'CREATE', eventKeys(tenant, stream).events, HUB_GROUP, '0', 'MKSTREAM'] as const),
]

/** What its groups have to do; and what they are done with goes, also where nothing comes any more. */
function lookCalls(key: string, settings: StreamSettings | undefined, now: number): (Command | ScriptCall)[] {
  const keepMs = (settings?.retention_seconds ?? DEFAULT_RETENTION_SECONDS) * 1_000
  return [
    ['XINFO', 'GROUPS', key],
    { script: trimStreamScript, keys: [key], args: [`${Math.max(0, now - keepMs)}-0`] },
  ]
}

/** Something waits, or nobody knows. An error: there is no such stream. */
function hasWork(reply: Reply | undefined): boolean {
  if (reply instanceof Error || !Array.isArray(reply)) return false
  const groups = (reply as (string | number | null)[][]).map((flat) =>
    Object.fromEntries(flat.flatMap((name, i) => (i % 2 ? [] : [[name, flat[i + 1]]]))),
  )
  const ours = groups.find(({ name }) => name === HUB_GROUP)
  return !ours || Number(ours.pending) > 0 || ours.lag === null || Number(ours.lag) > 0
}
