import { isDeepStrictEqual } from 'node:util'
import type { RunnableConfig } from '@langchain/core/runnables'
import {
  BaseCheckpointSaver,
  type ChannelVersions,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointPendingWrite,
  type CheckpointTuple,
  compareWritesSortKeys,
  type DeltaChannelHistory,
  getCheckpointId,
  maxChannelVersion,
  type PendingWrite,
  type SerializerProtocol,
  TASKS,
  WRITES_IDX_MAP,
  writesSortKey,
} from '@langchain/langgraph-checkpoint'
import { type CheckpointStoreOptions, createCheckpointStore } from './checkpoint-store.ts'
import type { CheckpointName, StoredCheckpoint, StoredWrite } from './stored-checkpoint.ts'
import { fromTypedText, toTypedText } from './typed-text.ts'

export interface CheckpointSaverOptions extends CheckpointStoreOptions {
  /** How values become bytes; LangGraph's own serializer by default. */
  serde?: SerializerProtocol
}

/** How many checkpoints of a history are read at once. */
const MOST_AT_ONCE = 10

/**
 * LangGraph's checkpoints in any Redis, by core commands. Getting the latest state, storing one and storing a task's writes wait on Redis
 * once each; a channel's value is stored once a version, not once a checkpoint.
 *
 * @example const graph = builder.compile({ checkpointer: new CheckpointSaver({ redis, tenant: 'acme' }) })
 */
export class CheckpointSaver extends BaseCheckpointSaver {
  readonly #store

  constructor({ serde, ...options }: CheckpointSaverOptions) {
    super(serde)
    this.#store = createCheckpointStore(options)
  }

