import { createHmac, hash, randomBytes, timingSafeEqual } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { TenantSettings } from './admission.ts'
import { HubError } from './errors.ts'
import { ERASURES_KEY, hubKeysKey, TENANT_FIELD, TENANTS_KEY } from './keys.ts'
import type { BudgetSetting } from './metering/budgets.ts'
import type { LimitSetting } from './metering/limits.ts'
import type { Command, Redis, Reply } from './ports/redis.ts'
import { send } from './send.ts'

/** What a hub key says of itself: `hub_<id>_<nonce><mac>_<tenant>`. */
export interface HubKey {
  id: string
  tenant: string
  /** SHA-256 of the whole key, hex: what Redis holds of it. */
  hash: string
}

/** A hub key as Redis holds it. */
export interface HubKeyRecord {
  id: string
  tenant: string
  hash: string
  name: string | null
  /** Functions it may call, and `admin`; null: every function, not admin. */
  scopes: string[] | null
  /** `provider/model`s it may ask; null: all. */
  models: string[] | null
  /** Realtime channels of its tenant that it may read and write; null: all. Records of older hubs have none. */
  channels?: ChannelPatterns | null
  limits: LimitSetting[] | null
  budget: BudgetSetting | null
  /** RFC 3339 */
  created_at: string
  revoked_at: string | null
  /** SHA-256 of the body that an `Idempotency-Key` came with. */
  request_hash: string | null
}

/** Channels by name or beginning: `orders`, `agent:*`. Absent: all. */
export interface ChannelPatterns {
  read?: string[]
  write?: string[]
}

const SHAPE = /^hub_([0-9a-f]{16})_([\w-]{22})([\w-]{22})_([A-Za-z0-9_.-]{1,64})$/

/** Makes and reads hub keys: their MAC under `HUB_KEY_SECRET` is checked before Redis is asked. */
export function createKeyring(secret: string) {
  const mac = (text: string) => createHmac('sha256', secret).update(text).digest()
  const macOf = (id: string, nonce: string, tenant: string) =>
    mac(`key\n${id}\n${nonce}\n${tenant}`).subarray(0, 16)

  /** What was read lately: a MAC and a hash cost a cache hit more than anything else of its own. */
  const known = new LRUCache<string, HubKey>({ max: 10_000 })

  return {
    /** The same seed gives the same key: a retried creation needs no stored secret. */
    issue(tenant: string, seed?: string): { key: string; id: string; hash: string } {
      const random = seed === undefined ? randomBytes(24) : mac(`seed\n${tenant}\n${seed}`).subarray(0, 24)
      const id = random.subarray(0, 8).toString('hex')
      const nonce = random.subarray(8).toString('base64url')
      const key = `hub_${id}_${nonce}${macOf(id, nonce, tenant).toString('base64url')}_${tenant}`
      return { key, id, hash: sha256(key) }
    },
    /** Under the same secret, for another purpose: base64url. */
    sign: (purpose: string, text: string) => mac(`${purpose}\n${text}`).toString('base64url'),
    /** `undefined` for what this hub did not issue. */
    read(key: string): HubKey | undefined {
      const seen = known.get(key)
      if (seen) return seen
      const [, id, nonce, given, tenant] = SHAPE.exec(key) ?? []
      if (!id || !nonce || !given || !tenant) return undefined
      if (!timingSafeEqual(Buffer.from(given, 'base64url'), macOf(id, nonce, tenant))) return undefined
      const read = { id, tenant, hash: sha256(key) }
      known.set(key, read)
      return read
    },
  }
}

export type Keyring = ReturnType<typeof createKeyring>

export interface NewHubKey {
  tenant: string
  name?: string
  scopes?: string[]
  models?: string[]
  channels?: ChannelPatterns
  limits?: LimitSetting[]
  budget?: BudgetSetting
}

