import type { ChannelSource } from '../realtime/channels.ts'
import type { Reader, Reading } from '../realtime/reader.ts'
import type { Readers } from '../realtime/readers.ts'
import type { RealtimeMessage } from '../realtime/realtime.ts'
import { BEGINNING } from '../realtime/stream-ids.ts'
import { type ConfigEntry, textOf, toEntry } from './config-version.ts'
import { type Configuration, keysOf } from './configuration.ts'

export interface ConfigWatchOptions {
  configuration: Configuration
  readers: Readers
}

/**
 * Follows configurations. A watch begins with what there is, unless its reader has `seen` that version; of changes that come faster than
 * they are read it tells the newest alone. Where there is no configuration it says so, and waits for one.
 */
export function createConfigWatch({ configuration, readers }: ConfigWatchOptions) {
  return async function watch(tenant: string, namespace: string, seen?: number): Promise<Reader> {
    const source = sourceOf(tenant, namespace)
    const first = await newest()
    const reader = await readers.open(tenant, `config/${namespace}`, { source, after: first.id })
    let told = seen === undefined ? undefined : String(seen)
    let next: RealtimeMessage | undefined = first

    return {
      start: undefined,
      leave: reader.leave,
      async next(quietMs): Promise<Reading> {
        const until = performance.now() + quietMs
        for (;;) {
          if (next && next.publicId !== told) {
            told = next.publicId
            return { kind: 'messages', messages: [next] }
          }
          next = undefined
          const reading = await reader.next(Math.max(0, until - performance.now()))
          if (reading.kind === 'messages') next = reading.messages.at(-1)
          // What it had last is gone, with versions that came after it.
          else if (reading.kind === 'gap') next = await newest()
          else return reading
        }
      },
    }

    async function newest(): Promise<RealtimeMessage> {
      const entry = await configuration.newest(tenant, namespace)
      return entry ? toMessage(namespace, entry) : nothing(namespace)
    }
  }
}

export type ConfigWatch = ReturnType<typeof createConfigWatch>

/** The stream behind a configuration, as those that listen to channels read them. */
function sourceOf(tenant: string, namespace: string): ChannelSource {
  const { changed, history } = keysOf(tenant, namespace)
  return {
    channel: changed,
    stream: history,
    hasPresence: false,
    read: (id, fields) => toMessage(namespace, toEntry(id, fields)),
  }
}

const toMessage = (namespace: string, entry: ConfigEntry): RealtimeMessage => ({
  id: entry.id,
  publicId: String(entry.version),
  data: textOf(namespace, entry),
  ...(entry.deleted && { type: 'deleted' }),
})

const nothing = (namespace: string): RealtimeMessage => ({
  ...{ id: BEGINNING, publicId: '0', type: 'deleted' },
  data: JSON.stringify({ namespace, version: 0, deleted: true }),
})
