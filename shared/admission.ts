import { LRUCache } from 'lru-cache'
import { HubError, toHubError } from './errors.ts'
import { type ChannelPatterns, type HubKey, type HubKeyRecord, type Keyring, sameSecret } from './hub-keys.ts'
import { DEFAULT_TENANT, hubKeysKey, NAME, rateLimitPrefix, TENANT_FIELD } from './keys.ts'
import type { Budget, BudgetSetting } from './metering/budgets.ts'
import {
  type Limit,
  type LimitCheck,
  type LimitSetting,
  type Limits,
  rateLimitHeaders,
  refuseOverLimit,
} from './metering/limits.ts'
import type { Clock } from './ports/clock.ts'
import type { Command, Redis, Reply, ScriptCall } from './ports/redis.ts'
import { type Replies, send } from './send.ts'

/** Who calls, once admitted. */
export interface Caller {
  tenant: string
  keyId: string | null
  /** Functions it may call, and `admin`. Null: every function; `admin` too where there is no key. */
  scopes: ReadonlySet<string> | null
  /** Null: all. */
  models: readonly string[] | null
  /** Realtime channels; null: all of its tenant. */
  channels: ChannelPatterns | null
  /** Of its key and of its tenant. */
  requestLimits: readonly Limit[]
  tokenLimits: readonly Limit[]
  budgets: readonly Budget[]
}

/** What an admin set for a tenant. */
export interface TenantSettings {
  limits?: LimitSetting[]
  budget?: BudgetSetting
}

/** A caller who may go on, and the `RateLimit` headers of its reply. */
export interface Admitted {
  caller: Caller
  headers: Record<string, string>
}

/** What to ask Redis about a claim, in the request's own wave. */
export interface Question {
  calls: (Command | ScriptCall)[]
  /** Reads the replies. Of several scopes one is enough. Throws 401, 403, 429, or 503 when Redis is away and the key was not seen lately. */
  settle(replies: Replies, scope: string | readonly string[], timeoutMs?: number): Promise<Admitted>
}

/** Who says to call: proven here, or by a key whose record Redis holds. */
export type Claim = { caller: Caller } | { key: HubKey }

export interface AdmissionOptions {
  redis: Redis
  keyring: Keyring
  limits: Limits
  clock: Clock
  /** Without it: local mode, where a caller without a hub key is the default tenant with every scope. */
  adminKey?: string
}

/** Names the tenant that the admin key acts for. */
export const ACT_FOR = 'x-hub-act-for'

/** How long a key that was verified here is trusted while Redis is away. */
const TRUST_MS = 5 * 60_000