/** The keys of all tenants, one hash a tenant. */
export function createHubKeys({ redis, keyring, now }: { redis: Redis; keyring: Keyring; now(): number }) {
  /** What is written while the tenant is erased goes with the rest of it, so whoever wrote it must not rely on it: 409. */
  async function unlessErased(tenant: string, writes: readonly Command[]): Promise<Reply[]> {
    const erasure = () => send(redis, ['HGET', ERASURES_KEY, tenant], SLOW) as Promise<string | null>
    const before = await erasure()
    if (before && JSON.parse(before).status === 'erasing') throw beingErased(tenant)
    const replies = await redis.wave(writes, SLOW)
    for (const reply of replies) if (reply instanceof Error) throw reply
    if ((await erasure()) !== before) throw beingErased(tenant)
    return replies
  }

  return {
    /** The key itself is returned here and nowhere else. With an idempotency key a repeated call returns the same key. */
    async create(wanted: NewHubKey, idempotencyKey?: string): Promise<HubKeyRecord & { key: string }> {
      const { tenant, name = null, scopes = null, models = null, channels = null } = wanted
      const { limits = null, budget = null } = wanted
      const { key, id, hash } = keyring.issue(tenant, idempotencyKey)
      const record: HubKeyRecord = {
        ...{ id, tenant, hash, name, scopes, models, channels, limits, budget },
        created_at: new Date(now()).toISOString(),
        revoked_at: null,
        request_hash: idempotencyKey === undefined ? null : sha256(JSON.stringify(wanted)),
      }
      const [, isNew, kept] = await unlessErased(tenant, [
        ['SADD', TENANTS_KEY, tenant],
        ['HSETNX', hubKeysKey(tenant), id, JSON.stringify(record)],
        ['HGET', hubKeysKey(tenant), id],
      ])
      if (isNew === 1) return { ...record, key }
      const first: HubKeyRecord = JSON.parse(kept as string)
      if (first.request_hash !== record.request_hash) throw idempotencyMismatch()
      return { ...first, key }
    },

    /** Those that have keys or settings. */
    tenants: async () => ((await send(redis, ['SMEMBERS', TENANTS_KEY], SLOW)) as string[]).sort(),

    async list(tenant?: string): Promise<HubKeyRecord[]> {
      const tenants = tenant ? [tenant] : await this.tenants()
      if (tenants.length === 0) return []
      const replies = await redis.wave(
        tenants.map((tenant) => ['HGETALL', hubKeysKey(tenant)] as const),
        SLOW,
      )
      return replies.flatMap((reply) => {
        if (!Array.isArray(reply)) return []
        return reply.flatMap((text, i) =>
          i % 2 && reply[i - 1] !== TENANT_FIELD ? [JSON.parse(text as string)] : [],
        )
      })
    },

    /** Replaces what is set for a tenant; it holds for all of its keys. */
    async putTenant(tenant: string, settings: TenantSettings): Promise<void> {
      await unlessErased(tenant, [
        ['SADD', TENANTS_KEY, tenant],
        ['HSET', hubKeysKey(tenant), TENANT_FIELD, JSON.stringify(settings)],
      ])
    },

    async findTenant(tenant: string): Promise<TenantSettings> {
      const text = await send(redis, ['HGET', hubKeysKey(tenant), TENANT_FIELD], SLOW)
      return typeof text === 'string' ? JSON.parse(text) : {}
    },

    async find(id: string): Promise<HubKeyRecord | undefined> {
      return (await this.list()).find((record) => record.id === id)
    },

    /** `undefined` when there is no such key. */
    async revoke(id: string): Promise<HubKeyRecord | undefined> {
      const record = await this.find(id)
      if (!record) return undefined
      const revoked = { ...record, revoked_at: record.revoked_at ?? new Date(now()).toISOString() }
      await send(redis, ['HSET', hubKeysKey(record.tenant), id, JSON.stringify(revoked)], SLOW)
      return revoked
    },
  }
}

export type HubKeys = ReturnType<typeof createHubKeys>

/** Administration may wait longer than a hot path. */
const SLOW = { timeoutMs: 2_000 }

const sha256 = (text: string) => hash('sha256', text)

/** Compares secrets of any length in constant time. */
export const sameSecret = (a: string, b: string) =>
  timingSafeEqual(Buffer.from(sha256(a)), Buffer.from(sha256(b)))

const beingErased = (tenant: string) =>
  new HubError({
    code: 'tenant_being_erased',
    status: 409,
    message: `The tenant ${tenant} is being erased. Try again when GET /v1/tenants/${tenant}/erasure says \`erased\`.`,
    param: 'tenant',
    retryAfterSeconds: 10,
  })

const idempotencyMismatch = () =>
  new HubError({
    code: 'idempotency_mismatch',
    status: 422,
    message: 'This Idempotency-Key was used with another body. Send the same body, or another key.',
  })