  override async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const { thread_id: threadId, checkpoint_ns: namespace } = config.configurable ?? {}
    if (threadId === undefined) return undefined
    const found = await this.#store.get(
      String(threadId),
      namespace ?? '',
      getCheckpointId(config) || undefined,
    )
    return found[0] && this.#toTuple(threadId, found)
  }

  /** The newest first. Without a `thread_id` thread by thread, the one last written to first; `filter` compares metadata deeply. */
  override async *list(
    config: RunnableConfig,
    { limit = Number.POSITIVE_INFINITY, before, filter }: CheckpointListOptions = {},
  ): AsyncGenerator<CheckpointTuple> {
    const { thread_id: threadId, checkpoint_ns: namespace } = config?.configurable ?? {}
    const where = {
      namespace: namespace ?? undefined,
      id: (config && getCheckpointId(config)) || undefined,
      before: (before && getCheckpointId(before)) || undefined,
      count: filter ? 200 : Math.min(limit, MOST_AT_ONCE),
    }
    let left = limit
    if (left <= 0) return
    for await (const thread of threadId === undefined ? this.#store.threads() : [String(threadId)]) {
      for await (const page of this.#store.names(thread, where)) {
        const names = filter ? await this.#matching(thread, page, filter) : page
        for (let i = 0; i < names.length && left > 0; i += MOST_AT_ONCE) {
          const next = names.slice(i, i + Math.min(left, MOST_AT_ONCE))
          for (const found of await this.#store.load(thread, next)) {
            if (!found[0]) continue // expired, or so far only its writes are there
            yield await this.#toTuple(threadId ?? thread, found)
            left--
          }
        }
        if (left <= 0) return
      }
    }
  }

  override async put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<RunnableConfig> {
    const { threadId, namespace } = this.#placeOf(config, 'put a checkpoint')
    const { channel_values: values, channel_versions: versions } = checkpoint
    const channels = Object.keys(values)
    // A value without a version is this checkpoint's alone.
    const versionOf = (channel: string) => versions[channel] ?? checkpoint.id
    const isNew = (channel: string) => Object.hasOwn(newVersions, channel) || versions[channel] === undefined
    const [text, metadataText] = await Promise.all([
      toTypedText(this.serde, { ...checkpoint, channel_values: {} }),
      toTypedText(this.serde, metadata),
    ])
    const parentId = getCheckpointId(config) || undefined
    await this.#store.put(
      { threadId: String(threadId), namespace, id: checkpoint.id },
      {
        ...{ checkpoint: text, metadata: metadataText, parentId },
        sendsInParent: checkpoint.v < 4 && parentId !== undefined,
        versions: new Map(channels.map((channel) => [channel, versionOf(channel)])),
        changed: new Set(channels.filter(isNew)),
        textOf: (channel) => toTypedText(this.serde, values[channel]),
      },
    )
    return toConfig(threadId, namespace, checkpoint.id)
  }

  override async putWrites(
    config: RunnableConfig,
    writes: PendingWrite[],
    taskId: string,
    taskPath = '',
  ): Promise<void> {
    const { threadId, namespace } = this.#placeOf(config, 'put writes')
    const id = getCheckpointId(config)
    if (!id) throw new TypeError('Cannot put writes: config.configurable.checkpoint_id is missing')
    const stored = await Promise.all(
      writes.map(async ([channel, value], n) => {
        const index = Object.hasOwn(WRITES_IDX_MAP, channel) ? WRITES_IDX_MAP[channel]! : n
        return { taskId, index, channel, path: taskPath, value: await toTypedText(this.serde, value) }
      }),
    )
    if (stored.length > 0) await this.#store.putWrites({ threadId: String(threadId), namespace, id }, stored)
  }

  /** In pages of 500 checkpoints. A graph that runs on the thread meanwhile may leave new ones. */
  override async deleteThread(threadId: string): Promise<void> {
    await this.#store.remove(String(threadId))
  }

  /** As the base class does it, but 50 ancestors a wave, and without values of other channels. */
  override async getDeltaChannelHistory({
    config,
    channels,
  }: {
    config: RunnableConfig
    channels: string[]
  }) {
    const { thread_id: threadId, checkpoint_ns: namespace } = config.configurable ?? {}
    const history: Record<string, DeltaChannelHistory> = {}
    for (const channel of channels) history[channel] = { writes: [] }
    const open = new Set(channels)
    if (threadId === undefined || open.size === 0) return history
    const line = this.#store.line(
      String(threadId),
      namespace ?? '',
      getCheckpointId(config) || undefined,
      channels,
    )
    let isTarget = true
    for await (const { writes, values } of line) {
      const ancestor = !isTarget
      isTarget = false
      if (!ancestor) continue
      const wanted = await this.#toWrites(writes.filter(({ channel }) => open.has(channel)))
      for (const write of wanted.reverse()) history[write[1]]!.writes.push(write)
      for (const channel of [...open].filter((channel) => values.has(channel))) {
        history[channel]!.seed = await fromTypedText(this.serde, values.get(channel)!)
        open.delete(channel)
      }
      if (open.size === 0) break
    }
    for (const { writes } of Object.values(history)) writes.reverse()
    return history
  }

  /** Unlike that of any other branch of the thread: values are stored by it, and branches that part count on from the same number. */
  override getNextVersion(current: number | undefined): number {
    return Math.floor(current ?? 0) + 1 + Math.random()
  }

  #placeOf(config: RunnableConfig, what: string) {
    const { thread_id: threadId, checkpoint_ns: namespace } = config.configurable ?? {}
    if (threadId !== undefined) return { threadId, namespace: (namespace ?? '') as string }
    throw new TypeError(
      `Cannot ${what}: config.configurable.thread_id is missing. Call the graph with { configurable: { thread_id: '…' } }`,
    )
  }

  async #matching(threadId: string, names: CheckpointName[], filter: Record<string, unknown>) {
    const texts = await this.#store.metadata(threadId, names)
    const matches = await Promise.all(
      texts.map(async (text) => {
        if (text === null) return false
        const metadata = (await fromTypedText(this.serde, text)) as Record<string, unknown>
        return Object.entries(filter).every(([key, value]) => isDeepStrictEqual(metadata[key], value))
      }),
    )
    return names.filter((_, i) => matches[i])
  }

  async #toTuple(threadId: string, [found, parent]: StoredCheckpoint[]): Promise<CheckpointTuple> {
    const { namespace, id, parentId, values, writes } = found!
    const [checkpoint, metadata, pendingWrites, ...entries] = await Promise.all([
      fromTypedText(this.serde, found!.checkpoint) as Promise<Checkpoint>,
      fromTypedText(this.serde, found!.metadata) as Promise<CheckpointMetadata>,
      this.#toWrites(writes),
      ...[...values].map(
        async ([channel, text]) => [channel, await fromTypedText(this.serde, text)] as const,
      ),
    ])
    checkpoint.channel_values = Object.fromEntries(entries)
    if (parent) await this.#addPendingSends(checkpoint, parent.writes)
    return {
      config: toConfig(threadId, namespace, id),
      checkpoint,
      metadata,
      pendingWrites,
      ...(parentId !== undefined && { parentConfig: toConfig(threadId, namespace, parentId) }),
    }
  }

  /** Before version 4 of the format a checkpoint's sends were writes of its parent; now they are a channel. */
  async #addPendingSends(checkpoint: Checkpoint, parentWrites: StoredWrite[]) {
    const sends = await this.#toWrites(parentWrites.filter(({ channel }) => channel === TASKS))
    const versions = Object.values(checkpoint.channel_versions)
    checkpoint.channel_values[TASKS] = sends.map(([, , value]) => value)
    checkpoint.channel_versions[TASKS] =
      versions.length > 0 ? maxChannelVersion(...versions) : this.getNextVersion(undefined)
  }

  /** In the order in which a running graph applies them. */
  #toWrites(writes: StoredWrite[]): Promise<CheckpointPendingWrite[]> {
    const keyOf = ({ path, taskId, index }: StoredWrite) => writesSortKey(path, taskId, index)
    const sorted = writes.toSorted((a, b) => compareWritesSortKeys(keyOf(a), keyOf(b)))
    return Promise.all(
      sorted.map(async ({ taskId, channel, value }): Promise<CheckpointPendingWrite> => {
        return [taskId, channel, await fromTypedText(this.serde, value)]
      }),
    )
  }
}

const toConfig = (thread_id: string, checkpoint_ns: string, checkpoint_id: string): RunnableConfig => ({
  configurable: { thread_id, checkpoint_ns, checkpoint_id },
})
