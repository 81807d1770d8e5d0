import { LRUCache } from 'lru-cache'
import { HubError, toHubError } from './errors.ts'
import { type HubKey, type HubKeyRecord, type Keyring, sameSecret } from './hub-keys.ts'
import { DEFAULT_TENANT, hubKeysKey } from './keys.ts'
import type { Command, Redis } from './ports/redis.ts'
import type { Replies } from './send.ts'

/** Who calls, once admitted. */
export interface Caller {
  tenant: string
  keyId: string | null
  /** Null: everything, admin included. */
  scopes: ReadonlySet<string> | null
  /** Null: all. */
  models: readonly string[] | null
}

/** Who says to call: proven here, or by a key whose record Redis holds. */
export type Claim = { caller: Caller } | { key: HubKey }

export interface AdmissionOptions {
  redis: Redis
  keyring: Keyring
  /** Without it: local mode, where a caller without a hub key is the default tenant with every scope. */
  adminKey?: string
}

/** How long a key that was verified here is trusted while Redis is away. */
const TRUST_MS = 5 * 60_000

export function createAdmission({ redis, keyring, adminKey }: AdmissionOptions) {
  const verified = new LRUCache<string, HubKeyRecord>({ max: 10_000, ttl: TRUST_MS })
  const owner: Caller = { tenant: DEFAULT_TENANT, keyId: null, scopes: null, models: null }

  const admission = {
    /** Without Redis: the admin key, the key's MAC. Throws 401. */
    claim(authorization: string | undefined): Claim {
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
    },

    /** What to ask Redis about the claim, in the request's own wave. */
    calls: (claim: Claim): Command[] =>
      'caller' in claim ? [] : [['HGET', hubKeysKey(claim.key.tenant), claim.key.id]],

    /** Reads the replies to `calls`. Throws 401, 403, or 503 when Redis is away and the key was not seen lately. */
    settle(claim: Claim, replies: Replies, scope: string): Caller {
      if ('caller' in claim) return claim.caller
      const { key } = claim
      const reply = replies instanceof Error ? replies : replies[0]
      let record: HubKeyRecord | undefined
      if (reply instanceof Error) {
        // A Redis outage must not stop whom this instance knows.
        record = verified.get(key.id)
        if (!record) throw toHubError(reply)
      } else {
        record = typeof reply === 'string' ? JSON.parse(reply) : undefined
      }
      if (!record || record.revoked_at || !sameSecret(record.hash, key.hash)) {
        verified.delete(key.id)
        throw refused('This hub key is unknown or revoked.')
      }
      if (!(reply instanceof Error)) verified.set(key.id, record)
      if (record.scopes ? !record.scopes.includes(scope) : scope === 'admin') throw forbidden(scope)
      return {
        tenant: record.tenant,
        keyId: record.id,
        scopes: new Set(record.scopes),
        models: record.models,
      }
    },

    /** `settle` in a wave of its own: for routes that are not hot. */
    async admit(claim: Claim, scope: string): Promise<Caller> {
      const calls = admission.calls(claim)
      const replies = calls.length ? await redis.wave(calls).catch((error: Error) => error) : []
      return admission.settle(claim, replies, scope)
    },

    /** Revocation holds here at once, whether Redis answers or not. */
    forget: (keyId: string) => void verified.delete(keyId),
  }
  return admission
}

export type Admission = ReturnType<typeof createAdmission>

const refused = (message: string) =>
  new HubError({ code: 'invalid_api_key', status: 401, message, headers: { 'WWW-Authenticate': 'Bearer' } })

const forbidden = (scope: string) =>
  new HubError({
    code: 'scope_missing',
    status: 403,
    message: `This key lacks the scope \`${scope}\`. An admin can make one that has it: POST /v1/keys.`,
  })
