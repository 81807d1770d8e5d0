import { setTimeout as sleep } from 'node:timers/promises'
import { RedisUnavailableError } from '../errors.ts'
import { langgraphKeys, langgraphNames, langgraphThreadsKey } from '../keys.ts'
import type { Command, Redis, Reply, ScriptCall } from '../ports/redis.ts'
import {
  keepThreadScript,
  loadCheckpointsScript,
  putCheckpointScript,
  putWritesScript,
} from '../scripts.generated.ts'
import {
  type CheckpointName,
  type StoredCheckpoint,
  type StoredWrite,
  toCheckpoints,
  toContent,
  toField,
  toName,
} from './stored-checkpoint.ts'

export interface CheckpointStoreOptions {
  redis: Redis
  tenant: string
  /** For how long a checkpoint is kept after it was last written to or got. For ever by default. */
  ttlSeconds?: number
  /** Longest wait on Redis of one call, in ms: an outage that is shorter is waited for. Default 5,000. */
  timeoutMs?: number
}

export interface NewCheckpoint {
  checkpoint: string
  metadata: string
  parentId?: string
  /** Whether LangGraph looks for its pending sends among the parent's writes: before version 4 of the format. */
  sendsInParent: boolean
  /** Channel → version, of each value that it has. */
  versions: ReadonlyMap<string, string | number>
  /** Channels whose version is new, and so their value too. */
  changed: ReadonlySet<string>
  /** The value as text. */
  textOf(channel: string): Promise<string>
}

/** `id` is that of one checkpoint; `before` leaves those with a smaller id. */
interface Wanted {
  namespace?: string
  id?: string
  before?: string
  count: number
}

const PAGE = 500
const CENTURY_MS = 100 * 365 * 86_400_000

