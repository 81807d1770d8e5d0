import { LRUCache } from 'lru-cache'
import { HubError } from '../errors.ts'
import { type CheckData, compileDataSchema } from '../events/data-schema.ts'
import { preferenceTypesKey } from '../keys.ts'
import type { Command, Redis, Reply } from '../ports/redis.ts'
import { send } from '../send.ts'

/** JSON Schema of one preference; `default` is what it is where a user chose nothing. */
type PreferenceType = Readonly<Record<string, unknown>> & { type: string; default?: unknown }

/** What preferences a tenant's users have. */
export interface Declared {
  types: Readonly<Record<string, PreferenceType>>
  /** Whether there may be others, of any type. */
  additional: boolean
}

/** `Declared`, with a check of each. */
export interface CheckedTypes extends Declared {
  checks: ReadonlyMap<string, CheckData>
}

const MOST_BYTES = 65_536
const SLOW = { timeoutMs: 2_000 }
const NONE: CheckedTypes = { types: {}, additional: true, checks: new Map() }

/** The types of a tenant's preferences, one text, set and read as a whole. */
export function createPreferenceTypes({ redis }: { redis: Redis }) {
  const compiled = new LRUCache<string, CheckedTypes>({ max: 200 })

  const preferenceTypes = {
    /** For a wave of the caller's own. */
    call: (tenant: string): Command => ['GET', preferenceTypesKey(tenant)],

    read(reply: Reply | undefined): CheckedTypes {
      if (reply instanceof Error) throw reply
      if (typeof reply !== 'string') return NONE
      const known = compiled.get(reply)
      if (known) return known
      const declared: Declared = JSON.parse(reply)
      const checked = { ...declared, checks: compile(declared) }
      compiled.set(reply, checked)
      return checked
    },

    async get(tenant: string): Promise<Declared> {
      const { types, additional } = preferenceTypes.read(
        await send(redis, preferenceTypes.call(tenant), SLOW),
      )
      return { types, additional }
    },

    /** What users have chosen stays as it is. Throws 400 `invalid_schema`, `invalid_value` for a default that is none, 413. */
    async put(tenant: string, declared: Declared): Promise<void> {
      const text = JSON.stringify(declared)
      if (Buffer.byteLength(text) > MOST_BYTES) throw tooLarge()
      for (const [name, check] of compile(declared)) {
        const { default: preset } = declared.types[name]!
        const wrong = preset === undefined ? undefined : check(preset)
        if (wrong) throw invalid(`types.${name}.default${wrong.path}`, wrong.message)
      }
      await send(redis, ['SET', preferenceTypesKey(tenant), text], SLOW)
    },
  }
  return preferenceTypes
}

export type PreferenceTypes = ReturnType<typeof createPreferenceTypes>

const compile = ({ types }: Declared) =>
  new Map(
    Object.entries(types).map(([name, type]) => [name, compileDataSchema(type, `types.${name}`)] as const),
  )

export const invalid = (param: string, what: string) =>
  new HubError({ code: 'invalid_value', status: 400, message: `${param}: ${what}`, param })

const tooLarge = () =>
  new HubError({
    code: 'preference_types_too_large',
    status: 413,
    message: `types: more than ${MOST_BYTES} bytes.`,
    param: 'types',
  })
