import { randomBytes } from 'node:crypto'
import { HubError } from './errors.ts'
import { type Keyring, sameSecret } from './hub-keys.ts'
import { DEFAULT_TENANT, rateLimitPrefix } from './keys.ts'
import { type Limits, refuseOverLimit } from './metering/limits.ts'
import type { Clock } from './ports/clock.ts'

/** How long a session lasts. */
export const SESSION_SECONDS = 12 * 3600

const ATTEMPTS = { on: 'requests', limit: 10, window_seconds: 60 } as const

export interface DashboardSessionsOptions {
  keyring: Keyring
  limits: Limits
  clock: Clock
  /** Without it nobody has to sign in. */
  adminKey?: string
}

/** Sessions of the admin in a browser: signed, and kept nowhere. Another admin key ends them all. */
export function createDashboardSessions({ keyring, limits, clock, adminKey }: DashboardSessionsOptions) {
  const signature = (claims: string) => keyring.sign('dashboard-session', `${claims}\n${adminKey}`)

  return {
    isNeeded: adminKey !== undefined,

    /** Ten attempts a minute from one address. Throws 429. */
    async allow(from: string | undefined): Promise<void> {
      const prefix = `${rateLimitPrefix(DEFAULT_TENANT)}:dashboard-session`
      const limit = { ...ATTEMPTS, name: 'dashboard-session', prefix, identifier: `{${from ?? 'unknown'}}` }
      refuseOverLimit(await limits.check([limit]), clock.now())
    },

    /** The cookie's value. Throws 401. */
    open(key: string): string {
      if (adminKey === undefined || !sameSecret(key, adminKey)) throw wrongKey()
      const claims = `${clock.now() + SESSION_SECONDS * 1000}.${randomBytes(12).toString('base64url')}`
      return `${claims}.${signature(claims)}`
    },

    /** Until when it holds, Unix ms; `undefined` for what is forged or over. */
    read(value: string): number | undefined {
      const [, claims, expires, given] = /^((\d{1,16})\.[\w-]{16})\.([\w-]{43})$/.exec(value) ?? []
      if (adminKey === undefined || !claims || !sameSecret(given!, signature(claims))) return undefined
      return Number(expires) > clock.now() ? Number(expires) : undefined
    },

    /** What stands for the session where a key is asked for. */
    credential: `Bearer ${adminKey}`,
  }
}

export type DashboardSessions = ReturnType<typeof createDashboardSessions>

const wrongKey = () =>
  new HubError({
    code: 'invalid_api_key',
    status: 401,
    message: 'This is not the admin key. It is what HUB_ADMIN_KEY says where the hub runs.',
    param: 'key',
  })
