import { LRUCache } from 'lru-cache'
import { credentialsKey, modelRoutesKey } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Command, Redis, Reply } from '../ports/redis.ts'
import { noSecretKey, type Secrets } from '../secrets.ts'
import { type Replies, send } from '../send.ts'

/** An alias: one name for several models. */
export interface ModelRoute {
  targets: ModelRouteTarget[]
  /** `ordered`: the first that can answer. `weighted`: at random by weight, the others after it. */
  strategy: 'ordered' | 'weighted'
  /** How often one target is tried again before the next one's turn. */
  retries: number
  stale_if_error_seconds: number
}

export interface ModelRouteTarget {
  /** `provider/model` */
  model: string
  weight: number
  /** One credential of the tenant's own; absent: all of them that it has for the provider, else the environment's. */
  credential?: string
  timeouts?: Timeouts
}

/** Milliseconds. */
export interface Timeouts {
  /** Until the head of the answer is there. */
  connect_ms?: number
  /** Until the first token of a stream. */
  first_token_ms?: number
  /** Of all tries, until the end of the answer. */
  total_ms?: number
}

export interface Credential {
  provider: string
  id: string
  /** Absent where it cannot be opened: HUB_SECRET_KEY is not the one that it was sealed with. */
  apiKey?: string
}

/** What this process knows of a tenant. */
export interface Snapshot {
  aliases: ReadonlyMap<string, ModelRoute>
  credentials: readonly Credential[]
}

interface Known {
  snapshot: Snapshot
  askedAt: number
  /** What Redis replied. */
  text: string
}

interface StoredCredential {
  sealed: string
  created_at: string
}

/** Younger knowledge is not asked for again; what is written elsewhere holds here within a second. */
const FRESH_MS = 500
const NOTHING: Snapshot = { aliases: new Map(), credentials: [] }
const SLOW = { timeoutMs: 2_000 }

export interface ModelRoutesOptions {
  redis: Redis
  /** Without them nobody can store a credential. */
  secrets?: Secrets
  clock: Clock
  /** Monotonic milliseconds. */
  now?: () => number
}

/** Aliases and credentials of each tenant, in Redis, and what this process knows of them. */
export function createModelRoutes(options: ModelRoutesOptions) {
  const { redis, secrets, clock, now = () => performance.now() } = options
  const snapshots = new LRUCache<string, Known>({ max: 10_000 })

  const routes = {
    /** Without Redis. Nothing where nothing is known yet. */
    snapshot: (tenant: string): Snapshot => snapshots.get(tenant)?.snapshot ?? NOTHING,

    /** What to ask Redis in a wave that goes out anyway: nothing while it was asked lately. */
    calls(tenant: string): Command[] {
      const known = snapshots.get(tenant)
      if (known && now() - known.askedAt < FRESH_MS) return []
      if (known) known.askedAt = now()
      return everything(tenant)
    },

    /** Asks Redis, whatever is known. */
    load: async (tenant: string) => routes.settle(tenant, await redis.wave(everything(tenant), SLOW)),

    /** Reads the replies to `calls`. Redis away: what was known goes on. */
    settle(tenant: string, replies: Replies) {
      if (replies instanceof Error || replies.length === 0 || !replies.every(Array.isArray)) return
      const text = JSON.stringify(replies)
      const known = snapshots.get(tenant)
      if (known?.text === text) known.askedAt = now()
      else snapshots.set(tenant, { snapshot: parse(tenant, replies), text, askedAt: now() })
    },

    async putAlias(tenant: string, alias: string, route: ModelRoute) {
      await write(tenant, ['HSET', modelRoutesKey(tenant), alias, JSON.stringify(route)])
    },

    /** False when there is no such alias. */
    deleteAlias: async (tenant: string, alias: string) =>
      (await write(tenant, ['HDEL', modelRoutesKey(tenant), alias])) === 1,

    async aliases(tenant: string): Promise<ReadonlyMap<string, ModelRoute>> {
      const flat = await send(redis, ['HGETALL', modelRoutesKey(tenant)], SLOW)
      return new Map(pairs(flat).map(([alias, text]) => [alias, JSON.parse(text) as ModelRoute]))
    },

    async putCredential(tenant: string, provider: string, id: string, apiKey: string) {
      if (!secrets) throw noSecretKey('credentials')
      const stored: StoredCredential = {
        sealed: secrets.seal(apiKey, contextOf(tenant, `${provider}/${id}`)),
        created_at: new Date(clock.now()).toISOString(),
      }
      await write(tenant, ['HSET', credentialsKey(tenant), `${provider}/${id}`, JSON.stringify(stored)])
      return { provider, id, created_at: stored.created_at }
    },

    /** False when there is no such credential. */
    deleteCredential: async (tenant: string, provider: string, id: string) =>
      (await write(tenant, ['HDEL', credentialsKey(tenant), `${provider}/${id}`])) === 1,

    /** Without what they hold. */
    async credentials(tenant: string) {
      const flat = await send(redis, ['HGETALL', credentialsKey(tenant)], SLOW)
      return pairs(flat).map(([field, text]) => {
        const { created_at }: StoredCredential = JSON.parse(text)
        return { ...split(field), created_at }
      })
    },
  }
  return routes

  /** The instance that wrote knows it at once. */
  async function write(tenant: string, command: Command): Promise<Reply> {
    try {
      return await send(redis, command, SLOW)
    } finally {
      const known = snapshots.get(tenant)
      if (known) known.askedAt = Number.NEGATIVE_INFINITY
    }
  }

  function parse(tenant: string, [aliases, credentials]: Reply[]): Snapshot {
    if (pairs(aliases!).length + pairs(credentials!).length === 0) return NOTHING // of most tenants, so they share it
    return {
      aliases: new Map(pairs(aliases!).map(([alias, text]) => [alias, JSON.parse(text) as ModelRoute])),
      credentials: pairs(credentials!)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([field, text]) => ({ ...split(field), apiKey: unseal(tenant, field, JSON.parse(text)) })),
    }
  }

  function unseal(tenant: string, field: string, { sealed }: StoredCredential): string | undefined {
    try {
      return secrets?.open(sealed, contextOf(tenant, field))
    } catch {
      return undefined // told when it is needed
    }
  }
}

export type ModelRoutes = ReturnType<typeof createModelRoutes>

const everything = (tenant: string): Command[] => [
  ['HGETALL', modelRoutesKey(tenant)],
  ['HGETALL', credentialsKey(tenant)],
]

const contextOf = (tenant: string, field: string) => `credential/${tenant}/${field}`

function split(field: string): { provider: string; id: string } {
  const [provider = '', id = ''] = field.split('/')
  return { provider, id }
}

function pairs(flat: Reply): [string, string][] {
  const texts = flat as string[]
  return Array.from({ length: texts.length / 2 }, (_, i) => [texts[2 * i]!, texts[2 * i + 1]!])
}
