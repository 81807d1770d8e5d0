import { hash } from 'node:crypto'
import { knowledgeKeys, knowledgeTopicsKey, NAME } from '../keys.ts'
import { type Fence, fenceArgs, lockLost } from '../locks/fence.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis } from '../ports/redis.ts'
import type { Realtime } from '../realtime/realtime.ts'
import { deleteKnowledgeScript, putKnowledgeScript } from '../scripts.generated.ts'
import { send } from '../send.ts'
import * as errors from './knowledge-errors.ts'

interface Fact {
  value: unknown
  /** Rises with each write of the field, also when it was removed meanwhile. */
  version: number
  /** `agent:<id>`, `key:<id>` or `local`. */
  by: string
  /** RFC 3339 */
  at: string
}

/** What is known of a topic. */
export interface Facts {
  topic: string
  facts: Record<string, Fact>
}

export interface KnowledgeWrite {
  by: string
  /** Writes only where each of these fields has this version; 0: there is no such field. */
  ifVersions?: Readonly<Record<string, number>>
  /** An operation id: the same write with it within a day is one write. */
  once?: string
  /** A lock that the writer holds. */
  fence?: Fence
  /** Where nobody waits until readers of `agent:events` are told. */
  defer?(work: Promise<unknown>): void
}

export interface KnowledgeOptions {
  redis: Redis
  realtime: Realtime
  clock: Clock
  /** What could not be told: the facts are written. */
  onError(cause: unknown): void
}

/** Of one message that tells of a change. */
const FIELDS_TOLD = 100
const FIELD = /^[^\u0000-\u001f\u007f]{1,128}$/
/** Longer than whoever read a topic remembers its versions. */
const COUNT_KEPT_MS = 30 * 86_400_000
const OPERATION_KEPT_MS = 86_400_000
const SLOW = { timeoutMs: 5_000 }