export function createAdmission({ redis, keyring, limits, clock, adminKey }: AdmissionOptions) {
  // Without resolution: its timer ends with the request on Workers, and then nothing would expire.
  const verified = new LRUCache<string, Verified>({ max: 10_000, ttl: TRUST_MS, ttlResolution: 0 })
  const owner: Caller = {
    ...{ tenant: DEFAULT_TENANT, keyId: null, scopes: null, models: null, channels: null },
    ...{ requestLimits: [], tokenLimits: [], budgets: [] },
  }

  const admission = {
    /**
     * Without Redis: the admin key, the key's MAC. `actFor`: a tenant that who has the admin key acts for. Throws 401, 403.
     */
    claim(authorization: string | undefined, actFor?: string): Claim {
      const claim = proven(authorization)
      if (actFor === undefined) return claim
      if ('caller' in claim && NAME.test(actFor)) return { caller: { ...claim.caller, tenant: actFor } }
      throw mayNotActFor('caller' in claim)
    },

    /**
     * The key's record and its request limits, together: the limits are those that the key had when it was last seen. Where
     * they turn out to be others, they are asked in a wave of their own.
     */
    async ask(claim: Claim): Promise<Question> {
      if ('caller' in claim) return { calls: [], settle: async () => ({ caller: claim.caller, headers: {} }) }
      const { key } = claim
      const planned = verified.get(key.id)?.caller.requestLimits ?? []
      const check = planned.length > 0 ? await limits.prepare(planned) : undefined
      return {
        calls: [['HMGET', hubKeysKey(key.tenant), key.id, TENANT_FIELD], ...(check?.calls ?? [])],
        async settle(replies, scope, timeoutMs) {
          const caller = callerOf(key, replies instanceof Error ? replies : replies[0])
          if (!isWithin(caller, scope)) throw forbidden([scope].flat().join('`, `'))
          const headers = await admitWithin(caller.requestLimits, planned, check, replies, timeoutMs)
          return { caller, headers }
        },
      }
    },

    /** `ask` in a wave of its own: for routes that are not hot. */
    async admit(claim: Claim, scope: string | readonly string[]): Promise<Admitted> {
      const { calls, settle } = await admission.ask(claim)
      return settle(calls.length ? await redis.wave(calls).catch((error: Error) => error) : [], scope)
    },

    /**
     * Who sent work that was accepted earlier, as the key stands now; takes nothing of its request limits. Without a key it is the
     * tenant itself, with its own limits and budget. 401 where the key is revoked.
     */
    async recall(tenant: string, keyId: string | null, scope: string): Promise<Caller> {
      if (keyId === null && tenant === DEFAULT_TENANT) return owner
      if (keyId === null) {
        const settings = await send(redis, ['HGET', hubKeysKey(tenant), TENANT_FIELD], { timeoutMs: 2_000 })
        return tenantCaller(tenant, settings as string | null)
      }
      const found = await send(redis, ['HMGET', hubKeysKey(tenant), keyId, TENANT_FIELD], {
        timeoutMs: 2_000,
      })
      const [text, settings] = found as (string | null)[]
      const hash = text ? (JSON.parse(text) as HubKeyRecord).hash : ''
      const caller = verify({ id: keyId, tenant, hash }, text, settings)?.caller
      if (!caller) throw refused('The hub key that this was sent with is revoked.')
      if (caller.scopes && !caller.scopes.has(scope)) throw forbidden(scope)
      return caller
    },

    /** Revocation holds here at once, whether Redis answers or not. */
    forget: (keyId: string) => void verified.delete(keyId),
  }
  return admission

  function proven(authorization: string | undefined): Claim {
    const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
    if (token?.startsWith('hub_')) {
      const key = keyring.read(token)
      if (!key) throw refused('This hub key is unknown or revoked.')
      return { key }
    }
    if (adminKey === undefined) return { caller: owner }
    if (token && sameSecret(token, adminKey)) return { caller: owner }
    throw refused(
      token ? 'This API key is unknown.' : 'No API key. Send it as `Authorization: Bearer <key>`.',
    )
  }

  async function admitWithin(
    wanted: readonly Limit[],
    planned: readonly Limit[],
    check: LimitCheck | undefined,
    replies: Replies,
    timeoutMs?: number,
  ): Promise<Record<string, string>> {
    if (wanted.length === 0) return {}
    const results =
      wanted === planned && check
        ? await check.settle(replies instanceof Error ? replies : replies.slice(1))
        : await limits.check(wanted, 1, timeoutMs)
    const now = clock.now()
    try {
      refuseOverLimit(results, now)
    } catch (error) {
      await limits.giveBack(results)
      throw error
    }
    return rateLimitHeaders(results, now)
  }

  function callerOf(key: HubKey, reply: Reply | Error | undefined): Caller {
    const seen = verified.get(key.id)
    const known = seen?.hash === key.hash ? seen : undefined
    if (reply instanceof Error) {
      // A Redis outage must not stop whom this instance knows; but a budget that cannot be asked must not be overdrawn.
      if (known && known.caller.budgets.length === 0) return known.caller
      throw toHubError(reply)
    }
    const [text, settings] = reply as (string | null)[]
    // Mostly the record is the one that was parsed last time.
    const same = known && known.text === text && known.settings === settings
    const now = same ? known : verify(key, text, settings)
    if (!now) {
      verified.delete(key.id)
      throw refused('This hub key is unknown or revoked.')
    }
    verified.set(key.id, now)
    return now.caller
  }
}

