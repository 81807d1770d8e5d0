import { channelKeys } from '../keys.ts'
import type { Redis } from '../ports/redis.ts'
import { presenceScript } from '../scripts.generated.ts'
import { KEPT } from './realtime.ts'

/** A connection that gives no sign for so long is gone. */
const PRESENCE_TTL_MS = 25_000
export const PRESENCE_BEAT_MS = 10_000

/** What a name of a connection may be. */
export const PRESENT_NAME = /^[A-Za-z0-9_.@-]{1,64}$/

export interface Present {
  as: string
  connections: number
  /** When the hub last heard of it, Unix ms. */
  seenAt: number
}

/** Connections of one call: an instance of thousands of readers does not hold Redis up. */
const AT_ONCE = 500

/**
 * Who listens under a name. A connection is a member of a sorted set for as long as its instance says so: what a killed one left behind is
 * taken for gone by whoever looks next.
 */
export function createPresence({ redis, ttlMs = PRESENCE_TTL_MS }: { redis: Redis; ttlMs?: number }) {
  const call = (tenant: string, channel: string, verb: 'see' | 'leave', connections: readonly string[]) => {
    const keys = channelKeys(tenant, channel)
    return {
      script: presenceScript,
      keys: [keys.present, keys.names, keys.stream],
      args: [verb, keys.channel, ttlMs, KEPT.messages, KEPT.ms, ...connections],
    }
  }

  async function tell(
    tenant: string,
    channel: string,
    verb: 'see' | 'leave',
    connections: readonly string[],
  ): Promise<void> {
    const calls = []
    for (let i = 0; i === 0 || i < connections.length; i += AT_ONCE) {
      calls.push(call(tenant, channel, verb, connections.slice(i, i + AT_ONCE)))
    }
    for (const reply of await redis.wave(calls, { timeoutMs: 2_000 })) {
      if (reply instanceof Error) throw reply
    }
  }

  return {
    /** They are there (`<id>/<name>`); tells the channel of names that are new, and of those that are gone. */
    see: (tenant: string, channel: string, connections: readonly string[]) =>
      tell(tenant, channel, 'see', connections),
    leave: (tenant: string, channel: string, connections: readonly string[]) =>
      tell(tenant, channel, 'leave', connections),

    async list(tenant: string, channel: string): Promise<Present[]> {
      const { present } = channelKeys(tenant, channel)
      const [swept, found] = await redis.wave(
        [call(tenant, channel, 'see', []), ['ZRANGE', present, 0, -1, 'WITHSCORES']],
        { timeoutMs: 2_000 },
      )
      for (const reply of [swept, found]) if (reply instanceof Error) throw reply
      const list = found as string[]
      const byName = new Map<string, Present>()
      for (let i = 0; i < list.length; i += 2) {
        const as = list[i]!.slice(list[i]!.indexOf('/') + 1)
        const { connections = 0, seenAt = 0 } = byName.get(as) ?? {}
        byName.set(as, {
          as,
          connections: connections + 1,
          seenAt: Math.max(seenAt, Number(list[i + 1])),
        })
      }
      return [...byName.values()].toSorted((a, b) => (a.as < b.as ? -1 : 1))
    },
  }
}

export type Presence = ReturnType<typeof createPresence>
