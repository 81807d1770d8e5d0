import { hash } from 'node:crypto'
import { HubError } from '../errors.ts'
import { preferencesKey } from '../keys.ts'
import { type Fence, fenceArgs, lockLost } from '../locks/fence.ts'
import { applied, type Change, fromLeaves, type Leaves, toChanges } from '../merge-patch.ts'
import type { Command, Redis, Reply } from '../ports/redis.ts'
import type { Realtime } from '../realtime/realtime.ts'
import { patchPreferencesScript } from '../scripts.generated.ts'
import { type Replies, send } from '../send.ts'
import { type CheckedTypes, invalid, type PreferenceTypes } from './preference-types.ts'

type Values = Readonly<Record<string, unknown>>

/** What a user has chosen, and what holds where they did not. */
export interface Preferences {
  stored: Values
  /** With the defaults. */
  values: Values
  /** Rises with each change. 0: nothing was ever chosen. */
  version: number
}

/** What Redis held of a user and of what there is to choose. */
interface Known {
  types: CheckedTypes
  leaves: Leaves
  version: number
}

export interface PreferencesPatch {
  /** A JSON merge patch: `null` removes. */
  patch: Values
  ifVersion?: number
  fence?: Fence
  /** Nobody waits until the user's other devices are told. */
  defer(work: Promise<unknown>): void
}

const MOST_VALUES = 1_000
const MOST_BYTES = 65_536
/** A message that tells of more says only that there was a change. */
const MOST_TOLD_BYTES = 32_768
/** Longer than whoever read preferences remembers their version. */
const VERSION_KEPT_MS = 30 * 86_400_000
/** Of a patch within an object that is declared, while others patch as well. */
const ATTEMPTS = 200
const SLOW = { timeoutMs: 2_000 }

export interface PreferencesOptions {
  redis: Redis
  types: PreferenceTypes
  realtime: Realtime
}

/** Preferences of a tenant's users, a hash a user. */
export function createPreferences({ redis, types, realtime }: PreferencesOptions) {
  return {
    /** The realtime channel that tells of a user's changes; its name does not tell the user's. */
    channelOf: (user: string) => `preferences:${hash('sha256', user, 'base64url').slice(0, 22)}`,

    /** For a wave of the caller's own. */
    ask(tenant: string, user: string): { calls: Command[]; settle(replies: Replies): Known } {
      return {
        calls: [types.call(tenant), ['HGETALL', preferencesKey(tenant, user)]],
        settle(replies) {
          if (replies instanceof Error) throw replies
          const [declared, held] = replies
          if (held instanceof Error) throw held
          const { version = '0', ...fields } = fieldsOf(held as string[])
          const leaves = Object.fromEntries(Object.entries(fields).filter(([field]) => field.startsWith('/')))
          return { types: types.read(declared), leaves, version: Number(version) }
        },
      }
    },

    shown: toPreferences,

    /**
     * Merges a patch, all of it or nothing. `known` is what was read just before; a patch within a declared object is tried again where
     * somebody else wrote since.
     *
     * Errors: 400 `invalid_value` with the path, 400 `unknown_preference`, 412 `version_conflict` and `lock_lost`, 413
     * `preferences_too_large`.
     */
    async patch(
      tenant: string,
      user: string,
      { patch, ifVersion, fence, defer }: PreferencesPatch,
      known: Known,
    ): Promise<Preferences> {
      const changes = toChanges(patch)
      for (let attempt = 1; ; attempt++) {
        const rests = check(known, patch, changes)
        const condition = ifVersion ?? (rests ? known.version : '')
        const args = [condition, MOST_VALUES, MOST_BYTES, VERSION_KEPT_MS, JSON.stringify(changes)]
        const call = {
          script: patchPreferencesScript,
          keys: [preferencesKey(tenant, user)],
          args: [...args, ...fenceArgs(fence)],
        }
        const [outcome, version, ...flat] = (await send(redis, call, SLOW)) as [string, number, ...string[]]
        if (outcome === 'lost') throw lockLost(fence!, version)
        if (outcome === 'full') throw tooLarge()
        const { types } = known
        known = { types, leaves: fieldsOf(flat), version }
        if (outcome === 'conflict') {
          if (ifVersion !== undefined) throw otherVersion(version)
          if (attempt === ATTEMPTS) throw contended()
          continue
        }
        if (outcome === 'ok') defer(tell(tenant, this.channelOf(user), patch, version))
        return toPreferences(known)
      }
    },
  }

  async function tell(tenant: string, channel: string, patch: Values, version: number) {
    const isSmall = Buffer.byteLength(JSON.stringify(patch)) <= MOST_TOLD_BYTES
    const data = { version, ...(isSmall && { patch }) }
    await realtime.publish(tenant, channel, { type: 'preferences', data })
  }
}

export type PreferencesStore = ReturnType<typeof createPreferences>

/** Whether the patch is good only upon what is known: it changes parts of an object that has a type. Throws 400. */
function check({ types, leaves }: Known, patch: Values, changes: readonly Change[]): boolean {
  let rests = false
  let merged: Values | undefined
  for (const [name, given] of Object.entries(patch)) {
    if (given === null) continue // there may be one of which the type is gone
    const rule = types.checks.get(name)
    if (!rule && !types.additional) throw unknown(name, Object.keys(types.types))
    if (!rule) continue
    const isPart = typeof given === 'object' && !Array.isArray(given)
    rests ||= isPart
    if (isPart) merged ??= fromLeaves(applied(leaves, changes))
    const wrong = rule(isPart ? merged![name] : given)
    if (wrong) throw invalid(`${name}${wrong.path}`, wrong.message)
  }
  return rests
}

function toPreferences({ types, leaves, version }: Known): Preferences {
  const stored = fromLeaves(leaves)
  const values: Record<string, unknown> = Object.create(null)
  for (const [name, { default: preset }] of Object.entries(types.types))
    if (preset !== undefined) values[name] = preset
  return { stored, values: Object.assign(values, stored), version }
}

const fieldsOf = (flat: readonly Reply[]): Record<string, string> =>
  Object.fromEntries(flat.flatMap((field, i) => (i % 2 ? [] : [[field, flat[i + 1]]])))

const unknown = (name: string, there: readonly string[]) =>
  new HubError({
    code: 'unknown_preference',
    status: 400,
    message: `${name}: is no preference here. There are: ${there.join(', ')}.`,
    param: name,
  })

const otherVersion = (version: number) =>
  new HubError({
    code: 'version_conflict',
    status: 412,
    message: `If-Match: the preferences are at version ${version}. Read them again, and change those.`,
    param: 'if-match',
  })

const contended = () =>
  new HubError({
    code: 'preferences_contended',
    status: 503,
    message: 'Too many write these preferences at this moment. Nothing was written: try again.',
    retryAfterSeconds: 1,
  })

const tooLarge = () =>
  new HubError({
    code: 'preferences_too_large',
    status: 413,
    message: `A user’s preferences are at most ${MOST_VALUES} values and ${MOST_BYTES} bytes, each counted with its path. Remove some first.`,
    param: 'body',
  })