/** Facts that all agents of a tenant share, by topic and field. */
export function createKnowledge({ redis, realtime, clock, onError }: KnowledgeOptions) {
  const knowledge = {
    /**
     * Adds to what is known, `null` removes; all of it or nothing. Resolves with what was written.
     *
     * Errors: 409 `version_conflict` naming the field, 412 `lock_lost`, 409 `too_many_facts`, 413 `fact_too_large`, 422 `idempotency_mismatch`,
     * 400 for names.
     */
    async put(
      tenant: string,
      topic: string,
      facts: Readonly<Record<string, unknown>>,
      { by, ifVersions = {}, once, fence, defer }: KnowledgeWrite,
    ): Promise<Facts> {
      const keys = keysOf(tenant, topic)
      for (const field of [...Object.keys(facts), ...Object.keys(ifVersions)]) checkField(field)
      const written = Object.entries(facts).map(([field, value]) => [field, textOf(field, value)] as const)
      const rest = `,"by":${JSON.stringify(by)},"at":"${new Date(clock.now()).toISOString()}",`
      const conditions = Object.entries(ifVersions)
      const operation = once === undefined ? '' : sha256(JSON.stringify([by, written, conditions]))
      const reply = (await send(
        redis,
        {
          script: putKnowledgeScript,
          keys: [keys.facts, keys.changes, keys.operation(once === undefined ? '' : sha256(once))],
          args: [
            ...[rest, errors.MOST_FIELDS, operation, OPERATION_KEPT_MS, COUNT_KEPT_MS],
            ...[...fenceArgs(fence), conditions.length, ...conditions.flat(), ...written.flat()],
          ],
        },
        SLOW,
      )) as [string, ...unknown[]]
      const [outcome, change, writtenRest, ...versions] = reply
      if (outcome === 'conflict') throw errors.versionConflict(topic, change as string, writtenRest as number)
      if (outcome === 'lost') throw lockLost(fence!, change as number)
      if (outcome === 'full') throw errors.tooManyFacts(topic)
      if (outcome === 'mismatch') throw errors.otherWrite()
      const { at } = JSON.parse(`{${(writtenRest as string).slice(1, -1)}}`)
      const said = written.flatMap(([field], i) => {
        const version = versions[i] as number
        return version === 0 ? [] : [[field, { value: facts[field], version, by, at }] as const]
      })
      if (said.length < written.length) await unlistEmpty(tenant, topic)
      if (said.length > 0) await send(redis, ['ZADD', knowledgeTopicsKey(tenant), 0, topic], SLOW)
      const fields = written.map(([field]) => field)
      await tell(tenant, { topic, fields, by }, change as number, defer)
      return { topic, facts: Object.fromEntries(said) }
    },

    /** All fields, or those. Throws 404 where nothing is known of the topic. */
    async get(tenant: string, topic: string, fields?: readonly string[]): Promise<Facts> {
      const { facts } = keysOf(tenant, topic)
      const reply = await send(redis, fields ? ['HMGET', facts, ...fields] : ['HGETALL', facts], SLOW)
      const found = fields
        ? fields.map((field, i) => [field, (reply as (string | null)[])[i]] as const)
        : pairsOf(reply as string[])
      const known = found.filter((pair): pair is readonly [string, string] => typeof pair[1] === 'string')
      if (known.length === 0 && !(fields && (await exists(facts)))) throw errors.unknownTopic(topic)
      const sorted = known.toSorted(([a], [b]) => (a < b ? -1 : 1))
      return { topic, facts: Object.fromEntries(sorted.map(([field, text]) => [field, JSON.parse(text)])) }
    },

    /** Topics by name, those after `after`. */
    async list(tenant: string, { limit, after }: { limit: number; after?: string }) {
      const start = after === undefined ? '-' : `(${after}`
      const range = [
        'ZRANGE',
        knowledgeTopicsKey(tenant),
        start,
        '+',
        'BYLEX',
        'LIMIT',
        0,
        limit + 1,
      ] as const
      const topics = (await send(redis, range, SLOW)) as string[]
      const page = topics.slice(0, limit)
      const counts = await redis.wave(
        page.map((topic) => ['HLEN', knowledgeKeys(tenant, topic).facts]),
        SLOW,
      )
      const data = page.flatMap((topic, i) => {
        const fields = counts[i]
        if (fields instanceof Error) throw fields
        return fields === 0 ? [] : [{ topic, fields: fields as number }]
      })
      return { data, has_more: topics.length > limit }
    },

    /** Throws 404. */
    async delete(
      tenant: string,
      topic: string,
      { by, defer }: Pick<KnowledgeWrite, 'by' | 'defer'>,
    ): Promise<void> {
      const { facts, changes } = keysOf(tenant, topic)
      const call = { script: deleteKnowledgeScript, keys: [facts, changes], args: [COUNT_KEPT_MS] }
      const change = (await send(redis, call, SLOW)) as number
      if (change === 0) throw errors.unknownTopic(topic)
      await unlistEmpty(tenant, topic)
      await tell(tenant, { topic, deleted: true, by }, change, defer)
    },
  }
  return knowledge

  /** The list is in another slot. Whoever writes lists after writing: looked at after striking, nothing that is there stays out of it. */
  async function unlistEmpty(tenant: string, topic: string) {
    const { facts } = knowledgeKeys(tenant, topic)
    if (await exists(facts)) return
    await send(redis, ['ZREM', knowledgeTopicsKey(tenant), topic], SLOW)
    if (await exists(facts)) await send(redis, ['ZADD', knowledgeTopicsKey(tenant), 0, topic], SLOW)
  }

  async function exists(key: string): Promise<boolean> {
    return (await send(redis, ['EXISTS', key], SLOW)) === 1
  }

  /** `agent:events`, once for each change. */
  async function tell(
    tenant: string,
    data: { topic: string; by: string; fields?: string[]; deleted?: true },
    change: number,
    defer?: (work: Promise<unknown>) => void,
  ) {
    const { fields = [], ...more } = data
    const parts = Array.from({ length: Math.max(1, Math.ceil(fields.length / FIELDS_TOLD)) }, (_, i) => ({
      ...more,
      ...(data.fields && { fields: fields.slice(i * FIELDS_TOLD, (i + 1) * FIELDS_TOLD) }),
    }))
    const telling = Promise.all(
      parts.map((part, i) =>
        realtime.publish(tenant, 'agent:events', {
          type: 'knowledge',
          data: part,
          once: `knowledge/${data.topic}/${change}/${i}`,
        }),
      ),
    ).catch(onError)
    if (defer) defer(telling)
    else await telling
  }
}

export type Knowledge = ReturnType<typeof createKnowledge>

function keysOf(tenant: string, topic: string) {
  if (NAME.test(topic)) return knowledgeKeys(tenant, topic)
  throw errors.badName('topic', 'must be 1 to 64 of A-Z a-z 0-9 _ . -')
}

function checkField(field: string) {
  if (FIELD.test(field) && field.isWellFormed() && field !== '__proto__') return
  throw errors.badName(field, 'is no name of a field: 1 to 128 characters, and no control characters')
}

/** JSON, or nothing of what is removed. */
function textOf(field: string, value: unknown): string {
  if (value === null || value === undefined) return ''
  const text = JSON.stringify(value)
  if (Buffer.byteLength(text) > errors.MOST_VALUE_BYTES) throw errors.factTooLarge(field)
  return text
}

const pairsOf = (flat: readonly string[]) =>
  Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i]!, flat[2 * i + 1]!] as const)

const sha256 = (text: string) => hash('sha256', text)
