import type { Deps } from '../functions/deps.ts'
import type { Keyring } from '../shared/hub-keys.ts'
import type { Redis } from '../shared/ports/redis.ts'
import { createPreferenceTypes } from '../shared/preferences/preference-types.ts'
import { createPreferences } from '../shared/preferences/preferences.ts'
import { createSessions } from '../shared/sessions/sessions.ts'

interface Wired extends Pick<Deps, 'realtime'> {
  redis: Redis
  keyring: Keyring
}

/** What applications keep of their users. */
export function wireSessions({ redis, keyring, realtime }: Wired) {
  const preferenceTypes = createPreferenceTypes({ redis })
  return {
    deps: {
      sessions: createSessions({ redis, keyring }),
      preferences: createPreferences({ redis, types: preferenceTypes, realtime }),
      preferenceTypes,
    } satisfies Partial<Deps>,
  }
}