/** LangGraph's checkpoints in Redis. Each call waits once, but `names` and `remove` once or twice a page; each may be repeated. */
export function createCheckpointStore(options: CheckpointStoreOptions) {
  const { redis, tenant, ttlSeconds = 0, timeoutMs = 5_000 } = options
  const ttlMs = ttlSeconds * 1_000
  const keysOf = (threadId: string) => langgraphKeys(tenant, threadId)
  const threads = langgraphThreadsKey(tenant)
  const keepThread = (threadId: string, isRead = false): ScriptCall => ({
    script: keepThreadScript,
    keys: [threads],
    args: [threadId, ttlMs || CENTURY_MS, isRead ? 1 : 0],
  })

  /** All calls here may be repeated, so one that Redis was away for is. Throws the first error reply. */
  async function wave(calls: readonly (Command | ScriptCall)[]): Promise<Reply[]> {
    const end = performance.now() + timeoutMs
    for (let pauseMs = 50; ; pauseMs *= 2) {
      try {
        const replies = await redis.wave(calls, { timeoutMs: Math.max(1, end - performance.now()) })
        const failed = replies.find((reply) => reply instanceof Error)
        if (failed) throw failed
        return replies
      } catch (error) {
        if (!(error instanceof RedisUnavailableError) || performance.now() + pauseMs > end) throw error
        await sleep(pauseMs)
      }
    }
  }

  /** `which` is one id, or that of the latest checkpoint. `channels` are those whose values are wanted. */
  function loadCall(
    threadId: string,
    namespace: string,
    which: string | undefined,
    { count = 1, touch = false, channels = [] as readonly string[] } = {},
  ): ScriptCall {
    const { thread, checkpoint, value } = keysOf(threadId)
    const name = which === undefined ? '' : langgraphNames.checkpoint(namespace, which)
    const { newest, oldest } = rangeOf(namespace)
    const starts = channels.map((channel) => langgraphNames.value(namespace, channel, ''))
    const args = [name, newest, oldest, count, touch ? ttlMs : 0, ...starts]
    return { script: loadCheckpointsScript, keys: [thread, checkpoint, value], args }
  }

  return {
    /** A checkpoint, or the namespace's latest one, which then is kept for longer; after it its parent, where that has its pending sends. */
    async get(threadId: string, namespace: string, id?: string): Promise<StoredCheckpoint[]> {
      const call = loadCall(threadId, namespace, id, { touch: true })
      const [reply] = await wave(ttlMs > 0 ? [call, keepThread(threadId, true)] : [call])
      return toCheckpoints(reply!)
    },

    /** Each of these checkpoints like `get`, but none is kept for longer. */
    async load(threadId: string, names: readonly CheckpointName[]): Promise<StoredCheckpoint[][]> {
      const replies = await wave(names.map(({ namespace, id }) => loadCall(threadId, namespace, id)))
      return replies.map(toCheckpoints)
    },

    /** A checkpoint (the latest one without an id) and its ancestors, the newest first, `count` a wave, with the values of these channels alone. */
    async *line(
      threadId: string,
      namespace: string,
      id: string | undefined,
      channels: readonly string[],
      count = 50,
    ) {
      for (let next = id; ; ) {
        const [reply] = await wave([loadCall(threadId, namespace, next, { count, channels })])
        const found = toCheckpoints(reply!)
        yield* found
        next = found.at(-1)?.parentId
        if (next === undefined || found.length < count) return
      }
    },

    async put({ threadId, namespace, id }: CheckpointName, given: NewCheckpoint): Promise<void> {
      const { thread, checkpoint, value } = keysOf(threadId)
      const { versions, changed, textOf, parentId } = given
      const channels = new Map(
        [...versions].map(([channel, version]) => [
          langgraphNames.value(namespace, channel, version),
          channel,
        ]),
      )
      const changes = [...channels].filter(([, channel]) => changed.has(channel))
      const texts = await Promise.all(changes.map(([, channel]) => textOf(channel)))
      const put: ScriptCall = {
        script: putCheckpointScript,
        keys: [thread, checkpoint, value],
        args: [
          langgraphNames.checkpoint(namespace, id),
          ttlMs,
          given.checkpoint,
          given.metadata,
          JSON.stringify([...channels.keys()]),
          parentId === undefined ? '' : langgraphNames.checkpoint(namespace, parentId),
          given.sendsInParent ? 1 : 0,
          ...changes.flatMap(([name], i) => [name, texts[i]!]),
        ],
      }
      const [expired] = await wave([put, keepThread(threadId)])
      // A task took longer than values are kept that nobody changed: they are not lost, LangGraph still has them.
      const missing = expired as string[]
      const again = await Promise.all(missing.map((name) => textOf(channels.get(name)!)))
      if (missing.length > 0)
        await wave(missing.map((name, i): Command => ['SET', value + name, again[i]!, 'PX', ttlMs]))
    },

    async putWrites(
      { threadId, namespace, id }: CheckpointName,
      writes: readonly StoredWrite[],
    ): Promise<void> {
      const { thread, checkpoint, value } = keysOf(threadId)
      const name = langgraphNames.checkpoint(namespace, id)
      const args = writes.flatMap((write) => [toField(write), toContent(write), write.index < 0 ? 1 : 0])
      await wave([
        { script: putWritesScript, keys: [thread, checkpoint + name, value], args: [name, ttlMs, ...args] },
        keepThread(threadId),
      ])
    },

    /** Names of a thread's checkpoints, the newest first, `count` a page; all at once where no namespace is given. */
    async *names(
      threadId: string,
      { namespace, id, before, count }: Wanted,
    ): AsyncGenerator<CheckpointName[]> {
      const isWanted = (name: CheckpointName) =>
        (id === undefined || name.id === id) && (before === undefined || name.id < before)
      if (namespace !== undefined && id !== undefined) {
        yield [{ threadId, namespace, id }].filter(isWanted)
        return
      }
      const all: CheckpointName[] = []
      const most = namespace === undefined ? PAGE : count
      const { newest, oldest } =
        namespace === undefined ? { newest: '+', oldest: '-' } : rangeOf(namespace, before)
      for (let from = newest; ; ) {
        const [reply] = await wave([
          ['ZRANGE', keysOf(threadId).thread, from, oldest, 'BYLEX', 'REV', 'LIMIT', 0, most],
        ])
        const page = reply as string[]
        const names = page.map((name) => toName(threadId, name)).filter(isWanted)
        if (namespace === undefined) all.push(...names)
        else yield names
        if (page.length < most) break
        from = `(${page.at(-1)}`
      }
      yield all.sort((a, b) => (a.id < b.id ? 1 : a.id > b.id ? -1 : 0))
    },

    /** Of each checkpoint its metadata, unless it is gone. */
    async metadata(threadId: string, names: readonly CheckpointName[]): Promise<(string | null)[]> {
      const { checkpoint } = keysOf(threadId)
      const keys = names.map(({ namespace, id }) => checkpoint + langgraphNames.checkpoint(namespace, id))
      return (await wave(keys.map((key): Command => ['HGET', key, 'metadata']))) as (string | null)[]
    },

    /** Thread ids, the one last written to first. */
    async *threads(): AsyncGenerator<string> {
      const seen = new Set<string>() // one that is written to meanwhile moves the others along
      for (let from = 0; ; from += PAGE) {
        const [reply] = await wave([['ZRANGE', threads, from, from + PAGE - 1, 'REV']])
        const page = reply as string[]
        for (const id of page) if (!seen.has(id)) yield id
        for (const id of page) seen.add(id)
        if (page.length < PAGE) return
      }
    },

    /** Removes a thread in pages, so that Redis serves others in between. What is written meanwhile may go too. */
    async remove(threadId: string): Promise<void> {
      const { thread, checkpoint, value } = keysOf(threadId)
      for (;;) {
        const [reply] = await wave([['ZRANGE', thread, 0, PAGE - 1]])
        const names = reply as string[]
        if (names.length === 0) break
        const values = await wave(names.map((name): Command => ['HGET', checkpoint + name, 'values']))
        const used = new Set(values.flatMap((text) => (text ? (JSON.parse(text as string) as string[]) : [])))
        const keys = [...names.map((name) => checkpoint + name), ...[...used].map((name) => value + name)]
        const unlinks: Command[] = []
        for (let i = 0; i < keys.length; i += PAGE) unlinks.push(['UNLINK', ...keys.slice(i, i + PAGE)])
        // The names go last: what has one can still be found when this ends early.
        await wave([...unlinks, ['ZREM', thread, ...names]])
      }
      await wave([['ZREM', threads, threadId]])
    },
  }
}

/** Where the names of a namespace's checkpoints begin and end, or those older than one of them. */
function rangeOf(namespace: string, before = '\u{10ffff}') {
  return {
    newest: `(${langgraphNames.checkpoint(namespace, before)}`,
    oldest: `[${langgraphNames.checkpoint(namespace, '')}`,
  }
}