/** What Redis held of a key and its tenant, and whom it admits. */
interface Verified {
  text: string
  settings: string | null | undefined
  hash: string
  caller: Caller
}

function verify(
  key: HubKey,
  text: string | null | undefined,
  settings?: string | null,
): Verified | undefined {
  if (!text) return undefined
  const record: HubKeyRecord = JSON.parse(text)
  const { id, tenant, hash, scopes, models, channels = null, limits, budget, revoked_at } = record
  if (revoked_at || !sameSecret(hash, key.hash)) return undefined
  const ofTenant: TenantSettings = settings ? JSON.parse(settings) : {}
  const all = [...limitsOf('key', id, tenant, limits), ...limitsOf('tenant', '@', tenant, ofTenant.limits)]
  const caller: Caller = {
    ...{ tenant, keyId: id, scopes: scopes && new Set(scopes), models, channels },
    requestLimits: all.filter(({ on }) => on === 'requests'),
    tokenLimits: all.filter(({ on }) => on === 'tokens'),
    budgets: [
      ...(budget ? [{ who: `key:${id}`, ...budget }] : []),
      ...(ofTenant.budget ? [{ who: 'tenant', ...ofTenant.budget }] : []),
    ],
  }
  return { text, settings, hash, caller }
}

/** Nobody's key: a tenant's streams and schedules act in its own name. */
function tenantCaller(tenant: string, settings: string | null): Caller {
  const { limits, budget }: TenantSettings = settings ? JSON.parse(settings) : {}
  const all = limitsOf('tenant', '@', tenant, limits)
  return {
    ...{ tenant, keyId: null, scopes: null, models: null, channels: null },
    requestLimits: all.filter(({ on }) => on === 'requests'),
    tokenLimits: all.filter(({ on }) => on === 'tokens'),
    budgets: budget ? [{ who: 'tenant', ...budget }] : [],
  }
}

/** A key's or a tenant's (`@`), as they are asked. */
export function limitsOf(
  whose: string,
  id: string,
  tenant: string,
  settings: LimitSetting[] | null = [],
): Limit[] {
  return (settings ?? []).map((setting) => {
    const name = `${whose}-${setting.on}-${setting.window_seconds}`
    return { ...setting, name, prefix: `${rateLimitPrefix(tenant)}:${name}`, identifier: `{${id}}` }
  })
}

export type Admission = ReturnType<typeof createAdmission>

function isWithin({ scopes }: Caller, wanted: string | readonly string[]): boolean {
  if (typeof wanted !== 'string') return scopes === null || wanted.some((scope) => scopes.has(scope))
  return scopes ? scopes.has(wanted) : wanted !== 'admin'
}

const refused = (message: string) =>
  new HubError({ code: 'invalid_api_key', status: 401, message, headers: { 'WWW-Authenticate': 'Bearer' } })

const mayNotActFor = (isOwner: boolean) =>
  isOwner
    ? new HubError({
        ...{ code: 'invalid_value', status: 400, param: ACT_FOR },
        message: `${ACT_FOR}: must be the name of a tenant.`,
      })
    : new HubError({
        ...{ code: 'scope_missing', status: 403, param: ACT_FOR },
        message: `${ACT_FOR}: only the admin key acts for a tenant. A hub key acts for its own, without this header.`,
      })

const forbidden = (scope: string) =>
  new HubError({
    code: 'scope_missing',
    status: 403,
    message: `This key lacks the scope \`${scope}\`. An admin can make one that has it: POST /v1/keys.`,
  })
