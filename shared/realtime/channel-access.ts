import type { Caller } from '../admission.ts'
import { HubError } from '../errors.ts'
import { type Keyring, sameSecret } from '../hub-keys.ts'
import type { Clock } from '../ports/clock.ts'

/** A channel, or how it begins and `*`. */
export const CHANNEL_PATTERN = /^(?:[A-Za-z0-9_.:-]{1,128}|[A-Za-z0-9_.:-]{0,127}\*)$/

/** What a token lets its bearer do: read these channels, until then. */
export interface ChannelGrant {
  tenant: string
  /** The key that it was made with: it ends with it. */
  keyId: string | null
  channels: readonly string[]
  /** Unix ms */
  expiresAt: number
  /** The only name that its bearer may take. */
  as?: string
}

/** Throws 403 when the caller's key does not reach the channel. */
export function checkChannelAccess(caller: Caller, use: 'read' | 'write', channel: string): void {
  const patterns = caller.channels?.[use]
  if (!patterns || patterns.some((pattern) => covers(pattern, channel))) return
  throw forbidden(`This key may not ${use} the channel \`${channel}\`. An admin can make one that may.`)
}

/** Whether everything that `wanted` (a channel or a pattern) stands for is within the pattern. */
function covers(pattern: string, wanted: string): boolean {
  return pattern.endsWith('*') ? wanted.startsWith(pattern.slice(0, -1)) : wanted === pattern
}

const PREFIX = 'hubrt_'
const PURPOSE = 'realtime-token'

/** Short-lived tokens for browsers, whose EventSource sends no headers: `hubrt_<grant>.<HMAC-SHA256 under the key secret>`. */
export function createChannelTokens({ keyring, clock }: { keyring: Keyring; clock: Clock }) {
  return {
    /** Throws 403 where it would open more than the caller's key does. */
    issue(caller: Caller, wanted: { channels: readonly string[]; ttlSeconds: number; as?: string }) {
      for (const channel of wanted.channels) checkChannelAccess(caller, 'read', channel)
      const grant: ChannelGrant = {
        ...{ tenant: caller.tenant, keyId: caller.keyId, channels: wanted.channels, as: wanted.as },
        expiresAt: clock.now() + wanted.ttlSeconds * 1000,
      }
      const text = Buffer.from(JSON.stringify(grant)).toString('base64url')
      return { token: `${PREFIX}${text}.${keyring.sign(PURPOSE, text)}`, expiresAt: grant.expiresAt }
    },

    /** Throws 401 for what this hub did not sign, or when its time is over. */
    read(token: string): ChannelGrant {
      const [text = '', given = ''] = token.startsWith(PREFIX) ? token.slice(PREFIX.length).split('.') : []
      if (!sameSecret(given, keyring.sign(PURPOSE, text))) throw refused('This token is not one of this hub.')
      const grant: ChannelGrant = JSON.parse(Buffer.from(text, 'base64url').toString())
      if (grant.expiresAt <= clock.now()) {
        throw refused('This token has expired. Make another: POST /v1/realtime-tokens.', 'token_expired')
      }
      return grant
    },
  }
}

export type ChannelTokens = ReturnType<typeof createChannelTokens>

/** Throws 403 when the token does not reach the channel, or the name is another one. */
export function checkGrant(grant: ChannelGrant, channel: string, as: string | undefined): void {
  if (!grant.channels.some((pattern) => covers(pattern, channel))) {
    throw forbidden(`This token does not reach the channel \`${channel}\`.`)
  }
  if (as !== undefined && as !== grant.as) {
    throw forbidden(`This token does not let its bearer be \`${as}\`: make it with \`as\`.`)
  }
}

const forbidden = (message: string) => new HubError({ code: 'channel_forbidden', status: 403, message })

const refused = (message: string, code = 'invalid_token') =>
  new HubError({ code, status: 401, message, param: 'token' })
