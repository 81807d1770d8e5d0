import type { HubKeyRecord } from '../hub-keys.ts'
import {
  credentialsKey,
  DEFAULT_TENANT,
  hubKeysKey,
  TENANT_FIELD,
  tenantKeyGlobs,
  tenantOfKey,
} from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Command, Redis } from '../ports/redis.ts'
import { scan } from '../scan.ts'
import { SEALED } from '../secrets.ts'
import { type ExportedPart, type KeyToRead, readParts, readWhole } from './export-values.ts'
import { HUB_LISTS, readMembers } from './hub-members.ts'

export interface TenantExportOptions {
  redis: Redis
  /** The same as `redis` where it has no server of its own. */
  cacheRedis: Redis
  /** Where vectors are kept elsewhere than in Redis. */
  vectorsElsewhere: boolean
  clock: Clock
}

const PATIENT = { timeoutMs: 10_000 }
/** Keys whose types are asked for at once. */
const KEYS_A_WAVE = 100

const LEFT_OUT = [
  'Hashes of hub keys: they only tell a key from another one.',
  'Secrets that are sealed with HUB_SECRET_KEY (credentials of providers, secrets of webhooks, handlers, tools and sources): `[sealed]` stands for each.',
  'Consumer groups of streams: who reads what.',
]
const UPSTASH =
  'Vectors, which Upstash Vector keeps: the texts that they were made of are in `docmeta:` keys.'

/**
 * All that the hub holds for a tenant, as JSON values to be written one a line, in no order; memory is bounded whatever there is. The last one
 * is `{end: true, keys}`: without it the export is cut off. It is no snapshot: what changes meanwhile comes as it was or as it is, and a key may
 * come twice, of which the later one counts.
 */
export function createTenantExport({ redis, cacheRedis, vectorsElsewhere, clock }: TenantExportOptions) {
  return async function* exportTenant(
    tenant: string,
    signal?: AbortSignal,
  ): AsyncGenerator<Record<string, unknown>> {
    const options = { ...PATIENT, signal }
    const left_out = vectorsElsewhere ? [...LEFT_OUT, UPSTASH] : LEFT_OUT
    yield { tenant, exported_at: new Date(clock.now()).toISOString(), format: 1, left_out }
    for (const list of HUB_LISTS) {
      for (let cursor: string | undefined = '0'; cursor !== undefined; ) {
        const page = await readMembers(redis, list, { tenant, cursor }, options)
        if (page.members.length > 0) {
          const members = page.members.map(({ name, value }) => ({ name, value: unsealed(value) }))
          yield { hub_key: list.key, type: list.type, members }
        }
        cursor = page.next
      }
    }
    let keys = 0
    const stores = cacheRedis === redis ? [{ store: 'state', of: redis }] : STORES(redis, cacheRedis)
    for (const { store, of } of stores) {
      for await (const line of keysOf(of, tenant)) {
        if (line.part === 1) keys++
        yield { store, ...line }
      }
    }
    yield { end: true, keys }

    async function* keysOf(of: Redis, tenant: string) {
      // What bears no tenant's name is the default one's.
      for (const glob of tenant === DEFAULT_TENANT ? ['*'] : tenantKeyGlobs(tenant)) {
        for await (const found of scan(of, glob, options)) {
          const ours = found.filter((key) => tenantOfKey(key) === tenant)
          for (let at = 0; at < ours.length; at += KEYS_A_WAVE) {
            const some = await lookAt(of, ours.slice(at, at + KEYS_A_WAVE))
            const whole = await readWhole(of, some, options)
            for (const [i, about] of some.entries()) {
              yield* linesOf(tenant, about, whole[i] ?? readParts(of, about, options))
            }
          }
        }
      }
    }

    async function lookAt(of: Redis, keys: readonly string[]): Promise<About[]> {
      const calls = keys.flatMap((key): Command[] => [
        ['TYPE', key],
        ['PTTL', key],
        ['MEMORY', 'USAGE', key],
      ])
      const replies = await of.wave(calls, options)
      return keys.flatMap((key, i) => {
        const [type, ttl, bytes] = replies.slice(3 * i, 3 * i + 3)
        if (type instanceof Error) throw type
        if (type === 'none') return [] // gone meanwhile
        const ttl_ms = typeof ttl === 'number' && ttl >= 0 ? ttl : null
        // Redis over HTTP may not tell.
        return [{ key, type: type as string, ttl_ms, bytes: typeof bytes === 'number' ? bytes : null }]
      })
    }
  }
}

/** A part behind the newest one, so that each tells whether there is more. */
async function* linesOf(
  tenant: string,
  { key, type, ttl_ms }: About,
  parts: Iterable<ExportedPart> | AsyncIterable<ExportedPart>,
) {
  const shown = { key: withoutPrefix(tenant, key), type, ttl_ms }
  let part = 0
  let held: ExportedPart | undefined
  for await (const one of parts) {
    if (held) yield { ...shown, part: ++part, more: true, ...clean(tenant, key, held) }
    held = one
  }
  if (held) yield { ...shown, part: ++part, ...clean(tenant, key, held) }
}

export type TenantExport = ReturnType<typeof createTenantExport>

interface About extends KeyToRead {
  ttl_ms: number | null
}

const STORES = (redis: Redis, cacheRedis: Redis) => [
  { store: 'state', of: redis },
  { store: 'cache', of: cacheRedis },
]

/** As the default tenant's would be called. */
const withoutPrefix = (tenant: string, key: string) =>
  tenant === DEFAULT_TENANT ? key : key.replace(/^(\{?)t:[^:]+:/, '$1')

function clean(tenant: string, key: string, { value, ...part }: ExportedPart): ExportedPart {
  if (value === undefined) return part
  if (key === credentialsKey(tenant)) return { value: mapTexts(value, () => '[sealed]') }
  if (key === hubKeysKey(tenant)) return { value: withoutHashes(value as Record<string, string>) }
  return { value: unsealed(value) }
}

function withoutHashes(records: Record<string, string>) {
  return Object.fromEntries(
    Object.entries(records).map(([id, text]) => {
      if (id === TENANT_FIELD) return [id, text]
      const { hash: _, request_hash: __, ...record }: HubKeyRecord = JSON.parse(text)
      return [id, JSON.stringify(record)]
    }),
  )
}

const unsealed = <T>(value: T): T => mapTexts(value, (text) => text.replace(SEALED, '[sealed]')) as T

function mapTexts(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value)
  if (Array.isArray(value)) return value.map((one) => mapTexts(one, change))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, mapTexts(one, change)]))
}
