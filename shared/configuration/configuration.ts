import { hash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { canonicalJson } from '../completions/completion-hash.ts'
import { configKeys, configsKey, NAME } from '../keys.ts'
import { type Fence, fenceArgs, lockLost } from '../locks/fence.ts'
import { applied, fromLeaves, toChanges, toLeaves } from '../merge-patch.ts'
import type { Redis, Reply } from '../ports/redis.ts'
import { putConfigScript } from '../scripts.generated.ts'
import { send } from '../send.ts'
import * as errors from './config-errors.ts'
import {
  type ConfigChange,
  type ConfigEntry,
  type ConfigVersion,
  readEntry,
  toChange,
  toVersion,
} from './config-version.ts'

type Values = Readonly<Record<string, unknown>>

export interface ConfigWrite {
  /** Id of the key that writes, or `admin`. */
  by: string
  note?: string
  /** Only where this is the version: 0 for none, `*` for any. */
  ifVersion?: number | '*'
  /** An operation id: the same write with it within a day is one write. */
  once?: string
  fence?: Fence
}

export interface Written {
  config: ConfigVersion
  /** There was none before. */
  created: boolean
}

/** What is to be written; without values it is deleted. */
interface Next {
  values?: Values
  restores?: number
}

export interface ConfigurationOptions {
  redis: Redis
  /** Redis calls that one request may make, where the runtime counts them. */
  callBudget?: number
}

const OPERATION_KEPT_MS = 86_400_000
const SLOW = { timeoutMs: 5_000 }
/** Between two attempts, where others were faster: at random up to this, doubled each time. */
const PAUSE_MS = 64
const LONGEST_PAUSE_MS = 1_000

/** Configurations of all tenants: values under a namespace, in versions. One script writes them. */
export function createConfiguration({ redis, callBudget = 100 }: ConfigurationOptions) {
  /** Of two calls each, besides a few others. */
  const mostAttempts = Math.max(1, Math.floor(callBudget / 2) - 4)

  const configuration = {
    /**
     * Replaces all values. Those that it has already make no new version.
     *
     * Errors: 412 `version_conflict` and `lock_lost`, 413 `config_too_large`, 422 `idempotency_mismatch`, 400 for the name.
     */
    async put(tenant: string, namespace: string, values: Values, write: ConfigWrite): Promise<Written> {
      const condition = write.ifVersion ?? ''
      const outcome = await execute(tenant, namespace, { values }, write, ['put', values], condition)
      if ('conflict' in outcome) throw errors.versionConflict(namespace, outcome.conflict)
      return outcome
    },

    /**
     * Merges the patch (RFC 7396) into what is there at the moment of writing, or into nothing.
     *
     * Errors: those of `put`; 503 `config_contended` where others were faster all the time.
     */
    patch: (tenant: string, namespace: string, patch: Values, write: ConfigWrite): Promise<Written> =>
      change(tenant, namespace, write, ['patch', patch], (current) => ({
        values: fromLeaves(applied(toLeaves(JSON.parse(current?.values || '{}')), toChanges(patch))),
      })),

    /** Gives it the values of an old version again, in a new one. Errors: those of `patch`, 404 `config_version_not_found`. */
    rollback: (tenant: string, namespace: string, version: number, write: ConfigWrite): Promise<Written> =>
      change(tenant, namespace, write, ['rollback', version], async () => {
        const { values } = await configuration.get(tenant, namespace, version)
        return { values, restores: version }
      }),

    /** Its versions are gone; later ones go on counting. Errors: 404, 412. */
    async delete(tenant: string, namespace: string, write: Omit<ConfigWrite, 'once'>): Promise<void> {
      const outcome = await execute(tenant, namespace, {}, write, ['delete'], write.ifVersion ?? '')
      if ('conflict' in outcome) throw errors.versionConflict(namespace, outcome.conflict)
      // The list is in another slot. Whoever makes it anew lists it after that: looked at after striking, none that is there stays out.
      await send(redis, ['ZREM', configsKey(tenant), namespace], SLOW)
      const exists = await send(redis, ['HEXISTS', configKeys(tenant, namespace).config, 'hash'], SLOW)
      if (exists) await send(redis, ['ZADD', configsKey(tenant), 0, namespace], SLOW)
    },

    /** The newest version, or that one. Throws 404. */
    async get(tenant: string, namespace: string, version?: number): Promise<ConfigVersion> {
      const entry =
        version === undefined
          ? await configuration.newest(tenant, namespace)
          : await entryOf(tenant, namespace, version)
      if (entry?.values) return toVersion(namespace, entry)
      throw version === undefined
        ? errors.unknownConfig(namespace)
        : errors.unknownVersion(namespace, version)
    },

    /** The newest version, or that it was deleted; undefined where there never was one. */
    async newest(tenant: string, namespace: string): Promise<ConfigEntry | undefined> {
      const { history } = keysOf(tenant, namespace)
      const found = (await send(redis, ['XREVRANGE', history, '+', '-', 'COUNT', 1], SLOW)) as Reply[]
      return found.map(readEntry)[0]
    },

    /** What is told of the versions that are kept, newest first, those before `before`. Throws 404 where there never was one. */
    async history(
      tenant: string,
      namespace: string,
      { limit, before = Number.POSITIVE_INFINITY }: { limit: number; before?: number },
    ): Promise<{ data: ConfigChange[]; has_more: boolean }> {
      const { config } = keysOf(tenant, namespace)
      const newest = Number(await send(redis, ['HGET', config, 'version'], SLOW))
      if (newest === 0) throw errors.unknownConfig(namespace)
      const from = Math.min(newest, before - 1)
      const to = Math.max(from - limit, newest - errors.MOST_VERSIONS + 1, 1)
      const versions = Array.from({ length: Math.max(0, from - to + 1) }, (_, i) => from - i)
      if (versions.length === 0) return { data: [], has_more: false }
      const fields = versions.map((version) => `h:${version}`)
      const texts = (await send(redis, ['HMGET', config, ...fields], SLOW)) as (string | null)[]
      const data = texts.flatMap((text, i) => (text ? [toChange(versions[i]!, text)] : []))
      return { data: data.slice(0, limit), has_more: data.length > limit }
    },

    /** Namespaces by name, those after `after`. */
    async list(tenant: string, { limit, after }: { limit: number; after?: string }) {
      const start = after === undefined ? '-' : `(${after}`
      const range = ['ZRANGE', configsKey(tenant), start, '+', 'BYLEX', 'LIMIT', 0, limit + 1] as const
      const names = (await send(redis, range, SLOW)) as string[]
      const page = names.slice(0, limit)
      const asked = page.map((one) => ['HMGET', configKeys(tenant, one).config, 'version', 'hash'] as const)
      const replies = page.length > 0 ? await redis.wave(asked, SLOW) : []
      const data = page.flatMap((namespace, i) => {
        const reply = replies[i]
        if (reply instanceof Error) throw reply
        const [version, exists] = reply as (string | null)[]
        return exists ? [{ namespace, version: Number(version) }] : []
      })
      return { data, has_more: names.length > limit }
    },
  }
  return configuration

  /** Reads, and writes what comes of it where nobody else wrote meanwhile; else again. */
  async function change(
    tenant: string,
    namespace: string,
    write: ConfigWrite,
    request: unknown[],
    toNext: (current: ConfigEntry | undefined) => Next | Promise<Next>,
  ): Promise<Written> {
    for (let attempt = 0; attempt < mostAttempts; attempt++) {
      const current = await configuration.newest(tenant, namespace)
      const version = current?.values ? current.version : 0
      const { ifVersion = version } = write
      const holds = ifVersion === version || (ifVersion === '*' && version > 0)
      // Where it does not, the script is asked all the same: the operation may have been done already.
      const condition = holds ? version : NEVER
      const outcome = await execute(tenant, namespace, await toNext(current), write, request, condition)
      if (!('conflict' in outcome)) return outcome
      if (!holds || typeof write.ifVersion === 'number') {
        throw errors.versionConflict(namespace, outcome.conflict)
      }
      await sleep(Math.random() * Math.min(PAUSE_MS * 2 ** attempt, LONGEST_PAUSE_MS))
    }
    throw errors.tooContended(namespace)
  }

  /** `conflict`: the version that it has in place of the one that it must have. */
  async function execute(
    tenant: string,
    namespace: string,
    { values, restores }: Next,
    { by, note, once, fence }: ConfigWrite,
    request: unknown[],
    condition: number | '*' | '',
  ): Promise<Written | { conflict: number }> {
    const keys = keysOf(tenant, namespace)
    const text = values ? JSON.stringify(values) : ''
    if (Buffer.byteLength(text) > errors.MOST_BYTES) throw errors.tooLarge()
    const about = JSON.stringify({ by, note, restores, deleted: values ? undefined : true })
    const operation = once === undefined ? '' : sha256(canonicalJson([...request, note]))
    const put = {
      script: putConfigScript,
      keys: [keys.config, keys.history, keys.operation(once === undefined ? '' : sha256(once))],
      args: [
        ...[text, values ? sha256(canonicalJson(values)) : '', condition, about],
        ...[errors.MOST_VERSIONS, keys.changed, operation, OPERATION_KEPT_MS, ...fenceArgs(fence)],
      ],
    }
    const list = ['ZADD', configsKey(tenant), 0, namespace] as const
    const [reply] = await redis.wave(values ? [put, list] : [put], SLOW)
    if (reply instanceof Error) throw reply
    const [outcome, number, said, created] = reply as [string, number, string, number]
    if (outcome === 'conflict') return { conflict: number }
    if (outcome === 'lost') throw lockLost(fence!, number)
    if (outcome === 'mismatch') throw errors.otherOperation()
    if (outcome === 'absent') throw errors.unknownConfig(namespace)
    if (outcome === 'known') {
      return { config: await configuration.get(tenant, namespace, number), created: false }
    }
    // Whoever deleted it at the same moment may have struck it off the list.
    if (values && created) await send(redis, list, SLOW)
    return {
      config: { namespace, ...toChange(number, said), values: values ?? {} },
      created: created === 1,
    }
  }

  async function entryOf(tenant: string, namespace: string, version: number) {
    const { config, history } = keysOf(tenant, namespace)
    const said = (await send(redis, ['HGET', config, `h:${version}`], SLOW)) as string | null
    if (said === null) return undefined
    const id = said.split(' ', 1)[0]!
    const found = (await send(redis, ['XRANGE', history, id, id], SLOW)) as Reply[]
    return found.map(readEntry)[0]
  }
}

export type Configuration = ReturnType<typeof createConfiguration>

/** No configuration has it. */
const NEVER = -1

export function keysOf(tenant: string, namespace: string) {
  if (NAME.test(namespace)) return configKeys(tenant, namespace)
  throw errors.badNamespace()
}

const sha256 = (text: string) => hash('sha256', text)
